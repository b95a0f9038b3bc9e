"""
Errors whose class says what happens next.

Facts go in as keywords; they come out in the log line and in the dead-letter row, so they are ids and codes,
never personal data.
"""

from __future__ import annotations


class ThroughlineError(Exception):
    """Base of every error we raise on purpose. `code` is stable; `facts` are ids, codes and numbers."""

    def __init__(self, code: str, message: str = "", **facts: object) -> None:
        super().__init__(message or code)
        self.code = code
        self.facts = facts


class Permanent(ThroughlineError):
    """Trying again gives the same: dead-letter it now."""


class Transient(ThroughlineError):
    """The world was in the way (a connection, a lock): try again later, nobody is to blame."""
