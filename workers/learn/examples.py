"""
Examples: leads of the past, each as it was known at some moment before its outcome, and whether it was won.

A lead is looked at on arrival and again 1, 7, 30 and 90 days later, as long as it was undecided; each lead weighs the
same, however often that was. What was known is read again from the raw bytes of its arrivals and from its touchpoints,
never from columns that later writes fill. Nothing recorded after the outcome is looked at.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.facts import Facts, Touch
from schema.store import rows
from schema.store.ids import uuid_array
from workers.decide.predict import Value, observe
from workers.identify import Refusal, raw_of, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from schema.draft import Draft
    from schema.journey import Journey
    from schema.store.journeys import JourneyBook

AGES: Final = tuple(timedelta(days=days) for days in (0, 1, 7, 30, 90))
"""How long after its arrival a lead is looked at, while it is undecided."""
MOST_LEADS: Final = 100_000
"""Decided leads that are learned from, the newest."""
_CHUNK: Final = 1_000

_LABELS: Final = text("""
SELECT l.id, l.journey, l.journey_name, o.at, o.won
FROM (
    SELECT id, journey, journey_name FROM lead WHERE id < CAST(:before AS uuid) ORDER BY id DESC LIMIT :most
) AS l
LEFT JOIN LATERAL (
    SELECT t.at, r.won FROM transition AS t
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(journey text, state text, won boolean)
      ON r.journey = t.journey AND r.state = t.to_state
    WHERE t.lead_id = l.id ORDER BY t.number LIMIT 1
) AS o ON true
ORDER BY l.id DESC
""")
_HEARD: Final = text("""
SELECT wanted.id AS for_lead, t.lead_id, t.id, t.kind, t.occurred_at, t.recorded_at, t.data ? 'machine' AS machine,
       r.id AS receipt, r.source, r.channel, r.content_type, r.body, r.headers, r.received_at, r.released_at
