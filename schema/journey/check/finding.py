"""What a check finds, and what it knows of the journey it looks at."""

from __future__ import annotations

from dataclasses import dataclass

from schema.journey.document import Path, Severity
from schema.journey.holds import World
from schema.journey.model import Journey


@dataclass(frozen=True, slots=True)
class Finding:
    """Where something was found and what to do about it; `at` is the character of an expression, from 0."""

    path: Path
    message: str
    severity: Severity = "error"
    at: int | None = None
    of_key: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """
    The journey under check, with what is sure about its leads.

    `unread` are the paths of expressions that could not be read and were replaced: nothing can be said about them.
    """

    journey: Journey
    world: World
    unread: frozenset[Path]


def warning(path: Path, message: str, *, at: int | None = None, of_key: bool = False) -> Finding:
    """Something that may be meant, and that whoever wrote it should look at once more."""
    return Finding(path, message, "warning", at, of_key)


def key(path: Path, message: str) -> Finding:
    """An error that is about the key itself."""
    return Finding(path, message, of_key=True)
