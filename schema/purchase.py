"""
Purchases: what an arrival says that somebody bought, renewed or was paid back.

    reads   what a provider's adapter made of it (`data["purchase"]`), else the usual names of an order in what the
            arrival carries: `total`, `currency`, `order_id`, `line_items`, …
    gives   a `Sale`: amounts are exact decimals; what cannot be read is flagged, and the sale is kept all the same

Pure.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from schema.draft_words import normal_name
from schema.payload import without_controls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.payload import JSON
    from schema.understood import Understood

Kind = Literal["purchase", "renewal", "refund"]

KINDS: Final[dict[str, Kind]] = {
    "purchase": "purchase",
    "payment": "purchase",
    "order.completed": "purchase",
    "order.paid": "purchase",
    "order_completed": "purchase",
    "order_paid": "purchase",
    "contract.renewed": "renewal",
    "renewal": "renewal",
    "refund": "refund",
    "payment.refunded": "refund",
    "order.refunded": "refund",
    "order_refunded": "refund",
}
"""Kinds of touchpoints that are a sale."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CURRENCIES: Final = _words(
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLF "
    "CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD "
    "RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX "
    "USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG"
)
"""ISO 4217, those that are paid with."""
_SIGNS: Final = {"€": "EUR", "£": "GBP", "₹": "INR", "zł": "PLN", "₺": "TRY", "R$": "BRL", "US$": "USD"}
"""Signs that mean one currency; the dollar's and the crown's mean several."""

_AMOUNTS: Final = ("total", "totalprice", "ordertotal", "grandtotal", "amount", "revenue", "value", "price")
_CURRENCIES: Final = ("currency", "currencycode")
_ORDERS: Final = ("orderid", "ordernumber", "transactionid", "invoiceid", "paymentid", "checkoutid", "id")
_REFUNDS: Final = ("refundid",)
_PRODUCTS: Final = ("lineitems", "products", "items", "product")
_PLACES: Final = frozenset({"", "data", "object", "order", "payload", "properties"})
"""Where an order's own fields stand: the id of a customer in it is not the order's."""
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,12})?\Z")
_EXPONENT: Final = re.compile(r"\d[eE][+-]?\d")
_LARGEST: Final = 10**15
_MOST_DIGITS: Final = 12
_LARGEST_ID: Final = 10**40
_LONGEST: Final = 200
_MOST_PRODUCTS: Final = 50


class Sale(msgspec.Struct):
    """One sale. `external_id` is the seller's own name of it, `order_id` what a refund pays back."""

    kind: Kind
    amount: Decimal | None = None
    currency: str | None = None
    external_id: str | None = None
    order_id: str | None = None
    products: list[dict[str, str]] = msgspec.field(default_factory=list)
    issues: list[str] = msgspec.field(default_factory=list)


def sale(said: Understood) -> Sale | None:
    """The sale that an arrival tells of; None if it tells of none, or of one that its sender only tries out."""
    kind = KINDS.get(said.kind)
    if kind is None or said.test:
        return None
    given = said.data.get("purchase")
    if isinstance(given, dict):
        return _sale(kind, named_values(given))
    return _sale(kind, named_values(said.data.get("properties", {})) | named_values(said.draft.custom))


def prepared(
    amount: JSON, currency: JSON, order: JSON, *, refund: JSON = None, products: list[JSON] | None = None
) -> dict[str, Any]:
    """What an adapter keeps of a sale (`data["purchase"]`), by the names that `sale` reads."""
    found = {"total": amount, "currency": currency, "order_id": order, "refund_id": refund, "products": products}
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def amount(value: JSON) -> Decimal | None:
    """An amount as it is written, exactly: `19.9`, `"1.234,50 €"`; None for what is none."""
    if isinstance(value, str):
        if _EXPONENT.search(value[:_LONGEST]):
            return None
    elif isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
        return None
    text = re.sub(r"[^\d.,-]", "", value[:_LONGEST]) if isinstance(value, str) else _digits(value)
    if "," in text and "." in text:
        groups, point = (",", ".") if text.rfind(".") > text.rfind(",") else (".", ",")
        text = text.replace(groups, "").replace(point, ".")
    elif "," in text:
        grouped = re.match(r"-?\d{1,3}(,\d{3})+\Z", text)
        text = text.replace(",", "" if grouped else ".")
    if not _NUMBER.match(text):
        return None
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if abs(found) < _LARGEST else None


