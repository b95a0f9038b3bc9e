"""
A question of a journey, taken apart: what it compares with what, and how the parts are joined.

`check` reasons about questions with this and `Journey.score_thresholds` finds the numbers that matter; nothing here is
asked about a lead. What is not simple (arithmetic, tests of text, macros, conditions) is kept whole as `Other`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from schema.journey.fields import kind

Value = str | int | float | bool
LIMIT = 100
"""The most points there are."""
Token = tuple[str, str, int, int]
"""Kind (`text`, `number`, `name`, `sign`), word, and where it starts and ends in the source."""


@dataclass(frozen=True, slots=True)
class Compare:
    """`person.country == "DE"`; a flag alone is compared with true. `term` is a field or `size(field)`."""

    term: str
    sign: str
    value: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Among:
    """`person.country in ["DE", "AT"]`."""

    term: str
    values: frozenset[Value]
    named: str = ""
    """The list's own name, where it is one of `lists`."""
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Contains:
    """`"demo" in lead.interests`."""

    term: str
    value: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Told:
    """`has(person.phone)`."""

    term: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Other:
    """Anything else, as it was written, with the fields in it."""

    source: str
    paths: frozenset[str]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Always:
    """`true` or `false`, or what comes to the same whoever the lead is."""

    answer: bool


@dataclass(frozen=True, slots=True)
class Not:
    part: Tree


@dataclass(frozen=True, slots=True)
class Every:
    """`a && b`."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """`a || b`."""

    parts: tuple[Tree, ...]


Atom = Compare | Among | Contains | Told | Other | Always
Tree = Atom | Not | Every | Some

_FLIPPED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_RELATIONS = {*_FLIPPED, "in"}
_WORDS = {"true", "false", "null", "in"}


def atoms(tree: Tree) -> Iterator[Atom]:
    """The simple questions of a tree, in the order they were written."""
    if isinstance(tree, Not):
        yield from atoms(tree.part)
    elif isinstance(tree, Every | Some):
        for part in tree.parts:
            yield from atoms(part)
    else:
        yield tree


def edges(atom: Atom, term: str) -> frozenset[int]:
    """The points (0 to `LIMIT`) from which on the answer about `term` is another one than below; often none."""
    if isinstance(atom, Compare):
        if atom.term != term or isinstance(atom.value, str | bool):
            return frozenset()
        least, more = math.ceil(atom.value), math.floor(atom.value) + 1
        ways = {"<": {least}, ">=": {least}, ">": {more}, "<=": {more}}
        return frozenset(ways.get(atom.sign, {least, more}))
    part_of_more = (isinstance(atom, Other) and term in atom.paths) or (isinstance(atom, Among) and atom.term == term)
    return frozenset(range(LIMIT + 1)) if part_of_more else frozenset()


class Taking:
    """Takes the tokens of one expression apart; `lists` are the journey's named lists."""

    def __init__(self, source: str, lists: Mapping[str, Iterable[str]]) -> None:
        self._source = source
        self._lists = lists

    def tree(self, tokens: list[Token]) -> Tree:
        """The tree of an expression that compiles: `||` is split before `&&`, a comparison stands alone."""
        if len(either := _split(tokens, "||")) > 1 and not _at_top(tokens, {"?"}):
            return Some(tuple(self.tree(part) for part in either))
        if len(both := _split(tokens, "&&")) > 1 and not _at_top(tokens, {"?"}):
            return Every(tuple(self.tree(part) for part in both))
        if tokens[0][1] == "!" and not _at_top(tokens, {*_RELATIONS, "?"}):
            return Not(self.tree(tokens[1:]))
        if tokens[0][1] == "(" and _closes(tokens) == len(tokens) - 1:
            return self.tree(tokens[1:-1])
        return self._atom(tokens) or self._other(tokens)

    def _other(self, tokens: list[Token]) -> Other:
        words = " ".join(word for _, word, _, _ in tokens)
        return Other(words, frozenset(paths(tokens)), tokens[0][2])

    def _atom(self, tokens: list[Token]) -> Atom | None:
        signs = _at_top(tokens, {*_RELATIONS, "?"})
        if len(signs) == 1:
            return self._relation(tokens[: signs[0]], tokens[signs[0]][1], tokens[signs[0] + 1 :])
        if signs:
            return None
        words = [word for _, word, _, _ in tokens]
        if words in (["true"], ["false"]):
            return Always(words == ["true"])
        if words[:2] == ["has", "("] and (told := _path(tokens[2:-1])):
            return Told(told, tokens[0][2])
        path = _path(tokens)
        flag = kind(path) in {"flag", "any"} if path else False
        return Compare(path, "==", value=True, at=tokens[0][2]) if flag else None

    def _relation(self, left: list[Token], sign: str, right: list[Token]) -> Atom | None:
        if sign == "in":
            return self._among(left, right)
        one, other = _term(left), _term(right)
        first, second = _literal(left), _literal(right)
        if sign not in {"==", "!="} and (isinstance(first, str) or isinstance(second, str)):
            return None
        if one and second is not None:
            return Compare(one, sign, second, left[0][2])
        if other and first is not None:
            return Compare(other, _FLIPPED[sign], first, left[0][2])
        return None

    def _among(self, left: list[Token], right: list[Token]) -> Atom | None:
        term, value = _term(left), _literal(left)
        name, several = self._list(right)
        if name and not several:
            return None  # a list that is to be filled yet
        if several is not None and term:
            return Among(term, several, name, left[0][2])
        if several is not None and value is not None:
            return Always(value in several)
        inside = _path(right)
        return Contains(inside, value, left[0][2]) if inside and value is not None else None

    def _list(self, tokens: list[Token]) -> tuple[str, frozenset[Value] | None]:
        name = _path(tokens)
        if name and name.startswith("lists."):
            return name, frozenset(self._lists.get(name.removeprefix("lists."), ()))
        if not tokens or tokens[0][1] != "[" or tokens[-1][1] != "]":
            return "", None
        items = [_literal(item) for item in _split(tokens[1:-1], ",") if item]
        return "", None if None in items else frozenset(item for item in items if item is not None)


