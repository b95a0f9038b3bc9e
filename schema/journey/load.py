"""
From the text of a journey file to a `Journey`, or to everything that is wrong with it.

`load` is a pure function of the text and remembers its last answers, so asking again for a version costs nothing.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from importlib.resources import files

from schema.errors import Permanent
from schema.journey.check import findings
from schema.journey.document import MOST_PROBLEMS, Plain, Problem, read
from schema.journey.model import Journey
from schema.journey.shaping import shape


class JourneyInvalid(Permanent):
    """A journey that cannot be used. `problems` are all of them, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("journey_invalid", "\n".join(map(str, self.problems)), problems=len(problems))


def load(text: str) -> Journey:
    """The journey that `text` (YAML) describes. Raises `JourneyInvalid` with every error there is."""
    journey, problems = _reviewed(text)
    if journey is None:
        raise JourneyInvalid([problem for problem in problems if problem.severity == "error"])
    return journey


def review(text: str) -> list[Problem]:
    """Everything to say about `text`, in the order of the file: errors, for which `load` refuses it, and warnings."""
    return list(_reviewed(text)[1])


@lru_cache(maxsize=32)
def load_stored(text: str) -> Journey:
    """
    The journey of a text that was found in order when it was stored.

    A check that was added since does not take a version away that leads are on: all that is asked is that the text can
    be read. Raises `JourneyInvalid`.
    """
    document = read(text)
    shaped = shape(document)
    if shaped.journey is None or shaped.spoilt or shaped.unread:
        raise JourneyInvalid(document.problems)
    shaped.journey._version = _version(document.data)  # noqa: SLF001 - only here is the text known
    return shaped.journey


@lru_cache(maxsize=32)
def _reviewed(text: str) -> tuple[Journey | None, tuple[Problem, ...]]:
    """The journey, None where there are errors, and the problems: the first `MOST_PROBLEMS` of them."""
    document = read(text)
    shaped = shape(document)
    told = frozenset(document.wrong)
    if shaped.journey is not None:
        for found in findings(shaped.journey, shaped.spoilt, shaped.unread):
            if len(document.wrong) >= MOST_PROBLEMS:
                break
            if found.path not in told:
                document.problem(found.path, found.message, at=found.at, of_key=found.of_key, severity=found.severity)
    problems = _foremost(document.problems)
    if shaped.journey is None or any(problem.severity == "error" for problem in problems):
        return None, problems
    shaped.journey._version = _version(document.data)  # noqa: SLF001 - only here is the text known
    return shaped.journey, problems


def _foremost(problems: list[Problem]) -> tuple[Problem, ...]:
    """The problems in the order of the file; where there are very many, errors go before warnings."""
    found = sorted(set(problems), key=lambda problem: (problem.severity, problem.line, problem.column, problem.path))
    told, rest = found[:MOST_PROBLEMS], found[MOST_PROBLEMS:]
    told.sort(key=lambda problem: (problem.line, problem.column, problem.path, problem.severity))
    return (*told, *([Problem("", 0, 0, f"and {len(rest)} more", rest[0].severity)] if rest else ()))


SHIPPED = ("default", "solar")
"""The journeys that are shipped: the one that a new installation follows, and one of quite another business."""


def shipped() -> dict[str, str]:
    """The texts of the shipped journeys, by name; they are also the place to learn the language."""
    folder = files("schema.journey")
    return {name: folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8") for name in SHIPPED}


def default_text() -> str:
    """The text of the journey that a new installation follows."""
    return shipped()["default"]


def default_journey() -> Journey:
    """The journey that is shipped."""
    return load(default_text())


def _version(data: Plain) -> str:
    """Order is part of the meaning (the first state, the first pool that fits), so keys are not sorted."""
    canonical = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
