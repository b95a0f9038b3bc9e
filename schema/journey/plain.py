"""
The plain part of CEL, evaluated without CEL.

Most questions of a journey compare a field with a literal, look whether it is there or in a list, and join such with
`&&`, `||` and `!`. Handing a lead over to CEL costs more than answering all of them, so those are compiled into
closures over the lead's plain values. Nothing is decided differently: whatever is not plain, in the question or in a
value it meets, raises `NotPlain`, and CEL answers. A property test holds both against each other.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

Values = Mapping[str, Any]
Ask = Callable[[Values], bool | None]
"""True, False, or None where CEL would have an error."""
Read = Callable[[Values], Any]

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\u[0-9a-f]{4})*"|'[^'\\\n]*')
    |(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[=!<>]=|[<>!.,()\[\]]))""",
    re.VERBOSE | re.ASCII,
)
_NO_PATHS: Final = {"true", "false", "null", "in", "has", "size"}
_LARGEST: Final = 2**63 - 1
_MISSING: Final = object()


class NotPlain(Exception):
    """CEL has to answer it."""


def plain(program: str) -> Ask | None:
    """Compile a question whose lists are written out; None if it is not of the plain kind."""
    try:
        parser = _Parser(program)
        asked = parser.either()
        parser.expect("")
    except NotPlain:
        return None
    return asked


