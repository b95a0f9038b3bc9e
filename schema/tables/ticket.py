"""
Tickets: customers' issues, complaints, requests and questions; what was said and done about each; and their clocks.

The statuses are fixed, what leads from one to another is `schema/ticketing.py`'s. A clock is one promise of one ticket
(`next_response` starts anew with each unanswered message); pauses are kept so that every figure can be counted again.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

STATUSES: tuple[str, ...] = ("new", "open", "waiting", "on_hold", "resolved", "closed")
"""`waiting`: for the customer; `on_hold`: for somebody else."""
CLOCK_STATES: tuple[str, ...] = ("active", "at_risk", "breached", "hit", "missed", "cancelled")

ticket = Table(
    "ticket",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, comment="what people call it by"),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("journey", Text, nullable=False, comment="the version whose kinds and clocks are its own"),
    Column("kind", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("subject", Text),
    Column("desk", Text),
    Column("owner", Text),
    Column("department", Text, comment="whose work it is; null: nothing says so"),
    Column("waiting_since", DateTime(timezone=True), comment="set while nobody of its desk is free"),
    Column("source", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("external_id", Text, comment="what another system calls it"),
    Column("refers_to", UUID(as_uuid=False), comment="the closed ticket that it goes on with"),
    Column("root_cause", Text),
    Column("resolution", Text),
    Column("sla", Text, comment="the name of its policy"),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("status_since", DateTime(timezone=True), nullable=False),
    Column("first_response_at", DateTime(timezone=True)),
    Column("resolved_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    Column("closes_at", DateTime(timezone=True), comment="of a resolved one: when it is closed if nobody objects"),
    Column("reopened", Integer, nullable=False, server_default="0"),
    Column("entries", Integer, nullable=False, server_default="0"),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"status IN {STATUSES}", name="status_known"),
    CheckConstraint("priority IN ('low', 'normal', 'high', 'urgent')", name="priority_known"),
    CheckConstraint("(status = 'closed') = (closed_at IS NOT NULL)", name="closed_when_closed"),
    UniqueConstraint("number", name="uq_ticket_number"),
    Index("uq_ticket_external", "external_id", "source", unique=True, postgresql_where=text("external_id IS NOT NULL")),
    Index("ix_ticket_lead", "lead_id"),
    Index("ix_ticket_opened", "opened_at"),
    Index("ix_ticket_person", "person_id"),
    Index("ix_ticket_open", "status", "id", postgresql_where=text("status <> 'closed'")),
    Index("ix_ticket_nobody", "status", "id", postgresql_where=text("owner IS NULL")),
    Index("ix_ticket_owner", "owner", "status", "id", postgresql_where=text("owner IS NOT NULL")),
    Index("ix_ticket_work", "owner", postgresql_where=text("status IN ('new', 'open') AND owner IS NOT NULL")),
    Index(
        "ix_ticket_waiting", "journey_name", "desk", "waiting_since", postgresql_where=text("waiting_since IS NOT NULL")
    ),
    postgresql_with={"fillfactor": "80"},
)

ticket_entry = Table(
    "ticket_entry",
    metadata,
    Column("ticket_id", UUID(as_uuid=False), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it happened"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False, comment="opened, message_in, message_out, note, status, assigned, changed, …"),
    Column("actor", Text, nullable=False, comment="customer, a person of the journey, a key, journey"),
    Column("channel", Text),
    Column("body", Text),
    Column("machine", Boolean, nullable=False, server_default="false", comment="an automatic answer: no response"),
    Column("touchpoint_id", UUID(as_uuid=False), comment="the touchpoint whose arrival it is"),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),
    PrimaryKeyConstraint("ticket_id", "number"),
    Index(
        "uq_ticket_entry_touchpoint", "touchpoint_id", unique=True, postgresql_where=text("touchpoint_id IS NOT NULL")
    ),
)

ticket_clock = Table(
    "ticket_clock",
    metadata,
    Column("ticket_id", UUID(as_uuid=False), nullable=False),
    Column("metric", Text, nullable=False),
    Column("cycle", Integer, nullable=False, comment="1, 2, … of this metric and ticket"),
    Column("journey", Text, nullable=False, comment="the version that it is counted by"),
    Column("policy", Text, nullable=False),
    Column("desk", Text, comment="whose hours count where the policy has none"),
    Column("target_s", Integer, nullable=False, comment="seconds of working time"),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), comment="when the time is over; null: while it stands still"),
    Column("state", Text, nullable=False),
    Column("told", JSONB, nullable=False, server_default=text("'[]'"), comment="thresholds, in per cent, told already"),
    Column("stopped_at", DateTime(timezone=True)),
    Column("worked_s", Integer, comment="working time it took, pauses left out; null: running"),
    PrimaryKeyConstraint("ticket_id", "metric", "cycle"),
    CheckConstraint(f"state IN {CLOCK_STATES}", name="state_known"),
    CheckConstraint("metric IN ('first_response', 'next_response', 'resolution')", name="metric_known"),
    CheckConstraint("(stopped_at IS NOT NULL) = (state IN ('hit', 'missed', 'cancelled'))", name="stops_with_state"),
    Index("ix_ticket_clock_running", "journey", "ticket_id", postgresql_where=text("stopped_at IS NULL")),
    Index(
        "ix_ticket_clock_due",
        "due_at",
        "ticket_id",
        "metric",
        postgresql_where=text("stopped_at IS NULL AND due_at IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": "80"},
)

ticket_pause = Table(
    "ticket_pause",
    metadata,
    Column("ticket_id", UUID(as_uuid=False), nullable=False),
    Column("from_at", DateTime(timezone=True), nullable=False),
    Column("to_at", DateTime(timezone=True), comment="null: it goes on"),
    Column("status", Text, nullable=False),
    PrimaryKeyConstraint("ticket_id", "from_at"),
    CheckConstraint("to_at >= from_at", name="ends_after_it_begins"),
)
