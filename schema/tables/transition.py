"""Transitions: named moves of a lead between two states, each one a move its journey knows."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKeyConstraint, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

transition = Table(
    "transition",
    metadata,
    Column("lead_id", UUID(as_uuid=False), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1, 2, 3 … of this lead, no gaps"),
    Column("journey", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False, comment="journey, or the key that asked"),
    Column("reason", Text),
    CheckConstraint("number > 0", name="number_counts_from_one"),
    ForeignKeyConstraint(
        ["journey", "from_state", "name", "to_state"],
        ["journey_move.journey", "journey_move.from_state", "journey_move.name", "journey_move.to_state"],
        name="fk_transition_is_a_move_of_its_journey",
    ),
    # Rows are written in this order, but for history that is loaded: what lies in a window is found at hardly any cost.
    Index(
        "ix_transition_at",
        "at",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
)
