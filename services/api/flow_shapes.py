"""What the API answers about how leads flow, as OpenAPI describes it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from services.api.shapes import Shape


class Spread(Shape):
    """How long something took, in seconds, within 1 %; of `sample`."""

    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    sample: int


class Waiting(Spread):
    """
    The part of a stay until somebody of ours first acts; `rests_on` says how that is known.

    `mean_s` is of all that come, the percentiles of the `sample` whose wait was told.
    """

    share: float | None = Field(description="Of the stay, 0 to 1.")
    rests_on: str | None


class Working(Shape):
    """The rest of a stay."""

    mean_s: float | None
    share: float | None


class Little(Shape):
    """Little's law: `l` on average in progress, against `lambda_w`, arrivals per day times the mean stay."""

    l: float | None  # noqa: E741 - the law's own letter
    lambda_per_day: float | None
    w_s: float | None
    lambda_w: float | None
    deviation: float | None = Field(description="Of the two, as a share of the larger.")
    agrees: bool | None
    why_not: str | None = Field(description="Why there is no deviation.")


class Dropped(Shape):
    """Who left away from winning; `by_rule` because the journey says so. With Wilson's 95 % interval of the share."""

    n: int
    by_rule: int
    share: float | None
    low: float | None
    high: float | None


class Gain(Shape):
    """What it would gain if nobody had to wait there; `formulas` says how that is reckoned."""

    days_per_month: float | None
    days_sooner: float | None
    wins_per_month: float | None


class Place(Shape):
    """A state, a hand-over between departments, or the first act of ours."""

    rank: int | None
    reason: Literal["small", "no_waiting", "rests", "nobody"] | None = Field(
        description="Why it has no rank: too few, no waiting, leads are meant to stay, or nobody was there."
    )
    kind: Literal["state", "handover", "first_act"]
    name: str
    label: str
    arrivals: int
    arrivals_per_day: float
    completions: int
    completions_per_day: float
    in_progress: int = Field(description="At the end of the window.")
    in_progress_average: float | None
    stay: Spread
    waiting: Waiting
    working: Working
    little: Little
    dropped: Dropped
    win_chance: float | None
    gain: Gain


class Bottlenecks(Shape):
    """Where leads wait, the worst first."""

    journey: str
    from_: date = Field(alias="from")
    to: date
    tz: str
    days: float
    as_of: datetime | None
    enough: int
    formulas: dict[str, str]
    places: list[Place]


class Trend(Shape):
    """A change of level (`level`), or a source that has been quiet for too long (`silent`)."""

    what: Literal["level", "silent"]
    figure: str
    of: dict[str, str]
    since: date | datetime = Field(description="The first day of the new level; when the source was last heard.")
    unit: Literal["per_day", "share", "seconds"] | None = None
    direction: Literal["up", "down"] | None = None
    noticed: date | None = None
    before: float | None = None
    after: float | None = None
    change: float | None = Field(None, description="After by before, less 1.")
    z: float | None = Field(None, description="Standard deviations from what was usual.")
    days: int | None = Field(None, description="Of the new level.")
    usual_gap_s: int | None = None


class Trends(Shape):
    """What changed, each change once: silent sources, then the latest first."""

    journey: str
    from_: date = Field(alias="from")
    to: date
    tz: str
    as_of: datetime | None
    audited_at: datetime | None
    known_since: date
    enough: bool = Field(description="Whether there are days enough to know what is usual.")
    series: int = Field(description="How many were looked at.")
    left_out: int
    items: list[Trend]


class Activity(Shape):
    """An activity: how often, in how many cases, and how many begin and end with it."""

    name: str
    n: int
    cases: int
    starts: int
    ends: int


class Follow(Shape):
    """`to` came right after `from`, `n` times, in the same case; `total_s` is exact."""

    from_: str = Field(alias="from")
    to: str
    n: int
    total_s: str
    p50_s: float
    p90_s: float
    longest_s: float


class Variant(Shape):
    """A way that `n` cases took; of a long one the first activities are told."""

    activities: list[str]
    length: int
    n: int
    share: float
    p50_s: float
    p90_s: float


class AllOf(Shape):
    """How many there are of each, told or not."""

    activities: int
    follows: int
    variants: int


class Process(Shape):
    """The process that a log shows: which activity follows which, how often and how long after."""

    journey: str
    what: Literal["leads", "touchpoints", "tickets"]
    from_: datetime = Field(alias="from")
    to: datetime
    cases: int
    entries: int
    first_at: datetime | None
    last_at: datetime | None
    p50_s: float | None = Field(description="Of whole cases, from their first activity to their last.")
    p90_s: float | None
    activities: list[Activity]
    follows: list[Follow]
    variants: list[Variant]
    of: AllOf


class Pair(Shape):
    """One time that the one activity came right after the other: the case, both moments, and what lay between."""

    id: str
    at: datetime
    then_at: datetime
    took_s: float


class Pairs(Shape):
    """The rows behind a pair, in order of case."""

    items: list[Pair]
    next: str | None
