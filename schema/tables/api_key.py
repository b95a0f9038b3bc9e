"""API keys: kept as a keyed hash, never as they are."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from schema.tables.base import metadata

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True, comment="public part, also shown in the audit trail"),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("label", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("cardinality(scopes) > 0", name="has_scopes"),
)
