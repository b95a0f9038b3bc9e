"""
People: find or create whom arrivals are about, for a whole batch, under the database's own uniqueness.

Rows are always taken in the same order (match keys, companies, people, leads; each sorted), so that two workers
may wait for each other but never in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import lifecycle, tables
from schema.draft import Draft
from schema.store import rows
from schema.store.ids import new_id, uuid_array
from workers.batch import known
from workers.identity import belongings, keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row, RowMapping

    from schema.journey import Journey
    from schema.understood import Understood
    from workers.batch import Batch
    from workers.identity.keys import Found, Key

_LOCK_PEOPLE: Final = text("""
SELECT p.*, c.name AS c_name, c.domain AS c_domain, c.employees AS c_employees
FROM person AS p LEFT JOIN company AS c ON c.id = p.company_id
WHERE p.id = ANY(CAST(:ids AS uuid[])) ORDER BY p.id FOR UPDATE OF p
""")
_COMPANIES: Final = text("""
SELECT id, domain, name, employees FROM company
WHERE domain IN (SELECT domain FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(domain text))
""")
_MAKE_COMPANIES: Final = rows.insert_statement(
    tables.company,
    ("id", "domain", "name", "employees", "created_at"),
    "ORDER BY domain ON CONFLICT DO NOTHING RETURNING domain",
)
_OPEN_LEADS: Final = text("""
SELECT id, person_id, journey_name, journey FROM lead
WHERE person_id = ANY(CAST(:ids AS uuid[])) AND open ORDER BY id FOR UPDATE
""")
_LATEST_LEADS: Final = text("""
SELECT DISTINCT ON (person_id, journey_name) id, person_id, journey_name FROM lead
WHERE person_id = ANY(CAST(:ids AS uuid[])) AND merged_into IS NULL
ORDER BY person_id, journey_name, created_at DESC, id DESC
""")
_LOCK_LEADS: Final = text("""
SELECT id, person_id, journey_name, journey, state, open FROM lead
WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE
""")

_PERSON_COLUMNS: Final = tuple(column.name for column in tables.person.c)


@dataclass(slots=True)
class Arrival:
    """A receipt that was understood: what it says and whose journey takes it."""

    receipt: RowMapping
    understood: Understood
    keys: list[Key]
    journey: Journey
    origin: str | None = None
    """Whose key brought it, of those merged into the person; None: their own."""
    noted: dict[str, Any] = field(default_factory=dict)
    """What its decision says besides."""

    @property
    def draft(self) -> Draft:
        """What it says about the person."""
        return self.understood.draft

    @property
    def happened_at(self) -> datetime:
        """When it happened: never later than it was received."""
        received_at: datetime = self.receipt["received_at"]
        return min(self.understood.occurred_at or received_at, received_at)

    @property
    def by_themselves(self) -> bool:
        """Whether the person filled in a form, here or elsewhere; else a program, a list or a mail speaks of them."""
        return self.receipt["channel"] == "form" or self.understood.kind == "form"

    @property
    def by_machine(self) -> bool:
        """Whether it opens no lead: a machine wrote it, and nobody released it by hand."""
        return self.understood.only_known and not self.receipt["released_at"]


def find_or_create(batch: Batch, arrivals: Sequence[Arrival]) -> dict[str, str]:
    """
    Return the person of each receipt, by id; the rows stand in `batch.people`, with what the arrivals add.

    The surest of an arrival's keys that is known decides (see `workers/keys`). Two hundred identical arrivals in one
    batch, or in two hundred, give one person. Who is only found by the conversation that a mail belongs to gets nothing
    from it: the address it was sent from this time may be a colleague's. Arrivals whose person was merged in this
    moment are left out: they are postponed, and find the survivor in the next transaction.
    """
    holders = keys.known(batch.connection, {key for arrival in arrivals for key in arrival.keys})
    before = {holder.person for holder in holders.values()}
    owners = keys.assign(arrivals, holders)
    strange = {a.receipt["id"] for a in arrivals if keys.only_pointed(a, holders)}
    wanted: dict[Key, Found] = {}
    for arrival in arrivals:
        if arrival.receipt["id"] not in strange:
            for key in keys.own(arrival.keys):
                wanted.setdefault(key, owners[arrival.receipt["id"]])
    won, claimed = keys.claim(batch.connection, wanted, holders)
    if claimed is not None:
        pointed = {key: holder for key, holder in holders.items() if key[0] in keys.POINTERS}
        owners, before = keys.settle_race(batch.connection, arrivals, claimed | pointed)
    companies = _companies(batch, arrivals)
    existing = sorted({found.person for found in owners.values()} & before)
    locked = lock(batch, existing)
    if stale := keys.stale(batch.connection, arrivals, owners, locked):
        arrivals = _postpone(batch, arrivals, owners, stale, won)
    keys.suggest(batch.connection, arrivals, owners, batch.now)
    for arrival in arrivals:
        found = owners[arrival.receipt["id"]]
        told = Draft() if arrival.receipt["id"] in strange else arrival.draft
        arrival.origin, arrival.noted = found.origin, _notes(found, told, batch.people.get(found.person))
        belongings.meet(batch, found.person, arrival, told, companies)
    for person_id in existing:
        if batch.people[person_id].pop("changed", False):
            change(batch, person_id)
    return {arrival.receipt["id"]: owners[arrival.receipt["id"]].person for arrival in arrivals}


def lock(batch: Batch, people: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Lock people's rows and take them into hand; return them by id."""
    found = batch.connection.execute(_LOCK_PEOPLE, {"ids": uuid_array(people)}).mappings() if people else ()
    locked = {person["id"]: dict(person) for person in found}
    batch.people |= locked
    return locked


