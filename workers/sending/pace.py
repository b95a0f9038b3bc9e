"""
Pace: how fast mail goes to one domain, from this process.

A message goes when its domain has room; those that have to wait are told to come back one after the other, when there
should be some. A domain that asked to come back later gets none for a while, twice as long each time. Pure but for what
it remembers: `now` is an argument.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

_FIRST_PAUSE: Final = timedelta(minutes=1)
_LONGEST_PAUSE: Final = timedelta(hours=1)
_AT_ONCE: Final = timedelta(seconds=1)
"""How far ahead a slot may be and still be taken now: messages of a second go together."""
_MOST_DOMAINS: Final = 50_000


class Pace:
    """Room by domain; `per_second` 0 is no limit. For several threads."""

    def __init__(self, per_second: float) -> None:
        self._apart = timedelta(seconds=1 / per_second) if per_second else timedelta()
        self._next: dict[str, datetime] = {}
        """When each domain has been given what went to it."""
        self._later: dict[str, datetime] = {}
        """When the last of those is to come back who have to wait."""
        self._pauses: dict[str, tuple[timedelta, datetime]] = {}
        self._lock = threading.Lock()

    def slot(self, domain: str, now: datetime) -> datetime:
        """Say when a message to a domain may go: now, which takes the place, or when to ask again."""
        with self._lock:
            if len(self._next) > _MOST_DOMAINS:
                self._next = {name: at for name, at in self._next.items() if at > now}
                self._later = {name: at for name, at in self._later.items() if at > now}
            _, until = self._pauses.get(domain, (timedelta(), now))
            at = max(self._next.get(domain, now), now)
            if until <= now and at - now < _AT_ONCE:
                self._next[domain] = at + self._apart
                return now
            later = max(self._later.get(domain, now), at, until) + self._apart
            self._later[domain] = later
            return later

    def pause(self, domain: str, now: datetime) -> None:
        """Leave a domain alone for a while: it asked for that."""
        with self._lock:
            before, until = self._pauses.get(domain, (timedelta(), now))
            if before and until > now:
                return
            length = min(before * 2, _LONGEST_PAUSE) or _FIRST_PAUSE
            self._pauses[domain] = (length, now + length)

    def took(self, domain: str) -> None:
        """Remember that a domain takes mail again."""
        with self._lock:
            self._pauses.pop(domain, None)
