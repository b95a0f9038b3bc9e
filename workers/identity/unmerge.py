"""
Taking back a merge: both people have again what was theirs, and what arrived since goes to whose key brought it.

What arrived since is known from the events of their leads, which are numbered without gaps. Each arrival is read again
from its receipt, as the step `identify` read it, and added to the person and the lead that it belongs to. A lead that
began since belongs to whom its first arrival belongs to. A parked lead is opened as it was; if its person has begun
another on that journey since, it stays closed and goes on in that one. A touchpoint stays with its lead where its
person has no lead on that journey to go to.

Merges are taken back in the opposite order: the last one into a person first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.events import PersonUnmerged
from schema.store import merges, rows
from schema.store.ids import is_id, uuid_array
from workers import identify
from workers.identity import belongings, campaigns_merged, keys, people, service_merged
from workers.identity.merge import gain, leads_of, look_again, take_in_hand, two_people

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from workers.batch import Batch, Case
    from workers.identity.people import Arrival

_READ_AT_ONCE: Final = 500

_LAST: Final = text("""
SELECT id, merged_id, moved, before FROM person_merge
WHERE survivor_id = :survivor AND undone_at IS NULL ORDER BY id DESC LIMIT 1
""")
_INTO: Final = text("SELECT merged_into FROM person WHERE id = :id")
_SINCE: Final = text("""
SELECT COALESCE(e.data ->> 'touchpoint_id', e.data ->> 'receipt_id') AS receipt, e.lead_id,
       e.type = 'lead.created' AS began
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, events int)
JOIN event AS e ON e.lead_id = r.id AND e.sequence > r.events
WHERE e.type IN ('lead.created', 'lead.touched') ORDER BY e.time, e.lead_id, e.sequence
""")
_BROUGHT: Final = text("""
SELECT id, data ->> 'merged_person' AS origin FROM touchpoint WHERE id = ANY(CAST(:ids AS uuid[]))
""")
_ARRIVED: Final = text("SELECT * FROM receipt WHERE id = ANY(CAST(:ids AS uuid[]))")
_TOUCHES_BACK: Final = text("""
UPDATE touchpoint AS t SET lead_id = r.parked
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(parked uuid, "into" uuid),
     (SELECT unnest(touchpoints) AS id FROM person_merge WHERE id = :merge) AS moved
WHERE t.id = moved.id AND t.lead_id = r.into
""")
_PLACED: Final = text("""
UPDATE touchpoint AS t SET lead_id = r.lead_id
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, lead_id uuid) WHERE t.id = r.id AND t.lead_id <> r.lead_id
""")
# A touchpoint is its lead's person's.
_TOUCHES: Final = text("""
UPDATE touchpoint AS t SET person_id = l.person_id FROM lead AS l
WHERE l.id = ANY(CAST(:leads AS uuid[])) AND t.lead_id = l.id AND t.person_id <> l.person_id
""")
_RECEIPTS: Final = text("""
UPDATE receipt AS r SET person_id = t.person_id FROM touchpoint AS t
WHERE t.lead_id = ANY(CAST(:leads AS uuid[])) AND r.id = t.id AND r.person_id <> t.person_id
""")
_CONSENTS: Final = text("""
UPDATE consent SET person_id = :merged WHERE person_id = :survivor
  AND (id = ANY(CAST(:ids AS uuid[])) OR receipt_id = ANY(CAST(:receipts AS uuid[])))
""")
_PURCHASES: Final = text("""
UPDATE purchase SET person_id = :merged WHERE person_id = :survivor
  AND (id = ANY(CAST(:ids AS uuid[])) OR receipt_id = ANY(CAST(:receipts AS uuid[])))
