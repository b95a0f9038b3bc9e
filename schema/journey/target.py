"""Targets: what a figure is to come to, of which state, transition or touchpoint it is, and over what time."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AfterValidator, Field, PlainValidator, StrictInt, WithJsonSchema, model_validator

from schema.journey.fields import nearest
from schema.journey.parts import Code, Duration, Part, Text, TouchKind, duration
from schema.kpi.catalog import CATALOG, Kpi
from schema.kpi.figure import Of

TARGETED: Final = {name: kpi for name, kpi in CATALOG.items() if any(map(kpi.single, (None, *kpi.of)))}
"""The KPIs that can have a target: those with one answer to one question."""
LONGEST: Final = timedelta(days=3660)
_AMOUNT: Final = r"^-?\d{1,15}(\.\d{1,6})?(%|[smhdw]| [A-Z]{3})?$"
_AS_IN: Final = {
    "share": ("25%", r"%"),
    "seconds": ("2d", r"[smhdw]"),
    "money": ("10000 EUR", r" [A-Z]{3}"),
    "money_per_day": ("500 EUR", r" [A-Z]{3}"),
}
"""How an amount is written for a unit; a plain number for the others."""


def _figure(name: str) -> str:
    if name in TARGETED:
        return name
    if name in CATALOG:
        raise ValueError(f"{name} has several answers at once, so it cannot have a target; these can: {_names()}")
    raise ValueError(f"there is no such KPI{nearest(name, list(TARGETED)) or f'; there are {_names()}'}")


def _names() -> str:
    return ", ".join(TARGETED)


def _amount(given: object) -> str:
    text = str(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else ""
    if not re.fullmatch(_AMOUNT, text):
        raise ValueError("write 25%, 2d, 10000 EUR or a plain number, as the figure is measured")
    return text


Amount = Annotated[
    str,
    PlainValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string", "pattern": _AMOUNT}]}),
]
Figure = Annotated[str, AfterValidator(_figure), Field(json_schema_extra={"enum": list(TARGETED)})]


class Bound(NamedTuple):
    """What a figure has to keep to: at most, or at least, a `value` in the KPI's unit; of money in a `currency`."""

    most: bool
    value: Decimal
    currency: str | None

    def kept(self, value: float | Decimal) -> bool:
        """Whether a figure keeps to it."""
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        return exact <= self.value if self.most else exact >= self.value


class TargetOf(Part):
    """What a target is about: one of these, by its name in the journey."""

    state: Code | None = None
    transition: Code | None = None
    touchpoint: TouchKind | None = None
    pipeline: Code | None = None
    ticket: Code | None = None
    sla: Literal["first_response", "next_response", "resolution"] | None = None
    survey: Code | None = None
    campaign: Code | None = None

    @model_validator(mode="after")
    def _one(self) -> TargetOf:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"name one thing: {', '.join(type(self).model_fields)}")
        return self

    @property
    def named(self) -> Of:
        """What it is, and its name."""
        (kind,) = self.model_fields_set
        return Of(kind, getattr(self, kind))


class Target(Part):
    """
    What a KPI is to come to, `at_least` or `at_most`, `over` the latest days.

    A share is written as 25%, a duration as 2d, money as 10000 EUR, anything else as a number. Of a duration it is the
    median, or the given `percentile`. It is judged from so many on as the KPI needs, or as `needed` says.
    """

    label: Text | None = None
    kpi: Figure
    of: TargetOf | None = None
    at_least: Amount | None = None
    at_most: Amount | None = None
    percentile: Literal[50, 90] = 50
    over: Duration = timedelta(days=30)
    needed: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Target:
        kpi, kind = CATALOG[self.kpi], self.of.named.kind if self.of else None
        if not kpi.single(kind):
            possible = [name for name in kpi.of if kpi.single(name)]
            ways = [f"of: {{{name}: …}}" for name in possible] + ([] if not kpi.single(None) else ["no `of`"])
            raise ValueError(f"{self.kpi} can be asked with {' or '.join(ways)}")
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either `at_least` or `at_most`")
        if self.percentile != 50 and kpi.unit != "seconds":  # noqa: PLR2004 - the median
            raise ValueError(f"only durations have a `percentile`, and {self.kpi} is none")
        if self.over < timedelta(days=1) or self.over % timedelta(days=1):
            raise ValueError("`over` is whole days, as in 7d: figures are counted by day")
        if self.over > LONGEST:
            raise ValueError("`over` is ten years at most: 3660d")
        _read(kpi, self._given)
        return self

    @property
    def _given(self) -> str:
        given = self.at_most if self.at_least is None else self.at_least
        assert given is not None  # noqa: S101 - `_makes_sense` has seen to it
        return given

    @property
    def bound(self) -> Bound:
        """What the figure has to keep to."""
        value, currency = _read(CATALOG[self.kpi], self._given)
        return Bound(self.at_least is None, value, currency)

    @property
    def sample(self) -> int:
        """So many are needed before it is judged."""
        return CATALOG[self.kpi].needed if self.needed is None else self.needed


def _read(kpi: Kpi, given: str) -> tuple[Decimal, str | None]:
    """The amount in the KPI's unit, and its currency."""
    example, unit = _AS_IN.get(kpi.unit, ("100", ""))
    found = re.fullmatch(r"(-?[.\d]+)(%|[smhdw]| [A-Z]{3})?", given)
    if found is None or not re.fullmatch(unit, found[2] or ""):
        raise ValueError(f"{kpi.name} is written as in {example}")
    if kpi.unit == "seconds":
        return Decimal(int(duration(given).total_seconds())), None
    value = Decimal(found[1])
    return (value / 100, None) if found[2] == "%" else (value, (found[2] or "").strip() or None)
