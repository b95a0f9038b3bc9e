"""
Match keys: whose is an arrival, by the keys it carries, under the database's own uniqueness.

Which keys may do what:

    external id, e-mail   find their person, and bring every further key that is nobody's yet to them
    phone                 finds the person of an arrival without an address; with one, only somebody who has none yet. A
                          telephone that is shared makes nobody one person
    lead, thread          point at a lead's person and are nobody's own: they bring no key

Nothing else finds anybody: no cookie, no anonymous id, no IP address, no device, no name.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import contact
from schema.store import rows
from schema.store.ids import new_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.journey.model import Identity
    from workers.identity.people import Arrival

Key = tuple[str, str]

POINTERS: Final = frozenset({"lead", "thread"})
"""Kinds of keys that find somebody by a lead and are nobody's own: the lead's id, a mail of its conversation."""
MOST_BY_PHONE: Final = 10
"""Suggestions that one shared telephone leads to; a switchboard's would be as many as the people who work there."""

# Whether somebody has an address is only asked about who is found by telephone.
_KEYS: Final = text("""
SELECT k.kind, k.value, k.person_id, k.origin_id, k.kind <> 'phone' OR EXISTS (
    SELECT FROM person_key AS other WHERE other.person_id = k.person_id AND other.kind = 'email'
) AS addressed
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r("kind" text, "value" text)
JOIN person_key AS k USING (kind, value)
""")
_THREADS: Final = text("""
SELECT 'thread' AS kind, m.message_id AS value, l.person_id
FROM message AS m JOIN lead AS l ON l.id = m.lead_id WHERE m.message_id = ANY(CAST(:thread AS text[]))
UNION ALL
SELECT 'lead', l.id::text, l.person_id FROM lead AS l WHERE l.id = ANY(CAST(:lead AS uuid[]))
""")
_ROWS: Final = "jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(kind text, value text, person_id uuid, origin_id uuid)"
_CLAIM: Final = text(f"""
INSERT INTO person_key (kind, value, person_id, origin_id)
SELECT kind, value, person_id, origin_id FROM {_ROWS} ORDER BY kind, value
ON CONFLICT DO NOTHING RETURNING kind, value
""")  # noqa: S608 - our own text
_REPOINT: Final = text(f"""
UPDATE person_key AS k SET person_id = r.person_id, origin_id = r.origin_id FROM {_ROWS}
WHERE k.kind = r.kind AND k.value = r.value
""")  # noqa: S608 - our own text
_RELEASE: Final = text(f"DELETE FROM person_key AS k USING {_ROWS} WHERE k.kind = r.kind AND k.value = r.value")  # noqa: S608 - our own text
_SUGGEST: Final = text("""
INSERT INTO person_suggestion AS known (person_id, other_id, reason, kinds, receipt_id, at, due_since)
SELECT person_id, other_id, reason, kinds, receipt_id, at, due_since
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
    person_id uuid, other_id uuid, reason text, kinds jsonb, receipt_id uuid, at timestamptz, due_since timestamptz
)
WHERE reason <> 'phone' OR (SELECT count(*) FROM (
    SELECT FROM person_suggestion AS s WHERE s.other_id = r.other_id AND s.reason = 'phone' LIMIT :most
) AS others) < :most
ORDER BY person_id, other_id, reason
ON CONFLICT (person_id, other_id, reason) DO UPDATE SET due_since = excluded.due_since, refused = NULL
WHERE excluded.due_since IS NOT NULL AND known.due_since IS NULL
""")


class Holder(NamedTuple):
    """Whose a key is; `origin` brought it, of those merged into the person. `addressed`: they have an address."""

    person: str
    origin: str | None = None
    addressed: bool = True


class Conflict(NamedTuple):
    """Somebody else whose keys an arrival carries too: the kinds of their keys, and of those of its own person."""

    other: str
    theirs: tuple[str, ...]
    mine: tuple[str, ...]

    @property
    def reason(self) -> str:
        """`phone` where only a telephone number speaks for it, else `keys`."""
        return "phone" if {*self.theirs} == {"phone"} or {*self.mine} <= {"phone"} else "keys"

    def proves(self, identity: Identity) -> bool:
        """Whether the journey has them merged for it."""
        believed = set(identity.merge)
        return self.reason == "keys" and all(believed & set(map(_plain, kinds)) for kinds in (self.theirs, self.mine))


