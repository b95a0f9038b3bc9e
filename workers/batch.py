"""
A batch: the leads that one transaction has in hand, and all that it will record about them.

Steps decide about one `Case` at a time; the batch writes every table once, for all of them. Chained steps share a
batch, so that a lead which travels the whole way in one go is written once, with each decision, move and event of
its own.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from sqlalchemy import Table, text

from schema import lifecycle, tables
from schema.events import Event, LeadMigrated, LeadTransitioned, name_of
from schema.facts import Facts, Touch
from schema.store import rows, staff
from schema.store.ids import uuid_array
from schema.tables.purchase import ON_CONFLICT
from workers import timers
from workers.campaigns import enrolments
from workers.decide import history
from workers.decide.inputs import inputs
from workers.followups import follow_ups
from workers.handovers import Handovers
from workers.helpdesk import clocks, tickets
from workers.helpdesk.book import Tickets
from workers.helpdesk.desks import Desks
from workers.identity import belongings
from workers.models import ModelBook
from workers.pools import Pools
from workers.retention import contracts
from workers.sales import opportunities
from workers.satisfaction import surveys
from workers.sending import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from schema.journey import Journey
    from schema.store.journeys import JourneyBook
    from workers.decide.advance import Move
    from workers.decide.clock import Life
    from workers.decide.staff import Staff
    from workers.decide.turns import Ledger
    from workers.happening import Happening
    from workers.identity.people import Arrival
    from workers.sending.told import Told
    from workers.timers import Timer

_LEAD_COLUMNS: Final = tuple(column.name for column in tables.lead.c if column.name != "event_tx")
_PERSON_COLUMNS: Final = tuple(column.name for column in tables.person.c)
_FIXED: Final = {"person_id", "journey_name", "source", "channel", "merged_into"}
_LEAD_CHANGES: Final = tuple(name for name in _LEAD_COLUMNS if name not in _FIXED)

_LOAD: Final = text("""
SELECT l.*, l.event_tx > pg_current_xact_id() AS younger,
       p.name AS person_name, p.email, p.phone, p.country, p.language, p.interests AS person_interests,
       p.preferences, p.custom, p.company_name, p.company_employees,
       c.name AS c_name, c.domain AS c_domain, c.employees AS c_employees
FROM lead AS l JOIN person AS p ON p.id = l.person_id LEFT JOIN company AS c ON c.id = p.company_id
WHERE l.id = ANY(CAST(:ids AS uuid[]))
""")
_TOUCHES: Final = text("""
SELECT t.lead_id, t.kind, t.occurred_at, t.id, l.due_since IS NOT NULL AND t.recorded_at >= l.due_since AS new,
       t.machine, t.ours
