"""
Plain words for the values of a journey: durations, hours, shares, lists of things.

What `show` and `diff` print is put together from these; the same value always has the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Final

from schema.journey.model import Again, Capacity
from schema.journey.parts import Calendar

DAYS: Final = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
_UNITS: Final = ((86_400, "day", "d"), (3_600, "hour", "h"), (60, "minute", "m"), (1, "second", "s"))


def time(length: timedelta) -> str:
    """`30 days`, `36 hours`, `1 minute`: in the largest unit that it is a whole number of."""
    number, name, _ = _in_units(length)
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def short(length: timedelta) -> str:
    """`30d`, `36h`, `1m`: as it could stand in a file; the same for `24h` and `1d`."""
    number, _, unit = _in_units(length)
    return f"{number}{unit}"


def _in_units(length: timedelta) -> tuple[int, str, str]:
    seconds = int(length.total_seconds())
    size, name, unit = next(unit for unit in _UNITS if seconds % unit[0] == 0)
    return seconds // size, name, unit


def listing(items: Iterable[object], word: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *before, last = (str(item) for item in items)
    return f"{', '.join(before)} {word} {last}" if before else last


def times(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def percent(part: int, whole: int) -> str:
    """The share in whole per cent: `67%`."""
    return f"{(200 * part + whole) // (2 * whole)}%"


def shares(weights: Mapping[str, int]) -> dict[str, str]:
    """What everybody's weight comes to: `2 of 3 turns, 67%`; `every turn` for somebody alone, whatever they weigh."""
    whole = sum(weights.values())
    if len(weights) == 1:
        return dict.fromkeys(weights, "every turn" + (f" (weight {whole})" if whole > 1 else ""))
    return {name: f"{weight} of {whole} turns, {percent(weight, whole)}" for name, weight in weights.items()}


def week(calendar: Calendar) -> dict[str, tuple[str, ...]]:
    """The times of each day that is not closed, Monday first; `mon-fri` is five days, and `fri-mon` four."""
    days = list(DAYS)
    spells: dict[str, set[str]] = {}
    for span, spans in calendar.__pydantic_extra__.items():
        first, _, last = span.partition("-")
        start, length = days.index(first), (days.index(last or first) - days.index(first)) % 7 + 1
        for at in range(start, start + length):
            spells.setdefault(days[at % 7], set()).update(part.strip() for part in spans.split(","))
    return {day: tuple(sorted(spells[day])) for day in days if day in spells}


def hours(calendar: Calendar) -> str:
    """`Monday to Thursday 09:00-18:00, Friday 09:00-15:00 (Europe/Berlin), closed on holidays of DE-BY`."""
    open_on = opening(week(calendar))
    return f"{open_on} ({calendar.tz}){closed(calendar.holidays)}"


def opening(days: Mapping[str, Iterable[str]]) -> str:
    """The days of a `week`, those that follow one another with the same times taken together."""
    names = list(DAYS)
    runs: list[list[str]] = []
    for before, day in pairwise(["", *(day for day in names if day in days)]):
        follows = before and names.index(day) == names.index(before) + 1
        if follows and tuple(days[before]) == tuple(days[day]):
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(f"{_run(run)} {listing(days[run[0]])}" for run in runs) or "never"


def _run(days: list[str]) -> str:
    first, last = DAYS[days[0]], DAYS[days[-1]]
    if first == last:
        return first
    return f"{first} {'and' if len(days) == 2 else 'to'} {last}"  # noqa: PLR2004 - a pair


def closed(holidays: Iterable[str]) -> str:
    """What the holidays of a calendar add: nothing where there are none."""
    dates = sorted(day for day in holidays if day[:1].isdigit())
    places = [place for place in holidays if not place[:1].isdigit()]
    on = ([f"the holidays of {listing(places)}"] if places else []) + dates
    return f"; closed on {listing(on)}" if on else ""


def capacity(most: Capacity) -> str:
    """`at most 40 leads at once and 12 new ones within 7 days`."""
    parts = [f"{most.open} at once"] if most.open else []
    if most.max and most.per:
        parts.append(f"{most.max} new within {time(most.per)}")
    if most.tickets:
        parts.append(f"{most.tickets} tickets at once" if most.tickets > 1 else "1 ticket at once")
    return f"at most {listing(parts)}" if parts else "any number"


def again(policy: Again) -> str:
    """When somebody who was disqualified is looked at again."""
    moments = (["when they are heard of again"] if policy.news else []) + (
        [f"after {time(policy.after)}"] if policy.after else []
    )
    return f"{listing(moments, 'or')}, at most {times(policy.most)}" if moments else "never"
