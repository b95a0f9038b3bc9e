"""
Hints that wait on the embedded broker: the queue that Dramatiq reads when there is no RabbitMQ and no Redis.

A row is inserted once and deleted once, never updated, and lives for milliseconds. The table is UNLOGGED: a
hint may be lost in a crash (what is due is found again by the sweeper), so it is not worth a write to the log.
Its only index is the order in which hints are taken. Nothing is updated, so no room is left in pages; vacuum runs
early, without pauses, and gives no pages back, since giving back takes a lock that stops the queue.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, LargeBinary, PrimaryKeyConstraint, Table, Text, func

from schema.tables.base import metadata

hint = Table(
    "hint",
    metadata,
    Column("queue", Text, nullable=False),
    Column("available_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("message", LargeBinary, nullable=False),
    PrimaryKeyConstraint("queue", "available_at", "id"),
    prefixes=["UNLOGGED"],
    postgresql_with={
        "autovacuum_vacuum_threshold": 500,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_cost_delay": 0,
        "vacuum_truncate": "off",
        "toast.autovacuum_vacuum_threshold": 500,
        "toast.autovacuum_vacuum_scale_factor": 0,
        "toast.autovacuum_vacuum_cost_delay": 0,
        "toast.vacuum_truncate": "off",
    },
)
