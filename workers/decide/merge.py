"""Merging people, decided: what the survivor knows afterwards, and which of two open leads goes on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema import provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_NOBODY: Final = {"receipt": "", "at": None, "fills": True}


def united(survivor: Mapping[str, Any], merged: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str | None]]:
    """
    Return what of the survivor's row changes, and for each field that it gets the receipt that had said it.

    What the survivor knows stays. What is empty is filled, and what the other's collections have besides is added, each
    with its own provenance. A field without a known receipt has None.
    """
    theirs: dict[str, provenance.Entry] = merged["provenance"]
    changes: dict[str, Any] = {}
    entries: dict[str, provenance.Entry] = {}
    for name in provenance.FIELDS:
        if merged[name] and not survivor[name]:
            changes[name] = merged[name]
            entries[name] = provenance.entry_of(theirs, name) or _NOBODY
    told = {name: entry["receipt"] or None for name, entry in entries.items()}
    for name in provenance.COLLECTIONS:
        new = [member for member in merged[name] if member not in survivor[name]]
        if not new:
            continue
        if name == "interests":
            changes[name] = [*survivor[name], *new]
        else:
            changes[name] = survivor[name] | {member: merged[name][member] for member in new}
        entries |= {f"{name}.{member}": provenance.entry_of(theirs, name, member) or _NOBODY for member in new}
        told[name] = entries[f"{name}.{new[0]}"]["receipt"] or None
    if changes:
        changes["provenance"] = survivor["provenance"] | entries
    return changes, told


def further(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """
    Return the lead that goes on, and the one that is parked.

    The one that has come further goes on: more moves made, then one that somebody has, then the older.
    """

    def place(lead: Mapping[str, Any]) -> tuple[int, bool, datetime, str]:
        return -lead["transitions"], lead["owner"] is None, lead["created_at"], lead["id"]

    going, parked = sorted((first, second), key=place)
    return going, parked
