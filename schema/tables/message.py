"""Mail: which message belongs to which lead, so that answers find their conversation; how far mailboxes were read."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

message = Table(
    "message",
    metadata,
    Column("message_id", Text, primary_key=True, comment="as its header says, without the brackets"),
    Column("lead_id", UUID(as_uuid=False), nullable=False, comment="whose person is asked of the lead: people merge"),
    Column("direction", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("ticket_id", UUID(as_uuid=False), comment="the ticket it belongs to"),
    CheckConstraint("direction IN ('in', 'out')", name="direction_known"),
    CheckConstraint("message_id <> ''", name="message_id_not_empty"),
    Index("ix_message_lead", "lead_id"),
    Index("ix_message_ticket", "ticket_id", postgresql_where=text("ticket_id IS NOT NULL")),
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("name", Text, primary_key=True, comment="user@host/folder"),
    Column("source", Text, nullable=False),
    Column("uid_validity", BigInteger, comment="under which `uid` means something"),
    Column("uid", BigInteger, nullable=False, server_default="0", comment="the last that was read"),
    Column("read_to", DateTime(timezone=True), comment="when the last mail that was read had arrived there"),
    Column("polled_at", DateTime(timezone=True), comment="when it last answered"),
    Column("skipped", Integer, nullable=False, server_default="0", comment="mails that could not be kept; still there"),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row"),
    Column("failing_since", DateTime(timezone=True)),
    Column("error", Text, comment="a code: why it cannot be read"),
    Column("alarm", Boolean, nullable=False, server_default="false", comment="somebody has to look at it"),
    CheckConstraint("uid >= 0", name="uid_not_negative"),
)
