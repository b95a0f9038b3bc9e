"""Follow-ups: work for people with a due time. Who did not do it is reminded; one that is over has an outcome."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

follow_up = Table(
    "follow_up",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("journey", Text, nullable=False),
    Column("rule", Text, comment="of the journey, or campaign/step; null: by hand"),
    Column("occasion", Text, nullable=False, comment="what it was made for: the same makes no other"),
    Column("text", Text, nullable=False),
    Column("about_kind", Text, nullable=False, comment="lead, ticket, opportunity, contract, survey"),
    Column("about_id", UUID(as_uuid=False), nullable=False),
    Column("owner", Text, comment="null: nobody has the lead yet"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("remind_at", DateTime(timezone=True)),
    Column("snoozed_until", DateTime(timezone=True)),
    Column("reminded_at", DateTime(timezone=True)),
    Column("escalated_at", DateTime(timezone=True)),
    Column("escalated_to", Text),
    Column("outcome", Text, comment="null: open; cancelled where it fell away"),
    Column("note", Text),
    Column("done_at", DateTime(timezone=True)),
    Column("done_by", Text),
    UniqueConstraint("lead_id", "rule", "occasion", name="uq_follow_up_occasion"),
    CheckConstraint("(outcome IS NULL) = (done_at IS NULL)", name="done_with_outcome"),
    CheckConstraint("about_kind IN ('lead', 'ticket', 'opportunity', 'contract', 'survey')", name="about_known"),
    Index("ix_follow_up_owner", "owner", "due_at", postgresql_where=text("outcome IS NULL")),
    Index("ix_follow_up_lead", "lead_id"),
    Index("ix_follow_up_due", "due_at", "id", postgresql_where=text("outcome IS NULL")),
)