def paths(tokens: list[Token]) -> Iterator[str]:
    """The names in a piece of an expression, dots included; functions are left out."""
    at = 0
    while at < len(tokens):
        if tokens[at][0] != "name" or (at and tokens[at - 1][1] == "."):
            at += 1
            continue
        end = at + 1
        while end + 1 < len(tokens) and tokens[end][1] == "." and tokens[end + 1][0] == "name":
            if end + 2 < len(tokens) and tokens[end + 2][1] == "(":
                break
            end += 2
        if not (end < len(tokens) and tokens[end][1] == "(" and end == at + 1) and tokens[at][1] not in _WORDS:
            yield "".join(word for _, word, _, _ in tokens[at:end])
        at = end


def _split(tokens: list[Token], sign: str) -> list[list[Token]]:
    """The pieces between these signs, outside all brackets."""
    pieces, start = [], 0
    for at in [*_at_top(tokens, {sign}), len(tokens)]:
        pieces.append(tokens[start:at])
        start = at + 1
    return pieces


def _at_top(tokens: list[Token], words: set[str]) -> list[int]:
    """Where these signs or words stand outside all brackets."""
    depth, found = 0, []
    for at, (of_kind, word, _, _) in enumerate(tokens):
        depth -= word in {")", "]"} and of_kind == "sign"
        if not depth and of_kind != "text" and word in words:
            found.append(at)
        depth += word in {"(", "["} and of_kind == "sign"
    return found


def _closes(tokens: list[Token]) -> int:
    """Where the bracket that the tokens start with is closed."""
    depth = 0
    for at, (of_kind, word, _, _) in enumerate(tokens):
        if of_kind == "sign":
            depth += (word in {"(", "["}) - (word in {")", "]"})
        if not depth:
            return at
    return -1


def _path(tokens: list[Token]) -> str:
    """`person.email`, where nothing but that stands there; else empty."""
    shape = all(of_kind == "name" if at % 2 == 0 else word == "." for at, (of_kind, word, _, _) in enumerate(tokens))
    fits = shape and len(tokens) % 2 == 1 and tokens[0][1] not in _WORDS
    return "".join(word for _, word, _, _ in tokens) if fits else ""


def _term(tokens: list[Token]) -> str:
    """A field, or the size of one as `size(lead.interests)`; else empty."""
    words = [word for _, word, _, _ in tokens]
    inner = ""
    if words[:2] == ["size", "("] and words[-1] == ")":
        inner = _path(tokens[2:-1])
    elif words[-4:] == [".", "size", "(", ")"]:
        inner = _path(tokens[:-4])
    path = f"size({inner})" if inner else _path(tokens)
    return "" if path.startswith("lists.") else path


def _literal(tokens: list[Token]) -> Value | None:
    """Text, a number or a flag; None for anything else."""
    negative = len(tokens) == 2 and tokens[0][1] == "-" and tokens[1][0] == "number"  # noqa: PLR2004 - sign, digits
    if len(tokens) != 1 + negative:
        return None
    of_kind, word, _, _ = tokens[-1]
    if of_kind == "number":
        number = int(word) if word.isdigit() else float(word)
        return None if math.isinf(number) else -number if negative else number
    if word in {"true", "false"}:
        return word == "true"
    if of_kind != "text":
        return None
    try:
        return str(ast.literal_eval(word))
    except (SyntaxError, ValueError):
        return None
