"""Pools: the ledger of turns, one row per pool, locked while turns are dealt."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from schema.tables.base import metadata

pool = Table(
    "pool",
    metadata,
    Column("journey_name", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("turn", BigInteger, nullable=False, server_default="0", comment="turns dealt so far"),
    Column("taken", JSONB, nullable=False, server_default=text("'{}'"), comment="turns by member"),
    Column("weights", JSONB, nullable=False, server_default=text("'{}'"), comment="as they were when turns were dealt"),
    Column(
        "credit",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="millionths of a turn each member was owed when the weights last changed",
    ),
    CheckConstraint("turn >= 0", name="turn_not_negative"),
)
