"""
From the text of a journey file to a `Journey`, or to everything that is wrong with it.

`load` is a pure function of the text and remembers its last answers, so asking again for a version costs nothing.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schema.errors import Permanent
from schema.journey.check import findings
from schema.journey.document import Document, Path, Plain, Problem, read
from schema.journey.fields import nearest
from schema.journey.model import Journey


class JourneyInvalid(Permanent):
    """A journey that cannot be used. `problems` are all of them, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.path)))
        super().__init__("journey_invalid", "\n".join(map(str, self.problems)), problems=len(problems))


@lru_cache(maxsize=32)
def load(text: str) -> Journey:
    """The journey that `text` (YAML) describes. Raises `JourneyInvalid` with every problem there is."""
    document = read(text)
    journey = _shaped(document)
    if journey is not None:
        for path, message in findings(journey):
            document.problem(path, message)
    if document.problems or journey is None:
        raise JourneyInvalid(document.problems)
    journey._version = _version(document.data)  # noqa: SLF001 - only here is the text known
    return journey


def default_text() -> str:
    """The text of the journey that is shipped; it is also the place to learn the language."""
    return files("schema.journey").joinpath("default.yaml").read_text(encoding="utf-8")


def default_journey() -> Journey:
    """The journey that is shipped."""
    return load(default_text())


def _version(data: Plain) -> str:
    """Order is part of the meaning (the first state, the first pool that fits), so keys are not sorted."""
    canonical = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _shaped(document: Document) -> Journey | None:
    if not isinstance(document.data, dict):
        if not document.problems:
            document.problem((), "a journey is a mapping that starts with `journey: name`")
        return None
    try:
        return Journey.model_validate(document.data, context={"lists": _lists(document.data)})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            document.problem(*_in_words(detail))
        return None


def _lists(data: dict[str, Plain]) -> dict[str, list[str]]:
    """The named lists, as far as they can be read; what is wrong with them is reported by the model."""
    lists = data.get("lists")
    if not isinstance(lists, dict):
        return {}
    return {
        name: [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
        for name, items in lists.items()
    }


_WORDS: Mapping[str, str] = {
    "missing": "this key is missing",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
    "string_type": "write text; put quotes around it if it looks like a number or true",
    "tuple_type": "write a list, as in [a, b]",
    "dict_type": "write keys and values below this",
    "model_type": "write keys and values below this",
    "model_attributes_type": "write keys and values below this",
    "string_too_short": "this is empty",
    "too_short": "there must be at least one",
    "greater_than_equal": "write {ge} or more",
    "less_than_equal": "write {le} or less",
    "literal_error": "write one of {expected}",
    "string_too_long": "write at most {max_length} characters",
    "value_error": "{error}",
}


def _in_words(detail: ErrorDetails) -> tuple[Path, str]:
    """Where and what, for somebody who knows the business and not the program."""
    path = tuple(part for part in detail["loc"] if part != "[key]")
    kind = detail["type"]
    if kind == "extra_forbidden":
        return path, _unknown_key(path)
    if kind == "string_pattern_mismatch":
        return path, f"{_shown(path, detail)} cannot stand here; {_pattern_in_words(detail['ctx']['pattern'])}"
    if kind == "too_long":
        return path, "campaigns are not part of this version of the language: leave this empty"
    known = _WORDS.get(kind)
    return path, known.format(**detail.get("ctx", {})) if known else detail["msg"].lower()


def _shown(path: Path, detail: ErrorDetails) -> str:
    return repr(path[-1] if detail["loc"][-1] == "[key]" else detail["input"])


def _pattern_in_words(pattern: str) -> str:
    for mark, words in _PATTERNS.items():
        if mark in pattern:
            return words
    return "write a name in small letters, digits and _, starting with a letter"


_PATTERNS: Mapping[str, str] = {
    "@": "write an e-mail address",
    ":[0-5]": "write a time as in '09:00-18:00'",
    "mon|tue": "write days as mon, tue … or mon-fri",
    "[A-Z]{2}": "write a country code in capitals, as in DE",
    "{2,3}": "write a language code, as in de",
    "https?": "write an address that starts with https://",
}


def _unknown_key(path: Path) -> str:
    known = list(_model_at(path[:-1]).model_fields)
    return f"unknown key{nearest(str(path[-1]), known) or '; known here: ' + ', '.join(known)}"


def _model_at(path: Path) -> type[BaseModel]:
    """The model whose keys stand at `path`."""
    current: type[BaseModel] = Journey
    for part in path:
        field = current.model_fields.get(str(part))
        current = (field and _model_in(field.annotation)) or current
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - an annotation can be anything
    """`Person` in `dict[Name, Person]`; None when no model is in it."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)
