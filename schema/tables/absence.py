"""Absences: when somebody who can own leads takes none, known beforehand (leave) or from now on (a pause)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

absence = Table(
    "absence",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("person", Text, nullable=False, comment="the short name that journeys use"),
    Column("kind", Text, nullable=False),
    Column("from_at", DateTime(timezone=True), nullable=False),
    Column("until_at", DateTime(timezone=True), comment="null: until they are back"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False, comment="the key that asked"),
    CheckConstraint("kind IN ('pause', 'leave')", name="kind_known"),
    CheckConstraint("until_at > from_at", name="ends_after_it_begins"),
    Index("ix_absence_until", "until_at", "person", postgresql_where=text("until_at IS NOT NULL")),
    Index("ix_absence_open", "person", postgresql_where=text("until_at IS NULL")),
)