""")
_KEYS: Final = text("""
UPDATE person_key SET person_id = :merged, origin_id = NULLIF(origin_id, CAST(:merged AS uuid))
WHERE person_id = :survivor AND origin_id = ANY(CAST(:family AS uuid[]))
""")
_LEADS: Final = text("UPDATE lead SET person_id = :merged WHERE id = ANY(CAST(:leads AS uuid[]))")
_OPENED: Final = text("UPDATE lead SET merged_into = NULL WHERE id = ANY(CAST(:leads AS uuid[]))")
_ONWARD: Final = text("""
UPDATE lead AS l SET merged_into = r.into
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, "into" uuid) WHERE l.id = r.id
""")
_NOT_MERGED: Final = text("UPDATE person SET merged_into = NULL WHERE id = :merged")
_UNDONE: Final = text("UPDATE person_merge SET undone_at = :now, undone_by = :actor WHERE id = :merge")


@dataclass(slots=True)
class Since:
    """What happened since the merge: arrivals with their leads, whose key brought them, and leads that began."""

    leads: dict[str, str] = field(default_factory=dict)
    """By receipt, in the order of time."""
    began: dict[str, str] = field(default_factory=dict)
    """The first receipt of each lead that is new."""
    theirs: set[str] = field(default_factory=set)
    """Receipts that a key of the merged person brought."""


def take_back(batch: Batch, *, merged: str, actor: str) -> dict[str, Any] | None:
    """Take back the merge that `merged` is in; None: this transaction is too old for one of the leads."""
    survivor = batch.connection.execute(_INTO, {"id": merged}).scalar_one_or_none() if is_id(merged) else None
    into, row = two_people(batch, survivor or merged, merged)
    if survivor is None or row["merged_into"] is None:
        raise Permanent("person_not_merged", "This person was not merged into another.", person=merged)
    if row["merged_into"] != survivor:
        return None  # merged anew in this moment
    last = _last(batch.connection, into, merged)
    moved: dict[str, Any] = last["moved"]
    leads = {lead["id"]: lead for lead in leads_of(batch, survivor)}
    parked: dict[str, dict[str, Any]] = moved["parked"]
    onward = {kept["into"] for kept in parked.values()}
    wanted = [one for key, one in leads.items() if one["open"] or key in {*parked, *onward, moved["anchor"]}]
    if not take_in_hand(batch, wanted):
        return None
    family = merges.family(batch.connection, merged)
    since = _since(batch.connection, leads, moved["events"], set(family))
    theirs = {*moved["leads"], *(lead for lead, first in since.began.items() if first in since.theirs)}
    owner = {lead: merged if lead in theirs else survivor for lead in leads}
    stays = _superseded(parked, leads, since, owner)
    places = _places(since, parked, owner, merged, survivor)
    whose = {"merged": merged, "survivor": survivor, "family": uuid_array(family)}
    _move_back(batch.connection, last, whose, theirs, since, places)
    _give(batch.connection, list(leads), whose, moved, since)
    service_merged.parted(batch.connection, moved.get("service", {}), stays, leads, batch.now)
    _restore(batch, into, row, last["before"])
    note = {"merge": last["id"], "survivor": survivor, "merged": merged, "asked_by": actor}
    reopened = _reopen(batch, parked, stays, note, set(places.values()))
    _read_again(batch, since, places, (survivor, merged), onward | set(reopened))
    for person_id in (survivor, merged):
        people.change(batch, person_id)
    for case in batch.cases.values():
        if case.lead["open"] and case.id not in reopened:
            case.decided("unmerged", None, note)
            look_again(case)
    answer = {
        "merge_id": last["id"],
        "survivor": survivor,
        "merged": merged,
        "at": batch.now.isoformat(),
        "leads": sorted(theirs),
        "reopened": reopened,
        "parked": stays,
        "arrivals_since": {"survivor": len(since.leads) - len(since.theirs), "merged": len(since.theirs)},
    }
    if moved["anchor"]:
        told = PersonUnmerged(last["id"], survivor, merged, answer["leads"], reopened)
        batch.cases[moved["anchor"]].tell(told)
    batch.record()
    batch.connection.execute(_UNDONE, {"merge": last["id"], "now": batch.now, "actor": actor})
    return answer


def _last(connection: Connection, into: Mapping[str, Any], merged: str) -> Mapping[str, Any]:
    """The last merge into somebody who is not merged themselves, which has to be this one."""
    last = dict(connection.execute(_LAST, {"survivor": into["id"]}).mappings().one())
    inner = into["id"] if into["merged_into"] else None if last["merged_id"] == merged else last["merged_id"]
    if inner:
        raise Permanent("merge_inner", f"Another merge was made since: first take back that of {inner}.", person=inner)
    return last


def _since(connection: Connection, leads: Mapping[str, Any], events: Mapping[str, int], family: set[str]) -> Since:
    told = [{"id": lead, "events": events.get(lead, 0)} for lead in leads]
    found = Since()
    for row in connection.execute(_SINCE, {"rows": rows.as_json(told)}):
        found.leads[row.receipt] = row.lead_id
        if row.began:
            found.began[row.lead_id] = row.receipt
    brought = connection.execute(_BROUGHT, {"ids": uuid_array(found.leads)}) if found.leads else ()
    found.theirs = {row.id for row in brought if row.origin in family}
    return found


def _superseded(
    parked: Mapping[str, Any], leads: Mapping[str, Mapping[str, Any]], since: Since, owner: Mapping[str, str]
) -> dict[str, str]:
    """The parked leads whose person has begun another since, which is open on that journey: each with that one."""
    begun = {(owner[lead], leads[lead]["journey_name"]): lead for lead in since.began if leads[lead]["open"]}
    places = {lead: (owner[lead], leads[lead]["journey_name"]) for lead in parked}
    return {lead: begun[place] for lead, place in places.items() if place in begun}


def _places(
    since: Since, parked: Mapping[str, Mapping[str, Any]], owner: Mapping[str, str], merged: str, survivor: str
) -> dict[str, str]:
    """The lead of each arrival since the merge, as it is to be."""
    rested = {kept["into"]: lead for lead, kept in parked.items()}
    places = {}
    for receipt, lead in since.leads.items():
        person = merged if receipt in since.theirs else survivor
        other = rested.get(lead)
        places[receipt] = other if owner[lead] != person and other and owner[other] == person else lead
    return places


def _move_back(
    connection: Connection,
    last: Mapping[str, Any],
    whose: Mapping[str, str],
    theirs: set[str],
    since: Since,
    places: Mapping[str, str],
) -> None:
    """Have keys and leads be their people's again, and touchpoints their leads'."""
    connection.execute(_KEYS, whose)
    connection.execute(_NOT_MERGED, whose)
    connection.execute(_LEADS, {**whose, "leads": uuid_array(theirs)})
    back = [{"parked": lead, "into": kept["into"]} for lead, kept in last["moved"]["parked"].items()]
    if back:
        connection.execute(_TOUCHES_BACK, {"merge": last["id"], "rows": rows.as_json(back)})
    placed = [{"id": receipt, "lead_id": lead} for receipt, lead in places.items() if since.leads[receipt] != lead]
    if placed:
        connection.execute(_PLACED, {"rows": rows.as_json(placed)})


def _give(
    connection: Connection, leads: list[str], whose: Mapping[str, str], moved: Mapping[str, Any], since: Since
) -> None:
    """Have what hangs on touchpoints and receipts follow them."""
    connection.execute(_TOUCHES, {"leads": uuid_array(leads)})
    connection.execute(_RECEIPTS, {"leads": uuid_array(leads)})
    brought = {**whose, "receipts": uuid_array(since.theirs)}
    connection.execute(_CONSENTS, brought | {"ids": uuid_array(moved["consents"])})
    connection.execute(_PURCHASES, brought | {"ids": uuid_array(moved["purchases"])})
    campaigns_merged.parted(connection, whose["merged"], moved)


def _restore(batch: Batch, into: dict[str, Any], row: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Have both know what they knew before."""
    batch.people[into["id"]] = into | dict(before)
    batch.people[row["id"]] = row | {"merged_into": None}


