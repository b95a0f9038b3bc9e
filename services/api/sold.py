"""What requests say of a sale or a contract: amounts, currencies, periods and products."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schema import contract, purchase
from services.api.shapes import Shape

Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


def _currency(value: str) -> str:
    if value not in purchase.CURRENCIES:
        raise ValueError("a currency is written as in EUR")
    return value


def _period(value: str) -> str:
    if (known := contract.period(value)) is None:
        raise ValueError("a period is written as in P12M, P30D, monthly or yearly")
    return known


def _amount(value: Decimal) -> Decimal:
    if not value.is_finite() or value < 0:
        raise ValueError("an amount is a number of 0 or more")
    return value


Amount = Annotated[Decimal, Field(max_digits=27, decimal_places=12), AfterValidator(_amount)]
Currency = Annotated[str, AfterValidator(_currency), Field(description="ISO 4217, as in EUR.")]
Period = Annotated[str, AfterValidator(_period), Field(max_length=40, description="`P12M`, `P30D`, `monthly`, …")]


class Product(Shape):
    """What is bought, as far as it is told."""

    name: Line | None = None
    sku: Line | None = None
    quantity: Line | None = None
    price: Line | None = None

    def told(self) -> dict[str, str]:
        """What of it is told."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class Asked(BaseModel):
    """A request, without anything that nobody reads."""

    model_config = ConfigDict(extra="forbid")
