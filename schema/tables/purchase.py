"""
Purchases: what somebody bought, renewed or was paid back, told by the systems that sell.

The same order told several times (created, paid, fulfilled) is one row: the latest that names an amount is believed,
and it was bought when it was first heard of. A refund is a row of its own.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

KINDS = ("purchase", "renewal", "refund")

purchase = Table(
    "purchase",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, comment="what the seller's system calls it; null: it does not say"),
    Column("order_id", Text, comment="of a refund: the external id of what was paid back"),
    Column("kind", Text, nullable=False),
    Column("amount", Numeric, comment="never negative; null: it could not be read"),
    Column("currency", Text, comment="ISO 4217, else as told"),
    Column("products", JSONB, nullable=False, server_default=text("'[]'")),
    Column("issues", JSONB, nullable=False, server_default=text("'[]'"), comment="codes: what could not be read"),
    Column("receipt_id", UUID(as_uuid=False), nullable=False, comment="the arrival that told the amount"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("told_at", DateTime(timezone=True), nullable=False, comment="when that arrival happened"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"kind IN {KINDS}", name="kind_known"),
    CheckConstraint("amount >= 0", name="amount_not_negative"),
    ForeignKeyConstraint(["person_id"], ["person.id"]),
    UniqueConstraint("source", "external_id"),
    Index("ix_purchase_person", "person_id", "at", "id"),
    Index("ix_purchase_at", "at"),
)

_NEWER: Final = (
    "(EXCLUDED.amount IS NOT NULL, EXCLUDED.told_at, EXCLUDED.receipt_id)"
    " > (purchase.amount IS NOT NULL, purchase.told_at, purchase.receipt_id)"
)
ON_CONFLICT: Final = (
    "ORDER BY source, external_id ON CONFLICT (source, external_id) DO UPDATE SET at = LEAST(purchase.at, EXCLUDED.at)"
    + "".join(
        f", {name} = CASE WHEN {_NEWER} THEN EXCLUDED.{name} ELSE purchase.{name} END"
        for name in ("order_id", "kind", "amount", "currency", "products", "issues", "receipt_id", "told_at")
    )
)
"""How an order that is told again is written."""
