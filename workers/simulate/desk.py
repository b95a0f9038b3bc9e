"""
Desk: turns, working people and queues of one world, where there is no database to keep them.

The same laws as in `workers/pools.py`: the oldest of those that wait for the same people has the timer, whoever is
served wakes those after it, and a place that becomes free wakes the oldest who wait for that person.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from workers.decide.staff import Staff, roster
from workers.pools import Pools

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from schema.journey import Journey
    from workers.batch import Batch, Case
    from workers.decide.route import Routing
    from workers.decide.turns import Ledger
    from workers.simulate.load import Load

    Queue = tuple[str, tuple[str, ...]]

_SERVED_WAKE = 2


class Desk(Pools):
    """The pools of one world, for a batch of one lead at a time: `take` it in hand, and `leave` it as it became."""

    def __init__(self, batch: Batch, journey: Journey, ledgers: Mapping[str, Ledger], staff: Staff, load: Load) -> None:
        super().__init__(batch)
        self._journey = journey
        self._turns = dict(ledgers)
        self._people = staff
        self._load = load
        self._limited = roster(journey).limited
        self._queues: dict[Queue, list[tuple[datetime, str]]] = defaultdict(list)
        self._behind: list[str] = []
        self.called: dict[str, None] = {}
        """Leads that are to be looked at because a place may have become free, in this order."""

    def has(self, journey: Journey) -> bool:  # noqa: ARG002 - as the pools of a batch
        """There is only one journey here, and its pools are known."""
        return True

    def ledgers(self, journey: Journey) -> dict[str, Ledger]:  # noqa: ARG002
        """Return the turns of the world's pools."""
        return self._turns

    def staff(self, journey: Journey) -> Staff:  # noqa: ARG002
        """Return what is known about people's work, as of the lead in hand."""
        return self._people

    def took(self, case: Case, found: Routing) -> None:  # noqa: ARG002
        """Take note of those who are free but for an older lead: it is looked at next."""
        self._behind += [member.person for member in found.members if member.out == "queue"]

    def gave(self, case: Case, owner: str) -> None:
        """Nothing: the load is counted when the lead is left."""

    def take(self, lead: Mapping[str, Any]) -> None:
        """Take a lead in hand: it does not stand in its own way, and people have what they have now."""
        self._behind = []
        self.called.pop(lead["id"], None)
        if lead["waiting_since"] is not None:
            self._remove(_queue(lead), (lead["waiting_since"], lead["id"]))
        ahead: dict[tuple[str, str], dict[str, datetime]] = {}
        for (pool, people), waiting in self._queues.items():
            oldest = ahead.setdefault((self._journey.version, pool), {})
            for person in people:
                oldest[person] = min(waiting[0][0], oldest.get(person, waiting[0][0]))
        self._people.ahead = ahead
        if self._limited:
            self._people.open = dict(self._load.open)

    def leave(self, lead: dict[str, Any], *, had: Mapping[str, Any], freed: str | None) -> list[str]:
        """
        Keep what became of the lead in hand, and return who is to be looked at for it.

        `had` are its `pool`, `assignment` and `waiting_since` before, `freed` is who has an open lead less.
        """
        before = len(self.called)
        if lead["waiting_since"] is not None and not lead["open"]:
            lead["waiting_since"] = None
        place = _queue(lead) if lead["waiting_since"] is not None else None
        left = _queue(had) if had["waiting_since"] is not None else None
        if place is not None:
            queue = self._queues[place]
            insort(queue, (lead["waiting_since"], lead["id"]))
            if queue[0][1] != lead["id"] and lead["waits"].pop("route", None) and lead["next_step"] is None:
                lead["wake_at"] = min(lead["waits"].values(), default=None)
        if left is not None and left != place:
            self._note(self._oldest(*left), _SERVED_WAKE if lead["owner"] else 1)
        for person in [*self._behind, *([freed] if freed in self._limited else [])]:
            self._note(self._for(str(person)), 1)
        return list(self.called)[before:]

    def _note(self, waiting: Iterator[str], most: int) -> None:
        for lead_id in waiting:
            if most == 0:
                return
            if lead_id not in self.called:
                self.called[lead_id] = None
                most -= 1

    def _oldest(self, pool: str, people: tuple[str, ...]) -> Iterator[str]:
        """Those who wait for the same people, the longest first."""
        return (lead_id for _, lead_id in list(self._queues.get((pool, people), ())))

    def _for(self, person: str) -> Iterator[str]:
        """The first of each queue that waits for somebody, the longest first."""
        firsts = sorted(waiting[0] for (_, people), waiting in self._queues.items() if person in people)
        return (lead_id for _, lead_id in firsts)

    def _remove(self, queue: Queue, place: tuple[datetime, str]) -> None:
        waiting = self._queues.get(queue, [])
        if place in waiting:
            waiting.remove(place)
        if not waiting:
            self._queues.pop(queue, None)


def _queue(lead: Mapping[str, Any]) -> Queue:
    return str(lead["pool"]), tuple((lead["assignment"] or {}).get("waits_for", ()))