class _Parser:
    """Recursive descent over CEL's own precedence: `||`, `&&`, comparison, `!`, field."""

    def __init__(self, program: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        end = 0
        while end < len(program.rstrip()):
            found = _TOKEN.match(program, end)
            if not found or not found.lastgroup:
                raise NotPlain
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            end = found.end()
        self._tokens.append(("end", ""))
        self._at = 0

    def _next(self) -> str:
        return self._tokens[self._at][1]

    def _take(self) -> tuple[str, str]:
        self._at += 1
        return self._tokens[self._at - 1]

    def expect(self, word: str) -> None:
        """Take this word, which has to come now."""
        if self._take() != (("end", "") if word == "" else ("sign", word)):
            raise NotPlain

    def either(self) -> Ask:
        """`a || b || c`."""
        asked = self._both()
        while self._next() == "||":
            self._take()
            asked = _or(asked, self._both())
        return asked

    def _both(self) -> Ask:
        asked = self._one()
        while self._next() == "&&":
            self._take()
            asked = _and(asked, self._one())
        return asked

    def _one(self) -> Ask:
        if self._next() == "!":
            self._take()
            return _not(self._grouped())
        if self._next() == "(":
            return self._grouped()
        if self._next() == "has":
            return self._has()
        left = self._value()
        compare = _COMPARISONS.get(self._next())
        if compare is None:
            return _flag(left)
        self._take()
        return compare(left, self._value())

    def _grouped(self) -> Ask:
        """`(…)`, `has(…)` or a flag: what `!` can stand before."""
        if self._next() == "has":
            return self._has()
        if self._next() != "(":
            return _flag(self._value())
        self.expect("(")
        asked = self.either()
        self.expect(")")
        return asked

    def _has(self) -> Ask:
        self._take()
        self.expect("(")
        *parents, name = self._path()
        self.expect(")")
        if not parents:
            raise NotPlain
        return _present(_field(parents), name)

    def _value(self) -> Read:
        kind, word = self._tokens[self._at]
        if kind in {"text", "number"} or word in {"true", "false"}:
            self._take()
            return _constant(_literal(kind, word))
        if word == "[":
            return self._list()
        if word == "size":
            self._take()
            self.expect("(")
            measured = _field(self._path())
            self.expect(")")
            return _size(measured)
        return _field(self._path())

    def _path(self) -> list[str]:
        names = []
        while True:
            kind, word = self._take()
            if kind != "name" or word in _NO_PATHS:
                raise NotPlain
            names.append(word)
            if self._next() != ".":
                return names
            self._take()

    def _list(self) -> Read:
        self.expect("[")
        items = []
        while self._next() != "]":
            kind, word = self._take()
            if kind != "text":
                raise NotPlain
            items.append(_literal(kind, word))
            if self._next() == ",":
                self._take()
        self.expect("]")
        return _constant(frozenset(items))


def _literal(kind: str, word: str) -> Any:  # noqa: ANN401 - text, number or flag
    if kind == "text":
        return json.loads(word) if word[0] == '"' else word[1:-1]
    if kind == "number":
        return float(word) if "." in word else _whole(int(word))
    return word == "true"


def _whole(number: int) -> int:
    """CEL's numbers have 64 bits."""
    if abs(number) > _LARGEST:
        raise NotPlain
    return number


def _constant(value: object) -> Read:
    return lambda _: value


def _field(names: list[str]) -> Read:
    if len(names) != 2:  # noqa: PLR2004 - `person.email` is by far the usual kind, and is read faster below
        return _deep_field(names)
    root, name = names

    def read(values: Values) -> Any:  # noqa: ANN401
        node = values.get(root)
        if node.__class__ is dict:
            return node.get(name, _MISSING)
        if node is None:
            return _MISSING
        raise NotPlain

    return read


def _deep_field(names: list[str]) -> Read:
    def read(values: Values) -> Any:  # noqa: ANN401
        node: Any = values
        for name in names:
            if not isinstance(node, dict):
                raise NotPlain
            node = node.get(name)
            if node is None:
                return _MISSING
        return node

    return read


def _present(parent: Read, name: str) -> Ask:
    def ask(values: Values) -> bool | None:
        node = parent(values)
        if node is _MISSING:
            return None
        if node.__class__ is not dict:
            raise NotPlain
        return name in node

    return ask


def _size(measured: Read) -> Read:
    def read(values: Values) -> Any:  # noqa: ANN401
        value = measured(values)
        if value is _MISSING:
            return value
        if isinstance(value, list) or (isinstance(value, str) and value.isascii()):
            return len(value)
        raise NotPlain

    return read


def _ordered(compare: Callable[[Any, Any], bool], left: Read, right: Read) -> Ask:
    def ask(values: Values) -> bool | None:
        one, two = left(values), right(values)
        if one is _MISSING or two is _MISSING:
            return None
        if one.__class__ is two.__class__ and one.__class__ in {int, float}:
            return compare(_bounded(one), _bounded(two))
        raise NotPlain

    return ask


def _equal(compare: Callable[[Any, Any], bool], left: Read, right: Read) -> Ask:
    def ask(values: Values) -> bool | None:
        one, two = left(values), right(values)
        if one is _MISSING or two is _MISSING:
            return None
        if one.__class__ is two.__class__ and one.__class__ in {str, int, float, bool}:
            return compare(_bounded(one), _bounded(two))
        raise NotPlain

    return ask


def _bounded(value: Any) -> Any:  # noqa: ANN401
    return _whole(value) if value.__class__ is int else value


def _among(left: Read, right: Read) -> Ask:
    def ask(values: Values) -> bool | None:
        one, several = left(values), right(values)
        if one is _MISSING or several is _MISSING:
            return None
        if one.__class__ is not str:
            raise NotPlain
        if several.__class__ is frozenset or (
            several.__class__ is list and all(item.__class__ is str for item in several)
        ):
            return one in several
        raise NotPlain

    return ask


def _flag(read: Read) -> Ask:
    def ask(values: Values) -> bool | None:
        value = read(values)
        if value is True or value is False:
            return value
        if value is _MISSING:
            return None
        raise NotPlain

    return ask


def _not(asked: Ask) -> Ask:
    def ask(values: Values) -> bool | None:
        answer = asked(values)
        return None if answer is None else not answer

    return ask


def _or(one: Ask, two: Ask) -> Ask:
    def ask(values: Values) -> bool | None:
        first = one(values)
        if first is True:
            return True
        second = two(values)
        return second if first is False or second is True else None

    return ask


def _and(one: Ask, two: Ask) -> Ask:
    def ask(values: Values) -> bool | None:
        first = one(values)
        if first is False:
            return False
        second = two(values)
        return second if first is True or second is False else None

    return ask


_COMPARISONS: Final[dict[str, Callable[[Read, Read], Ask]]] = {
    "==": partial(_equal, operator.eq),
    "!=": partial(_equal, operator.ne),
    "<": partial(_ordered, operator.lt),
    "<=": partial(_ordered, operator.le),
    ">": partial(_ordered, operator.gt),
    ">=": partial(_ordered, operator.ge),
    "in": _among,
}
