"""Decisions: what a step decided about a lead, by which rules of which journey version, and why not otherwise."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

decision = Table(
    "decision",
    metadata,
    Column("lead_id", UUID(as_uuid=False), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1, 2, 3 … of this lead"),
    Column("step", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("journey", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, comment="a code; the journey's own words where it has some"),
    Column("explanation", JSONB, nullable=False, comment="rule, inputs, candidates and why each was or was not chosen"),
)
