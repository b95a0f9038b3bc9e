"""
A mapping to suggest for a payload that says nothing yet: by the names of its values, and by how the values look.

Only paths and fields, never a value. What is surest comes first: a known name, then a name that holds one, then a look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from schema import contact
from schema.draft_words import ALIASES, normal_name
from schema.payload import JSON, without_controls
from schema.providers.adapter import Values

_DEEPEST: Final = 8
_MOST_PATHS: Final = 500
_LONGEST_PATH: Final = 200
_PHONE: Final = re.compile(r"(\+|00)?[\d\s()./-]{7,20}\Z", re.ASCII)
_FEWEST_DIGITS: Final = 7
_MOST_DIGITS: Final = 15
_DATE: Final = re.compile(r"\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{2,4}")
_INSIDE: Final = (
    ("email", re.compile(r"e-?mail|courriel|correo", re.IGNORECASE)),
    ("phone", re.compile(r"phone|mobile|telefon|(?:^|[^a-z])tel(?:$|[^a-z])", re.IGNORECASE)),
    ("first_name", re.compile(r"(first|given)[\s_.-]?name|vorname", re.IGNORECASE)),
    ("last_name", re.compile(r"(last|family|sur)[\s_.-]?name|nachname", re.IGNORECASE)),
    ("company", re.compile(r"company|organi[sz]ation|firma|employer", re.IGNORECASE)),
    ("message", re.compile(r"message|comment|nachricht|description|question", re.IGNORECASE)),
    ("name", re.compile(r"(full|contact|customer|person|client|your)[\s_.-]?name", re.IGNORECASE)),
)
_SURE, _LIKELY, _LOOKS = 0, 1, 2


def suggested_map(values: Values, region: str | None = None) -> dict[str, str]:
    """Paths of a payload with the fields that they seem to be, one for each field; as a source's `map` takes it."""
    found: dict[str, tuple[int, str]] = {}
    for path, name, value in _leaves(values):
        rank, field = _guess(name, value, region)
        if field and rank < found.get(field, (_LOOKS + 1, ""))[0]:
            found[field] = (rank, path)
    return {path: field for field, (_, path) in sorted(found.items(), key=lambda item: item[1])}


def _leaves(values: Values) -> Iterator[tuple[str, str, JSON]]:
    """Each value with its path, as far as a mapping can name it and nobody's data stands in the name."""
    ahead: list[tuple[str, JSON, int]] = [(name, value, 1) for name, value in values.items()]
    for path, value, depth in ahead:
        name = path.rpartition(".")[2]
        if isinstance(value, dict) and depth < _DEEPEST:
            room = max(_MOST_PATHS - len(ahead), 0)
            ahead += [(f"{path}.{key}", item, depth + 1) for key, item in list(value.items())[:room]]
        elif not isinstance(value, dict | list) and len(path) <= _LONGEST_PATH and "@" not in path:
            yield without_controls(path), name, value


def _guess(name: str, value: JSON, region: str | None) -> tuple[int, str]:
    text = as_line(value)
    if not text:
        return _LOOKS, ""
    field = ALIASES.get(normal_name(name), "")
    address = contact.plain_email(text) is not None
    if field and (field != "email" or address):
        return _SURE, field if field != "phone" or _is_phone(text, region) else ""
    if address:
        named = any(kind == "email" and words.search(name) for kind, words in _INSIDE)
        return (_LIKELY if named else _LOOKS), "email"
    for kind, words in _INSIDE:
        if words.search(name) and kind != "email":
            return _LIKELY, kind if kind != "phone" or _is_phone(text, region) else ""
    return _LOOKS, "phone" if text.startswith("+") and _is_phone(text, region) else ""


def as_line(value: JSON) -> str:
    """A text or a number as one text; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def _is_phone(text: str, region: str | None) -> bool:
    """Whether it could be dialled; where no country is known, whether it has about as many digits."""
    digits = sum(character.isdigit() for character in text)
    if not _PHONE.match(text) or _DATE.search(text) or not _FEWEST_DIGITS <= digits <= _MOST_DIGITS:
        return False
    return contact.phone(text, region).e164 is not None if region or text.startswith("+") else True
