"""
People: find or create whom arrivals are about, for a whole batch, under the database's own uniqueness.

Rows are always taken in the same order (match keys, companies, people, leads; each sorted), so that two workers
may wait for each other but never in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import lifecycle, tables
from schema.draft import Draft
from schema.store import rows
from schema.store.ids import new_id, uuid_array
from workers.batch import known

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection, Row, RowMapping

    from schema.journey import Journey
    from schema.understood import Understood
    from workers.batch import Batch

    Key = tuple[str, str]

_PAIRS: Final = 'jsonb_to_recordset(CAST(:rows AS jsonb)) AS r("kind" text, "value" text)'
_KEYS: Final = text(f"SELECT k.kind, k.value, k.person_id FROM {_PAIRS} JOIN person_key AS k USING (kind, value)")  # noqa: S608 - our own text
POINTERS: Final = frozenset({"lead", "thread"})
"""Kinds of keys that find somebody by a lead and are nobody's own: the lead's id, a mail of its conversation."""
_THREADS: Final = text("""
SELECT 'thread' AS kind, m.message_id AS value, l.person_id
FROM message AS m JOIN lead AS l ON l.id = m.lead_id WHERE m.message_id = ANY(CAST(:thread AS text[]))
UNION ALL
SELECT 'lead', l.id::text, l.person_id FROM lead AS l WHERE l.id = ANY(CAST(:lead AS uuid[]))
""")
_CLAIM_KEYS: Final = text("""
INSERT INTO person_key (kind, value, person_id)
SELECT kind, value, person_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(kind text, value text, person_id uuid)
ORDER BY kind, value
ON CONFLICT DO NOTHING RETURNING kind, value
""")
_REPOINT: Final = text("""
UPDATE person_key AS k SET person_id = r.person_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(kind text, value text, person_id uuid)
WHERE k.kind = r.kind AND k.value = r.value
""")
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
WHERE person_id = ANY(CAST(:ids AS uuid[]))
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
    keys: list[tuple[str, str]]
    journey: Journey

    @property
    def draft(self) -> Draft:
        """What it says about the person."""
        return self.understood.draft

    @property
    def by_machine(self) -> bool:
        """Whether it opens no lead: a machine wrote it, and nobody released it by hand."""
        return self.understood.only_known and not self.receipt["released_at"]


def find_or_create(batch: Batch, arrivals: Sequence[Arrival]) -> dict[str, str]:
    """
    Return the person of each receipt, by id; the rows stand in `batch.people`, with what the arrivals add.

    The first of an arrival's keys that is known decides. Two hundred identical arrivals in one batch, or in two
    hundred, give one person. Who is only found by the conversation that a mail belongs to gets nothing from it: the
    address it was sent from this time may be a colleague's.
    """
    known_keys = _known(batch.connection, {key for arrival in arrivals for key in arrival.keys})
    before = set(known_keys.values())
    owners = _assign(arrivals, known_keys)
    strange = {a.receipt["id"] for a in arrivals if _only_pointed(a, known_keys)}
    own = {key: owners[a.receipt["id"]] for a in arrivals if a.receipt["id"] not in strange for key in _own(a.keys)}
    claimed = _claim(batch.connection, own, known_keys)
    if claimed is not None:
        pointed = {key: person for key, person in known_keys.items() if key[0] in POINTERS}
        owners, before = _settle_race(batch.connection, arrivals, claimed | pointed)
    companies = _companies(batch, arrivals)
    existing = sorted(set(owners.values()) & before)
    if existing:
        locked = batch.connection.execute(_LOCK_PEOPLE, {"ids": uuid_array(existing)}).mappings()
        batch.people |= {person["id"]: dict(person) for person in locked}
    for arrival in arrivals:
        told = Draft() if arrival.receipt["id"] in strange else arrival.draft
        _meet(batch, owners[arrival.receipt["id"]], told, companies)
    for person_id in existing:
        if batch.people[person_id].pop("changed", False):
            row = batch.people[person_id]
            batch.change(tables.person, {name: row[name] for name in _PERSON_COLUMNS if name != "created_at"})
    return owners


def recognise(batch: Batch, arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return the arrivals that are about somebody known, with only the keys by which they are."""
    known_keys = _known(batch.connection, {key for arrival in arrivals for key in arrival.keys})
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


def _known(connection: Connection, keys: Iterable[Key]) -> dict[Key, str]:
    wanted = list(keys)
    pairs = [{"kind": kind, "value": value} for kind, value in _own(wanted)]
    found = list(connection.execute(_KEYS, {"rows": rows.as_json(pairs)})) if pairs else []
    if len(pairs) < len(wanted):
        pointers = {name: [value for kind, value in wanted if kind == name] for name in POINTERS}
        found += connection.execute(_THREADS, pointers)
    return {(row.kind, row.value): row.person_id for row in found}


def _own(keys: Iterable[Key]) -> list[Key]:
    """Those keys that belong to one person."""
    return [key for key in keys if key[0] not in POINTERS]


def _only_pointed(arrival: Arrival, known_keys: dict[Key, str]) -> bool:
    """Whether an arrival's person is found by its conversation and by nothing of their own."""
    person = next((known_keys[key] for key in arrival.keys if key in known_keys), None)
    return person is not None and not any(known_keys.get(key) == person for key in _own(arrival.keys))


