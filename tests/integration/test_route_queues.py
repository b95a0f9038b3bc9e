"""Queues over a long while: nobody is forgotten, no place stays empty, and no table is read as a whole for them."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from schema.errors import Permanent
from schema.store.engine import make_engine
from schema.store.ids import new_id
from tests.integration.test_route import HOUR, Office, limits
from tests.teams import one_pool
from workers.migration import migrate_leads
from workers.moves import move_lead
from workers.owners import Owners

if TYPE_CHECKING:
    from tests.spine import Spine

ROUTE: dict[str, Any] = {
    "accept_within": "5h",
    "escalate_to": "dee",
    "pools": {
        "german": {"when": 'person.language == "de"', "fits": "person.language in member.speaks",
                   "hours": {"mon-sun": "06:00-20:00"}, "members": {"ana": 2, "ben": 1}},
        "rest": {"fits": "person.language in member.speaks", "members": {"ben": 1, "cem": 3}},
    },
}  # fmt: skip
PEOPLE: dict[str, Any] = {
    "ana": {"speaks": ["de"], "capacity": {"open": 3}},
    "ben": {"speaks": ["de", "en"], "capacity": {"open": 4, "max": 6, "per": "1d"}},
    "cem": {"speaks": ["en", "tr"], "hours": {"mon-sun": "08:00-16:00"}},
    "dee": {},
}


def happens(desk: Office, chance: random.Random) -> None:
    """Let one thing happen that people or leads do."""
    now = desk.spine.now
    leads = [str(row["id"]) for row in desk.spine.rows("SELECT id FROM lead WHERE open AND owner <> 'dee' ORDER BY id")]
    what = chance.choice(["comes", "comes", "closes", "declines", "accepts", "leaves", "returns", "time"])
    if what == "comes":
        for _ in range(chance.randint(1, 4)):
            language = chance.choice(["de", "en", "tr", None])
            desk.spine.arrives({"email": f"{new_id()}@lead.example", "language": language}, source="desk")
    elif what == "time":
        desk.spine.passes(timedelta(minutes=chance.randint(1, 600)))
    elif what == "leaves":
        end = now + timedelta(hours=chance.randint(1, 30)) if chance.random() < 0.7 else None
        desk.owners.away(chance.choice(["ana", "ben", "cem"]), kind="pause", start=None, end=end, actor="k", now=now)
    elif what == "returns":
        desk.owners.back(chance.choice(["ana", "ben", "cem"]), None, now=now)
    elif leads:
        lead = chance.choice(leads)
        if what == "closes":
            move_lead(desk.spine.engine, lead, "win", reason=None, actor="k", now=now)
        elif what == "declines":
            desk.owners.decline(lead, "no_time", actor="k", now=now)
        else:
            desk.owners.accept(lead, None, actor="k", now=now)
    desk.spine.passes(timedelta(seconds=1))
    desk.run()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_no_lead_is_forgotten_and_nobody_is_idle_while_one_waits_for_them(
    spine: Spine, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    desk = Office(spine, ROUTE, PEOPLE)
    for _ in range(40):
        happens(desk, chance)
        assert not spine.rows("SELECT id FROM lead WHERE open AND owner IS NULL AND waiting_since IS NULL")
        assert not spine.rows("SELECT id FROM dead_letter")
        held = {row["owner"]: row["n"] for row in spine.rows(
            "SELECT owner, count(*) AS n FROM lead WHERE open AND owner IS NOT NULL GROUP BY owner")}  # fmt: skip
        assert held.get("ana", 0) <= 3
        assert held.get("ben", 0) <= 4

    waiting = desk.waiting()
    spine.do("UPDATE lead SET due_since = :now, next_step = 'route' WHERE waiting_since IS NOT NULL", now=spine.now)
    desk.run()
    assert desk.waiting() == waiting


@pytest.mark.parametrize("seed", range(2))
def test_in_the_end_everybody_is_served_when_people_are_there(spine: Spine, seed: int) -> None:
    chance = random.Random(100 + seed)  # noqa: S311 - not for secrets
    desk = Office(spine, ROUTE, PEOPLE)
    for _ in range(25):
        happens(desk, chance)
    for person in ("ana", "ben", "cem"):
        desk.owners.back(person, None, now=spine.now)
    for _ in range(60):
        for row in spine.rows("SELECT id FROM lead WHERE open AND owner IS NOT NULL"):
            move_lead(spine.engine, str(row["id"]), "win", reason=None, actor="k", now=spine.now)
        desk.passes(timedelta(hours=5))
    assert desk.waiting() == []
    assert not spine.rows("SELECT id FROM lead WHERE open")


def test_waiting_leads_that_follow_a_version_with_more_people_are_given_to_them(spine: Spine) -> None:
    desk = Office(spine, one_pool({"ana": 1}), limits("ana", open=1))
    _, second, third = desk.comes(3)
    desk.follow(one_pool({"ana": 1, "ben": 1}), limits("ana", "ben", open=1))
    assert desk.waiting() == [second, third]

    migrate_leads(spine.engine, desk.journey.version, [], {}, actor="key:1", now=spine.now)
    desk.run()

    assert (desk.owner(second), desk.waiting()) == ("ben", [third])


def test_leads_of_somebody_who_is_no_longer_of_the_journey_go_to_others_when_they_follow_it(spine: Spine) -> None:
    desk = Office(spine, one_pool({"ana": 1}))
    [lead] = desk.comes(1)
    desk.follow(one_pool({"ben": 1}))
    migrate_leads(spine.engine, desk.journey.version, [], {}, actor="key:1", now=spine.now)
    desk.run()
    assert desk.owner(lead) == "ben"
    assert [told["owner"] for _, told in desk.events(lead, "lead.routed")] == ["ana", "ben"]


def test_a_waiting_lead_that_was_set_aside_holds_nobody_up(spine: Spine) -> None:
    desk = Office(spine, one_pool({"ana": 1}), limits("ana", open=1))
    first, broken, second = desk.comes(3)
    spine.do("UPDATE lead SET next_step = 'route' WHERE id = :id", id=broken)
    desk.close(first)
    assert (desk.owner(broken), desk.owner(second)) == (None, "ana")


def test_a_lead_that_cannot_be_declined_or_handed_over_says_why(spine: Spine) -> None:
    desk = Office(spine, one_pool({"ana": 1}))
    [lead] = desk.comes(1)
    desk.close(lead)
    with pytest.raises(Permanent, match="closed"):
        desk.owners.decline(lead, "no_time", actor="k", now=spine.now)
    with pytest.raises(Permanent, match="lead_unknown"):
        desk.owners.accept(new_id(), None, actor="k", now=spine.now)


def test_no_statement_about_queues_and_people_reads_all_leads(spine: Spine) -> None:
    desk = Office(spine, one_pool(accept_within="2h"), limits("ana", "ben", open=2, max=20, per="30d"))
    first, second, *_ = desk.comes(4)
    desk.comes(60, batch=True)
    spine.do("ANALYZE")
    statements: dict[str, Any] = {}
    hot = make_engine(spine.url, name="test", hot=True)
    for engine in (desk.worker.engine, hot):
        event.listen(
            engine,
            "before_cursor_execute",
            lambda _c, _u, statement, parameters, *_: statements.setdefault(statement, parameters),
        )
    desk.owners = Owners(hot, spine.hints.send)
    move_lead(hot, first, "win", reason=None, actor="k", now=spine.now)
    desk.run()
    desk.owners.decline(second, "no_time", actor="k", now=spine.now)
    desk.owners.away("ana", kind="pause", start=None, end=None, actor="k", now=spine.now)
    desk.owners.overview(now=spine.now)
    desk.owners.back("ana", None, now=spine.now)
    desk.comes(2)
    desk.passes(3 * HOUR)

    with hot.begin() as connection:
        plans = {
            statement: "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in list(statements.items())
            if re.match(r"\s*(SELECT|UPDATE|INSERT|DELETE|WITH)", statement)
        }
    hot.dispose()
    asked = [name for name in ("ix_lead_waiting", "ix_lead_open_owner", "pk_assignment", "ix_absence_until")
             if any(name in plan for plan in plans.values())]  # fmt: skip
    assert len(asked) == 4, asked
    whole = [plan for plan in plans.values() if re.search(r"Seq Scan on (lead|assignment|decision|absence)\b", plan)]
    assert not whole, "\n\n".join(whole)
