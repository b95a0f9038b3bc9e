"""
Prediction models in the database: versions that never change, and the one switch per journey that says which is used.

A model's document is what `workers.learn.train` writes and `workers.decide.predict` reads; here it is only kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, text

from schema.store import rows
from schema.tables import prediction_model

if TYPE_CHECKING:
    from datetime import datetime

_LIST: Final = """
SELECT m.version, m.journey_name AS journey, m.created_at, a.version IS NOT NULL AS active, a.activated_at,
       m.document->'learned' AS learned, m.document->'report'->'test' AS test
FROM prediction_model AS m
LEFT JOIN prediction_active AS a ON a.version = m.version AND a.journey_name = m.journey_name
"""
_ALL: Final = text(f"{_LIST} ORDER BY m.journey_name, m.created_at DESC, m.version LIMIT 1000")
_ONE: Final = text(f"{_LIST.replace('SELECT m.version', 'SELECT m.document, m.version')} WHERE m.version = :version")
_ACTIVATE: Final = text("""
INSERT INTO prediction_active (journey_name, version, activated_at)
SELECT journey_name, version, :now FROM prediction_model WHERE version = :version
ON CONFLICT (journey_name) DO UPDATE SET version = excluded.version, activated_at = excluded.activated_at
""")


def store(connection: Connection, version: str, journey: str, document: dict[str, Any], now: datetime) -> bool:
    """Keep a model; False if it was kept before, since the same history gives the same version."""
    known = connection.execute(text("SELECT 1 FROM prediction_model WHERE version = :version"), {"version": version})
    if known.one_or_none():
        return False
    row = {"version": version, "journey_name": journey, "document": document, "created_at": now}
    rows.insert(connection, prediction_model, [row], "ON CONFLICT DO NOTHING")
    return True


def activate(connection: Connection, version: str, now: datetime) -> None:
    """Have the leads of a stored model's journey predicted by it from now on: one atomic switch."""
    connection.execute(_ACTIVATE, {"version": version, "now": now})


def deactivate(connection: Connection, journey: str) -> None:
    """Have no more leads of the journey predicted."""
    connection.execute(text("DELETE FROM prediction_active WHERE journey_name = :journey"), {"journey": journey})


def active(connection: Connection) -> dict[str, str]:
    """Which version predicts the leads of each journey that has one."""
    found = connection.execute(text("SELECT journey_name, version FROM prediction_active"))
    return {row.journey_name: row.version for row in found}


def document(connection: Connection, version: str) -> dict[str, Any] | None:
    """Return what a model says, without the rest of its row."""
    found = connection.execute(
        text("SELECT document FROM prediction_model WHERE version = :version"), {"version": version}
    )
    return found.scalar_one_or_none()


def models(connection: Connection) -> list[dict[str, Any]]:
    """List the models, by journey and the newest first, each with what it learned from and what its test measured."""
    return [dict(row) for row in connection.execute(_ALL).mappings()]


def model(connection: Connection, version: str) -> dict[str, Any] | None:
    """Return one model as in `models`, with its `document`; None if there is no such version."""
    found = connection.execute(_ONE, {"version": version}).mappings().one_or_none()
    return dict(found) if found else None
