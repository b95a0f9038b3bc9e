"""
Journeys: versions that never change, the moves each allows, which one new leads enter, and which did before.

The moves called `migrate` are not the file's: they lead from a state of another version into one of this.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, ForeignKeyConstraint, Identity, Index, Table, Text

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

journey_activation = Table(
    "journey_activation",
    metadata,
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("activated_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False, comment="the command line, or the key that asked"),
    Column("returns_to", BigInteger, comment="of a rollback: the activation whose version it goes back to"),
    ForeignKeyConstraint(["version"], ["journey.version"]),
    Index("ix_journey_activation_name", "name", "number"),
)
