"""
Pace: how fast mail goes to one domain, from this process.

A message goes when its domain has room; those that have to wait are told to come back one after the other, when there
should be some. A domain that asked to come back later gets none for a while, twice as long each time. Each lane waits
only for itself and for the lanes before it: service mail takes its room from marketing, and that marketing was asked to
come back later holds up no service mail. Pure but for what it remembers: `now` is an argument.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from schema.store.sends import MARKETING, SERVICE

_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_AT_ONCE: Final = timedelta(seconds=1)
"""How far ahead a slot may be and still be taken now: messages of a second go together."""
_MOST_DOMAINS: Final = 50_000


class Pace:
    """Room by domain and lane; `per_second` 0 is no limit. For several threads."""

    def __init__(self, per_second: float) -> None:
        self._apart = timedelta(seconds=1 / per_second) if per_second else timedelta()
        self._next: dict[tuple[str, int], datetime] = {}
        """When each domain has been given what went to it."""
        self._later: dict[tuple[str, int], datetime] = {}
        """When the last of those is to come back who have to wait."""
        self._pauses: dict[tuple[str, int], tuple[timedelta, datetime]] = {}
        self._lock = threading.Lock()

    def slot(self, domain: str, now: datetime, lane: int = MARKETING) -> datetime:
        """Say when a message to a domain may go: now, which takes the place, or when to ask again."""
        place = domain, lane
        with self._lock:
            if len(self._next) > _MOST_DOMAINS:
                self._next = {each: at for each, at in self._next.items() if at > now}
                self._later = {each: at for each, at in self._later.items() if at > now}
            _, until = self._pauses.get(place, (timedelta(), now))
            at = max(self._next.get(place, now), now)
            if until <= now and at - now < _AT_ONCE:
                for each in range(lane, MARKETING + 1):
                    self._next[domain, each] = max(self._next.get((domain, each), now), now) + self._apart
                return now
            later = max(self._later.get(place, now), at, until) + self._apart
            self._later[place] = later
            return later

    def pause(self, domain: str, now: datetime, lane: int = MARKETING) -> None:
        """Leave a domain alone for a while: it asked for that."""
        with self._lock:
            for each in range(lane, MARKETING + 1):
                before, until = self._pauses.get((domain, each), (timedelta(), now))
                if not before or until <= now:
                    length = min(before * 2, _LONGEST_PAUSE) or _FIRST_PAUSE
                    self._pauses[domain, each] = (length, now + length)

    def took(self, domain: str, lane: int = MARKETING) -> None:
        """Remember that a domain takes mail of a lane again, and so of the lanes before it."""
        with self._lock:
            for each in range(SERVICE, lane + 1):
                self._pauses.pop((domain, each), None)
