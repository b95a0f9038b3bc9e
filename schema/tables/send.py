"""
Sends: one row for each message to one person, from the plan to what became of it; and addresses never to be written to.

Most go to the person of a lead. Those to one of the journey's own people (`staff`) are about no single lead.

`planned` is due from `due_at` on; `sending` was claimed and handed over, or is about to be; `unknown` was claimed by
somebody who ended before writing down how it went, and is never sent again by itself; the others are over. What holds
a message back is checked in the transaction that claims it.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

SEND_STATES: tuple[str, ...] = ("planned", "sending", "sent", "failed", "unknown", "skipped")

send = Table(
    "send",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True, comment="version 7; the message id is made of it"),
    Column("journey_name", Text, nullable=False),
    Column("journey", Text, nullable=False, comment="the version whose template is sent"),
    Column("campaign", Text, nullable=False, comment="or what else sends: opt_in"),
    Column("step", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("enrolment_id", UUID(as_uuid=False)),
    Column("person_id", UUID(as_uuid=False)),
    Column("lead_id", UUID(as_uuid=False)),
    Column("entry_key", Text, nullable=False),
    Column("lane", SmallInteger, nullable=False, comment="0: service, before 1: marketing"),
    Column("priority", SmallInteger, nullable=False, server_default="50"),
    Column("purpose", Text, comment="what needs consent; null: nothing does"),
    Column("capped", Text, nullable=False, server_default="defer"),
    Column(
        "data",
        JSONB,
        nullable=False,
        server_default="{}",
        comment="more for the template, or of a no; no personal data",
    ),
    Column("state", Text, nullable=False),
    Column("reason", Text, comment="a code: why it was skipped, put off or failed"),
    Column("planned_at", DateTime(timezone=True), nullable=False),
    Column("due_at", DateTime(timezone=True), comment="not before this; null: not to be sent any more"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("claimed_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True), comment="when it was sent, failed or was skipped"),
    Column("reply", Text, comment="the code that its mail server answered"),
    Column("consent_id", UUID(as_uuid=False), comment="the answer that allowed it"),
    Column("links", JSONB, comment="where its links lead"),
    Column("opened_at", DateTime(timezone=True)),
    Column("clicked_at", DateTime(timezone=True)),
    Column("replied_at", DateTime(timezone=True)),
    Column("bounced_at", DateTime(timezone=True)),
    Column("complained_at", DateTime(timezone=True)),
    Column("unsubscribed_at", DateTime(timezone=True)),
    Column("staff", Text, comment="one of the journey's people, to whom it goes in place of a lead's person"),
    UniqueConstraint("journey_name", "campaign", "step", "person_id", "entry_key", name="uq_send_once"),
    CheckConstraint(f"state IN ({', '.join(repr(name) for name in SEND_STATES)})", name="state_known"),
    CheckConstraint("(staff IS NULL) = (person_id IS NOT NULL AND lead_id IS NOT NULL)", name="for_somebody"),
    CheckConstraint("(state = 'planned') = (due_at IS NOT NULL)", name="planned_is_due"),
    CheckConstraint(
        "(state IN ('sending', 'unknown', 'sent')) <= (claimed_at IS NOT NULL)", name="claimed_before_sent"
    ),
    Index(
        "uq_send_staff",
        "campaign",
        "step",
        "staff",
        "entry_key",
        unique=True,
        postgresql_where=text("staff IS NOT NULL"),
    ),
    Index("ix_send_due", "lane", "due_at", postgresql_where=text("state = 'planned'")),
    Index(
        "ix_send_parked",
        "journey_name",
        "campaign",
        "due_at",
        postgresql_where=text("state = 'planned' AND reason = 'campaign_paused'"),
    ),
    Index("ix_send_sending", "claimed_at", postgresql_where=text("state = 'sending'")),
    Index("ix_send_unknown", "id", postgresql_where=text("state = 'unknown'")),
    Index("ix_send_person", "person_id", "claimed_at"),
    Index("ix_send_campaign", "journey_name", "campaign", "state", "id"),
    postgresql_with={"fillfactor": "70"},
)

suppression = Table(
    "suppression",
    metadata,
    Column("address", LargeBinary, primary_key=True, comment="keyed hash of the match key: outlives the person"),
    Column("reason", Text, nullable=False, comment="hard_bounce, soft_bounces, complaint, unsubscribed, by_hand"),
    Column("soft", Integer, nullable=False, server_default="0", comment="soft bounces lately"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("until", DateTime(timezone=True), comment="null: until somebody lifts it"),
    Column("active", Text, nullable=False, server_default="all", comment="what it holds back: all, marketing, nothing"),
    Column("send_id", UUID(as_uuid=False)),
    Column("actor", Text),
    CheckConstraint("octet_length(address) = 32", name="address_is_a_hash"),
    CheckConstraint("active IN ('all', 'marketing', 'nothing')", name="active_known"),
)
