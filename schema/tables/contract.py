"""Contracts: sales that renew. One term is one row; the next term refers to the one before."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

contract = Table(
    "contract",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("external_id", Text, comment="what the seller's system calls it; the same over all its terms"),
    Column("follows", UUID(as_uuid=False), comment="the term before"),
    Column("products", JSONB, nullable=False, server_default=text("'[]'")),
    Column("amount", Numeric, comment="for the whole term"),
    Column("currency", Text),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date, nullable=False, comment="its last day"),
    Column("anchor_on", Date, nullable=False, comment="the first day of its first term: months are counted from it"),
    Column("period", Text, comment="how long a term is: P12M, P30D"),
    Column("tz", Text, nullable=False, comment="where its days begin"),
    Column("renews_itself", Boolean, nullable=False, server_default="false"),
    Column("status", Text, nullable=False),
    Column("reason", Text, comment="why it was cancelled: a code"),
    Column(
        "told", JSONB, nullable=False, server_default=text("'[]'"), comment="moments before the end told already, s"
    ),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("cancelled_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True), comment="when it was renewed or over; null: it runs"),
    CheckConstraint("status IN ('active', 'renewed', 'ended', 'cancelled')", name="status_known"),
    CheckConstraint("ended_at IS NOT NULL OR status IN ('active', 'cancelled')", name="runs_until_it_is_over"),
    CheckConstraint("(status = 'active') <= (ended_at IS NULL)", name="active_while_it_runs"),
    CheckConstraint("ends_on >= starts_on", name="ends_after_it_starts"),
    CheckConstraint("amount >= 0", name="amount_not_negative"),
    CheckConstraint("amount IS NULL OR currency IS NOT NULL", name="amount_in_a_currency"),
    UniqueConstraint("source", "external_id", "starts_on", name="uq_contract_term"),
    Index("uq_contract_follows", "follows", unique=True, postgresql_where=text("follows IS NOT NULL")),
    Index("ix_contract_lead", "lead_id"),
    Index("ix_contract_person", "person_id"),
    Index("ix_contract_runs", "ends_on", "id", postgresql_where=text("ended_at IS NULL")),
)
