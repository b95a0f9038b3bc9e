"""
From plain values to a `Journey`, or to what does not fit, in words for somebody who knows the business.

What does not fit is put aside and the rest is taken for a journey all the same, so that the checks across the whole
still see what they can: a wrong e-mail address does not hide a state that nobody reaches. Such a journey is for looking
at only.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schema.journey.campaign import FollowUp
from schema.journey.document import Document, Path, Plain
from schema.journey.fields import nearest
from schema.journey.keys import KEYS
from schema.journey.model import Again, Journey, TouchPoints
from schema.journey.reading import ExpressionInvalid

_ROUNDS = 4
LARGEST_LISTS = 8 * 1024 * 1024
"""Characters that the named lists may come to where expressions name them; each is compiled into its expression."""


@dataclass(slots=True)
class Shaped:
    """
    The journey of a document, whole or as far as it fits.

    `spoilt` are the keys (`people.tz`; `people.*` for a whole person) from which something was put aside, so that what
    is missing there says nothing, `unread` the expressions that could not be read and are taken for ones that may hold
    or not.
    """

    journey: Journey | None = None
    spoilt: set[str] = field(default_factory=set)
    unread: set[Path] = field(default_factory=set)


def shape(document: Document) -> Shaped:
    """The journey that a document describes; what does not fit is added to its problems."""
    shaped = Shaped()
    if not isinstance(document.data, dict):
        if not document.problems:
            document.problem((), "a journey is a mapping that starts with `journey: name`")
        return shaped
    lists = _lists(document.data)
    if _written_out(document.text, lists) > LARGEST_LISTS:
        document.problem(("lists",), "the lists are too long for the number of expressions that name them")
        return shaped
    data = document.data
    for _ in range(_ROUNDS):
        try:
            shaped.journey = Journey.model_validate(data, context={"lists": lists})
            break
        except ValidationError as error:
            details = error.errors(include_url=False)
        details = [detail for detail in details if not _only_follows(detail, details)]
        known = _around(document.wrong)
        for detail in details:
            if not _follows(_path(detail), document.wrong, known):
                _tell(document, detail)
        data = copy.deepcopy(data)
        for detail in reversed(details):
            _put_aside(data, detail, shaped)
    return shaped


def _only_follows(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether something is said to be wrong only because something else is: a list is short of what does not fit."""
    if detail["type"] == "too_short":
        place = detail["loc"]
        return any(other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in details)
    return detail["type"] == "default_factory_not_called"


def _around(wrong: set[Path]) -> set[Path]:
    """The paths and everything they are in."""
    return {path[:end] for path in wrong for end in range(1, len(path) + 1)}


def _follows(path: Path, wrong: set[Path], known: set[Path]) -> bool:
    """Whether something at this place, in it or around it is told already."""
    return path in known or any(path[:end] in wrong for end in range(1, len(path)))


def _lists(data: dict[str, Plain]) -> dict[str, list[str]]:
    """The named lists, as far as they can be read; what is wrong with them is reported by the model."""
    lists = data.get("lists")
    if not isinstance(lists, dict):
        return {}
    return {
        name: [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
        for name, items in lists.items()
    }


def _written_out(text: str, lists: Mapping[str, list[str]]) -> int:
    """How long the named lists are where the text names them; never too little."""
    named = re.findall(r"lists\s*\.\s*(\w+)", text)
    sizes = {name: sum(map(len, items)) + 4 * len(items) for name, items in lists.items()}
    return sum(sizes.get(name, 0) for name in named)


# -- what does not fit, in words ---------------------------------------------------------------------------------------

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
    "string_too_long": "write at most {max_length} characters",
    "value_error": "{error}",
}
_SHORT: Mapping[type[BaseModel], str] = {
    Again: "write never, news, a duration as in 90d, or keys and values below this",
    TouchPoints: "write points, as in 20, or keys and values below this",
    FollowUp: "write what is to be done, or keys and values below this",
}
"""What may stand in place of keys and values."""


def _tell(document: Document, detail: ErrorDetails) -> None:
    path = _path(detail)
    error = detail.get("ctx", {}).get("error")
    if isinstance(error, ExpressionInvalid):
        for mistake in error.mistakes:
            document.problem(path, mistake.message, at=mistake.at)
    else:
        of_key = detail["type"] in {"extra_forbidden", "missing"} or detail["loc"][-1:] == ("[key]",)
        document.problem(path, _in_words(path, detail), of_key=of_key)


def _path(detail: ErrorDetails) -> Path:
    return tuple(part for part in detail["loc"] if part != "[key]")


