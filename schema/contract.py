"""
Contracts: what an arrival says about one: that it began, was renewed, was cancelled or is over.

    reads   what a provider's adapter made of it (`data["contract"]`), else an object `contract` or `subscription`, else
            the usual names beside the rest: `contract_id`, `starts_on`, `ends_on`, `period`, `auto_renew`, …
    gives   a `Told`: days are days where the contract is; a moment is turned into one by whoever knows the time zone

A purchase that names a contract's end or period begins one. What cannot be read is flagged. Pure.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from schema.draft import moment
from schema.draft_words import NO, YES, normal_name
from schema.purchase import amount, currency, first_of, line_of, products_of, sale

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schema.payload import JSON
    from schema.understood import Understood

What = Literal["started", "renewed", "cancelled", "ended"]

_WHATS: Final[dict[What, str]] = {
    "started": "contract.started contract.created subscription.started subscription.created subscription.activated",
    "renewed": "contract.renewed subscription.renewed renewal",
    "cancelled": "contract.cancelled contract.canceled subscription.cancelled subscription.canceled",
    "ended": "contract.ended contract.expired subscription.ended subscription.expired subscription.deleted",
}
KINDS: Final[dict[str, What]] = {kind: what for what, kinds in _WHATS.items() for kind in kinds.split()}
"""Kinds of touchpoints that are about a contract."""
SALES: Final = frozenset({"purchase", "payment", "order.completed", "order.paid", "order_completed", "order_paid"})
"""Kinds that begin a contract where they say how long it runs."""
_HOLDERS: Final = ("contract", "subscription")
_PLACES: Final = frozenset({"", "data", "object", "order", "payload", "properties"})
_IDS: Final = ("contractid", "subscriptionid", "contract", "subscription", "contractnumber")
_OWN_IDS: Final = ("id", "number", *_IDS)
_STARTS: Final = ("contractstart", "startson", "startdate", "start", "startsat", "currentperiodstart", "periodstart")
_LAST_DAYS: Final = ("contractend", "endson", "enddate", "end", "lastday")
_NEXT_STARTS: Final = ("renewaldate", "renewson", "renewsat", "endsat", "currentperiodend", "periodend", "expiresat")
_PERIODS: Final = ("contractperiod", "contractterm", "period", "term", "interval", "billingperiod")
_AMBIGUOUS: Final = frozenset((*_STARTS, *_LAST_DAYS, *_NEXT_STARTS, *_PERIODS)) - {
    "contractstart", "contractend", "contractperiod", "contractterm", "renewaldate", "renewson", "renewsat",
}  # fmt: skip
"""Names that mean a contract's only where the arrival is about nothing else: a sale may be of a stay or a course."""
_RENEWS: Final = ("renewsitself", "autorenew", "autorenews", "autorenewal")
_STOPS: Final = ("cancelatperiodend",)
_AMOUNTS: Final = ("amount", "total", "value", "price")
_CURRENCIES: Final = ("currency", "currencycode")
_PRODUCTS: Final = ("products", "items", "lineitems", "product", "plan")
_REASONS: Final = ("reason", "cancellationreason")
_REASON: Final = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d\Z")
_YEARS: Final = range(1900, 2201)
_ISO: Final = re.compile(r"P(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?\Z", re.IGNORECASE)
_COUNTED: Final = re.compile(r"(\d{1,5})?\s*[-_ ]?\s*(day|week|month|quarter|year)s?\Z")
_NAMED: Final = {
    "daily": "P1D", "weekly": "P7D", "monthly": "P1M", "quarterly": "P3M", "halfyearly": "P6M",
    "semiannual": "P6M", "semiannually": "P6M", "yearly": "P12M", "annual": "P12M", "annually": "P12M",
    "biennial": "P24M",
}  # fmt: skip
_UNITS: Final = {"day": (0, 1), "week": (0, 7), "month": (1, 0), "quarter": (3, 0), "year": (12, 0)}
_LONGEST_MONTHS: Final = 1200
_LONGEST_DAYS: Final = 36_600


class Told(msgspec.Struct):
    """
    What is said of one contract.

    `last_day` is the last one that belongs to it, `next_start` the first that does not: a system names one or the
    other. `period` is `P12M` or `P30D`: months of the calendar, or days.
    """

    what: What
    external_id: str | None = None
    starts: date | datetime | None = None
    last_day: date | datetime | None = None
    next_start: date | datetime | None = None
    period: str | None = None
    renews_itself: bool | None = None
    amount: Decimal | None = None
    currency: str | None = None
    products: list[dict[str, str]] = msgspec.field(default_factory=list)
    reason: str | None = None
    issues: list[str] = msgspec.field(default_factory=list)

    @property
    def names_term(self) -> bool:
        """Whether it says which days the term has, or how long it is."""
        return any((self.starts, self.last_day, self.next_start, self.period))


