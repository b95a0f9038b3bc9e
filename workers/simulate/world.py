"""
World: one journey decides about history, under a clock that is moved from one happening to the next.

The decisions are the steps' own (`workers.qualify`, `score`, `route`, `advance`), run on a batch whose rows go
nowhere; turns, working people and waits are kept here in order of time. Which arrivals belong to one lead is taken as
it was recorded; one that reaches a lead that has ended here begins it anew, as a new lead would.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from schema import lifecycle, tables
from schema.errors import Permanent
from schema.facts import Facts, Touch
from schema.store.journeys import JourneyBook
from workers import advance, moves, owners, qualify, route, score  # noqa: F401 - they register the steps
from workers.batch import Batch, Case, score_facts
from workers.decide.staff import Staff
from workers.models import ModelBook
from workers.runtime import STEPS
from workers.simulate.course import Course, Notes, course
from workers.simulate.desk import Desk
from workers.simulate.history import Arrival, ByHand, Recorded
from workers.simulate.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Table

    Happening = Arrival | ByHand | Literal["wakes", "called"]

    from schema.journey import Journey
    from workers.decide.predict import Model
    from workers.decide.turns import Ledger
    from workers.simulate.history import Window

_MOST_STEPS: Final = 100
"""Steps that one happening may lead to; the journeys' own laws end long before."""
_NO_CONNECTION: Final = cast("Connection", None)
"""Whatever a step asks the database for, the world answers itself."""
_UNREAD: Final = {"interests", "attribution", "message", "updated_at", "event_tx"}
COLUMNS: Final = tuple(column.name for column in tables.lead.c if column.name not in _UNREAD)


class OneModel(ModelBook):
    """The prediction model of a world: the same one all the time."""

    def __init__(self, model: Model | None) -> None:
        super().__init__()
        self._model = model

    def active(self, connection: Connection, journey: str) -> Model | None:  # noqa: ARG002 - nothing is read
        """Return it."""
        return self._model


class Imagined(Batch):
    """A batch of one lead that is never recorded; `notes` gets what it writes about that lead."""

    notes: Notes

    def __init__(self, model: Model | None, now: datetime) -> None:
        super().__init__(_NO_CONNECTION, JourneyBook(), now, "", models=OneModel(model))
        self.latest: dict[str, str] = {}
        self.owned: dict[str, tuple[str, datetime]] = {}

    def write(self, table: Table, row: Mapping[str, Any]) -> None:
        """Note a decision, a move or an event."""
        if table is tables.decision:
            self.notes.decided(row)
        elif table is tables.transition:
            self.notes.moved(row)
        elif table is tables.event:
            self.notes.heard(row)

    def superseded(self, ids: Iterable[str]) -> set[str]:
        """Return which of these leads' people have had a later lead here."""
        return {lead_id for lead_id in ids if self.latest.get(self.cases[lead_id].lead["person_id"]) != lead_id}

    def last_owners(self, cases: Iterable[Case]) -> dict[str, tuple[str, datetime]]:
        """Return who had the last lead of these leads' people, and until when."""
        people = {case.lead["person_id"] for case in cases}
        return {person: self.owned[person] for person in people if person in self.owned}


@dataclass(slots=True)
class Life:
    """One lead in this world: its columns, what has come in so far, and how much is still to come."""

    recorded: Recorded
    lead: dict[str, Any]
    touches: list[Touch]
    ahead: int
    notes: Notes = field(default_factory=Notes)


