"""Routing against the database: turns under many workers, queues that are drained oldest first, and acceptance."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from schema.errors import Permanent
from schema.store import clock, journeys
from schema.store.ids import new_id
from tests.teams import document, one_pool
from workers.moves import move_lead
from workers.owners import Owners
from workers.runtime import Runtime
from workers.sweep import wake

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.spine import Spine

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Office:
    """A journey of one's own on a database: leads come in, people come and go, time passes."""

    def __init__(self, spine: Spine, route: dict[str, Any], people: dict[str, Any] | None = None) -> None:
        self.spine = spine
        self.follow(route, people)
        self.owners = Owners(spine.engine, spine.hints.send)
        self.worker = spine.runtime()

    def follow(self, route: dict[str, Any], people: dict[str, Any] | None = None) -> None:
        text = document(route, people, sources={"desk": {"kind": "form"}})
        with self.spine.engine.begin() as connection:
            self.journey = journeys.store(connection, text, self.spine.now)
            journeys.activate(connection, self.journey, self.spine.now)

    def comes(self, count: int = 1, *, batch: bool = False) -> list[str]:
        """Let leads arrive, each a moment after the other; return their ids in order."""
        receipts = []
        for _ in range(count):
            receipts.append(self.spine.arrives({"email": f"{new_id()}@lead.example"}, source="desk"))
            if not batch:
                self.run()
                self.spine.passes(timedelta(seconds=1))
        if batch:
            self.run()
        return [str(self.spine.lead_of(receipt)["id"]) for receipt in receipts]

    def run(self) -> None:
        """Let everything happen that is due now, and what follows from it."""
        while wake(self.spine.engine, self.spine.now):
            pass
        for step in ("identify", "route", "advance"):
            self.spine.run(self.worker, step)

    def passes(self, time: timedelta) -> None:
        self.spine.passes(time)
        self.run()

    def close(self, lead: str) -> None:
        move_lead(self.spine.engine, lead, "win", reason=None, actor="key:1", now=self.spine.now)
        self.run()

    def lead(self, lead: str) -> dict[str, Any]:
        return self.spine.rows("SELECT * FROM lead WHERE id = :id", id=lead)[0]

    def owner(self, lead: str) -> str | None:
        owner = self.lead(lead)["owner"]
        return owner and str(owner)

    def events(self, lead: str, name: str = "lead.%") -> list[tuple[str, dict[str, Any]]]:
        rows = self.spine.rows(
            "SELECT type, data FROM event WHERE lead_id = :id AND type LIKE :name ORDER BY sequence", id=lead, name=name
        )
        return [(row["type"].removeprefix("lead."), row["data"]) for row in rows]

    def decisions(self, lead: str) -> list[dict[str, Any]]:
        return self.spine.rows("SELECT * FROM decision WHERE lead_id = :id AND step = 'route' ORDER BY number", id=lead)

    def waiting(self) -> list[str]:
        rows = self.spine.rows("SELECT id FROM lead WHERE waiting_since IS NOT NULL ORDER BY waiting_since, id")
        return [str(row["id"]) for row in rows]


@pytest.fixture
def office(spine: Spine) -> Callable[..., Office]:
    return lambda route, people=None: Office(spine, route, people)


def limits(*people: str, **capacity: object) -> dict[str, Any]:
    return {person: {"capacity": capacity} for person in people}


# -- turns -------------------------------------------------------------------------------------------------------------


def test_a_thousand_leads_in_one_batch_are_shared_exactly(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 5, "ben": 3, "cem": 2}))
    desk.worker = desk.spine.runtime(batch_size=1000)
    desk.comes(1000, batch=True)
    owners = desk.spine.rows("SELECT owner, count(*) AS leads FROM lead GROUP BY owner")
    assert {row["owner"]: row["leads"] for row in owners} == {"ana": 500, "ben": 300, "cem": 200}