def _digits(value: float) -> str:
    """A number as its sender wrote it, without what only comes of reckoning with binary fractions."""
    exact = Decimal(repr(value))
    rounded = round(exact, _MOST_DIGITS)
    return format(exact if exact == rounded else rounded.normalize(), "f")


def currency(value: JSON) -> str | None:
    """ISO 4217 code of a currency as it is written; None for what is none."""
    text = value.strip() if isinstance(value, str) else ""
    code = _SIGNS.get(text, text.upper())
    return code if code in CURRENCIES else None


def _sale(kind: Kind, named: Mapping[str, JSON]) -> Sale:
    found = Sale(kind)
    said = first_of(named, _AMOUNTS)
    unit = first_of(named, _CURRENCIES)
    if isinstance(said, dict):
        inside = named_values(said)
        said, unit = first_of(inside, ("value", "amount")), unit or first_of(inside, _CURRENCIES)
    _read_money(found, said, unit)
    order = line_of(first_of(named, _ORDERS))
    if found.kind == "refund":
        found.external_id, found.order_id = line_of(first_of(named, _REFUNDS)), order
    else:
        found.external_id = order
    found.products = products_of(first_of(named, _PRODUCTS))
    return found


def _read_money(found: Sale, said: JSON, unit: JSON) -> None:
    found.amount = amount(said)
    if found.amount is None:
        found.issues.append("amount_missing" if said is None else "amount_unreadable")
    elif found.amount < 0:
        found.amount = -found.amount
        found.kind = "refund"
    written = re.sub(r"[\d.,\s-]", "", said[:_LONGEST]) if isinstance(said, str) else None
    found.currency = currency(unit) or currency(written)
    if found.currency is None:
        found.currency = line_of(unit) or line_of(written)
        found.issues.append("currency_unknown" if found.currency else "currency_missing")


def named_values(values: Mapping[str, JSON]) -> dict[str, JSON]:
    """The values of an order by their plain names, those of the outermost place first."""
    found: dict[str, JSON] = {}
    for name, value in sorted(values.items(), key=lambda item: item[0].count(".")):
        place, _, last = name.rpartition(".")
        if place.rpartition(".")[2].lower() in _PLACES:
            found.setdefault(normal_name(last), value)
    for name in ("order", "object"):
        if isinstance(inner := found.get(name), dict):
            found |= {normal_name(key): value for key, value in inner.items() if normal_name(key) not in found}
    return found


def first_of(named: Mapping[str, JSON], names: tuple[str, ...]) -> JSON:
    return next((named[name] for name in names if named.get(name) not in (None, "")), None)


def line_of(value: JSON) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if not isinstance(value, str) and not abs(value) < _LARGEST_ID:
        return None
    return " ".join(without_controls(str(value)).split())[:_LONGEST] or None


def products_of(value: JSON) -> list[dict[str, str]]:
    """What was bought: `name`, `sku`, `quantity` and `price` as far as they are told."""
    listed = value if isinstance(value, list) else [value]
    found = [_product(each) for each in listed[:_MOST_PRODUCTS]]
    return [product for product in found if product]


def _product(value: JSON) -> dict[str, str]:
    if not isinstance(value, dict):
        name = line_of(value)
        return {"name": name} if name else {}
    named = {normal_name(key): item for key, item in value.items()}
    price = amount(first_of(named, ("price", "unitprice", "total", "amount")))
    parts = {
        "name": line_of(first_of(named, ("name", "title", "productname", "description"))),
        "sku": line_of(first_of(named, ("sku", "productid", "id"))),
        "quantity": line_of(first_of(named, ("quantity", "qty"))),
        "price": None if price is None else str(price),
    }
    return {name: part for name, part in parts.items() if part}
