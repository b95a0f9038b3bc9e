"""
Hand-overs: work that passed from one department to another, and when somebody there took it up.

One row for each time that a lead, a ticket, an opportunity or a follow-up changes hands in this sense. Its number is
one that the thing counts itself by (of its moves, entries or changes), so that it is there once, whoever runs twice.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, PrimaryKeyConstraint, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

ABOUT: tuple[str, ...] = ("lead", "ticket", "opportunity", "follow_up")
OPEN = "taken_at IS NULL AND ended_at IS NULL"
"""Somebody of the department is to take it up."""

handover = Table(
    "handover",
    metadata,
    Column("about_kind", Text, nullable=False, comment=", ".join(ABOUT)),
    Column("about_id", UUID(as_uuid=False), nullable=False),
    Column("number", Integer, nullable=False, comment="of the transition, the entry or the change that it came with"),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("journey", Text, nullable=False, comment="the version that says whose work it is"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("what", Text, nullable=False, comment="the transition, or: opened, desk, assigned, made, escalated"),
    Column("from_department", Text, nullable=False),
    Column("to_department", Text, nullable=False),
    Column("actor", Text, nullable=False, comment="customer, a person of the journey, a key, journey, campaign"),
    Column("from_owner", Text),
    Column("to_owner", Text),
    Column("system", Text, comment="in which it was handed over"),
    Column("to_system", Text, comment="in which it is worked on from then on"),
    Column("taken_at", DateTime(timezone=True), comment="when somebody of the department first did something about it"),
    Column("taken_by", Text),
    Column("ended_at", DateTime(timezone=True), comment="it went on, or was over, and nobody had taken it"),
    PrimaryKeyConstraint("about_id", "number"),
    CheckConstraint(f"about_kind IN {ABOUT}", name="about_known"),
    CheckConstraint("from_department <> to_department", name="to_another"),
    CheckConstraint("taken_at >= at AND (taken_at IS NULL) = (taken_by IS NULL)", name="taken_by_somebody"),
    CheckConstraint("taken_at IS NULL OR ended_at IS NULL", name="taken_or_ended"),
    # A lead's own are found by what they are about.
    Index("ix_handover_lead", "lead_id", postgresql_where=text("about_id <> lead_id")),
    Index("ix_handover_department", "to_department", "at", "about_id", "number"),
    Index("ix_handover_open", "to_department", "at", "about_id", "number", postgresql_where=text(OPEN)),
    postgresql_with={"fillfactor": "90"},
)