def _reopen(
    batch: Batch, parked: Mapping[str, Any], stays: Mapping[str, str], note: Mapping[str, Any], touched: set[str]
) -> list[str]:
    """Open parked leads as they were, and let those that went on for them know what they knew; return the opened."""
    opened = [lead for lead in parked if lead not in stays]
    batch.connection.execute(_OPENED, {"leads": uuid_array(opened)})
    if stays:
        onward = [{"id": lead, "into": into} for lead, into in stays.items()]
        batch.connection.execute(_ONWARD, {"rows": rows.as_json(onward)})
    for lead, kept in parked.items():
        case = batch.cases[lead]
        batch.cases[kept["into"]].lead |= kept["onward"]
        if lead in stays:
            case.decided("unmerged", None, {**note, "goes_on_in": stays[lead]})
            continue
        case.decided("unmerged", None, note)
        _open(case, kept["was"])
        if lead in touched:
            look_again(case)
    return opened


def _open(case: Case, was: Mapping[str, Any]) -> None:
    waits = {step: _moment(at) for step, at in was["waits"].items()}
    case.lead |= {"open": True, "waits": waits, "waiting_since": _moment(was["waiting_since"])}
    if was["due_since"]:
        case.go(was["next_step"])
    else:
        case.go(None)
        case.lead["next_step"] = was["next_step"]


def _moment(at: str | None) -> datetime | None:
    return datetime.fromisoformat(at) if at else None


def _read_again(batch: Batch, since: Since, places: Mapping[str, str], two: tuple[str, str], grown: set[str]) -> None:
    """Add what arrived since to the people and the leads it belongs to, in the order in which it was taken."""
    survivor, merged = two
    for arrivals in _arrivals(batch, list(since.leads)):
        holders = keys.known(batch.connection, {key for arrival in arrivals for key in arrival.keys})
        # They are all there already; to make or change one now would lock companies after people.
        companies = people.find_companies(batch.connection, {a.draft.company.domain or "" for a in arrivals})
        for arrival in arrivals:
            receipt = arrival.receipt["id"]
            if not keys.only_pointed(arrival, holders):
                person = merged if receipt in since.theirs else survivor
                belongings.meet(batch, person, arrival, arrival.draft, companies)
            if places[receipt] in grown and places[receipt] in batch.cases:
                said = arrival.draft
                case = batch.cases[places[receipt]]
                told = {"interests": said.interests, "attribution": said.attribution, "message": said.message}
                gain(case, told | {"quiet": arrival.understood.quiet})
                case.lead["message"] = said.message or case.lead["message"]


def _arrivals(batch: Batch, receipts: list[str]) -> Iterator[list[Arrival]]:
    """Read arrivals again from their receipts, in portions."""
    order = {receipt: number for number, receipt in enumerate(receipts)}
    for first in range(0, len(receipts), _READ_AT_ONCE):
        portion = receipts[first : first + _READ_AT_ONCE]
        batch.receipts = batch.connection.execute(_ARRIVED, {"ids": uuid_array(portion)}).mappings().all()
        yield sorted(identify.read_again(batch), key=lambda arrival: order[arrival.receipt["id"]])
