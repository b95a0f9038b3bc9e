"""
Surveys: one row for each time that somebody is to be asked how satisfied they are, about what, and what they answered.

`planned` until its time has come; then it is either `cancelled` for a reason, or `sent`: handed to the send of the same
id, which says what became of the mail. The latest answer until `expires_at` counts; every one of them is kept.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

SURVEY_STATES: tuple[str, ...] = ("planned", "sent", "answered", "cancelled", "expired")

survey = Table(
    "survey",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("journey", Text, nullable=False, comment="the version whose question it is"),
    Column("survey", Text, nullable=False, comment="its name in the journey"),
    Column("kind", Text, nullable=False, comment="csat or nps"),
    Column("occasion", Text, nullable=False, comment="what it was planned for: the same is asked once"),
    Column("about_kind", Text, nullable=False, comment="lead, ticket, opportunity or contract"),
    Column("about_id", UUID(as_uuid=False), nullable=False),
    Column("agent", Text, comment="whose work it is about, as it was when they were asked"),
    Column("state", Text, nullable=False),
    Column("reason", Text, comment="a code: why it was cancelled"),
    Column("asked_by", Text, nullable=False, comment="email, or the channel on which somebody asked in person"),
    Column("planned_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True), comment="when they were asked"),
    Column("expires_at", DateTime(timezone=True), comment="until when it can be answered"),
    Column("answered_at", DateTime(timezone=True), comment="when the answer was given that counts"),
    Column("score", SmallInteger),
    Column("comment", Text),
    Column("ticket_id", UUID(as_uuid=False), comment="the complaint that a low answer opened"),
    UniqueConstraint("lead_id", "survey", "occasion", name="uq_survey_occasion"),
    CheckConstraint(f"state IN {SURVEY_STATES}", name="state_known"),
    CheckConstraint("kind IN ('csat', 'nps')", name="kind_known"),
    CheckConstraint("(state = 'answered') = (answered_at IS NOT NULL)", name="answered_at_a_time"),
    CheckConstraint(
        "CASE WHEN kind = 'csat' THEN score BETWEEN 1 AND 5 ELSE score BETWEEN 0 AND 10 END", name="score_in_range"
    ),
    CheckConstraint("answered_at IS NULL OR score IS NOT NULL", name="answered_with_a_score"),
    CheckConstraint("state NOT IN ('sent', 'answered', 'expired') OR sent_at IS NOT NULL", name="sent_at_a_time"),
    Index("ix_survey_person", "person_id", "sent_at"),
    Index("ix_survey_about", "about_id"),
    Index("ix_survey_sent", "sent_at", postgresql_where=text("sent_at IS NOT NULL")),
    Index("ix_survey_named", "survey", "id"),
    Index("ix_survey_agent", "agent", "id", postgresql_where=text("agent IS NOT NULL")),
    postgresql_with={"fillfactor": "80"},
)

survey_answer = Table(
    "survey_answer",
    metadata,
    Column("survey_id", UUID(as_uuid=False), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("score", SmallInteger, nullable=False),
    Column("comment", Text),
    Column("channel", Text, nullable=False, comment="web, or where somebody took it: phone, chat, …"),
    Column("actor", Text, nullable=False, comment="person: they did it themselves; else who took it"),
    PrimaryKeyConstraint("survey_id", "number"),
)
