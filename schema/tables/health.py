"""How well customers are, as it was when something last happened to their lead."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, SmallInteger, Table
from sqlalchemy.dialects.postgresql import UUID

from schema.tables.base import metadata

health = Table(
    "health",
    metadata,
    Column("lead_id", UUID(as_uuid=False), primary_key=True, comment="of somebody who has bought"),
    Column("score", SmallInteger, nullable=False, comment="0 to 100"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("at_risk_since", DateTime(timezone=True), comment="told that they may leave; null: they are well"),
    CheckConstraint("score BETWEEN 0 AND 100", name="score_in_range"),
    postgresql_with={"fillfactor": "80"},
)
