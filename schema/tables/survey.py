"""Surveys: one row for each person who is asked how satisfied they are, about what, and what they answered."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, SmallInteger, Table, Text, UniqueConstraint, text
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
    Column("journey", Text, nullable=False),
    Column("survey", Text, nullable=False, comment="its name in the journey"),
    Column("kind", Text, nullable=False, comment="csat or nps"),
    Column("occasion", Text, nullable=False, comment="what it was planned for: the same is asked once"),
    Column("about_kind", Text, nullable=False, comment="lead or ticket"),
    Column("about_id", UUID(as_uuid=False), nullable=False),
    Column("agent", Text, comment="whose work it is about, as it was when the survey was sent"),
    Column("state", Text, nullable=False),
    Column("reason", Text, comment="a code: why it was cancelled"),
    Column("planned_at", DateTime(timezone=True), nullable=False),
    Column("sent_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True)),
    Column("answered_at", DateTime(timezone=True)),
    Column("score", SmallInteger),
    Column("comment", Text),
    UniqueConstraint("lead_id", "survey", "occasion", name="uq_survey_occasion"),
    CheckConstraint(f"state IN {SURVEY_STATES}", name="state_known"),
    CheckConstraint("kind IN ('csat', 'nps')", name="kind_known"),
    CheckConstraint("(state = 'answered') = (answered_at IS NOT NULL)", name="answered_at_a_time"),
    CheckConstraint("score BETWEEN 0 AND 10", name="score_in_range"),
    CheckConstraint("answered_at IS NULL OR score IS NOT NULL", name="answered_with_a_score"),
    Index("ix_survey_person", "person_id", "sent_at"),
    Index("ix_survey_about", "about_id"),
    Index("ix_survey_sent", "journey_name", "survey", "sent_at", postgresql_where=text("sent_at IS NOT NULL")),
)