FROM unnest(CAST(:ids AS uuid[])) AS wanted(id)
JOIN lead AS l ON l.id = wanted.id
JOIN lead AS theirs ON theirs.person_id = l.person_id AND theirs.id <= l.id
JOIN touchpoint AS t ON t.lead_id = theirs.id
LEFT JOIN receipt AS r ON r.id = t.id
ORDER BY wanted.id, t.occurred_at, t.id
""")
_HIGHEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(slots=True)
class Column:
    """The values of one feature, with the numbers of the rows that have one."""

    rows: array[int] = field(default_factory=lambda: array("l"))
    values: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class Examples:
    """
    Rows to learn from, in columns. `lead` numbers the leads that the rows are about; `won` and `arrived` are by lead.

    The counts say what was left out: `undecided` leads, and those decided the moment they came (`at_once`).
    """

    columns: dict[str, Column] = field(default_factory=lambda: defaultdict(Column))
    lead: array[int] = field(default_factory=lambda: array("l"))
    won: list[bool] = field(default_factory=list)
    arrived: list[datetime] = field(default_factory=list)
    undecided: int = 0
    at_once: int = 0
    notes: list[str] = field(default_factory=list)
    journeys: set[str] = field(default_factory=set)
    _words: dict[str, str] = field(default_factory=dict)

    def add_lead(self, *, won: bool, arrived: datetime) -> None:
        """Begin the next lead; rows are added to it."""
        self.won.append(won)
        self.arrived.append(arrived)

    def add_row(self, seen: Mapping[str, Value]) -> None:
        """Add what was known about the latest lead at one moment."""
        row = len(self.lead)
        self.lead.append(len(self.won) - 1)
        for name, value in seen.items():
            column = self.columns[name]
            column.rows.append(row)
            # The same words come again and again: one copy of each.
            column.values.append(self._words.setdefault(value, value) if isinstance(value, str) else value)


def outcomes(connection: Connection, book: JourneyBook, name: str) -> list[dict[str, Any]]:
    """
    The states of all versions of a journey that are an outcome, as `{"journey", "state", "won"}`.

    :raises Permanent: `outcomes_missing`, the journey does not say what is won and what is lost
    """
    versions = connection.execute(text("SELECT version FROM journey WHERE name = :name"), {"name": name}).scalars()
    found = [
        {"journey": version, "state": state, "won": there.outcome == "won"}
        for version in versions.all()
        for state, there in book.version(connection, version).lifecycle.items()
        if there.outcome
    ]
    if not any(entry["won"] for entry in found):
        raise Permanent(
            "outcomes_missing",
            f"No state of the journey {name} says `outcome: won`: give the states that mean won or lost their outcome, "
            "and activate the journey.",
            journey=name,
        )
    return found


def gather(
    connection: Connection,
    book: JourneyBook,
    name: str,
    now: datetime,
    lost_after: timedelta | None = None,
    tell: Callable[[int], object] = lambda _: None,
) -> Examples:
    """
    Read the decided leads of a journey, the newest `MOST_LEADS`.

    With `lost_after`, a lead that nothing was heard of for so long counts as lost; then only leads that arrived longer
    ago than that are looked at, or those won quickly would stand against those not yet given up. `tell` hears how many
    leads were read so far.
    """
    marks = outcomes(connection, book, name)
    examples = Examples()
    marked = {"rows": rows.as_json(marks), "most": _CHUNK}
    before: str | None = _HIGHEST
    read = 0
    while before and len(examples.won) < MOST_LEADS:
        page = list(connection.execute(_LABELS, marked | {"before": before}).mappings())
        leads = [lead for lead in page if lead["journey_name"] == name]
        wanted = [lead for lead in leads if lead["at"] or lost_after]
        examples.undecided += len(leads) - len(wanted)
        heard = _heard(connection, [lead["id"] for lead in wanted])
        for lead in wanted:
            _add(examples, lead, heard.get(lead["id"], []), book.version(connection, lead["journey"]), now, lost_after)
        read += len(leads)
        tell(read)
        before = page[-1]["id"] if len(page) == _CHUNK else None
    return examples


def _heard(connection: Connection, ids: Sequence[str]) -> dict[str, list[RowMapping]]:
    """What the people of these leads did and sent, by lead, in order of time; also on their earlier leads."""
    found: dict[str, list[RowMapping]] = defaultdict(list)
    if ids:
        for row in connection.execute(_HEARD, {"ids": uuid_array(ids)}).mappings():
            found[row["for_lead"]].append(row)
    return found


def _add(
    examples: Examples,
    lead: RowMapping,
    heard: Sequence[RowMapping],
    journey: Journey,
    now: datetime,
    lost_after: timedelta | None,
) -> None:
    own = [row for row in heard if row["lead_id"] == lead["id"]]
    if not own:
        return
    arrived = own[0]["occurred_at"]
    decided_at: datetime | None = lead["at"]
    if lost_after and arrived > now - lost_after:
        examples.undecided += 1
        return
    if decided_at is None:
        silent_since = max(row["occurred_at"] for row in own)
        if lost_after is None or silent_since > now - lost_after:
            examples.undecided += 1
            return
        decided_at = silent_since + lost_after
    # What files tell was recorded long after it was decided: there it counts when it happened.
    known = "occurred_at" if decided_at < min(row["recorded_at"] for row in own) else "recorded_at"
    usable = [row for row in heard if row[known] <= decided_at]
    end = _end(usable, lead["id"], decided_at, known)
    moments = [arrived + age for age in AGES if arrived + age < end]
    if not moments:
        examples.at_once += 1
        return
    examples.add_lead(won=bool(lead["won"]), arrived=arrived)
    examples.journeys.add(lead["journey"])
    for facts, moment in known_at(lead["id"], usable, journey, moments):
        examples.add_row(observe(facts, moment))


def _end(heard: Iterable[RowMapping], lead_id: str, decided_at: datetime, known: str) -> datetime:
    """When the outcome came about: what was known together with it may be what brought it, and is not looked at."""
    together = [row["occurred_at"] for row in heard if row[known] == decided_at and row["lead_id"] == lead_id]
    return min(max(together), decided_at) if together else decided_at


def known_at(
    lead_id: str,
    heard: Sequence[RowMapping],
    journey: Journey,
    moments: Sequence[datetime],
) -> Iterator[tuple[Facts, datetime]]:
    """The lead as it was known at each of the moments (rising), from what was heard (in order of time) until then."""
    person: dict[str, Any] = {"preferences": {}, "custom": {}}
    company: dict[str, Any] = {}
    own: dict[str, Any] = {"interests": [], "attribution": {}}
    facts = Facts(lead_id, "", "", journey.initial, person, company, own)
    waiting = list(reversed(heard))
    for moment in moments:
        while waiting and waiting[-1]["occurred_at"] <= moment:
            row = waiting.pop()
            mine = row["lead_id"] == lead_id
            if mine:
                facts.touchpoints.append(Touch(row["kind"], row["occurred_at"], row["id"], machine=row["machine"]))
            if row["receipt"] is None:
                continue
            if mine and not facts.source:
                facts.source, facts.channel = row["source"], row["channel"]
            understood = read(row, raw_of(row), journey if row["source"] in journey.sources else None)
            if not isinstance(understood, Refusal):
                _learn(person, company, understood.draft)
                if mine:
                    _learn_own(own, understood.draft)
        yield facts, moment


def _learn(person: dict[str, Any], company: dict[str, Any], read: Draft) -> None:
    """Add what an arrival says about its person, as the step `identify` does."""
    given: dict[str, str | None] = {
        "name": read.name,
        "email": read.email.address if read.email and read.email.match_key else None,
        "phone": read.phone.e164 if read.phone else None,
        "country": read.country,
        "language": read.language,
    }
    for name, value in given.items():
        if value and not person.get(name):
            person[name] = value
    person["preferences"] = person["preferences"] | read.preferences
    person["custom"] = person["custom"] | read.custom
    said = {"name": read.company.name, "domain": read.company.domain, "employees": read.company.employees}
    for field_name, known in said.items():
        if known and not company.get(field_name):
            company[field_name] = known


def _learn_own(lead: dict[str, Any], read: Draft) -> None:
    """Add what an arrival says about the lead itself."""
    lead["interests"] = list(dict.fromkeys([*lead["interests"], *read.interests]))
    lead["attribution"] = read.attribution | lead["attribution"]
    lead["message"] = read.message or lead.get("message")
