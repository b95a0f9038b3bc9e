"""What the parts of a journey file are made of: names, texts, durations, expressions, working hours."""

from __future__ import annotations

import re
import zoneinfo
from contextlib import suppress
from datetime import date, timedelta
from functools import cache
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from schema.journey.expressions import LONGEST, Expression
from schema.journey.fields import nearest

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
DAYS = rf"^{_DAY}(-{_DAY})?$"
"""A day or several from one to another: `mon`, `mon-fri`."""
_SPAN = r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)"
_QUESTIONS = ("company.employees >= 50", 'person.country in ["DE", "AT"]', "has(person.phone)", "score.total >= 45")


def duration(value: object) -> timedelta:
    """`30d`, `24h`, `15m`, `90s` or `2w` as a timedelta. Raises ValueError for anything else, and for zero."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhdw])", value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"write a number and a unit: {_meant(str(value)) or '15m, 2h, 24h, 30d'}")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _meant(value: str) -> str:
    """What somebody meant who wrote `30`, `30 days` or `0d`; empty where that cannot be told."""
    found = re.fullmatch(r"0*([0-9]{1,6}) *([a-zA-Z]*)", value.strip())
    if not found:
        return ""
    number, unit = int(found[1] or 0), found[2].lower()[:1]
    if not number:
        return "1 or more; for no time at all leave it out"
    if found[2].lower().startswith("mo"):
        number, unit = number * 30, "d"
    elif unit == "y":
        number, unit = number * 365, "d"
    return f"{number}{unit}" if unit in _UNITS else "" if unit else f"{number}d, {number}h or {number}m"


def _expression(value: object, info: ValidationInfo) -> Expression:
    if not isinstance(value, str):
        mistake = "write an expression in quotes, as in 'company.employees >= 50'"
        raise ValueError(mistake)  # noqa: TRY004 - pydantic collects ValueError
    return Expression(value, (info.context or {}).get("lists"))


@cache
def _zones() -> frozenset[str]:
    """Reading them takes ten milliseconds."""
    return frozenset(zoneinfo.available_timezones())


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(
            f"there is no such time zone{nearest(name, sorted(_zones())) or '; write it as in Europe/Berlin'}"
        )
    return name


def _holiday(name: str) -> str:
    with suppress(ValueError):
        date.fromisoformat(name)
        return name
    import holidays  # noqa: PLC0415 - only a file that names a country pays for its table

    country, _, region = name.partition("-")
    regions = holidays.list_supported_countries().get(country)
    if regions is None or (region and region not in regions):
        raise ValueError("write a day as in 2026-12-24, or a country or region as in DE or DE-BY")
    return name


def in_a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
TouchKind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$", max_length=100)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]
Zone = Annotated[str, AfterValidator(_zone)]
TimeOfDay = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Duration = Annotated[
    timedelta,
    PlainValidator(duration),
    WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,5}[smhdw]$", "examples": ["15m", "2h", "24h", "30d"]}),
]
Question = Annotated[
    Expression,
    PlainValidator(_expression),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST, "examples": list(_QUESTIONS)}),
]
Points = Annotated[StrictInt, Field(ge=-100, le=100)]
Threshold = Annotated[StrictInt, Field(ge=0, le=100)]
Holiday = Annotated[str, AfterValidator(_holiday)]


class Part(BaseModel):
    """A part of the file: keys it does not know are refused, and it never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Calendar(BaseModel):
    """
    Working hours: `tz`, and for days or ranges of days the times, as in `mon-fri: '09:00-12:00, 13:00-18:00'`.

    A time that ends before it begins ends on the next day (`22:00-06:00`). `holidays` are closed: dates as
    `2026-12-24`, and countries or their regions as `DE` or `DE-BY`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[
        Annotated[str, StringConstraints(pattern=DAYS)],
        Annotated[str, StringConstraints(pattern=rf"^{_SPAN}(, ?{_SPAN})*$")],
    ]
    tz: Zone = "UTC"
    holidays: Annotated[tuple[Holiday, ...], BeforeValidator(in_a_list, Holiday | tuple[Holiday, ...])] = ()


class Worked(Part):
    """Whatever has working hours: written here as `hours`, or the name of one of the `calendars`."""

    hours: Calendar | None = None
    calendar: Name | None = None

    @model_validator(mode="after")
    def _one_calendar(self) -> Worked:
        if self.hours is not None and self.calendar is not None:
            raise ValueError("give either `hours` or `calendar`")
        return self