class Found(NamedTuple):
    """Whose an arrival is, by which of its keys (None: somebody new), and who else's keys it carries."""

    person: str
    key: Key | None
    origin: str | None
    conflicts: tuple[Conflict, ...] = ()


def known(connection: Connection, keys: Iterable[Key]) -> dict[Key, Holder]:
    """Find whose each key is."""
    wanted = list(keys)
    pairs = [{"kind": kind, "value": value} for kind, value in own(wanted)]
    found = connection.execute(_KEYS, {"rows": rows.as_json(pairs)}) if pairs else ()
    holders = {(row.kind, row.value): Holder(row.person_id, row.origin_id, row.addressed) for row in found}
    if len(pairs) < len(wanted):
        pointers = {name: [value for kind, value in wanted if kind == name] for name in POINTERS}
        holders |= {(row.kind, row.value): Holder(row.person_id) for row in connection.execute(_THREADS, pointers)}
    return holders


def own(keys: Iterable[Key]) -> list[Key]:
    """Those keys that belong to one person."""
    return [key for key in keys if key[0] not in POINTERS]


def only_pointed(arrival: Arrival, holders: Mapping[Key, Holder]) -> bool:
    """Whether an arrival's person is found by its conversation and by no address or id of their own."""
    person = next((holders[key].person for key in arrival.keys if key in holders), None)
    mine = [holders[key].person for key in own(arrival.keys) if key in holders and key[0] != "phone"]
    return person is not None and person not in mine and any(key[0] in POINTERS for key in arrival.keys)


def assign(arrivals: Sequence[Arrival], holders: Mapping[Key, Holder]) -> dict[str, Found]:
    """Say whose each arrival is, by receipt; those that share a key share a person, as far as the key may do that."""
    people = dict(holders)
    addressed: set[str] = set()
    owners = {}
    for arrival in arrivals:
        found = _first(arrival, people, addressed)
        person, origin = (people[found].person, people[found].origin) if found else (new_id(), None)
        conflicts = _conflicts(arrival, person, people) if found is None or found[0] not in POINTERS else ()
        owners[arrival.receipt["id"]] = Found(person, found, origin, conflicts)
        if _address(arrival):
            addressed.add(person)
        for key in own(arrival.keys):
            people.setdefault(key, Holder(person, origin, addressed=False))
    return owners


def claim(
    connection: Connection, wanted: Mapping[Key, Found], holders: Mapping[Key, Holder]
) -> tuple[set[Key], dict[Key, Holder] | None]:
    """
    Write the keys nobody has.

    Returns those that were won, and who has each key if another was faster (None: nobody was).
    """
    fresh = _as_rows({key: found for key, found in wanted.items() if key not in holders})
    if not fresh:
        return set(), None
    won = {(row.kind, row.value) for row in connection.execute(_CLAIM, {"rows": rows.as_json(fresh)})}
    if len(won) == len(fresh):
        return won, None
    return won, known(connection, wanted) | {
        key: Holder(wanted[key].person, wanted[key].origin, addressed=False) for key in won
    }


def settle_race(
    connection: Connection, arrivals: Sequence[Arrival], holders: Mapping[Key, Holder]
) -> tuple[dict[str, Found], set[str]]:
    """
    Another worker took some keys at the same moment: its people decide, and keys we won follow them.

    Returns whose each arrival is, and which people there are already.
    """
    rivals = {holder.person for holder in holders.values()}
    owners = assign(arrivals, holders)
    ours = _unwritten(connection, rivals)
    moved = {
        key: owners[arrival.receipt["id"]]
        for arrival in arrivals
        for key in own(arrival.keys)
        if key in holders and holders[key].person in ours - {owners[arrival.receipt["id"]].person}
    }
    if moved:
        connection.execute(_REPOINT, {"rows": rows.as_json(_as_rows(moved))})
    return owners, rivals - ours


