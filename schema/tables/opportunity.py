"""
Opportunities: possible sales, each at a stage of a pipeline, and every change of one.

Amounts are exact decimals; sums of two currencies are never added. One that is over has an outcome.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

opportunity = Table(
    "opportunity",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("name", Text),
    Column("stage", Text, nullable=False, comment="of one that is over: where it was"),
    Column("stage_since", DateTime(timezone=True), nullable=False),
    Column("owner", Text, comment="null: the lead's"),
    Column("department", Text, comment="whose work it is; null: nothing says so"),
    Column("amount", Numeric),
    Column("currency", Text),
    Column("probability", Float, comment="0 to 1, as somebody said it; null: that of its stage"),
    Column("expected_close", Date),
    Column("products", JSONB, nullable=False, server_default=text("'[]'")),
    Column("competitors", JSONB, nullable=False, server_default=text("'[]'")),
    Column("next_action", Text),
    Column("outcome", Text, comment="null: open"),
    Column("reason", Text, comment="of a lost one: one of its pipeline's"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("touched_at", DateTime(timezone=True), nullable=False, comment="when anything last happened to it"),
    Column("quiet_since", DateTime(timezone=True), comment="told that it is quiet for too long"),
    Column("changes", Integer, nullable=False, server_default="0"),
    Column("reopened", Integer, nullable=False, server_default="0"),
    CheckConstraint("outcome IN ('won', 'lost')", name="outcome_known"),
    CheckConstraint("(outcome IS NULL) = (closed_at IS NULL)", name="closed_with_outcome"),
    CheckConstraint("outcome <> 'lost' OR reason IS NOT NULL", name="lost_for_a_reason"),
    CheckConstraint("amount >= 0", name="amount_not_negative"),
    CheckConstraint("amount IS NULL OR currency IS NOT NULL", name="amount_in_a_currency"),
    CheckConstraint("probability BETWEEN 0 AND 1", name="probability_in_range"),
    Index("ix_opportunity_lead", "lead_id"),
    Index("ix_opportunity_person", "person_id"),
    Index("ix_opportunity_open", "journey_name", "pipeline", "stage", "id", postgresql_where=text("outcome IS NULL")),
    Index("ix_opportunity_any_open", "id", postgresql_where=text("outcome IS NULL")),
    Index("ix_opportunity_owner", "owner", "id", postgresql_where=text("owner IS NOT NULL")),
    Index(
        "ix_opportunity_closed", "journey_name", "pipeline", "closed_at", postgresql_where=text("outcome IS NOT NULL")
    ),
)

opportunity_change = Table(
    "opportunity_change",
    metadata,
    Column("opportunity_id", UUID(as_uuid=False), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("what", Text, nullable=False, comment="opened, stage, changed, won, lost, reopened"),
    Column("from_stage", Text),
    Column("to_stage", Text, nullable=False),
    Column("stayed_s", Integer, comment="seconds in the stage that was left"),
    Column("amount", Numeric),
    Column("currency", Text),
    Column("data", JSONB, nullable=False, server_default=text("'{}'"), comment="the fields that changed: from, to"),
    PrimaryKeyConstraint("opportunity_id", "number"),
)
