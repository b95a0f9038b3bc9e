"""
Receipts: one arrival from outside, kept exactly as it came, with what became of it.

`submission` is the memory that makes posting twice harmless: what a key (the sender's, or a hash of the content)
was answered with, until it expires. A submission of `POST /v1/leads` may hold many receipts.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, LargeBinary, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from schema.tables.base import metadata

STATUSES = ("pending", "processed", "merged", "quarantined", "spam", "rejected")

receipt = Table(
    "receipt",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("source", Text, nullable=False),
    Column("channel", Text, nullable=False, comment="how it came: form, api, email, event, import"),
    Column("content_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="the raw bytes, as they came"),
    Column("headers", JSONB, nullable=False, server_default=text("'{}'")),
    Column("trace", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("reason", Text, comment="a code: why it is quarantined, spam, rejected"),
    Column("lead_id", UUID(as_uuid=False)),
    Column("person_id", UUID(as_uuid=False)),
    Column("due_since", DateTime(timezone=True), comment="set while `identify` owes it work"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("detail", JSONB, comment="what was found: reasons of spam, a suggested mapping, files; no personal data"),
    Column(
        "test",
        Boolean,
        nullable=False,
        server_default="false",
        comment="a canary or a trial of the sender: kept out of every figure",
    ),
    Column(
        "released_at",
        DateTime(timezone=True),
        comment="when somebody let it out of quarantine: nothing holds it again",
    ),
    CheckConstraint(f"status IN {STATUSES}", name="status_known"),
    CheckConstraint("due_since IS NULL OR status = 'pending'", name="only_pending_is_due"),
    CheckConstraint(
        "status NOT IN ('processed', 'merged') OR (lead_id IS NOT NULL AND person_id IS NOT NULL)",
        name="processed_has_lead",
    ),
    CheckConstraint(
        "status NOT IN ('quarantined', 'spam', 'rejected') OR reason IS NOT NULL",
        name="refusal_has_reason",
    ),
    Index("ix_receipt_due", "due_since", postgresql_where=text("due_since IS NOT NULL")),
    Index("ix_receipt_fetch", "received_at", postgresql_where=text("reason = 'fetch_pending'")),
    Index(
        "ix_receipt_held",
        "id",
        postgresql_where=text("status IN ('quarantined', 'spam')"),
    ),
    Index(
        "ix_receipt_held_reason",
        "reason",
        "id",
        postgresql_where=text("status IN ('quarantined', 'spam')"),
    ),
)

submission = Table(
    "submission",
    metadata,
    Column("source", Text, primary_key=True),
    Column("key", LargeBinary, primary_key=True, comment="sha-256 of the sender's key, or of the content"),
    Column("fingerprint", LargeBinary, nullable=False, comment="sha-256 of what was sent"),
    Column("receipt_ids", ARRAY(UUID(as_uuid=False)), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("cardinality(receipt_ids) > 0", name="has_receipts"),
    CheckConstraint("octet_length(key) = 32", name="key_is_a_hash"),
    Index("ix_submission_expires", "expires_at"),
    # Written in this order: whether what was acknowledged in a window of time is there is found at hardly any cost.
    Index(
        "ix_submission_receipt",
        text("(receipt_ids[1])"),
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
)