def stale(
    connection: Connection,
    arrivals: Sequence[Arrival],
    owners: Mapping[str, Found],
    locked: Mapping[str, Mapping[str, Any]],
) -> set[str]:
    """
    Return the people that another transaction changed between our look at the keys and our lock of their rows.

    They were merged into others; or what a merge had brought them went back; or somebody without an address, found by
    telephone, was given another one. Costs a statement only where keys are met that a merge brought.
    """
    found = {person_id for person_id, row in locked.items() if row["merged_into"]}
    brought: dict[Key, str] = {}
    for arrival in arrivals:
        person, key, origin, _ = owners[arrival.receipt["id"]]
        address = _address(arrival)
        if key is None or person not in locked:
            continue
        if key[0] == "phone" and address and (had := locked[person]["email"]):
            if contact.email(had).match_key != address[1]:
                found.add(person)
        elif origin:
            brought[key] = person
    if brought:
        now = known(connection, brought)
        found |= {person for key, person in brought.items() if key not in now or now[key].person != person}
    return found


def release(connection: Connection, keys: Iterable[Key]) -> None:
    """Give back keys that this transaction has claimed."""
    nobody = [{"kind": kind, "value": value} for kind, value in sorted(set(keys))]
    if nobody:
        connection.execute(_RELEASE, {"rows": rows.as_json(nobody)})


def suggest(connection: Connection, arrivals: Sequence[Arrival], owners: Mapping[str, Found], now: datetime) -> None:
    """Keep that arrivals carried keys of two people, and which of those the journey has merged for it."""
    wanted: dict[tuple[str, str, str], dict[str, Any]] = {}
    by_phone: Counter[str] = Counter()
    for arrival in arrivals:
        person, _, _, conflicts = owners[arrival.receipt["id"]]
        for conflict in conflicts:
            proven = conflict.proves(arrival.journey.identity)
            place = (person, conflict.other, conflict.reason)
            if place in wanted and (wanted[place]["due_since"] or not proven):
                continue
            if conflict.reason == "phone":
                by_phone[conflict.other] += 1
                if by_phone[conflict.other] > MOST_BY_PHONE:
                    continue
            wanted[place] = {
                "person_id": person,
                "other_id": conflict.other,
                "reason": conflict.reason,
                "kinds": sorted({*conflict.mine, *conflict.theirs}),
                "receipt_id": arrival.receipt["id"],
                "at": now,
                "due_since": now if proven else None,
            }
    if wanted:
        connection.execute(_SUGGEST, {"rows": rows.as_json(list(wanted.values())), "most": MOST_BY_PHONE})


def _first(arrival: Arrival, people: Mapping[Key, Holder], addressed: set[str]) -> Key | None:
    """The key that decides whose an arrival is: the first whose person it may find."""
    address = _address(arrival)
    for key in arrival.keys:
        holder = people.get(key)
        if holder is None:
            continue
        if key[0] == "phone" and address and (holder.addressed or holder.person in addressed):
            continue
        return key
    return None


def _conflicts(arrival: Arrival, person: str, people: Mapping[Key, Holder]) -> tuple[Conflict, ...]:
    kinds: dict[str, list[str]] = {}
    for key in own(arrival.keys):
        if key in people:
            kinds.setdefault(people[key].person, []).append(key[0])
    mine = tuple(kinds.pop(person, ()))
    return tuple(Conflict(other, tuple(theirs), mine) for other, theirs in kinds.items())


def _address(arrival: Arrival) -> Key | None:
    return next((key for key in arrival.keys if key[0] == "email"), None)


def _plain(kind: str) -> str:
    return "external_id" if kind.startswith("external:") else kind


def _as_rows(keys: Mapping[Key, Found]) -> list[dict[str, str | None]]:
    return [
        {"kind": kind, "value": value, "person_id": found.person, "origin_id": found.origin}
        for (kind, value), found in keys.items()
    ]


def _unwritten(connection: Connection, people: set[str]) -> set[str]:
    """Return the ids among `people` that have no row yet: those this batch is about to create."""
    found = connection.execute(
        text("SELECT id FROM person WHERE id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": uuid_array(people)},
    )
    return people - {row.id for row in found}