def test_however_many_workers_deal_nobody_is_a_turn_from_their_share(spine: Spine) -> None:
    weights = {"ana": 7, "ben": 3, "cem": 1}
    desk = Office(spine, one_pool(weights))
    for _ in range(400):
        spine.arrives({"email": f"{new_id()}@lead.example"}, source="desk")
    workers = [spine.runtime(batch_size=17) for _ in range(4)]
    start = threading.Barrier(len(workers))

    def work(worker: Runtime) -> None:
        start.wait()
        while worker.hear("identify", now=spine.now):
            pass

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))
    desk.run()

    dealt = spine.rows("SELECT explanation FROM decision WHERE step = 'route' AND outcome = 'routed'")
    owners = {row["explanation"]["turn"]: row["explanation"]["owner"] for row in dealt}
    assert sorted(owners) == list(range(1, 401))
    taken: Counter[str] = Counter()
    for turn in range(1, 401):
        taken[owners[turn]] += 1
        assert all(abs(taken[person] * 11 - turn * weight) < 11 for person, weight in weights.items())


# -- queues ------------------------------------------------------------------------------------------------------------


def test_a_place_that_becomes_free_goes_to_the_lead_that_has_waited_longest(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1}), limits("ana", open=2))
    first, second, third, fourth, fifth = desk.comes(5)
    assert desk.waiting() == [third, fourth, fifth]
    assert desk.events(third, "lead.queued") == [("queued", {"pool": "all", "reason": "at_capacity"})]

    desk.close(second)
    assert (desk.owner(third), desk.waiting()) == ("ana", [fourth, fifth])
    desk.close(first)
    desk.close(third)
    assert desk.waiting() == []
    assert desk.spine.rows("SELECT count(*) AS n FROM lead WHERE open AND owner = 'ana'") == [{"n": 2}]


def test_a_newcomer_waits_behind_those_who_waited_before_it_came(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1}), limits("ana", open=1))
    first, second = desk.comes(2)
    # The place becomes free, and a newcomer is looked at before the one that waits is.
    move_lead(desk.spine.engine, first, "win", reason=None, actor="key:1", now=desk.spine.now)
    desk.spine.passes(timedelta(seconds=1))
    receipt = desk.spine.arrives({"email": "new@lead.example"}, source="desk")
    desk.worker.hear("identify", now=desk.spine.now)
    newcomer = str(desk.spine.lead_of(receipt)["id"])
    assert (desk.owner(newcomer), desk.lead(newcomer)["waiting_since"]) == (None, desk.spine.now)
    assert desk.decisions(newcomer)[-1]["reason"] == "others_first"

    desk.run()
    assert (desk.owner(second), desk.waiting()) == ("ana", [newcomer])


def test_of_many_that_wait_only_a_few_are_looked_at_when_one_place_becomes_free(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1}), limits("ana", open=1))
    [first] = desk.comes(1)
    desk.comes(300, batch=True)
    before = desk.spine.rows("SELECT count(*) AS n FROM decision")[0]["n"]

    desk.close(first)

    assert len(desk.waiting()) == 299
    assert desk.spine.rows("SELECT count(*) AS n FROM decision")[0]["n"] - before < 12


def test_when_a_shift_begins_the_queue_is_drained_and_only_its_head_had_a_timer(office: Callable[..., Office]) -> None:
    desk = office(one_pool(pool={"hours": {"mon-fri": "09:00-17:00"}}), limits("ana", "ben", open=30))
    desk.spine.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday
    leads = desk.comes(80, batch=True)
    assert len(desk.waiting()) == 80
    assert desk.spine.rows("SELECT count(*) AS n FROM lead WHERE wake_at IS NOT NULL") == [{"n": 1}]

    desk.passes(datetime(2026, 11, 23, 9, 0, tzinfo=UTC) - desk.spine.now)

    assert desk.waiting() == leads[60:]
    owners = Counter(desk.owner(lead) for lead in leads[:60])
    assert owners == {"ana": 30, "ben": 30}


