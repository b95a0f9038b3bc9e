"""Journeys: versions that never change, the moves each allows, and which one new leads enter."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Table, Text

from schema.tables.base import metadata

journey = Table(
    "journey",
    metadata,
    Column("version", Text, primary_key=True, comment="the first 12 hex digits of the content's sha-256"),
    Column("name", Text, nullable=False),
    Column("document", Text, nullable=False, comment="the file, as it was written"),
    Column("initial_state", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

journey_move = Table(
    "journey_move",
    metadata,
    Column("journey", Text, primary_key=True),
    Column("from_state", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("to_state", Text, primary_key=True),
    ForeignKeyConstraint(["journey"], ["journey.version"]),
)

journey_active = Table(
    "journey_active",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("activated_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["version"], ["journey.version"]),
)
