"""Dead letters: what kept failing in its step, set aside to be seen, retried or discarded."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("step", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="receipt, lead, enrolment or timer"),
    Column("subject_id", UUID(as_uuid=False), nullable=False),
    Column("fingerprint", Text, nullable=False, comment="the same for failures of the same kind and place"),
    Column("error", Text, nullable=False, comment="class and code, never a value"),
    Column("facts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("attempts", Integer, nullable=False),
    Column("trace", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolution", Text, comment="retried or discarded"),
    CheckConstraint("subject IN ('receipt', 'lead', 'enrolment', 'timer')", name="subject_known"),
    CheckConstraint("(resolved_at IS NULL) = (resolution IS NULL)", name="resolution_has_time"),
    Index(
        "uq_dead_letter_open",
        "subject_id",
        unique=True,
        postgresql_where=text("resolved_at IS NULL"),
    ),
)