def test_one_lead_a_month_is_taken_and_the_next_one_a_month_later(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1}), limits("ana", max=1, per="30d"))
    first, second, third = desk.comes(3)
    assert [desk.owner(lead) for lead in (first, second, third)] == ["ana", None, None]

    desk.close(first)
    assert desk.owner(second) is None
    desk.passes(30 * DAY)
    assert [desk.owner(second), desk.owner(third)] == ["ana", None]
    desk.passes(30 * DAY)
    assert desk.owner(third) == "ana"


def test_when_somebody_is_back_before_their_time_what_waits_for_them_is_theirs_at_once(
    office: Callable[..., Office],
) -> None:
    desk = office(one_pool({"ana": 1}))
    desk.owners.away("ana", kind="leave", start=None, end=desk.spine.now + 14 * DAY, actor="key:1", now=desk.spine.now)
    [lead] = desk.comes(1)
    assert desk.owner(lead) is None

    desk.owners.back("ana", None, now=desk.spine.now)
    desk.run()

    assert desk.owner(lead) == "ana"


def test_when_an_absence_ends_by_itself_what_waits_is_given_out(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1}))
    desk.owners.away("ana", kind="pause", start=None, end=desk.spine.now + HOUR, actor="key:1", now=desk.spine.now)
    leads = desk.comes(3)
    desk.passes(HOUR)
    assert {desk.owner(lead) for lead in leads} == {"ana"}


def test_a_waiting_lead_that_is_closed_leaves_the_queue_and_the_next_keeps_its_timer(
    office: Callable[..., Office],
) -> None:
    desk = office(one_pool({"ana": 1}))
    desk.owners.away("ana", kind="pause", start=None, end=desk.spine.now + HOUR, actor="key:1", now=desk.spine.now)
    first, second = desk.comes(2)
    desk.close(first)
    assert desk.waiting() == [second]
    assert desk.lead(first)["waiting_since"] is None
    desk.passes(HOUR)
    assert desk.owner(second) == "ana"


def test_leads_that_wait_for_others_do_not_hold_up_who_could_be_served(office: Callable[..., Office]) -> None:
    fits = {"fits": "person.language in member.speaks", "members": {"ana": 1, "cem": 1}}
    desk = office({"pools": {"all": fits}}, {"ana": {"speaks": ["de"]}, "cem": {"speaks": ["tr"]}})
    desk.owners.away("cem", kind="pause", start=None, end=None, actor="key:1", now=desk.spine.now)
    turkish = desk.spine.arrives({"email": "t@lead.example", "language": "tr"}, source="desk")
    desk.run()
    desk.passes(HOUR)
    german = desk.spine.arrives({"email": "g@lead.example", "language": "de"}, source="desk")
    desk.run()
    assert desk.spine.lead_of(german)["owner"] == "ana"
    assert desk.spine.lead_of(turkish)["owner"] is None


def test_no_place_is_lost_or_given_twice_while_workers_close_and_deal_at_once(spine: Spine) -> None:
    desk = Office(spine, one_pool(), limits("ana", "ben", open=3))
    desk.comes(6)
    open_ones = [str(row["id"]) for row in spine.rows("SELECT id FROM lead WHERE owner IS NOT NULL")]
    for _ in range(60):
        spine.arrives({"email": f"{new_id()}@lead.example"}, source="desk")
    workers = [spine.runtime(batch_size=7) for _ in range(2)]

    def work(worker: Runtime) -> None:
        while worker.hear("identify", now=clock.now()):
            pass

    def close() -> None:
        for lead in open_ones:
            move_lead(spine.engine, lead, "win", reason=None, actor="key:1", now=clock.now())

    with ThreadPoolExecutor(3) as pool:
        for done in [*(pool.submit(work, worker) for worker in workers), pool.submit(close)]:
            done.result()
    spine.now = clock.now()
    desk.run()

    held = spine.rows("SELECT owner, count(*) AS n FROM lead WHERE open AND owner IS NOT NULL GROUP BY 1 ORDER BY 1")
    assert held == [{"owner": "ana", "n": 3}, {"owner": "ben", "n": 3}]
    assert len(desk.waiting()) == 54


