"""Figures as people say them: `38.2 %`, `2 d 4 h`, `1,250.00 EUR`. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_NO: Final = "-"
REASONS: Final = {
    "nothing_counted": "nothing was counted",
    "most_still_open": "most are not over yet",
    "no_cost": "the journey says no cost",
    "cost_zero": "it has cost nothing",
    "no_window": "the campaign's goal has no time in which purchases count",
    "currencies_differ": "cost and purchases are in different currencies",
}
"""Why there is no value."""


def value(unit: str, number: float | str | Decimal | None, currency: str | None = None) -> str:
    """
    Return a value of a unit.

    >>> value("share", 0.382), value("seconds", 187_200), value("money", "1250.00", "EUR"), value("count", 3)
    ('38.2 %', '2 d 4 h', '1,250.00 EUR', '3')
    """
    if number is None:
        return _NO
    if unit == "seconds":
        return time(float(number))
    if unit == "share":
        return f"{100 * float(number):.1f} %"
    if unit in {"money", "money_per_day"}:
        amount = Decimal(str(number))
        return f"{amount:,.2f}{f' {currency}' if currency else ''}{' a day' if unit == 'money_per_day' else ''}"
    exact = float(number)
    return f"{exact:,.0f}" if exact == int(exact) else f"{exact:,.2f}"


def time(seconds: float) -> str:
    """
    Return a duration in its two largest units.

    >>> time(93), time(0.4)
    ('1 min 33 s', '0.4 s')
    """
    if seconds < 1:
        return f"{seconds:.1f} s"
    left = round(seconds)
    parts: list[tuple[int, str]] = []
    for size, name in _UNITS:
        number, left = divmod(left, size)
        if number or parts:
            parts.append((number, name))
    return " ".join(f"{number} {name}" for number, name in parts[:2] if number)
