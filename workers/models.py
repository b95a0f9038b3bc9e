"""
The prediction models that one process uses.

The switch is read again when it is older than a second, so that every process follows an activation within seconds and
without a restart; each version is made ready once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from schema.errors import Permanent
from schema.store import predictions
from workers.decide.predict import Model

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = structlog.get_logger()

_FRESH_S: Final = 1.0


class ModelBook:
    """The active model of each journey that has one, as it was at most `fresh_s` seconds ago."""

    def __init__(self, fresh_s: float = _FRESH_S) -> None:
        self._fresh_s = fresh_s
        self._active: dict[str, Model | None] = {}
        self._versions: dict[str, str] = {}
        self._read_at = float("-inf")

    def active(self, connection: Connection, journey: str) -> Model | None:
        """Return the model that predicts the leads of `journey`; None where none is active or it cannot be read."""
        if time.monotonic() - self._read_at > self._fresh_s:
            versions = predictions.active(connection)
            if versions != self._versions:
                self._active = {name: _ready(connection, version) for name, version in versions.items()}
                self._versions = versions
            self._read_at = time.monotonic()
        return self._active.get(journey)


def _ready(connection: Connection, version: str) -> Model | None:
    """Read a model; one that another release made predicts nothing, and leads go on without."""
    try:
        return Model.read(predictions.document(connection, version) or {}, version)
    except Permanent as error:
        log.warning("prediction.unreadable", code=error.code, version=version)
        return None
