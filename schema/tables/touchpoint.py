"""Touchpoints: one interaction with a person on one channel. One that came by a receipt has the receipt's id."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

touchpoint = Table(
    "touchpoint",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),
    Index("ix_touchpoint_lead", "lead_id", "occurred_at"),
    # Rows are written in this order and never change: what came in a window of time is found at hardly any cost.
    Index(
        "ix_touchpoint_recorded",
        "recorded_at",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
    Index(
        "ix_touchpoint_occurred",
        "occurred_at",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
)
