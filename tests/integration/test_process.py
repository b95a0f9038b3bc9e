"""The discovered process: what the database counts is what anybody counts by hand, case by case."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

from schema import tables
from schema.journey import default_journey
from schema.kpi.discovered import Entry, discover
from schema.store import discovered, rows
from schema.store.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.spine import Spine

BEGAN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
ALWAYS = (BEGAN - timedelta(days=3650), BEGAN + timedelta(days=3650))


def a_log(cases: int, seed: int = 7) -> list[Entry]:
    """Cases of one to many entries, mixed; with equal moments, gaps, and entries that stand in the wrong order."""
    random, log = Random(seed), []  # noqa: S311 - the same log each time
    for _ in range(cases):
        case, at = new_id(), BEGAN + timedelta(minutes=random.randrange(100_000))
        for _ in range(random.choice((1, 1, 2, 3, 5, 8))):
            log.append(Entry(case, random.choice(("open", "Äsk", "answer", "close")), at))
            at += random.choice((timedelta(), timedelta(microseconds=1), timedelta(hours=3), timedelta(days=40)))
            at -= timedelta(minutes=random.choice((0, 0, 0, 5)))
    random.shuffle(log)
    return log


def by_hand(log: Sequence[Entry]) -> dict[tuple[str, str], list[timedelta]]:
    """Count case by case, the plain way: for each pair how long each took, in order of length."""
    found: dict[tuple[str, str], list[timedelta]] = {}
    for case in {entry.case for entry in log}:
        own = [entry for entry in log if entry.case == case]
        own = [own[place] for place in sorted(range(len(own)), key=lambda place: (own[place].at, place))]
        for entry, following in pairwise(own):
            found.setdefault((entry.activity, following.activity), []).append(following.at - entry.at)
    return {pair: sorted(took) for pair, took in found.items()}


def given_tickets(spine: Spine, log: Sequence[Entry], **columns: Any) -> None:  # noqa: ANN401 - of several types
    """Tickets with the entries of a log, as a replayed help desk has them."""
    lead, often = new_id(), dict.fromkeys((entry.case for entry in log), 0)
    entries = []
    for entry in log:
        often[entry.case] += 1
        entries.append(
            {"ticket_id": entry.case, "number": often[entry.case], "at": entry.at, "recorded_at": BEGAN,
             "kind": "activity", "actor": "import", "data": {"activity": entry.activity}}
        )  # fmt: skip
    tickets = [
        {"id": case, "lead_id": lead, "person_id": lead, "journey_name": "default", "journey": "v", "kind": "question",
         "priority": "normal", "status": "open", "source": "files", "channel": "import", "opened_by": "import",
         "opened_at": min(entry.at for entry in log if entry.case == case), "status_since": BEGAN, "updated_at": BEGAN}
        | columns
        for case in often
    ]  # fmt: skip
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.ticket, tickets)
        rows.insert(connection, tables.ticket_entry, entries)


def test_what_follows_what_in_tickets_equals_a_count_by_hand(spine: Spine) -> None:
    log = a_log(120)
    given_tickets(spine, log)

    with spine.engine.connect() as connection:
        found = discovered.process(connection, "default", "tickets", *ALWAYS)
        items, cursor = [], None
        while True:  # the rows behind a pair, in pages
            page, cursor = discovered.pairs(
                connection, "default", "tickets", *ALWAYS, first="open", then="close", cursor=cursor, limit=7
            )
            items += page
            if cursor is None:
                break

    expected = by_hand(log)
    assert {(each.first, each.then): each.n for each in found.follows} == {p: len(took) for p, took in expected.items()}
    for each in found.follows:
        took = expected[each.first, each.then]
        assert each.total_s == Decimal(sum(took, timedelta()) // timedelta(microseconds=1)) / 1_000_000
        assert each.p50_s == took[math.ceil(0.5 * len(took)) - 1].total_seconds()
        assert each.p90_s == took[math.ceil(0.9 * len(took)) - 1].total_seconds()
    assert found == discover(log)
    assert sorted(item["took_s"] for item in items) == [t.total_seconds() for t in expected["open", "close"]]


def test_a_case_belongs_to_the_window_in_which_it_began_and_is_seen_whole(spine: Spine) -> None:
    early, late, other = (new_id() for _ in range(3))
    day = timedelta(days=1)
    log = [Entry(early, "open", BEGAN - day), Entry(early, "close", BEGAN + day)]
    seen = [Entry(late, "open", BEGAN), Entry(late, "close", BEGAN + 300 * day)]
    given_tickets(spine, log + seen)
    given_tickets(spine, [Entry(other, "open", BEGAN)], journey_name="solar")

    with spine.engine.connect() as connection:
        found = discovered.process(connection, "default", "tickets", BEGAN, BEGAN + day)
        nothing = discovered.process(connection, "default", "tickets", BEGAN + 2 * day, BEGAN + 3 * day)

    assert found == discover(seen)
    assert (nothing.cases, nothing.entries, nothing.p50_s, list(nothing.follows)) == (0, 0, None, [])
    assert nothing == discover([])


def test_leads_and_touchpoints_have_a_process_and_tests_of_senders_do_not(spine: Spine) -> None:
    rival = default_journey().lists["competitors"][0]
    for number in range(3):
        spine.arrives({"email": f"spy{number}@{rival}", "interests": "crm"})
        spine.arrives({"email": f"p{number}@firm{number}.example", "interests": "crm"})
    spine.run()
    spine.passes(timedelta(hours=5))
    spine.arrives({"email": "p1@firm1.example", "message": "once more"})
    spine.run()
    moved = spine.rows("SELECT lead_id AS id, name, at FROM transition ORDER BY lead_id, number")
    touched = spine.rows("SELECT lead_id AS id, kind, occurred_at AS at FROM touchpoint ORDER BY occurred_at, id")
    leads = spine.rows("SELECT id, created_at FROM lead")
    trial = moved[0]["id"]
    spine.do("UPDATE lead SET test = true WHERE id = :id", id=trial)

    with spine.engine.connect() as connection:
        of_leads = discovered.process(connection, "default", "leads", *ALWAYS)
        of_touchpoints = discovered.process(connection, "default", "touchpoints", *ALWAYS)

    began = [Entry(lead["id"], "created", lead["created_at"]) for lead in leads]
    log = began + [Entry(move["id"], move["name"], move["at"]) for move in moved]
    ever_moved = {move["id"] for move in moved} - {trial}
    assert ever_moved
    assert of_leads == discover([entry for entry in log if entry.case in ever_moved])
    touches = [Entry(touch["id"], touch["kind"], touch["at"]) for touch in touched if touch["id"] != trial]
    assert of_touchpoints == discover(touches)