# -- acceptance --------------------------------------------------------------------------------------------------------

PATIENT: dict[str, Any] = {"accept_within": "2h", "remind_after": "1h", "hand_on": 1, "escalate_to": "dee"}
BOSS: dict[str, Any] = {"dee": {}}


def test_a_lead_nobody_accepts_is_reminded_of_handed_on_and_escalated_each_once(office: Callable[..., Office]) -> None:
    desk = office(one_pool(**PATIENT), BOSS)
    [lead] = desk.comes(1)
    for _ in range(12):
        desk.passes(HOUR)

    assert desk.owner(lead) == "dee"
    assert [name for name, _ in desk.events(lead)] == [
        "created", "routed", "reminded", "handed_on", "reminded", "escalated",
    ]  # fmt: skip
    assert desk.events(lead, "lead.handed_on")[0][1] == {
        "from_owner": "ana", "owner": "ben", "reason": "not_accepted",
    }  # fmt: skip
    assert desk.lead(lead)["wake_at"] is None


def test_an_accepted_lead_stays_and_its_clock_is_stopped(office: Callable[..., Office]) -> None:
    desk = office(one_pool(**PATIENT), BOSS)
    [lead] = desk.comes(1)
    desk.spine.passes(HOUR / 2)
    desk.owners.accept(lead, "ana", actor="key:1", now=desk.spine.now)
    desk.owners.accept(lead, None, actor="key:1", now=desk.spine.now)
    desk.passes(9 * HOUR)

    assert desk.owner(lead) == "ana"
    [(_, told)] = desk.events(lead, "lead.accepted")
    assert told == {"owner": "ana", "after_s": 1801}
    with pytest.raises(Permanent, match="ana's now"):
        desk.owners.accept(lead, "ben", actor="key:1", now=desk.spine.now)


def test_whoever_works_on_a_lead_has_accepted_it(office: Callable[..., Office]) -> None:
    desk = office(one_pool(**PATIENT), BOSS)
    [lead] = desk.comes(1)
    desk.close(lead)
    assert {name for name, _ in desk.events(lead)[-2:]} == {"transitioned", "accepted"}
    assert desk.lead(lead)["wake_at"] is None


def test_a_declined_lead_goes_to_the_next_in_turn_and_the_turn_stays_taken(office: Callable[..., Office]) -> None:
    desk = office(one_pool(**PATIENT), BOSS)
    [lead] = desk.comes(1)
    desk.owners.decline(lead, "no_time", actor="key:1", now=desk.spine.now)
    assert desk.owner(lead) == "ben"
    assert [name for name, _ in desk.events(lead)][-1] == "handed_on"
    assert [desk.owner(one) for one in desk.comes(2)] == ["ben", "ana"]
    with pytest.raises(Permanent, match="code"):
        desk.owners.decline(lead, "I am on the phone with Mr X", actor="key:1", now=desk.spine.now)


def test_who_goes_on_leave_passes_on_what_they_have_not_accepted(office: Callable[..., Office]) -> None:
    desk = office(one_pool(**PATIENT), BOSS)
    accepted, fresh = desk.comes(3)[::2]
    desk.owners.accept(accepted, "ana", actor="key:1", now=desk.spine.now)
    desk.owners.away("ana", kind="leave", start=None, end=None, actor="key:1", now=desk.spine.now)
    desk.run()
    assert [desk.owner(accepted), desk.owner(fresh)] == ["ana", "ben"]


