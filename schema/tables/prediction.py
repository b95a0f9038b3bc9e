"""Prediction models: versions that never change, learned from a journey's own history, and which one is used."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from schema.tables.base import metadata

prediction_model = Table(
    "prediction_model",
    metadata,
    Column("version", Text, primary_key=True, comment="the first 12 hex digits of the content's sha-256"),
    Column("journey_name", Text, nullable=False),
    Column("document", JSONB, nullable=False, comment="features, weights, calibration and what validation measured"),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

prediction_active = Table(
    "prediction_active",
    metadata,
    Column("journey_name", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("activated_at", DateTime(timezone=True), nullable=False),
    ForeignKeyConstraint(["version"], ["prediction_model.version"]),
)