FROM unnest(CAST(:ids AS uuid[])) AS wanted(id)
JOIN lead AS l ON l.id = wanted.id
CROSS JOIN LATERAL (
    SELECT lead_id, kind, occurred_at, id, recorded_at, data ? 'machine' AS machine, source = 'throughline' AS ours
    FROM touchpoint WHERE lead_id = wanted.id ORDER BY occurred_at DESC LIMIT 500
) AS t
""")
_SUPERSEDED: Final = text("""
SELECT l.id FROM lead AS l
WHERE l.id = ANY(CAST(:ids AS uuid[])) AND EXISTS (
    SELECT FROM lead AS other
    WHERE other.person_id = l.person_id AND other.journey_name = l.journey_name AND other.id <> l.id
      AND other.merged_into IS NULL AND (other.open OR (other.created_at, other.id) > (l.created_at, l.id))
)
""")


@dataclass(slots=True)
class Case:
    """One lead in hand: its columns as they will be, what is known of it, and the rules that apply."""

    batch: Batch
    journey: Journey
    facts: Facts
    lead: dict[str, Any]
    trace: str | None = None
    new: bool = False
    had: Mapping[str, Any] | None = field(default=None, repr=False)
    """Its columns as they were when it was taken in hand; None for a new one."""
    inputs: dict[str, Any] | None = field(default=None, repr=False)
    """What its decisions in this batch start from, until the first of them has kept it; None before they begin."""
    came_into: list[str] = field(default_factory=list, repr=False)
    """The states that it came into in this run."""
    moves: list[Move] = field(default_factory=list, repr=False)
    """The moves that it made in this run, in order."""
    moved_at: list[datetime] = field(default_factory=list, repr=False)
    """When it made each of them: now, but for one of which only files tell."""
    happened: list[Happening] = field(default_factory=list, repr=False)
    """What happened to it in this run: follow-up rules and surveys hear of it when it is recorded."""
    heard: bool = False
    """Whether campaigns are to hear of it when it is recorded."""

    @property
    def id(self) -> str:
        """The lead's id."""
        return str(self.lead["id"])

    def decided(self, outcome: str, reason: str | None, explanation: Mapping[str, Any], *, step: str = "") -> None:
        """Keep the decision of the step at work, with its explanation; the first of a run with what it starts from."""
        self.lead["decisions"] += 1
        if self.inputs:
            explanation = {**explanation, "inputs": self.inputs}
            self.inputs = {}
        self.batch.write(
            tables.decision,
            {
                "lead_id": self.id,
                "number": self.lead["decisions"],
                "step": step or self.batch.step,
                "at": self.batch.now,
                "journey": self.journey.version,
                "outcome": outcome,
                "reason": reason,
                "explanation": explanation,
            },
        )

    def tell(self, event: Event) -> None:
        """Put an event into the outbox, next in the lead's own order."""
        self.lead["events"] += 1
        self.batch.write(
            tables.event,
            {
                "lead_id": self.id,
                "sequence": self.lead["events"],
                "type": name_of(event),
                "time": self.batch.now,
                "trace": self.trace,
                "data": event,
            },
        )

    def move(self, move: Move, *, actor: str = "journey") -> None:
        """
        Change the lead's state: the one path for it, whoever asks.

        It happens now. History is told later than it happened: a lead that only files tell of has moved with the
        arrival that made it move, but not before it came into its state.
        """
        now = self.batch.now
        at = history.moved_at(self.facts, self.journey, move, now) if self.facts.quiet else now
        self.came_into.append(move.to_state)
        self.moves.append(move)
        self.moved_at.append(at)
        self.lead["transitions"] += 1
        self.lead["state"] = self.facts.state = move.to_state
        self.lead["entered_at"] = self.facts.entered_at = at
        self.lead["overdue"] = self.facts.overdue = False
        self.lead["open"] = not self.journey.lifecycle[move.to_state].final
        if move.trigger == "requalify":
            self.lead["recycled"] = self.facts.recycled = self.facts.recycled + 1
        self._keep_waits()
        self.batch.write(
            tables.transition,
            {
                "lead_id": self.id,
                "number": self.lead["transitions"],
                "journey": self.journey.version,
                "from_state": move.from_state,
                "name": move.name,
                "to_state": move.to_state,
                "at": at,
                "actor": actor,
                "reason": move.reason,
            },
        )
        left, there = self.journey.lifecycle.get(move.from_state), self.journey.lifecycle[move.to_state]
        self.tell(
            LeadTransitioned(
                move.name,
                move.from_state,
                move.to_state,
                actor,
                move.reason if not move.reason or lifecycle.is_code(move.reason) else None,
                self.journey.version,
                left.department if left else None,
                there.department,
                self.journey.transition(move.name).system or (left.system if left else None),
                at=at if at < now else UNSET,
            ),
        )

    @property
    def began(self) -> datetime:
        """Since when it is in the state in which this run found it, if it began there in this run."""
        quiet = self.facts.quiet and self.lead["transitions"] == len(self.moves)
        return self.lead["created_at"] if quiet else self.batch.now

    def wake(self) -> None:
        """
        Take note that not only files tell of the lead: what is timed in its state begins now.

        It was there before, though: it does not come into its state by this.
        """
        if self.lead["quiet"]:
            self.lead["quiet"] = self.facts.quiet = False
            due_since = self.lead["due_since"] or self.batch.now
            since = self.batch.now if self.new else due_since - timedelta.resolution
            self.lead["entered_at"] = self.facts.entered_at = since

    def _keep_waits(self) -> None:
        """Wait only for what matters in the new state: in a final one only to be looked at again after a no."""
        matters = {"qualify": lifecycle.qualifies(self.journey, self.facts.state)}
        waits = self.lead["waits"].items()
        self.lead["waits"] = {step: at for step, at in waits if matters.get(step, self.lead["open"])}

    def migrate(self, to_state: str, *, from_version: str, actor: str) -> None:
        """
        Have the lead follow `self.journey` from here on, where its state is called `to_state`.

        It makes a move called `migrate`, which is none of the journey's own, and stays in its state since when it was.
        """
        from_state = self.lead["state"]
        self.lead["transitions"] += 1
        self.lead["journey"] = self.journey.version
        self.lead["state"] = self.facts.state = to_state
        self.batch.write(
            tables.transition,
            {
                "lead_id": self.id,
                "number": self.lead["transitions"],
                "journey": self.journey.version,
                "from_state": from_state,
                "name": "migrate",
                "to_state": to_state,
                "at": self.batch.now,
                "actor": actor,
                "reason": None,
            },
        )
        self.tell(LeadMigrated(from_version, self.journey.version, from_state, to_state))

    def go(self, step: str | None) -> None:
        """Name the lead's next step; None settles it, until one of its waits is over."""
        self.lead["next_step"] = step
        if step is None:
            self.lead["due_since"] = None
            self.lead["attempts"] = 0
            self.lead["wake_at"] = min(self.lead["waits"].values(), default=None)
        elif self.lead["due_since"] is None:
            self.lead["due_since"] = self.batch.now
            self.lead["wake_at"] = None

    def newest(self) -> Journey:
        """Its journey's active version, if this code can read it; else its own."""
        return self.batch.active.get(self.lead["journey_name"]) or self.journey

    def begins_at(self) -> str:
        """The step that a known lead begins with when something new has happened to it."""
        if lifecycle.turns_down(self.journey, self.facts.state):
            return "qualify"
        qualification = self.lead["qualification"] or {}
        return "score" if qualification.get("passed") else self.journey.steps[0]

    def look_again(self, at: datetime | None, *, step: str = "") -> None:
        """
        Have the step at work (or `step`) look at this lead again at a moment; None: it need not.

        Each step has one such moment and says it anew whenever it runs: the earliest of all that it waits for.
        """
        self.lead["waits"].pop(step or self.batch.step, None)
        if at is not None:
            self.lead["waits"][step or self.batch.step] = at


