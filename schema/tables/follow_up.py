"""Follow-ups: work for people with a due time, and an outcome when it is over; and the addresses of their calendars."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

ABOUT: tuple[str, ...] = ("lead", "ticket", "opportunity", "contract", "survey")
CANCELLED = "cancelled"
"""The outcome of those that fell away; any other one is of what somebody did."""

follow_up = Table(
    "follow_up",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("journey", Text, nullable=False, comment="the version whose rule and people are its own"),
    Column("rule", Text, comment="of the journey, or campaign/step; null: by hand"),
    Column("occasion", Text, nullable=False, comment="what it was made for: the same makes no other"),
    Column("text", Text, nullable=False),
    Column("about_kind", Text, nullable=False, comment=", ".join(ABOUT)),
    Column("about_id", UUID(as_uuid=False), nullable=False),
    Column("role", Text, nullable=False, comment="owner of the lead, agent of what it is about, or a person named"),
    Column("owner", Text, comment="null: nobody has the lead yet"),
    Column("department", Text, comment="whose work it is; null: nothing says so"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("first_due_at", DateTime(timezone=True), nullable=False, comment="before anybody put it off"),
    Column("remind_at", DateTime(timezone=True)),
    Column("snoozed_until", DateTime(timezone=True)),
    Column("snoozes", SmallInteger, nullable=False, server_default="0"),
    Column("reminded_at", DateTime(timezone=True)),
    Column("late_at", DateTime(timezone=True), comment="told that it is late"),
    Column("escalated_at", DateTime(timezone=True)),
    Column("escalated_to", Text),
    Column("outcome", Text, comment="null: open; cancelled where it fell away"),
    Column("reason", Text, comment="a code: why it fell away"),
    Column("note", Text),
    Column("done_at", DateTime(timezone=True)),
    Column("done_by", Text),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("changes", Integer, nullable=False, server_default="0", comment="how often calendars have to be told anew"),
    UniqueConstraint("lead_id", "rule", "occasion", name="uq_follow_up_occasion", postgresql_nulls_not_distinct=True),
    CheckConstraint("(outcome IS NULL) = (done_at IS NULL)", name="done_with_outcome"),
    CheckConstraint(f"about_kind IN {ABOUT}", name="about_known"),
    CheckConstraint("role IN ('owner', 'agent', 'person')", name="role_known"),
    Index("ix_follow_up_owner", "owner", "due_at", "id", postgresql_where=text("outcome IS NULL")),
    Index("ix_follow_up_due", "due_at", "id", postgresql_where=text("outcome IS NULL")),
    Index("ix_follow_up_owner_over", "owner", "done_at", "id", postgresql_where=text("outcome IS NOT NULL")),
    Index("ix_follow_up_over", "done_at", "id", postgresql_where=text("outcome IS NOT NULL")),
    Index("ix_follow_up_lead", "lead_id"),
    Index("ix_follow_up_about", "about_id"),
    postgresql_with={"fillfactor": "80"},
)

calendar_feed = Table(
    "calendar_feed",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True, comment="what the address of the calendar is made of"),
    Column("owner", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Index("uq_calendar_feed_owner", "owner", unique=True, postgresql_where=text("revoked_at IS NULL")),
)
