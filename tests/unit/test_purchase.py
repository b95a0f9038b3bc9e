"""Purchases: amounts are exact, what cannot be read is flagged, and no sale is lost for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.draft import Draft
from schema.purchase import amount, currency, sale
from schema.understood import Understood


def bought(kind: str = "purchase", /, **custom: Any) -> Any:  # noqa: ANN401 - values of any kind, and a sale
    return sale(Understood(Draft(custom=custom), kind))


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        (19.99, "19.99"),
        (0.1 + 0.2, "0.3"),
        (49, "49"),
        ("49.00", "49.00"),
        ("1.234,50 €", "1234.50"),
        ("$1,234.50", "1234.50"),
        ("12,5", "12.5"),
        ("1,234", "1234"),
        ("1,234,567", "1234567"),
        ("-5.00", "-5.00"),
        (1e-7, "0.0000001"),
        (1e300, None),
        (float("nan"), None),
        (True, None),
        ("1e5", None),
        ("12-13", None),
        ("free", None),
        ("", None),
        (None, None),
        ({"amount": 1}, None),
    ],
)
def test_an_amount_is_read_exactly_as_it_is_written_or_not_at_all(written: Any, exact: str | None) -> None:  # noqa: ANN401
    assert amount(written) == (exact and Decimal(exact))


@given(st.decimals(-(10**12), 10**12, places=2))
def test_every_amount_in_cents_comes_back_as_it_was_written(value: Decimal) -> None:
    assert amount(str(value)) == value
    assert amount(f"{value:,.2f} EUR") == value


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_whatever_a_system_sends_as_a_sale_is_a_sale(value: Any) -> None:  # noqa: ANN401
    found = bought(total=value, currency=value, order_id=value, line_items=value)
    assert found.kind in {"purchase", "refund"}
    assert (found.amount is None) == any(code.startswith("amount_") for code in found.issues)


def test_a_currency_is_a_code_however_it_is_written_and_a_sign_of_several_is_none() -> None:
    assert [currency(each) for each in ("eur", " EUR ", "€", "$", "kr", "XYZ", None, 978)] == [
        *("EUR", "EUR", "EUR"),
        *[None] * 5,
    ]


def test_an_unknown_currency_is_flagged_and_kept() -> None:
    found = bought(total="100", currency="Doubloons", order_id="7")
    assert (found.amount, found.currency, found.issues) == (Decimal(100), "Doubloons", ["currency_unknown"])
    assert bought(total="100 €").currency == "EUR"
    assert bought(total="100").issues == ["currency_missing"]
    assert bought(order_id="7", currency="EUR").issues == ["amount_missing"]


def test_an_order_of_a_shop_is_read_by_its_usual_names() -> None:
    found = bought(
        "order_completed",
        **{
            "properties.order_id": "A-1",
            "properties.total": 27.5,
            "properties.currency": "USD",
            "properties.products": [{"name": "Kiln", "sku": "K1", "quantity": 1, "price": 27.5}, {"x": 1}, "Clay"],
        },
    )
    assert (found.kind, found.external_id, found.amount, found.currency) == ("purchase", "A-1", Decimal("27.5"), "USD")
    assert found.products == [{"name": "Kiln", "sku": "K1", "quantity": "1", "price": "27.5"}, {"name": "Clay"}]
    nested = bought(order={"id": 991, "total_price": "12.00", "currency": "EUR", "line_items": []}, id="evt_1")
    assert (nested.amount, nested.currency) == (Decimal("12.00"), "EUR")
    money = bought(amount={"value": "5.00", "currency": "GBP"})
    assert (money.amount, money.currency) == (Decimal("5.00"), "GBP")


def test_the_id_of_a_customer_is_not_that_of_an_order() -> None:
    assert bought(total=5, currency="EUR", **{"customer.id": "c1", "customer.total": 9}).external_id is None


def test_a_refund_is_a_sale_of_its_own_that_names_its_order() -> None:
    found = bought("refund", order_id="A-1", refund_id="R-1", total="5.00", currency="EUR")
    assert (found.kind, found.external_id, found.order_id) == ("refund", "R-1", "A-1")
    negative = bought(order_id="A-1", total="-5.00", currency="EUR")
    assert (negative.kind, negative.amount, negative.external_id) == ("refund", Decimal("5.00"), None)


def test_what_an_adapter_made_of_it_goes_before_what_the_payload_calls_things() -> None:
    told = Understood(
        Draft(custom={"total": 4900}), "purchase", data={"purchase": {"total": "49.00", "currency": "eur"}}
    )
    found = sale(told)
    assert found is not None
    assert (found.amount, found.currency) == (Decimal("49.00"), "EUR")


def test_what_is_no_sale_or_only_a_trial_is_none() -> None:
    assert bought("form", total=5) is None
    assert sale(Understood(Draft(custom={"total": 5}), "purchase", test=True)) is None