def _assign(arrivals: Sequence[Arrival], known_keys: dict[Key, str]) -> dict[str, str]:
    """Say whose each arrival is, by receipt; arrivals that share a key share a person."""
    people = dict(known_keys)
    owners = {}
    for arrival in arrivals:
        person = next((people[key] for key in arrival.keys if key in people), None) or new_id()
        owners[arrival.receipt["id"]] = person
        for key in _own(arrival.keys):
            people.setdefault(key, person)
    return owners


def _claim(connection: Connection, wanted: dict[Key, str], known_keys: dict[Key, str]) -> dict[Key, str] | None:
    """Write the keys nobody has; None if all were won, else who has each key now that another was faster."""
    fresh = [
        {"kind": key[0], "value": key[1], "person_id": person}
        for key, person in wanted.items()
        if key not in known_keys
    ]
    if not fresh:
        return None
    won = {(row.kind, row.value) for row in connection.execute(_CLAIM_KEYS, {"rows": rows.as_json(fresh)})}
    if len(won) == len(fresh):
        return None
    return _known(connection, wanted) | {key: wanted[key] for key in won}


def _settle_race(
    connection: Connection,
    arrivals: Sequence[Arrival],
    holders: dict[Key, str],
) -> tuple[dict[str, str], set[str]]:
    """Another worker took some keys at the same moment: its people decide, and keys we won follow them."""
    rivals = set(holders.values())
    owners = _assign(arrivals, holders)
    moved = {
        key: owners[arrival.receipt["id"]]
        for arrival in arrivals
        for key in arrival.keys
        if key in holders and holders[key] != owners[arrival.receipt["id"]]
    }
    ours = _ours(connection, rivals)
    moved = {key: person for key, person in moved.items() if holders[key] in ours}
    if moved:
        pairs = [{"kind": kind, "value": value, "person_id": person} for (kind, value), person in moved.items()]
        connection.execute(_REPOINT, {"rows": rows.as_json(pairs)})
    return owners, rivals - ours


def _ours(connection: Connection, people: set[str]) -> set[str]:
    """Return the ids among `people` that have no row yet: those this batch is about to create."""
    found = connection.execute(
        text("SELECT id FROM person WHERE id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": uuid_array(people)},
    )
    return people - {row.id for row in found}


def _companies(batch: Batch, arrivals: Sequence[Arrival]) -> dict[str, dict[str, Any]]:
    """Find or create the companies that arrivals name by domain."""
    wanted = {a.draft.company.domain: a.draft.company for a in arrivals if a.draft.company.domain}
    if not wanted:
        return {}
    found = _find_companies(batch.connection, wanted)
    fresh: list[dict[str, Any]] = [
        {"id": new_id(), "domain": name, "name": c.name, "employees": c.employees, "created_at": batch.now}
        for name, c in sorted(wanted.items())
        if name not in found
    ]
    if fresh:
        made = set(batch.connection.execute(_MAKE_COMPANIES, {"rows": rows.as_json(fresh)}).scalars())
        found |= {row["domain"]: row for row in fresh if row["domain"] in made}
        if len(made) < len(fresh):  # another worker was faster
            found |= _find_companies(batch.connection, sorted(wanted.keys() - found.keys()))
    better = {
        name: {"id": row["id"], "name": row["name"] or c.name, "employees": row["employees"] or c.employees}
        for name, c in sorted(wanted.items())
        if (row := found[name]) and ((c.name and not row["name"]) or (c.employees and not row["employees"]))
    }
    rows.update(batch.connection, tables.company, "id", list(better.values()))
    return {name: row | better.get(name, {}) for name, row in found.items()}


def _find_companies(connection: Connection, domains: Iterable[str]) -> dict[str, dict[str, Any]]:
    pairs = rows.as_json([{"domain": name} for name in domains])
    return {row["domain"]: dict(row) for row in connection.execute(_COMPANIES, {"rows": pairs}).mappings()}


def _meet(batch: Batch, person_id: str, draft: Draft, companies: dict[str, dict[str, Any]]) -> None:
    """Add what a draft says to its person: empty fields are filled, nothing known is overwritten."""
    person = batch.people.get(person_id)
    if person is None:
        person = _newcomer(batch, person_id)
    given = {
        "name": draft.name,
        "email": draft.email.address if draft.email and draft.email.match_key else None,
        "phone": draft.phone and draft.phone.e164,
        "country": draft.country,
        "language": draft.language,
        "company_name": draft.company.name,
        "company_employees": draft.company.employees,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value and not person[name]}
    changes |= _grown(person, draft)
    company = companies.get(draft.company.domain or "")
    if company and (person["company_id"] or company["id"]) == company["id"]:
        if not person["company_id"]:
            changes["company_id"] = company["id"]
        person |= {"c_name": company["name"], "c_domain": company["domain"], "c_employees": company["employees"]}
    if changes:
        person |= changes | {"updated_at": batch.now, "changed": True}


def _grown(person: dict[str, Any], draft: Draft) -> dict[str, Any]:
    """Return the collections that a draft adds something to; a question that is answered anew has the new answer."""
    merged = {
        "interests": list(dict.fromkeys([*person["interests"], *draft.interests])),
        "preferences": person["preferences"] | draft.preferences,
        "custom": person["custom"] | draft.custom,
    }
    return {name: value for name, value in merged.items() if value != person[name]}


def _newcomer(batch: Batch, person_id: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_PERSON_COLUMNS) | {
        "id": person_id,
        "interests": [],
        "preferences": {},
        "custom": {},
        "created_at": batch.now,
        "updated_at": batch.now,
        "created_here": True,
    }
    batch.people[person_id] = row
    return row
