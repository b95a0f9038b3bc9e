"""
Figures: what happened, counted by day, and how far the counting has come with each lead.

`kpi_bucket` is counted from the event feed alone, in feed order, by one worker at a time; its cursor (`consumer`, name
`kpi`) moves in the same transaction, so an event counts once however often a worker is killed. Counting the feed anew
from its beginning gives the same rows. `schema/kpi/measures.py` says what each measure counts.

What is counted for a day that was over when it became known is kept in `kpi_restated` beside it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from schema.tables.base import metadata

kpi_bucket = Table(
    "kpi_bucket",
    metadata,
    Column("journey_name", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("item", Text, nullable=False, comment="a state, a move, a kind; empty where there is one only"),
    Column("dim", Text, nullable=False, comment="a dimension; empty: all of them together"),
    Column("value", Text, nullable=False, comment="of the dimension; empty: not known"),
    Column("day", Date, nullable=False, comment="in the time zone of the journey's figures"),
    Column("n", BigInteger, nullable=False),
    Column("total", Numeric, nullable=False, server_default="0", comment="exact: an amount, seconds, points"),
    Column(
        "bins",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="how many by size, as in `schema/kpi/bins.py`",
    ),
    # In this order what is asked together lies together: a span of days, of one dimension.
    PrimaryKeyConstraint("journey_name", "measure", "dim", "day", "item", "value"),
    postgresql_with={"fillfactor": "70"},
)

kpi_lead = Table(
    "kpi_lead",
    metadata,
    Column("lead_id", UUID(as_uuid=False), primary_key=True),
    Column("sequence", Integer, nullable=False, comment="of the latest event of it that is counted"),
    Column("state", JSONB, nullable=False, comment="what counting its next event has to know; no personal data"),
    postgresql_with={"fillfactor": "70"},
)

kpi_restated = Table(
    "kpi_restated",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("noted_at", DateTime(timezone=True), nullable=False),
    Column("journey_name", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("n", BigInteger, nullable=False, comment="how many more it is now"),
    Column("total", Numeric, nullable=False),
    Index("ix_kpi_restated_day", "journey_name", "measure", "day"),
    Index("ix_kpi_restated_noted", "noted_at", postgresql_using="brin"),
)

kpi_target = Table(
    "kpi_target",
    metadata,
    Column("journey_name", Text, primary_key=True),
    Column("kpi", Text, primary_key=True, comment="the name that the journey file gives it"),
    Column("id", UUID(as_uuid=False), nullable=False, comment="what its events are about, in place of a lead"),
    Column("events", Integer, nullable=False, server_default="0", comment="how many were told of it"),
    Column("missed", Boolean, comment="null: there was never enough to say"),
    Column("since", DateTime(timezone=True), comment="since when it is missed, or met again"),
    Column("value", Float),
    Column("sample", BigInteger, nullable=False, server_default="0"),
    Column("looked_at", DateTime(timezone=True), nullable=False),
)

kpi_forecast = Table(
    "kpi_forecast",
    metadata,
    Column("journey_name", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="when it was forecast"),
    Column("until", Date, primary_key=True, comment="what was to be won by then"),
    Column("low", Numeric, nullable=False),
    Column("expected", Numeric, nullable=False),
    Column("high", Numeric, nullable=False),
)
