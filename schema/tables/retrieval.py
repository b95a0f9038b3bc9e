"""Retrievals: answers that a provider's delivery only named, as they were fetched; and when to try again until then."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

retrieval = Table(
    "retrieval",
    metadata,
    Column("receipt_id", UUID(as_uuid=False), ForeignKey("receipt.id", ondelete="CASCADE"), primary_key=True),
    Column("due_at", DateTime(timezone=True), nullable=False, comment="not tried before this"),
    Column("attempts", Integer, nullable=False),
    Column("content_type", Text),
    Column("body", LargeBinary, comment="the raw bytes, as they were fetched"),
    Column("fetched_at", DateTime(timezone=True)),
    CheckConstraint("(body IS NULL) = (fetched_at IS NULL)", name="body_has_time"),
    CheckConstraint("(body IS NULL) = (content_type IS NULL)", name="body_has_type"),
    CheckConstraint("attempts > 0", name="attempts_positive"),
)
