"""What a simulation of campaigns is asked, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """What to look at: until when, one campaign or all, and whether only those who are in one already."""

    now: datetime
    until: datetime
    campaign: str | None = None
    running_only: bool = False
    examples: int = 5
    pepper: bytes = b""


class Told(msgspec.Struct, frozen=True):
    """One thing that would happen to one person: `sent`, `put_off`, `skipped`, `entered` or how it ended."""

    at: datetime
    what: str
    step: str | None = None
    template: str | None = None
    reason: str | None = None
    until: datetime | None = None


class Example(msgspec.Struct):
    """One person's way through one campaign; ids only."""

    person_id: str
    lead_id: str
    campaign: str
    story: list[Told] = []


@dataclass(slots=True)
class StepTally:
    """What would become of one message: how many on each day (UTC), how many put off, and why not."""

    template: str
    days: Counter[date] = field(default_factory=Counter)
    put_off: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class CampaignTally:
    """One campaign over the time: who is in it, who enters, what is sent, how it ends, who is still in it."""

    running: int = 0
    stands_still: int = 0
    held_out: int = 0
    entering: Counter[str] = field(default_factory=Counter)
    steps: dict[str, StepTally] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    left: int = 0
    examples: list[Example] = field(default_factory=list)


Tally = dict[tuple[str, str], CampaignTally]
"""By journey and campaign."""
