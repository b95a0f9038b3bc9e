"""Assignments: who was given which lead when, of people who take only so many in a while. Never changed."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

assignment = Table(
    "assignment",
    metadata,
    Column("person", Text, primary_key=True, comment="the short name that journeys use"),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("lead_id", UUID(as_uuid=False), primary_key=True),
)
