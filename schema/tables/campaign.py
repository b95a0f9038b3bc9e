"""
Campaigns at work: who is where in which of them, what became of each step, and which campaigns stand still.

An enrolment is due when `due_at` has come: for its next step, for the end of a wait, or because something happened to
its lead. While it waits for what becomes of a message it is not due. Whoever changes an enrolment that is under way
has locked its lead before, so that nothing that happens to the lead is missed.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
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
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

ENDS: tuple[str, ...] = ("finished", "goal", "exited", "aborted", "cancelled")
"""How an enrolment ends: at its last step, with the goal, by an exit, since a message was not to be, by hand."""

enrolment = Table(
    "enrolment",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True, comment="version 7: in order of entering"),
    Column("journey_name", Text, nullable=False),
    Column("journey", Text, nullable=False, comment="the version it entered and stays with"),
    Column("campaign", Text, nullable=False),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("entry_key", Text, nullable=False, comment="which occasion this is: the same one enters once"),
    Column("entered_at", DateTime(timezone=True), nullable=False),
    Column("entered_by", Text, nullable=False, comment="the way in, or who did it by hand"),
    Column("step", Text, comment="the next one, or the one that is waited at; null: over"),
    Column("since", DateTime(timezone=True), nullable=False, comment="since when it is at this step"),
    Column("due_at", DateTime(timezone=True), comment="when to look at it; null: over, or waiting for a message"),
    Column(
        "listens_since",
        DateTime(timezone=True),
        nullable=False,
        comment="its steps ask about touchpoints since then: its latest message",
    ),
    Column("number", Integer, nullable=False, server_default="0", comment="steps done"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("arms", JSONB, nullable=False, server_default="{}", comment="which way it was sent at each split"),
    Column("holdout", Boolean, nullable=False, server_default="false"),
    Column("outcome", Text),
    Column("reason", Text),
    Column("goal_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    UniqueConstraint("person_id", "journey_name", "campaign", "entry_key", name="uq_enrolment_occasion"),
    CheckConstraint(f"outcome IN ({', '.join(repr(name) for name in ENDS)})", name="outcome_known"),
    CheckConstraint("(outcome IS NULL) = (ended_at IS NULL)", name="ends_with_outcome"),
    CheckConstraint("(outcome IS NULL) = (step IS NOT NULL)", name="is_at_a_step_until_it_ends"),
    CheckConstraint("outcome IS NULL OR due_at IS NULL", name="over_is_not_due"),
    Index(
        "uq_enrolment_running",
        "journey_name",
        "campaign",
        "person_id",
        unique=True,
        postgresql_where=text("outcome IS NULL"),
    ),
    Index("ix_enrolment_due", "journey_name", "campaign", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("ix_enrolment_lead", "lead_id", postgresql_where=text("outcome IS NULL")),
    Index("ix_enrolment_entered", "journey_name", "campaign", "entered_at"),
    postgresql_with={"fillfactor": "70"},
)

enrolment_step = Table(
    "enrolment_step",
    metadata,
    Column("enrolment_id", UUID(as_uuid=False), nullable=False),
    Column("number", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False, comment="done, timed_out, chosen, sent, skipped, …"),
    Column("explanation", JSONB, nullable=False, server_default="{}"),
    PrimaryKeyConstraint("enrolment_id", "number"),
)

campaign_state = Table(
    "campaign_state",
    metadata,
    Column("journey_name", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("paused_at", DateTime(timezone=True)),
    Column("paused_by", Text),
    Column("held_at", DateTime(timezone=True), comment="more people entered than expected: waits to be approved"),
    Column("held_for", Integer, comment="how many had entered when it was held"),
    Column("approved_until", DateTime(timezone=True)),
    Column("approved_by", Text),
    Column("approved_most", Integer, comment="how many may enter within the time of the audience, until then"),
    PrimaryKeyConstraint("journey_name", "campaign"),
)

campaign_look = Table(
    "campaign_look",
    metadata,
    Column("journey_name", Text, nullable=False),
    Column("version", Text, nullable=False, comment="for whose campaigns the leads there were are looked at"),
    Column("after", UUID(as_uuid=False), comment="the last lead that was looked at; null: none yet"),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("journey_name"),
)
