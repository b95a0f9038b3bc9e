"""
Memory: what has to be known of a lead to count its next event; no personal data.

Kept as JSON with short names, without what is empty: a lead that is settled takes some two hundred bytes. Moments are
milliseconds since 1970.
"""

from __future__ import annotations

from bisect import insort
from typing import Final, TypeVar

import msgspec

MOST_TOUCHES: Final = 100
"""So many touchpoints before the win are remembered: the earliest one and the latest of the others."""
MOST_THINGS: Final = 20
"""Of opportunities, tickets, follow-ups, surveys and purchases so many of each are remembered, the latest."""

Thing = TypeVar("Thing")
Dims = tuple[str, str, str, str, str, str, str]
"""The values of `schema.kpi.measures.DIMS`, in that order."""


class Lead(msgspec.Struct, omit_defaults=True):
    """What is remembered of a lead; the short names are those in the database."""

    version: str = msgspec.field(default="", name="v")
    source: str = msgspec.field(default="", name="s")
    channel: str = msgspec.field(default="", name="c")
    campaign: str = msgspec.field(default="", name="m")
    segment: str = msgspec.field(default="", name="g")
    owner: str = msgspec.field(default="", name="o")
    team: str = msgspec.field(default="", name="t")
    state: str = msgspec.field(default="", name="a")
    test: bool = msgspec.field(default=False, name="x")
    contact: int | None = msgspec.field(default=None, name="f")
    """When it was met first."""
    began: int | None = msgspec.field(default=None, name="b")
    """Since when it may expect an answer; None while only files told of it."""
    entered: int | None = msgspec.field(default=None, name="e")
    """Since when it is in its state; None: not known."""
    entered_as: Dims | None = msgspec.field(default=None, name="d")
    """Its dimensions when it came into its state; None: as they are now."""
    done: int = msgspec.field(default=0, name="k")
    """What counts once and was counted: the sum of `QUALIFIED`, `ASSIGNED`, `ANSWERED`, `WON`."""
    parked_in: str = msgspec.field(default="", name="i")
    """The lead that it goes on in since people were merged."""
    places: list[tuple[str, str, str, str]] = msgspec.field(default_factory=list, name="p")
    """Source, channel and campaign of its touchpoints; the last: the lead that they came over from."""
    touches: list[tuple[int, int]] = msgspec.field(default_factory=list, name="h")
    """Its touchpoints before the win, the earliest first: when, and the number of the place."""
    opportunities: dict[str, int] = msgspec.field(default_factory=dict, name="O")
    """When they were opened."""
    tickets: dict[str, tuple[str, str, str]] = msgspec.field(default_factory=dict, name="T")
    """Kind, desk and owner of those not closed yet."""
    follow_ups: dict[str, str] = msgspec.field(default_factory=dict, name="F")
    """What made those that are open."""
    surveys: dict[str, tuple[int, int, Dims]] = msgspec.field(default_factory=dict, name="S")
    """Day and score of the answer that counts, and the dimensions it was counted by."""
    purchases: dict[str, Dims] = msgspec.field(default_factory=dict, name="P")
    """The dimensions they were counted by, in case they turn out to be something else."""
    handovers: dict[str, tuple[int, str, Dims]] = msgspec.field(default_factory=dict, name="H")
    """Day, item and dimensions of those that nobody has taken up."""

    def dims(self) -> Dims:
        """Return its dimensions at this moment."""
        return self.source, self.channel, self.campaign, self.segment, self.owner, self.team, self.version

    def pin(self) -> None:
        """Keep the dimensions with which it came into its state: they are about to change."""
        if self.entered_as is None:
            self.entered_as = self.dims()

    def touched(self, at: int, place: tuple[str, str, str, str]) -> None:
        """Remember a touchpoint before the win."""
        if self.done & WON:
            return
        try:
            number = self.places.index(place)
        except ValueError:
            number = len(self.places)
            self.places.append(place)
        insort(self.touches, (at, number))
        if len(self.touches) > MOST_TOUCHES:
            del self.touches[1]

    def takes_over(self, other: Lead, other_id: str) -> None:
        """Go on with what belongs to a lead that is parked; its touchpoints led here, too."""
        for at, number in other.touches:
            source, channel, campaign, origin = other.places[number]
            self.touched(at, (source, channel, campaign, origin or other_id))
        for name in THINGS:
            getattr(self, name).update(getattr(other, name))

    def gives_back(self, other: Lead, other_id: str) -> None:
        """Let go of the touchpoints of a lead that is opened again; it knows again what belongs to it."""
        kept = [each for each in self.touches if self.places[each[1]][3] != other_id]
        self.places, self.touches, had = [], [], self.places
        for at, number in kept:
            self.touched(at, had[number])
        for name in THINGS:
            getattr(other, name).update(getattr(self, name))


QUALIFIED: Final = 1
ASSIGNED: Final = 2
ANSWERED: Final = 4
WON: Final = 8
THINGS: Final = ("opportunities", "tickets", "follow_ups", "surveys", "purchases", "handovers")

_decoder = msgspec.json.Decoder(Lead)


def read(kept: str | bytes) -> Lead:
    """Read what is kept of a lead. Raises `msgspec.ValidationError`."""
    return _decoder.decode(kept)


def remember(things: dict[str, Thing], thing_id: str, what: Thing) -> None:
    """Remember something of a lead's; of too many the oldest is forgotten."""
    things[key(thing_id)] = what
    if len(things) > MOST_THINGS:
        del things[min(things)]


def key(thing_id: str) -> str:
    """Return what tells a lead's things apart: of an id (UUIDv7) the time, so that they sort by age, and its end."""
    return thing_id[:8] + thing_id[9:13] + thing_id[-4:]