def change(batch: Batch, person_id: str) -> None:
    """Have a person's row, which is locked and in hand, written with the batch."""
    row = batch.people[person_id]
    batch.change(tables.person, {name: row[name] for name in _PERSON_COLUMNS if name != "created_at"})


def _postpone(
    batch: Batch, arrivals: Sequence[Arrival], owners: Mapping[str, Found], stale: set[str], won: set[Key]
) -> list[Arrival]:
    """Leave arrivals of these people to the next transaction, with the keys they claimed; return the others."""
    late = [arrival for arrival in arrivals if owners[arrival.receipt["id"]].person in stale]
    keys.release(batch.connection, won & {key for arrival in late for key in arrival.keys})
    batch.postponed += [arrival.receipt["id"] for arrival in late]
    return [arrival for arrival in arrivals if owners[arrival.receipt["id"]].person not in stale]


def _notes(found: Found, told: Draft, person: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the explanation says besides: whose keys the arrival carries too, and that it has quite another name."""
    notes: dict[str, Any] = {}
    if found.conflicts:
        notes["also_keys_of"] = [{"person": each.other, "on": list(each.theirs)} for each in found.conflicts]
    names = [set(normal(name).split()) for name in ((person or {}).get("name"), told.name) if name]
    if len(names) > 1 and names[0].isdisjoint(names[1]):
        notes["name_differs"] = True
    return notes


def normal(name: str) -> str:
    """A name as it is compared: letters only matter, their case does not."""
    return " ".join(name.casefold().split())


def recognise(batch: Batch, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the arrivals that are about somebody known, with only the keys by which they are."""
    known_keys = keys.known(batch.connection, {key for arrival in arrivals for key in arrival.keys})
    for arrival in arrivals:
        arrival.keys = [key for key in arrival.keys if key in known_keys]
    return [arrival for arrival in arrivals if arrival.keys]


def leads_of(batch: Batch, places: Collection[Key]) -> tuple[dict[Key, str], set[Key], set[Key]]:
    """
    Lock the leads that arrivals of people belong to, and take them into hand: `{(person, journey name): lead}`.

    That is the open one; where there is none, the latest, if it was told no and may be looked at again. Also returns
    the places whose lead this transaction must leave alone (see `Batch.load`), and those whose lead follows a version
    that this code cannot read.
    """
    places = {place for place in places if "created_here" not in batch.people[place[0]]}
    if not places:
        return {}, set(), set()
    people = sorted({person for person, _ in places})
    found = batch.connection.execute(_OPEN_LEADS, {"ids": uuid_array(people)}).all()
    leads, unread = _readable(batch, [row for row in found if (row.person_id, row.journey_name) in places])
    closed, unread_closed = _turned_down(batch, places - leads.keys() - unread)
    leads |= closed
    younger = set(batch.load(leads.values())) if leads else set()
    return (
        {place: lead for place, lead in leads.items() if lead not in younger},
        {place for place, lead in leads.items() if lead in younger},
        unread | unread_closed,
    )


def _readable(batch: Batch, found: Iterable[Row[Any]]) -> tuple[dict[Key, str], set[Key]]:
    """Return the leads by place, and the places whose lead follows a version that this code cannot read."""
    leads: dict[Key, str] = {}
    unread: set[Key] = set()
    for row in found:
        place = (row.person_id, row.journey_name)
        if batch.book.readable(batch.connection, row.journey):
            leads[place] = row.id
        else:
            unread.add(place)
    return leads, unread


def _turned_down(batch: Batch, places: set[Key]) -> tuple[dict[Key, str], set[Key]]:
    """
    Lock the latest leads of people without an open one, and return those that were told no, as `_readable` does.

    One that was opened again a moment ago counts too: it is the open one now.
    """
    if not places:
        return {}, set()
    people = sorted({person for person, _ in places})
    found = batch.connection.execute(_LATEST_LEADS, {"ids": uuid_array(people)})
    latest = [row.id for row in found if (row.person_id, row.journey_name) in places]
    if not latest:
        return {}, set()
    locked = batch.connection.execute(_LOCK_LEADS, {"ids": uuid_array(latest)}).all()
    leads, unread = _readable(batch, locked)
    for row in locked:
        place = (row.person_id, row.journey_name)
        if place in leads and not row.open:
            journey = batch.book.version(batch.connection, row.journey)
            if not lifecycle.turns_down(journey, row.state):
                del leads[place]
    return leads, unread


def company_facts(person: dict[str, Any]) -> dict[str, Any]:
    """Return what rules may ask of a person's company."""
    employees = person.get("c_employees")
    return known(
        {
            "name": person.get("c_name") or person["company_name"],
            "domain": person.get("c_domain"),
            "employees": person["company_employees"] if employees is None else employees,
        },
    )


def _companies(batch: Batch, arrivals: Sequence[Arrival]) -> dict[str, dict[str, Any]]:
    """Find or create the companies that arrivals name by domain."""
    wanted = {a.draft.company.domain: a.draft.company for a in arrivals if a.draft.company.domain}
    if not wanted:
        return {}
    found = find_companies(batch.connection, wanted)
    fresh: list[dict[str, Any]] = [
        {"id": new_id(), "domain": name, "name": c.name, "employees": c.employees, "created_at": batch.now}
        for name, c in sorted(wanted.items())
        if name not in found
    ]
    if fresh:
        made = set(batch.connection.execute(_MAKE_COMPANIES, {"rows": rows.as_json(fresh)}).scalars())
        found |= {row["domain"]: row for row in fresh if row["domain"] in made}
        if len(made) < len(fresh):  # another worker was faster
            found |= find_companies(batch.connection, sorted(wanted.keys() - found.keys()))
    better = {
        name: {"id": row["id"], "name": row["name"] or c.name, "employees": row["employees"] or c.employees}
        for name, c in sorted(wanted.items())
        if (row := found[name]) and ((c.name and not row["name"]) or (c.employees and not row["employees"]))
    }
    rows.update(batch.connection, tables.company, "id", list(better.values()))
    return {name: row | better.get(name, {}) for name, row in found.items()}


def find_companies(connection: Connection, domains: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the companies of these domains that there are, by domain."""
    pairs = rows.as_json([{"domain": name} for name in domains])
    return {row["domain"]: dict(row) for row in connection.execute(_COMPANIES, {"rows": pairs}).mappings()}