def test_fifty_who_hand_the_same_lead_over_at_once_tell_each_real_change_once(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1, "ben": 1, "cem": 1}))
    [lead] = desk.comes(1)
    with ThreadPoolExecutor(10) as pool:
        wanted = ["ben"] * 50
        list(pool.map(lambda owner: desk.owners.assign(lead, owner, None, actor="key:1", now=desk.spine.now), wanted))
    assert desk.events(lead, "lead.handed_on") == [
        ("handed_on", {"from_owner": "ana", "owner": "ben", "reason": "by_hand"})
    ]

    with ThreadPoolExecutor(10) as pool:
        wanted = ["ana", "ben", "cem", "ben", "ana"] * 10
        list(pool.map(lambda owner: desk.owners.assign(lead, owner, None, actor="key:1", now=desk.spine.now), wanted))
    told = [data for _, data in desk.events(lead, "lead.handed_on")]
    assert all(data["from_owner"] != data["owner"] for data in told)
    assert [data["owner"] for data in told[:-1]] == [data["from_owner"] for data in told[1:]]
    assert told[-1]["owner"] == desk.owner(lead)


def test_a_lead_handed_over_by_hand_stays_there(office: Callable[..., Office]) -> None:
    desk = office(one_pool(**PATIENT), BOSS)
    [lead] = desk.comes(1)
    desk.owners.assign(lead, "dee", "her_customer", actor="key:1", now=desk.spine.now)
    desk.passes(48 * HOUR)
    assert (desk.owner(lead), desk.lead(lead)["assignment"]["by_hand"]) == ("dee", True)
    with pytest.raises(Permanent, match="nobody of this name"):
        desk.owners.assign(lead, "zoe", None, actor="key:1", now=desk.spine.now)


def test_a_person_comes_back_to_whom_they_dealt_with_before(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"ana": 1, "ben": 1}, sticky="180d"))
    first, *_ = desk.comes(2)
    email = desk.spine.rows(
        "SELECT p.email FROM person AS p JOIN lead AS l ON l.person_id = p.id WHERE l.id = :id", id=first
    )[0]["email"]
    desk.owners.assign(first, "ben", None, actor="key:1", now=desk.spine.now)
    desk.close(first)
    desk.passes(10 * DAY)
    again = desk.spine.arrives({"email": email, "message": "once more"}, source="desk")
    desk.run()
    lead = desk.spine.lead_of(again)
    assert (lead["owner"], desk.decisions(str(lead["id"]))[-1]["reason"]) == ("ben", "sticky")


# -- people ------------------------------------------------------------------------------------------------------------


def test_everybody_is_shown_with_what_they_have_and_why_they_are_not_free(office: Callable[..., Office]) -> None:
    desk = office(one_pool({"eva": 1, "fay": 1}, **PATIENT), limits("eva", open=1) | BOSS)
    desk.comes(2)
    until = desk.spine.now + DAY
    desk.owners.away("fay", kind="leave", start=None, end=until, actor="key:1", now=desk.spine.now)
    desk.comes(1)
    shown = desk.owners.overview(now=desk.spine.now)
    people = {owner["owner"]: owner for owner in shown["owners"]}
    assert (people["eva"]["open"], people["eva"]["to_accept"], people["eva"]["free"]) == (1, 1, False)
    assert people["eva"]["why"] == "at capacity: 1 of 1 open leads"
    assert (people["fay"]["free"], people["fay"]["until"]) == (False, until)
    assert [absence["kind"] for absence in people["fay"]["absences"]] == ["leave"]
    [queue] = shown["queues"]
    assert (queue["pool"], queue["waiting"]) == ("all", 1)


def test_absences_that_cannot_be_are_refused(office: Callable[..., Office]) -> None:
    desk = office(one_pool())
    now = desk.spine.now
    away, back = partial(desk.owners.away, kind="leave", actor="key:1", now=now), partial(desk.owners.back, now=now)
    refused: list[tuple[str, Callable[[], object]]] = [
        ("absence_backwards", partial(away, "ana", start=now, end=now)),
        ("absence_over", partial(away, "ana", start=now - DAY, end=now)),
        ("absence_unknown", partial(back, "ana", new_id())),
        ("absence_unknown", partial(back, "ana", "x")),
        ("owner_unknown", partial(away, "zoe", start=None, end=None)),
    ]
    for code, act in refused:
        with pytest.raises(Permanent) as caught:
            act()
        assert caught.value.code == code
    assert desk.owners.back("ana", None, now=now) == {"owner": "ana", "ended": []}
