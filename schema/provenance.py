"""
Provenance: which arrival said what is known of a person, and what others said.

A person's row keeps it beside the values: `{field: {"receipt", "at"}}`. What the first arrival said is named in one
entry (`FIRST`) that lists the fields it is `of`. Members of a collection are fields too (`custom.budget`,
`interests.crm`); one without an entry came with the first of its collection, whose entry has the collection's name. An
entry `fills` when a list, a program or a mail's headers said it, and not the person in a form.

Which value stands is the same whatever the order in which arrivals are taken:

    a field            the latest that the person said; else the earliest that anybody said
    a preference, an answer of its own (`custom`)    the latest
    interests          all of them, in the order in which they were first named

Values of a field that do not stand are kept in its entry (`others`, the best five); earlier answers are with their
touchpoints. Ties go by receipt. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Entry = dict[str, Any]

FIELDS: Final = ("name", "email", "phone", "country", "language", "company_name", "company_employees", "company_id")
COLLECTIONS: Final = ("interests", "preferences", "custom")
FIRST: Final = ""
"""The name of the entry of the first arrival, which most people's fields all come from."""
MOST_OTHERS: Final = 5
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_NOBODY: Final[Entry] = {"receipt": "", "at": None, "fills": True}
"""Stands for what was known before anybody kept where it came from."""


class Said(NamedTuple):
    """One arrival as it speaks about a person; `corrects`: they say it themselves, so that newer means better."""

    receipt: str
    at: datetime
    corrects: bool

    def entry(self, *, fills: bool = False) -> Entry:
        """The entry of what it says; with `fills` also of somebody who corrects."""
        entry: Entry = {"receipt": self.receipt, "at": self.at.isoformat()}
        return entry if self.corrects and not fills else entry | {"fills": True}


def first(values: Mapping[str, Any], said: Said, guessed: Collection[str] = ()) -> dict[str, Entry]:
    """The provenance of somebody of whom only this is known; what was `guessed` only fills."""
    given = [name for name, value in values.items() if value and name not in guessed]
    entries = {FIRST: {**said.entry(), "of": given}} if given else {}
    return entries | {name: said.entry(fills=True) for name in guessed if values[name]}


def weighed(known: object, entry: Entry | None, value: object, new: Entry) -> tuple[Any, Entry] | None:
    """
    Return the value that stands, with its entry, after a field was said to be `value`; None if nothing is new.

    `known` is what stands now (empty: nothing), by `entry` (None: nobody knows since when).
    """
    if not known:
        return value, new
    old = entry or _NOBODY
    if value == known and "others" not in old:
        return (value, new) if _in_order([(value, old), (value, new)])[0][1] is new else None
    told = [(known, _bare(old)), *((other["value"], _bare(other)) for other in old.get("others", ())), (value, new)]
    best: list[tuple[Any, Entry]] = []
    for each, by in _in_order(told):
        if all(each != better for better, _ in best):
            best.append((each, by))
    (stands, by), *others = best[: MOST_OTHERS + 1]
    kept = [{"value": each, **bare} for each, bare in others]
    whole = by | {"others": kept} if kept else by
    return None if stands == known and whole == old else (stands, whole)


def entry_of(provenance: Mapping[str, Entry], field: str, member: str = "") -> Entry | None:
    """The entry of a field, or of a member of a collection; None if nobody knows."""
    found = (member and provenance.get(f"{field}.{member}")) or provenance.get(field)
    if found:
        return found
    earliest = provenance.get(FIRST)
    return _bare(earliest) if earliest and field in earliest["of"] else None


def answered(
    collection: str,
    known: dict[str, Any],
    given: dict[str, Any],
    provenance: Mapping[str, Entry],
    new: Entry,
) -> tuple[dict[str, Any], dict[str, Entry]]:
    """Return a collection of answers with those that are given anew, and the entries that come to stand for it."""
    if not known:
        return given, {collection: new}
    changed = dict(known)
    entries: dict[str, Entry] = {}
    for name, value in given.items():
        if name not in known or _moment(new) > _moment(entry_of(provenance, collection, name) or _NOBODY):
            changed[name] = value
            entries[f"{collection}.{name}"] = new
    return changed, entries


def named(
    known: list[str],
    given: list[str],
    provenance: Mapping[str, Entry],
    new: Entry,
) -> tuple[list[str], dict[str, Entry]]:
    """Return interests with those that are named anew, in the order of time, and the entries that come to stand."""
    if not known:
        return given, {"interests": new}
    entries = {name: entry_of(provenance, "interests", name) or _NOBODY for name in known}
    places = {name: (_moment(entry), place) for place, (name, entry) in enumerate(entries.items())}
    changed: dict[str, Entry] = {}
    for place, name in enumerate(given):
        if name not in places or _moment(new) < places[name][0]:
            changed[f"interests.{name}"] = new
            places[name] = (_moment(new), place)
    return sorted(places, key=lambda name: places[name]), changed


def shown(person: Mapping[str, Any]) -> dict[str, Entry]:
    """Return the entry of each thing that is known of a person (`name`, `custom.budget`, …), as it is kept."""
    kept: dict[str, Entry] = person["provenance"]
    entries: dict[str, Entry] = {}
    for name in FIELDS:
        if person[name] and (entry := entry_of(kept, name)):
            entries[name] = entry
    for collection in COLLECTIONS:
        for member in person[collection]:
            if entry := entry_of(kept, collection, member):
                entries[f"{collection}.{member}"] = entry
    return entries


def _bare(entry: Mapping[str, Any]) -> Entry:
    return {name: entry[name] for name in ("receipt", "at", "fills") if name in entry}


def _moment(entry: Entry) -> tuple[datetime, str]:
    at = entry["at"]
    return datetime.fromisoformat(at) if at else _EVER, entry["receipt"]


def _in_order(told: list[tuple[Any, Entry]]) -> list[tuple[Any, Entry]]:
    """The best first: of those who correct the latest, then of those who fill the earliest."""
    correcting = [each for each in told if "fills" not in each[1]]
    filling = [each for each in told if "fills" in each[1]]
    correcting.sort(key=_told_at, reverse=True)
    filling.sort(key=_told_at)
    return correcting + filling


def _told_at(told: tuple[Any, Entry]) -> tuple[datetime, str]:
    return _moment(told[1])
