"""
Consent: what somebody allowed or refused, in what words, and what shows it.

Append-only, kept by a trigger: an answer is never changed, a newer one is a row of its own. Only whose it is follows
the person when people are merged. A transaction that erases somebody says so itself: `SET LOCAL throughline.erasing =
'on'`.
"""

from __future__ import annotations

from sqlalchemy import DDL, CheckConstraint, Column, DateTime, ForeignKeyConstraint, Index, Table, Text, event, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

STATES = ("pending", "given", "withdrawn")

consent = Table(
    "consent",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("purpose", Text, nullable=False, comment="marketing, privacy, terms, or the form's own word"),
    Column("state", Text, nullable=False, comment="pending: it waits to be confirmed, and counts for nothing yet"),
    Column("basis", Text, nullable=False, comment="a code: what the answer rests on, as in double_opt_in, complaint"),
    Column("text", Text, comment="the words that were shown"),
    Column("text_version", Text),
    Column("source", Text),
    Column("channel", Text, nullable=False),
    Column("receipt_id", UUID(as_uuid=False)),
    Column("actor", Text, comment="who recorded it by hand"),
    Column(
        "evidence", JSONB, nullable=False, server_default=text("'{}'"), comment="what shows it; addresses as hashes"
    ),
    Column("at", DateTime(timezone=True), nullable=False, comment="when it was said"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(f"state IN {STATES}", name="state_known"),
    CheckConstraint("purpose <> ''", name="purpose_not_empty"),
    CheckConstraint("at <= recorded_at", name="not_from_the_future"),
    CheckConstraint("receipt_id IS NOT NULL OR actor IS NOT NULL", name="somebody_said_so"),
    ForeignKeyConstraint(["person_id"], ["person.id"]),
    Index("ix_consent_person", "person_id", "purpose", "at", "id"),
)

LAW = """
CREATE OR REPLACE FUNCTION consent_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('throughline.erasing', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'consent % is kept as it was said: a newer answer is a row of its own', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'consent_is_kept', TABLE = 'consent';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$
"""
LAW_ON_CHANGE = """
CREATE TRIGGER consent_on_change
BEFORE DELETE OR UPDATE OF id, purpose, state, basis, text, text_version, source, channel, receipt_id, actor, evidence,
at, recorded_at ON consent
FOR EACH ROW EXECUTE FUNCTION consent_is_kept()
"""
for _statement in (LAW, LAW_ON_CHANGE):
    event.listen(consent, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
