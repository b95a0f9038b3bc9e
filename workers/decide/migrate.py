"""
Migrate: what becomes of a lead that follows another version of its journey from now on?

It stays in its state, under the name that the other version has for it. Its owner keeps it if the other version knows
them; the steps that run next, by the new rules, decide everything else anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from schema.journey.model import Journey


class Followed(msgspec.Struct, frozen=True, gc=False):
    """
    The lead by the rules of the other version.

    `owner` and `pool` are None where the other version does not know them, `next_step` is where the new rules begin to
    apply; None: nowhere, the lead is closed.
    """

    from_state: str
    state: str
    open: bool
    owner: str | None
    pool: str | None
    next_step: str | None
    lost_owner: str | None = None
    lost_pool: str | None = None

    def explain(self, from_version: str) -> dict[str, Any]:
        """The record for the table `decision`."""
        lost = {"lost_owner": self.lost_owner, "lost_pool": self.lost_pool}
        return {
            "from_journey": from_version,
            "from_state": self.from_state,
            "state": self.state,
            "owner": self.owner,
            "next_step": self.next_step,
        } | {name: value for name, value in lost.items() if value}


def ways(states: Collection[str], journey: Journey, names: Mapping[str, str]) -> dict[str, str]:
    """Where leads in each of `states` stand in `journey`: as `names` says, else in the state of the same name."""
    found = {state: names.get(state, state) for state in states}
    return {state: target for state, target in found.items() if target in journey.lifecycle}


def likeliest(state: str, journey: Journey) -> str | None:
    """The state of `journey` whose name is nearest; None where nothing is near."""
    near = difflib.get_close_matches(state, list(journey.lifecycle), n=1, cutoff=0.5)
    return near[0] if near else None


def follow(lead: Mapping[str, Any], journey: Journey, to_state: str) -> Followed:
    """
    The lead (its columns) by the rules of `journey`, in which it stands in `to_state`.

    A closed lead stays closed and keeps what it has; who had it is part of its story.
    """
    if not lead["open"]:
        step = journey.steps[0] if lead["next_step"] else None
        return Followed(lead["state"], to_state, open=False, owner=lead["owner"], pool=lead["pool"], next_step=step)
    final = journey.lifecycle[to_state].final
    owner, pool = lead["owner"], lead["pool"]
    known_owner = owner if owner in journey.people else None
    known_pool = pool if pool in journey.route.pools else None
    return Followed(
        lead["state"],
        to_state,
        open=not final,
        owner=known_owner,
        pool=known_pool,
        next_step=None if final else journey.steps[0],
        lost_owner=owner if owner != known_owner else None,
        lost_pool=pool if pool != known_pool else None,
    )