def told(said: Understood) -> Told | None:
    """What an arrival says about a contract; None if nothing, or if its sender only tries out."""
    what = KINDS.get(said.kind)
    if said.test or (what is None and said.kind not in SALES):
        return None
    named = _named(said, only=what is None)
    found = _read(what or "started", named)
    if found.external_id is None and what is None and (sold := sale(said)):
        found.external_id = sold.external_id
    if what is None and not (found.last_day or found.next_start or found.period):
        return None
    return found


def period(value: JSON) -> str | None:
    """How long a term is, as `P12M` or `P30D`: from `P1Y`, `monthly`, `12 months`, `year`; None for anything else."""
    text = value.strip().casefold() if isinstance(value, str) else ""
    if plain := _NAMED.get(normal_name(text)):
        return plain
    if iso := _ISO.match(text):
        years, months, weeks, days = (int(part or 0) for part in iso.groups())
        return _written(12 * years + months, 7 * weeks + days)
    if counted := _COUNTED.match(text):
        months, days = _UNITS[counted[2]]
        number = int(counted[1] or 1)
        return _written(number * months, number * days)
    return None


def _written(months: int, days: int) -> str | None:
    if months and not days and months <= _LONGEST_MONTHS:
        return f"P{months}M"
    return f"P{days}D" if days and not months and days <= _LONGEST_DAYS else None


def prepared(**found: JSON) -> dict[str, Any]:
    """What an adapter keeps of a contract (`data["contract"]`), by the names that `told` reads."""
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _named(said: Understood, *, only: bool) -> dict[str, JSON]:
    """
    What the arrival says by plain names: the contract's own object first, then what stands beside it.

    With `only`, of the latter nothing that could be about something else.
    """
    given = said.data.get("contract")
    if isinstance(given, dict):
        return {normal_name(name): value for name, value in given.items()}
    beside: dict[str, JSON] = {}
    own: dict[str, JSON] = {}
    values = {**dict(said.data.get("properties", {})), **said.draft.custom}
    for name, value in _pairs(values):
        place, _, last = name.rpartition(".")
        plain = normal_name(last)
        if place.rpartition(".")[2].lower() in _HOLDERS:
            own.setdefault("contractid" if plain in {"id", "number"} else plain, value)
        elif place.rpartition(".")[2].lower() in _PLACES and plain not in {"id", "number"}:
            beside.setdefault(plain, value)
    if only:
        beside = {name: value for name, value in beside.items() if name not in _AMBIGUOUS}
    return beside | own


def _pairs(values: Mapping[str, JSON]) -> Iterator[tuple[str, JSON]]:
    """Names and values, those of a contract's own object with its name before them; the outermost first."""
    for name, value in sorted(values.items(), key=lambda item: item[0].count(".")):
        if isinstance(value, dict) and normal_name(name.rpartition(".")[2]) in _HOLDERS:
            yield from ((f"{name.rpartition('.')[2].lower()}.{inner}", item) for inner, item in value.items())
        elif isinstance(value, dict) and name.rpartition(".")[2].lower() in _PLACES:
            for inner, item in value.items():
                if isinstance(item, dict) and inner.lower() in _HOLDERS:
                    yield from ((f"{inner.lower()}.{last}", deepest) for last, deepest in item.items())
        else:
            yield name, value


def _read(what: What, named: Mapping[str, JSON]) -> Told:
    found = Told(what, external_id=line_of(first_of(named, _OWN_IDS)))
    found.starts = _day(found, named, _STARTS)
    found.last_day = _day(found, named, _LAST_DAYS)
    found.next_start = _day(found, named, _NEXT_STARTS)
    length = first_of(named, _PERIODS)
    found.period = period(length)
    if length is not None and found.period is None:
        found.issues.append("period_unreadable")
    found.renews_itself = _flag(first_of(named, _RENEWS))
    if (stops := _flag(first_of(named, _STOPS))) is not None and found.renews_itself is None:
        found.renews_itself = not stops
    found.amount = amount(first_of(named, _AMOUNTS))
    found.currency = currency(first_of(named, _CURRENCIES))
    if found.amount is not None and (found.currency is None or found.amount < 0):
        found.amount = None
        found.issues.append("amount_unreadable")
    found.products = products_of(first_of(named, _PRODUCTS))
    reason = first_of(named, _REASONS)
    found.reason = reason if isinstance(reason, str) and _REASON.match(reason) else None
    return found


def _day(found: Told, named: Mapping[str, JSON], names: tuple[str, ...]) -> date | datetime | None:
    value = first_of(named, names)
    if value is None:
        return None
    if isinstance(value, str) and _DAY.match(value.strip()):
        try:
            day = date.fromisoformat(value.strip())
        except ValueError:
            day = date.min
        if day.year in _YEARS:
            return day
    elif (at := moment(value)[0]) is not None:
        return at
    found.issues.append("date_unreadable")
    return None


def _flag(value: JSON) -> bool | None:
    if isinstance(value, bool):
        return value
    said = str(value).strip().casefold() if isinstance(value, str | int) else ""
    return True if said in YES else False if said in NO else None
