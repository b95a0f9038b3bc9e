"""
Timers: when something that belongs to a lead wants to be looked at again.

A ticket, an opportunity, a contract, a follow-up or a survey has at most one, under its own id: the earliest of all
that it waits for. What is to be done then is decided anew from what is so at that time, so a timer that goes off late,
twice or for nothing is harmless. Whoever changes a timer has locked its lead.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

TIMED: tuple[str, ...] = ("contract", "follow_up", "opportunity", "survey", "ticket")

timer = Table(
    "timer",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True, comment="of what it is the timer of"),
    Column("kind", Text, nullable=False),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("due_at", DateTime(timezone=True), comment="null: it failed, and is set aside"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    CheckConstraint(f"kind IN {TIMED}", name="kind_known"),
    Index("ix_timer_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_timer_lead", "lead_id"),
    postgresql_with={"fillfactor": "70"},
)
