"""
The account: what is known of past slices of time, so that looking at today never means counting last year again.

`account` has a row per slice and source once all that came in it is settled; a row without a source says that nothing
came. A receipt that is set going again takes its slice's rows away (a trigger), so that it is counted anew. `audit` is
what the latest looks found. `canary` are arrivals of our own that try out each way in.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata
from schema.tables.receipt import receipt

SLICE_S = 300
"""Seconds of a slice; the trigger below says the same."""
FATES = ("processed", "merged", "quarantined", "spam", "rejected", "dead")
"""What a receipt of a closed slice can have come to; `dead` waits in an open dead letter."""

account = Table(
    "account",
    metadata,
    Column("since", DateTime(timezone=True), primary_key=True, comment="where the slice begins"),
    Column("source", Text, primary_key=True, comment="empty: nothing came at all"),
    Column("received", BigInteger, nullable=False),
    *(Column(fate, BigInteger, nullable=False) for fate in FATES),
    Column("unaccounted", BigInteger, nullable=False, comment="looked at again until it is 0"),
    Column("canary", BigInteger, nullable=False, comment="canaries and trials, which are in no other figure"),
    Column("first_at", DateTime(timezone=True)),
    Column("last_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"received = {' + '.join(FATES)} + unaccounted", name="adds_up"),
    Index("ix_account_source", "source", "since", postgresql_where=text("received > 0")),
    Index("ix_account_unaccounted", "since", postgresql_where=text("unaccounted > 0")),
)

audit = Table(
    "audit",
    metadata,
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("took_ms", Integer, nullable=False),
    Column("unaccounted", BigInteger, nullable=False),
    Column("found", JSONB, nullable=False, comment="kinds of what is unaccounted for, with ids"),
    Column("silent", JSONB, nullable=False, comment="sources that are silent for too long: since when, and how usual"),
)

canary = Table(
    "canary",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("nonce", Text, nullable=False, unique=True, comment="what it is known by; nobody else can have guessed it"),
    Column("source", Text, nullable=False),
    Column("path", Text, nullable=False, comment="form, api, event, bus, mail"),
    Column("key", LargeBinary, nullable=False, comment="what its submission is remembered by"),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("came_at", DateTime(timezone=True), comment="when a worker had read it"),
    Column("receipt_id", UUID(as_uuid=False)),
    Column("error", Text, comment="a code: why it did not come through"),
    CheckConstraint("octet_length(key) = 32", name="key_is_a_hash"),
    Index("ix_canary_way", "source", "path", "sent_at"),
    Index("ix_canary_sent", "sent_at"),
)

REOPENS = """
CREATE OR REPLACE FUNCTION receipt_reopens_its_slice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM account WHERE since = to_timestamp(
        ('x' || substr(replace(OLD.id::text, '-', ''), 1, 12))::bit(48)::bigint / 300000 * 300
    );
    RETURN NULL;
END $$
"""
REOPENS_ON_UPDATE = """
CREATE TRIGGER receipt_reopens AFTER UPDATE OF status, due_since ON receipt
FOR EACH ROW
WHEN (OLD.due_since IS NULL AND (OLD.status <> NEW.status OR NEW.due_since IS NOT NULL))
EXECUTE FUNCTION receipt_reopens_its_slice()
"""
for _statement in (REOPENS, REOPENS_ON_UPDATE):
    event.listen(receipt, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
