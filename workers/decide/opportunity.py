"""
Opportunity: is what somebody says of a possible sale something that can be kept, and what does it change?

Amounts are exact decimals and come as text. `given` are plain values as JSON or a command line has them; what is None
is taken back, what is missing is left as it is.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NoReturn

from schema.errors import Permanent
from schema.journey.fields import instead, nearest
from schema.payload import without_controls
from schema.purchase import CURRENCIES, products_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from schema.journey import Journey
    from schema.journey.pipeline import Pipeline, Stage

FIELDS: Final = (
    "stage", "name", "owner", "amount", "currency", "probability", "expected_close", "products", "competitors",
    "next_action",
)  # fmt: skip
"""What somebody may say of an opportunity."""
MOST_PRODUCTS: Final = 50
MOST_COMPETITORS: Final = 20
LONGEST_NAME: Final = 200
LONGEST_ACTION: Final = 500
_AMOUNT: Final = re.compile(r"\d{1,15}(\.\d{1,4})?\Z", re.ASCII)
_DAY: Final = re.compile(r"20\d\d-\d\d-\d\d\Z", re.ASCII)


def read(given: Mapping[str, Any], journey: Journey, pipeline: Pipeline) -> dict[str, Any]:
    """
    Return the columns that `given` says, each of its own type: amounts `Decimal`, days `date`, a probability 0 to 1.

    :raises Permanent: a code of what is wrong, with the `field` it is about: `stage_unknown`, `owner_unknown`,
        `amount_invalid`, `currency_unknown`, `probability_invalid`, `day_invalid`, `products_invalid`,
        `competitors_invalid`, `text_invalid`
    """
    readers: dict[str, Callable[[str, Any], Any]] = {
        "stage": lambda field, value: _named(field, value, pipeline.stages),
        "owner": lambda field, value: _named(field, value, journey.people),
        "amount": _amount,
        "currency": _currency,
        "probability": _probability,
        "expected_close": _day,
        "products": _products,
        "competitors": _competitors,
        "name": lambda field, value: _text(field, value, LONGEST_NAME),
        "next_action": lambda field, value: _text(field, value, LONGEST_ACTION),
    }
    return {field: readers[field](field, value) for field, value in given.items()}


def completed(values: dict[str, Any], row: Mapping[str, Any], pipeline: Pipeline) -> dict[str, Any]:
    """What was read, with a currency where there is an amount, and none where there is none."""
    amount = values.get("amount", row.get("amount"))
    currency = values.get("currency", row.get("currency"))
    if amount is not None and currency is None:
        return values | {"currency": pipeline.currency}
    if amount is None and currency is not None:
        return values | {"currency": None}
    return values


def missing(stage: Stage, row: Mapping[str, Any]) -> list[str]:
    """What an opportunity would have to have before it may come to a stage."""
    return [field for field in stage.requires if row.get(field) in (None, [], "")]


def changes(row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields that `values` change, each with what it is changed `from` and `to`."""
    return {
        field: {"from": row[field], "to": value}
        for field, value in values.items()
        if value != row[field] and not (value in (None, []) and row[field] in (None, []))
    }


def chosen(rows: Iterable[dict[str, Any]], pipeline: Pipeline, amount: Decimal | None) -> dict[str, Any] | None:
    """
    Which of the open ones a sale that came in is: the only one of its amount, else the one furthest on.

    Of several that are as far, the oldest; None where there is none.
    """
    order = list(pipeline.stages)
    found = sorted(
        rows, key=lambda row: (-order.index(row["stage"]) if row["stage"] in order else 1, row["opened_at"], row["id"])
    )
    alike = [row for row in found if amount is not None and row["amount"] == amount]
    return alike[0] if len(alike) == 1 else found[0] if found else None


def asked(row: Mapping[str, Any], rules: Pipeline | None) -> dict[str, Any]:
    """What expressions may ask of an opportunity, below `opportunity`; what is not known is absent."""
    stage = rules.stages.get(row["stage"]) if rules else None
    probability = row["probability"] if row["probability"] is not None else stage and stage.probability / 100
    known = {
        "pipeline": row["pipeline"],
        "stage": row["stage"],
        "status": row["outcome"] or "open",
        "reason": row["reason"],
        "amount": None if row["amount"] is None else float(row["amount"]),
        "currency": row["currency"],
        "probability": probability if row["outcome"] is None else None,
        "products": [each[name] for each in row["products"] for name in ("name", "sku") if each.get(name)],
        "competitors": list(row["competitors"]),
        "quiet": row["quiet_since"] is not None,
        "reopened": row["reopened"],
    }
    return {name: value for name, value in known.items() if value is not None}


def _refuse(code: str, field: str, message: str, **facts: object) -> NoReturn:
    raise Permanent(code, message, field=field, **facts)


def _named(field: str, value: Any, known: Mapping[str, Any]) -> str | None:  # noqa: ANN401 - whatever was given
    if value is None and field == "owner":
        return None
    if not isinstance(value, str) or value not in known:
        what = "stage in this pipeline" if field == "stage" else "person in the journey"
        words = f"There is no such {what}{instead(value if isinstance(value, str) else '', known)}"
        _refuse(f"{field}_unknown", field, words, known=list(known))
    return value


def _amount(field: str, value: Any) -> Decimal | None:  # noqa: ANN401
    if value is None:
        return None
    if not isinstance(value, str) or not _AMOUNT.match(value):
        _refuse("amount_invalid", field, 'Write the amount as text, in digits with a point, as in "1234.50".')
    return Decimal(value)


def _currency(field: str, value: Any) -> str | None:  # noqa: ANN401
    if value is not None and value not in CURRENCIES:
        near = nearest(value, sorted(CURRENCIES)) if isinstance(value, str) else ""
        _refuse("currency_unknown", field, f"Write the currency by its ISO 4217 code, as in EUR{near or '.'}")
    return value  # type: ignore[no-any-return]  # one of the currencies, or None


def _probability(field: str, value: Any) -> float | None:  # noqa: ANN401
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        _refuse("probability_invalid", field, "Write the probability as a number from 0 to 1, as in 0.4.")
    return float(value)


def _day(field: str, value: Any) -> date | None:  # noqa: ANN401
    if value is None:
        return None
    try:
        if isinstance(value, str) and _DAY.match(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    _refuse("day_invalid", field, "Write the day as in 2027-01-31, between 2000 and 2099.")


def _products(field: str, value: Any) -> list[dict[str, str]]:  # noqa: ANN401
    if value is None:
        return []
    found = products_of(value) if isinstance(value, list) and len(value) <= MOST_PRODUCTS else []
    if not isinstance(value, list) or len(found) != len(value):
        text = f"Give up to {MOST_PRODUCTS} products, each by its name, or as name, sku, quantity and price."
        _refuse("products_invalid", field, text)
    return found


def _competitors(field: str, value: Any) -> list[str]:  # noqa: ANN401
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MOST_COMPETITORS:
        _refuse("competitors_invalid", field, f"Give up to {MOST_COMPETITORS} competitors, each by its name.")
    found = [_text(field, each, LONGEST_NAME, code="competitors_invalid") for each in value]
    return list(dict.fromkeys(name for name in found if name))


def _text(field: str, value: Any, longest: int, *, code: str = "text_invalid") -> str | None:  # noqa: ANN401
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        _refuse(code, field, f"Write {field} as a text of at most {longest} characters.")
    return " ".join(without_controls(value).split()) or None