class World:
    """
    One journey over one window.

    Take leads in with `enter`, in the order of their first arrivals, and let time pass with `until`, which yields the
    leads whose way is at its end.
    """

    def __init__(
        self,
        journey: Journey,
        window: Window,
        *,
        model: Model | None = None,
        ledgers: Mapping[str, Ledger] | None = None,
        before: Mapping[str, int] | None = None,
        staff: Staff | None = None,
    ) -> None:
        self.journey = journey
        self.window = window
        self.load = Load(window, before or {})
        self.foreign = 0
        """Leads from before the window whose state this journey does not know."""
        self._batch = Imagined(model, window.since)
        self._desk = Desk(self._batch, journey, ledgers or {}, staff or Staff(), self.load)
        self._batch.pools = self._desk
        self._lives: dict[str, Life] = {}
        self._ahead: list[tuple[datetime, int, str, int, str, Happening]] = []
        self._number = count()

    def enter(self, recorded: Iterable[Recorded]) -> None:
        """Take leads in, with all that is going to happen to them."""
        for one in recorded:
            if one.carried and one.carried.state not in self.journey.lifecycle:
                self.foreign += 1
                continue
            life = Life(one, self._columns(one), list(one.touches), len(one.arrivals) + len(one.by_hand))
            self._lives[one.id] = life
            if one.carried and life.lead["open"] and life.lead["owner"]:
                self.load.carried(life.lead["owner"])
            for arrival in one.arrivals:
                self._expect(arrival.at, 0, arrival.touch.id, one.id, arrival)
            for move in one.by_hand:
                self._expect(move.at, 1, move.name or move.did, one.id, move)

    def until(self, moment: datetime | None) -> Iterator[Course]:
        """Let everything happen that is due before `moment` (None: to the window's end); yield who is through."""
        end = min(moment or self.window.until, self.window.until)
        while self._ahead and self._ahead[0][0] < end:
            at, _, _, _, lead_id, happening = heapq.heappop(self._ahead)
            life = self._lives.get(lead_id)
            if life is None:
                continue
            self._happens(life, at, happening)
            if not life.ahead and not self._waits(life):
                yield self._over(life)
        if moment is None:
            for life in list(self._lives.values()):
                yield self._over(life)

    def _expect(self, at: datetime, rank: int, key: str, lead_id: str, what: Happening) -> None:
        heapq.heappush(self._ahead, (at, rank, key, next(self._number), lead_id, what))

    def _happens(self, life: Life, at: datetime, happening: Happening) -> None:
        if isinstance(happening, Arrival):
            life.ahead -= 1
            self._pass(life, at, self._arrives, happening.touch)
        elif isinstance(happening, ByHand):
            life.ahead -= 1
            self._pass(life, at, self._moved, happening)
        elif happening == "called":
            if life.lead["waiting_since"] is not None and life.lead["id"] in self._desk.called:
                self._pass(life, at, self._served)
        elif life.lead["wake_at"] == at:  # else it has been looked at since, and waits for another moment
            self._pass(life, at, self._wake)

    def _pass(self, life: Life, at: datetime, happen: Callable[..., None], *what: Touch | ByHand) -> None:
        """One lead in hand: let something happen to it, and keep who has it and what it waits for."""
        lead = life.lead
        had = {name: lead[name] for name in ("pool", "assignment", "waiting_since")}
        owner = lead["owner"] if lead["open"] else None
        self._desk.take(lead)
        happen(life, at, *what)
        has = lead["owner"] if lead["open"] else None
        if has != owner:
            if owner:
                self.load.freed(owner, at)
                self._batch.owned[lead["person_id"]] = owner, at
            if has:
                self.load.given(has, at)
        for called in self._desk.leave(lead, had=had, freed=owner if owner != has else None):
            self._expect(at, 3, "", called, "called")
        if lead["wake_at"] is not None and lead["wake_at"] < self.window.until:
            since = lead["waiting_since"]  # of several at once those come first that are in a queue, the longest first
            order = f"queued {since.isoformat()}" if since else f"waits {lead['id']}"
            self._expect(lead["wake_at"], 2, order, lead["id"], "wakes")

    def _waits(self, life: Life) -> bool:
        lead = life.lead
        return lead["waiting_since"] is not None or (
            lead["wake_at"] is not None and lead["wake_at"] < self.window.until
        )

    def _over(self, life: Life) -> Course:
        del self._lives[life.recorded.id]
        return course(life.lead, life.notes, life.recorded.found)

    # -- what happens --------------------------------------------------------------------------------------------------

    def _arrives(self, life: Life, at: datetime, touch: Touch) -> None:
        """As `identify` does, to an open lead or one that may be looked at again; else the lead begins anew."""
        lead = life.lead
        new = not lead["decisions"] and not life.recorded.carried
        if not lead["open"] and not lifecycle.turns_down(self.journey, lead["state"]):
            life.lead |= self._columns(life.recorded, anew=at)
            life.touches, life.notes.anew, new = [], life.notes.anew + 1, True
        if new:
            self._batch.latest[lead["person_id"]] = lead["id"]
        life.touches.append(touch)
        case = self._case(life, at)
        case.go(self.journey.steps[0] if new else case.begins_at())
        self._run(life, case)

    def _wake(self, life: Life, at: datetime) -> None:
        """As the sweep does: due for the earliest step whose wait is over."""
        over = {step for step, moment in life.lead["waits"].items() if moment <= at}
        case = self._case(life, at)
        case.go(next(step for step in STEPS if step in over))
        self._run(life, case)

    def _served(self, life: Life, at: datetime) -> None:
        """A place may have become free for it."""
        case = self._case(life, at)
        case.go("route")
        self._run(life, case)

    def _moved(self, life: Life, at: datetime, hand: ByHand) -> None:
        """As `workers.moves` and `workers.owners` do, where this journey has such a move and such an owner."""
        case = self._case(life, at)
        self._batch.step = "move"
        try:
            self._handled(case, hand)
        except Permanent:
            life.notes.impossible.append(hand.name or hand.did)
        self._run(life, case)

    def _handled(self, case: Case, hand: ByHand) -> None:
        """Acceptance is whose ever lead it is here; only who has it can decline it."""
        owner = case.lead["owner"]
        if hand.did == "moved":
            moves.make(case, hand.name, hand.reason, hand.actor)
        elif hand.did == "assigned":
            owners.hand_over(case, hand.owner, hand.reason or None, hand.actor)
        elif hand.did == "accepted" and owner:
            owners.take_on(case, None, hand.actor)
        elif hand.did == "declined" and owner == hand.owner and case.lead["open"]:
            owners.give_back(case, hand.reason, hand.actor)

    # -- the batch of one ----------------------------------------------------------------------------------------------

    def _case(self, life: Life, at: datetime) -> Case:
        lead, recorded = life.lead, life.recorded
        facts = Facts(
            lead_id=recorded.id,
            source=recorded.source,
            channel=recorded.channel,
            state=lead["state"],
            person=recorded.person,
            company=recorded.company,
            lead=recorded.lead,
            touchpoints=life.touches,
            qualification=lead["qualification"],
            score=score_facts(lead),
            owner=lead["owner"],
            pool=lead["pool"],
            entered_at=lead["entered_at"],
            overdue=lead["overdue"],
            recycled=lead["recycled"],
            assignment=lead["assignment"],
            waiting_since=lead["waiting_since"],
        )
        case = Case(self._batch, self.journey, facts, lead, inputs={})  # nobody is going to repeat it
        self._batch.now, self._batch.cases, self._batch.notes = at, {recorded.id: case}, life.notes
        return case

    def _run(self, life: Life, case: Case) -> None:
        """Take the lead through the steps until it is settled; what was news is not news then."""
        for _ in range(_MOST_STEPS):
            step = case.lead["next_step"]
            if step is None:
                break
            STEPS[step].work(self._batch)
        life.touches = [_known(touch) if touch.new else touch for touch in life.touches]

    def _columns(self, recorded: Recorded, *, anew: datetime | None = None) -> dict[str, Any]:
        """The columns of a lead as it begins, or as it was when the window began."""
        began = anew or recorded.created_at
        lead = dict.fromkeys(COLUMNS) | {
            "id": recorded.id,
            "person_id": recorded.person_id,
            "journey": self.journey.version,
            "journey_name": self.journey.name,
            "state": self.journey.initial,
            "open": True,
            "attempts": 0,
            "source": recorded.source,
            "channel": recorded.channel,
            "created_at": began,
            "entered_at": began,
            "overdue": False,
            "recycled": 0,
            "decisions": 0,
            "transitions": 0,
            "events": 0,
            "waits": {},
        }
        carried = recorded.carried
        if carried and not anew:
            lead |= {
                "state": carried.state,
                "open": not self.journey.lifecycle[carried.state].final,
                "entered_at": carried.entered_at,
                "qualification": carried.qualification,
                "owner": carried.owner,
                "pool": carried.pool,
            }
        return lead


def _known(touch: Touch) -> Touch:
    return Touch(touch.kind, touch.occurred_at, touch.id, new=False, machine=touch.machine)