def _in_words(path: Path, detail: ErrorDetails) -> str:
    kind, told = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "string_pattern_mismatch":
        return f"{_shown(path, detail)} cannot stand here; {_pattern_in_words(told['pattern'])}"
    if kind == "literal_error":
        possible = re.findall(r"'([^']*)'", told["expected"])
        return f"write one of {', '.join(possible)}{nearest(str(detail['input']), possible)}"
    if kind in {"model_type", "model_attributes_type"} and (short := _SHORT.get(_model_at(path))):
        return short
    hint = _plain_number(detail["input"]) if kind == "int_type" else ""
    return _WORDS[kind].format(**told) + hint if kind in _WORDS else detail["msg"].lower()


def _plain_number(given: object) -> str:
    """What somebody meant who wrote `045`, `"45"` or `1_000`."""
    digits = given.strip().replace("_", "").lstrip("0") if isinstance(given, str) else ""
    return f": {digits}, without quotes, signs or leading zeros" if digits.isdecimal() and digits.isascii() else ""


def _shown(path: Path, detail: ErrorDetails) -> str:
    shown = str(path[-1] if detail["loc"][-1] == "[key]" else detail["input"])
    return repr(shown if len(shown) <= 60 else f"{shown[:60]}…")  # noqa: PLR2004 - what a line of a terminal holds


def _pattern_in_words(pattern: str) -> str:
    for mark, words in _PATTERNS.items():
        if mark in pattern:
            return words
    return "write a name in small letters, digits and _, starting with a letter"


_PATTERNS: Mapping[str, str] = {
    "[^<>@": "write an address as in 'Ana Lopez <ana@example.com>'",
    "[A-Z]{3}": "write a currency in capitals, as in EUR",
    r"(\.\w+)+": "write a field, as in person.custom.renewal",
    r"[^\r\n]": "write it on one line",
    "@": "write an e-mail address",
    r"[0-5]\d$": "write a time in quotes, as in '08:00'",
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
        field_there = current.model_fields.get(str(part))
        current = (field_there and _model_in(field_there.annotation)) or current
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - an annotation can be anything
    """`Person` in `dict[Name, Person]`; None when no model is in it."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for inner in get_args(annotation) if (model := _model_in(inner))), None)


# -- the rest is taken for a journey all the same ----------------------------------------------------------------------

_STAND_INS: Mapping[str, Plain] = {
    "journey": "unnamed",
    "route": {"pools": {"nobody": {"members": {"nobody": 1}}}},
    "pools": {"nobody": {"members": {"nobody": 1}}},
    "members": {"nobody": 1},
    "lifecycle": {"nowhere": {"final": True}},
    "email": "nobody@example.com",
    "kind": "form",
    "name": "unnamed",
    "points": 1,
    "fit": {"A": 0},
    "engagement": {"A": 0},
}
"""For keys that have to be there, something that may stand there."""


def _put_aside(data: dict[str, Plain], detail: ErrorDetails, shaped: Shaped) -> None:
    """Take what does not fit out of `data`, or put something in its place that nothing can be said about."""
    path = _path(detail)
    parent = _at(data, path[:-1])
    asks = isinstance(detail.get("ctx", {}).get("error"), ExpressionInvalid)
    if asks or path[-1:] == ("when",):
        shaped.unread.add(path)
        if isinstance(parent, dict):
            parent[str(path[-1])] = f"person.custom.unread_{len(shaped.unread)} == 1"
        return
    shaped.spoilt.add(_key(path, detail))
    if isinstance(parent, list) and isinstance(path[-1], int) and path[-1] < len(parent):
        del parent[path[-1]]
    elif isinstance(parent, dict):
        parent.pop(str(path[-1]), None)
        if detail["type"] == "missing" and path[-1] in _STAND_INS:
            parent[str(path[-1])] = copy.deepcopy(_STAND_INS[str(path[-1])])
    elif len(path) > 1 and isinstance(around := _at(data, path[:-2]), dict):
        around.pop(str(path[-2]), None)  # the short form of a mapping


def _key(path: Path, detail: ErrorDetails) -> str:
    """The key that lacks something: the innermost that the language knows; for an unknown key the one it may mean."""
    inner = [str(part) for part in path[1:]]
    if detail["type"] == "extra_forbidden":
        close = nearest(inner.pop(), list(_model_at(path[:-1]).model_fields)) if inner else ""
        inner += re.findall(r"mean (\w+)", close) or ["*"]
    known = [part for part in inner if part in _LANGUAGE or part == "*"]
    return f"{path[0] if path else ''}.{known[-1] if known else '*'}"


_LANGUAGE = frozenset(key for keys in KEYS.values() for key in keys)


def _at(data: Plain, path: Path) -> Plain:
    for part in path:
        inside = isinstance(data, dict) and part in data
        inside = inside or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if not inside:
            return None
        data = data[part]
    return data