@dataclass(slots=True)
class Batch:
    """The unit of work: `gather` cases, let steps decide, `record` everything at once."""

    connection: Connection
    book: JourneyBook
    now: datetime
    step: str
    receipts: Sequence[RowMapping] = ()
    enrolments: Sequence[RowMapping] = ()
    arrivals: Sequence[tuple[Arrival, Case]] = ()
    """What arrived in this batch, with the leads it was tied to."""
    went_off: Sequence[RowMapping] = ()
    """Timers whose time has come."""
    timers: dict[str, Timer] = field(default_factory=dict)
    """What is to be looked at again when, by the id of what it is the timer of (`workers/timers.py`)."""
    clocks: dict[str, Life] = field(default_factory=dict)
    """The clocks of the tickets in hand (`workers/helpdesk/clocks.py`)."""
    cases: dict[str, Case] = field(default_factory=dict)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rows of the people that arrivals are about, with marks of our own beside the columns."""
    _inserts: dict[Table, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    _updates: dict[Table, list[Mapping[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    postponed: list[str] = field(default_factory=list)
    """Ids this transaction had to leave alone; they are due, and hinted again after it."""
    waiting: list[str] = field(default_factory=list)
    """Receipts whose lead follows a version that this code cannot read; they are due, and tried again later."""
    hints: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What else became due, by queue; told after the commit."""
    told: list[Told] = field(default_factory=list)
    """What arrivals say about messages of ours."""
    pepper: Callable[[], bytes] | None = None
    """Gives the installation's secret, where anything has to be kept under it."""
    models: ModelBook = field(default_factory=ModelBook)
    pools: Pools = field(init=False, repr=False)
    tickets: Tickets = field(init=False, repr=False)
    desks: Desks = field(init=False, repr=False)
    handovers: Handovers = field(init=False, repr=False)
    _active: Mapping[str, Journey | None] | None = None

    def __post_init__(self) -> None:
        self.pools = Pools(self)
        self.tickets = Tickets(self)
        self.desks = Desks(self)
        self.handovers = Handovers(self)

    @property
    def active(self) -> Mapping[str, Journey | None]:
        """The active version of each journey, the same for the whole batch; None where this code cannot read it."""
        if self._active is None:
            self._active = self.book.by_name(self.connection)
        return self._active

    def at(self, step: str) -> Iterator[Case]:
        """Yield the cases whose next step is `step`, in order of age."""
        self.step = step
        cases = [case for case in self.cases.values() if case.lead["next_step"] == step]
        met = [case for case in cases if case.inputs is None and case.lead["person_id"] in self.people]
        if belongings.asked(met):
            bare = belongings.bare(self.people)
            if any(case.lead["person_id"] not in bare for case in met):
                self._record_arrivals()
            belongings.tell(self.connection, met, bare)
        for case in cases:
            if case.inputs is None:
                case.inputs = inputs(case.facts, case.journey, step, self.now)
        return iter(cases)

    def write(self, table: Table, row: Mapping[str, Any]) -> None:
        """Keep a row to be inserted when the batch is recorded."""
        self._inserts[table].append(row)

    def transitions(self) -> Sequence[Mapping[str, Any]]:
        """Return the moves that leads made in this batch, in order."""
        return self._inserts[tables.transition]

    def change(self, table: Table, row: Mapping[str, Any]) -> None:
        """Keep changed columns of a row, by its `id`, to be written when the batch is recorded."""
        self._updates[table].append(row)

    def begin(self, lead: dict[str, Any], facts: Facts, journey: Journey, trace: str) -> Case:
        """Take a lead into hand that this batch creates."""
        case = Case(self, journey, facts, lead, trace, new=True)
        self.cases[case.id] = case
        return case

    def load(self, ids: Iterable[str], *, follow: Journey | None = None) -> list[str]:
        """
        Take leads into hand that this transaction has locked; by the rules of `follow`, else of their own version.

        Returns the ids of those it must leave alone: a transaction younger than this one has already told events
        of theirs, and ours would come before them in the feed. They stay due for the next transaction.
        """
        wanted = uuid_array(ids)
        parameters = {"ids": wanted}
        found = [dict(row) for row in self.connection.execute(_LOAD, parameters).mappings()]
        touches: dict[str, list[Touch]] = defaultdict(list)
        for touch in self.connection.execute(_TOUCHES, parameters):
            touches[touch.lead_id].append(Touch(*touch[1:]))
        for row in found:
            if not row["younger"]:
                journey = follow or self.book.version(self.connection, row["journey"])
                row["waits"] = {step: datetime.fromisoformat(at) for step, at in row["waits"].items()}
                facts = _facts(row, touches[row["id"]])
                self.cases[row["id"]] = Case(self, journey, facts, {name: row[name] for name in _LEAD_COLUMNS}, had=row)
        belongings.tell(self.connection, [self.cases[row["id"]] for row in found if not row["younger"]])
        return [row["id"] for row in found if row["younger"]]

    def superseded(self, ids: Iterable[str]) -> set[str]:
        """Return which of these leads' people have an open or a newer lead on the same journey."""
        wanted = uuid_array(ids)
        return set(self.connection.execute(_SUPERSEDED, {"ids": wanted}).scalars()) if wanted != "{}" else set()

    def ledgers(self, journey: Journey) -> dict[str, Ledger]:
        """Return the turns of the journey's pools, locked until this transaction ends."""
        if not self.pools.has(journey):
            self._record_arrivals()
        return self.pools.ledgers(journey)

    def staff(self, journey: Journey) -> Staff:
        """Return what is known about people's work, read once after the pools are locked."""
        self.ledgers(journey)
        return self.pools.staff(journey)

    def last_owners(self, cases: Iterable[Case]) -> dict[str, tuple[str, datetime]]:
        """Return who had the last other lead of these leads' people, and until when, by person."""
        people = {case.lead["person_id"] for case in cases}
        met = {person for person in people if not self.created(person)}
        return staff.last_owners(self.connection, met, self.cases) if met else {}

    def created(self, person_id: str) -> bool:
        """Tell whether this batch creates that person, so that nothing is known of them but what it brings."""
        return "created_here" in self.people.get(person_id, ())

    def record(self) -> None:
        """Write everything, each table in one statement."""
        self._record_arrivals()
        self.pools.settle()
        for hear in (tickets.hear, opportunities.hear, contracts.hear, surveys.hear, follow_ups.hear, enrolments.hear):
            hear(self)
        self.handovers.settle()
        self._record_arrivals()  # what was heard of may have made touchpoints
        for case in self.cases.values():
            case.lead["updated_at"] = self.now
        self._inserts[tables.lead] = [case.lead for case in self.cases.values() if case.new]
        rows.insert(self.connection, tables.transition, self._inserts[tables.transition])
        rows.insert(self.connection, tables.lead, self._inserts[tables.lead])  # its trigger reads the transitions
        rows.together(
            self.connection,
            rows.Write(tables.decision, self._inserts[tables.decision]),
            rows.Write(tables.event, self._inserts[tables.event]),
            rows.Write(tables.handover, self._inserts.pop(tables.handover, []), "ON CONFLICT DO NOTHING"),
            rows.Write(tables.send, self._inserts.pop(tables.send, []), "ON CONFLICT DO NOTHING"),
        )
        known = [{name: case.lead[name] for name in _LEAD_CHANGES} for case in self.cases.values() if not case.new]
        rows.update(self.connection, tables.lead, "id", known, also="event_tx = pg_current_xact_id()")
        self.desks.frees()
        self.tickets.record()
        self.pools.record()
        clocks.record(self)
        timers.record(self)
        self.desks.wake()
        told.record(self)

    def _record_arrivals(self) -> None:
        """Write what no later step changes; before the ledgers are locked, so that others wait less for them."""
        created = [person for person in self.people.values() if person.pop("unwritten", False)]
        rows.together(
            self.connection,
            rows.Write(tables.person, [{name: person[name] for name in _PERSON_COLUMNS} for person in created]),
            rows.Write(tables.touchpoint, self._inserts.pop(tables.touchpoint, [])),
            rows.Write(
                tables.message,
                self._inserts.pop(tables.message, []),
                "ORDER BY message_id ON CONFLICT DO NOTHING",
            ),
            rows.Write(tables.consent, self._inserts.pop(tables.consent, [])),
            rows.Write(tables.purchase, self._inserts.pop(tables.purchase, []), ON_CONFLICT),
            rows.Write(tables.person, self._updates.pop(tables.person, []), key="id"),
            rows.Write(tables.receipt, self._updates.pop(tables.receipt, []), key="id"),
        )


