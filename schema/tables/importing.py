"""
Imports: which file was loaded when, how it was read, and what became of it so far.

What became of each row is its receipt's to say; a receipt names its run and row in its headers.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

import_run = Table(
    "import_run",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("source", Text, nullable=False),
    Column("file", Text, nullable=False, comment="its name without the folder"),
    Column("digest", LargeBinary, nullable=False, comment="sha-256 of the file"),
    Column("map", JSONB, nullable=False, comment="how its rows were read"),
    Column("quiet", Boolean, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), comment="null: it is still running, or was interrupted"),
    Column("counts", JSONB, nullable=False, server_default=text("'{}'"), comment="rows by what became of them"),
    CheckConstraint("octet_length(digest) = 32", name="digest_is_a_hash"),
    CheckConstraint("finished_at >= started_at", name="ends_after_it_began"),
    Index("ix_import_run_digest", "source", "digest", "started_at"),
)
