"""
Events: committed facts told to the outside, and the cursors of those who read them.

Feed order is (`tx`, `position`), and only rows of transactions older than every running one are shown: a late
commit can never slip in behind a cursor. Within a lead that is also the order of `sequence`, because a
transaction only takes a lead whose `event_tx` is not younger than itself.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata
from schema.tables.lead import Xid8

event = Table(
    "event",
    metadata,
    Column("tx", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("lead_id", UUID(as_uuid=False), nullable=False),
    Column("sequence", Integer, nullable=False, comment="1, 2, 3 … of this lead, no gaps"),
    Column("type", Text, nullable=False, comment="noun.verb, such as lead.scored"),
    Column("time", DateTime(timezone=True), nullable=False),
    Column("trace", Text),
    Column("data", JSONB, nullable=False),
    UniqueConstraint("lead_id", "sequence", name="uq_event_lead_sequence"),
    Index("ix_event_feed", "tx", "position"),
    # Rows are written in this order: what happened in a window of time is found at hardly any cost.
    Index(
        "ix_event_time", "time", postgresql_using="brin", postgresql_with={"pages_per_range": 32, "autosummarize": "on"}
    ),
)

consumer = Table(
    "consumer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("tx", Xid8, nullable=False, server_default=text("'0'::xid8")),
    Column("position", BigInteger, nullable=False, server_default="0"),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