def _facts(row: dict[str, Any], touches: list[Touch]) -> Facts:
    company = {
        "name": row["c_name"] or row["company_name"],
        "domain": row["c_domain"],
        "employees": row["c_employees"] if row["c_employees"] is not None else row["company_employees"],
    }
    return Facts(
        lead_id=row["id"],
        source=row["source"],
        channel=row["channel"],
        state=row["state"],
        person=person_facts(row["person_id"], row, name="person_name", interests="person_interests"),
        company=known(company),
        lead=lead_facts(row),
        touchpoints=touches,
        qualification=row["qualification"],
        score=score_facts(row),
        owner=row["owner"],
        pool=row["pool"],
        entered_at=row["entered_at"] or row["created_at"],
        overdue=row["overdue"],
        recycled=row["recycled"],
        assignment=row["assignment"],
        waiting_since=row["waiting_since"],
        quiet=row["quiet"],
    )


def person_facts(
    person_id: str,
    row: Mapping[str, Any],
    *,
    name: str = "name",
    interests: str = "interests",
) -> dict[str, Any]:
    """Return what rules may ask of a person; unknown fields are absent."""
    facts = {
        "id": person_id,
        "name": row[name],
        "email": row["email"],
        "phone": row["phone"],
        "country": row["country"],
        "language": row["language"],
        "interests": row[interests],
        "preferences": row["preferences"],
        "custom": row["custom"],
    }
    return known(facts)


def lead_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what rules may ask of a lead; unknown fields are absent."""
    return known(
        {
            "id": row["id"],
            "source": row["source"],
            "channel": row["channel"],
            "interests": row["interests"],
            "attribution": row["attribution"],
            "message": row["message"],
            "created_at": row["created_at"],
        },
    )


def score_facts(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the score as rules see it, or None where there is none yet."""
    if row["score_total"] is None:
        return None
    return known(
        {
            "total": row["score_total"],
            "fit": row["score_fit"],
            "engagement": row["score_engagement"],
            "grade": row["grade"],
            "cell": row["score_cell"],
            "predicted": row["predicted"],
        },
    )


def known(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that are known: a rule about any other is answered `unknown`."""
    return {name: value for name, value in fields.items() if value is not None}
