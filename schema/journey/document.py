"""
The text of a journey file: YAML in, plain values and the place of every key and value out.

A journey is edited by people and may arrive over HTTP, so the YAML here is the small and unsurprising part of YAML 1.2:
`true` and `false` are the only booleans (`no` is Norway, `on` is a key), `09:00`, `2026-12-24` and `007` are text, a
key stands once and has a value; anchors, aliases, merge keys, tags and several documents are refused, as are files over
256 KiB. Nothing in the text is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, NamedTuple

import yaml

LARGEST = 256 * 1024
DEEPEST = 12
MOST_PROBLEMS = 100
"""So many are told; whoever has more begins with these."""

Plain = Any
"""None, bool, int, float, str, and lists and string-keyed dicts of these."""
Path = tuple[str | int, ...]
Severity = Literal["error", "warning"]


class Place(NamedTuple):
    """A place in the text, both counted from 1; 0 and 0 is the file as a whole."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing to correct (`error`) or to think about (`warning`): where, and how.

    `path` is as in `route.pools.dach`; `line` and `column` are counted from 1, 0 is the file as a whole.
    """

    path: str
    line: int
    column: int
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        where = f"{self.line}:{self.column}" if self.line else ""
        kind = "warning" if self.severity == "warning" else ""
        return ": ".join(part for part in (where, kind, self.path, self.message) if part)


@dataclass(slots=True)
class Document:
    """
    A journey's text as plain values, with the place of each path and what is wrong with it.

    `wrong` are the paths that an error is told about.
    """

    text: str = ""
    data: Plain = None
    problems: list[Problem] = field(default_factory=list)
    wrong: set[Path] = field(default_factory=set)
    _keys: dict[Path, Place] = field(default_factory=dict)
    _scalars: dict[Path, yaml.ScalarNode] = field(default_factory=dict)

    def problem(
        self, path: Path, message: str, *, at: int | None = None, of_key: bool = False, severity: Severity = "error"
    ) -> None:
        """Note a problem with the value at `path` (or with its key), `at` that character of it, counted from 0."""
        place = self.place(path, at=at, of_key=of_key)
        if severity == "error":
            self.wrong.add(path)
        self.problems.append(Problem(dotted(path), place.line, place.column, message, severity))

    def place(self, path: Path, *, at: int | None = None, of_key: bool = False) -> Place:
        """Where the value of `path` stands (of its nearest parent that the text has), or its key."""
        here = next((path[:end] for end in range(len(path), -1, -1) if path[:end] in self._keys), None)
        if here is None:
            return Place()
        scalar = self._scalars.get(here)
        if of_key or scalar is None:
            return self._keys[here]
        index = scalar.start_mark.index if at is None or here != path else _index(self.text, scalar, at)
        return _place(self.text, scalar.start_mark, index)

    def key(self, path: Path, mark: yaml.Mark) -> None:
        """Remember where the key of `path` stands; the first one counts."""
        self._keys.setdefault(path, Place(mark.line + 1, mark.column + 1))

    def scalar(self, path: Path, node: yaml.ScalarNode) -> None:
        """Remember where a text, a number or a flag stands."""
        self._scalars[path] = node


def dotted(path: Path) -> str:
    """`("qualify", 0, "when")` as people write it: `qualify[0].when`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def read(text: str) -> Document:
    """The document in `text`. Never raises for what the text says: problems are in the result."""
    document = Document(text)
    if len(text.encode(errors="replace")) > LARGEST:
        document.problem((), f"the file is larger than {LARGEST // 1024} KiB")
        return document
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place()
        document.problems.append(Problem("", *place, _not_yaml(str(error.problem or error.context))))
    except yaml.YAMLError:
        document.problem((), "this is not YAML: it holds a character that a text file cannot have")
    else:
        document.data = _value(node, (), document)
    return document


_TRICKS = {
    r"'\t'": "indent with spaces: a tab cannot stand here",
    "found character '": "a value cannot start with this sign: put quotes around it",
    "mapping values are not allowed": "no key can stand here: look for a missing colon or quote, here or just above",
    "could not find expected ':'": "a key needs a colon and a space after it, and the same indent as its neighbours",
    "expected <block end>": "this does not belong here: look at the indent, and for a quote or bracket too many",
    "another document": "the file holds more than one document: remove the line ---",
    "unexpected end of stream": "a quote that is opened before is not closed",
    "expected ',' or": "a bracket that is opened before is not closed, or a comma is missing",
    "unknown escape": "in double quotes \\ starts an escape: use single quotes",
    "chomping or indentation": "put quotes around text that starts with > or |",
}


def _not_yaml(problem: str) -> str:
    """What the parser stumbled over, with what it usually comes from."""
    hint = next((words for mark, words in _TRICKS.items() if mark in problem), None)
    return hint or (problem if problem in _REFUSED else f"this is not YAML: {problem}")


def _index(text: str, node: yaml.ScalarNode, at: int) -> int:
    """
    Where in the text the character `at` of a value stands.

    Folding and indenting change nothing but space, so the characters that are none are counted on both sides.
    """
    before = sum(not char.isspace() for char in node.value[:at])
    units = _units(text, node.start_mark.index, node.end_mark.index, node.style)
    return next(islice(units, before, None), node.end_mark.index)


def _units(text: str, start: int, end: int, style: str | None) -> Iterator[int]:
    """Where each character of a scalar stands that is no space, as its quotes and escapes have it."""
    if style in {"|", ">"}:
        start = text.find("\n", start) + 1 or end
    elif style in {"'", '"'}:
        start, end = start + 1, end - 1
    step = {"'": _SINGLE, '"': _DOUBLE}.get(style or "", _ANY)
    for found in step.finditer(text, start, end):
        if not _blank(found[0], style):
            yield found.start()


_ANY = re.compile(r"\S")
_SINGLE = re.compile(r"''|\S")
_DOUBLE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.|\s)|\S", re.DOTALL)


def _blank(unit: str, style: str | None) -> bool:
    """Whether a character of the text, or an escape, stands for a space."""
    if style != '"' or unit[0] != "\\":
        return False
    if unit[1] in "xuU" and len(unit) > 2:  # noqa: PLR2004 - the letter and its digits
        return chr(int(unit[2:], 16)).isspace()  # noqa: FURB166 - `x` here is no 0x
    return unit[1].isspace() or unit[1] in "ntrvfNLP_"


_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def _place(text: str, mark: yaml.Mark, index: int) -> Place:
    """Line and column of a character after the mark."""
    lines = _BREAK.split(text[mark.index : index])
    if len(lines) == 1:
        return Place(mark.line + 1, mark.column + 1 + index - mark.index)
    return Place(mark.line + len(lines), len(lines[-1]) + 1)


_REFUSED = (
    "a value cannot start with & or *: put quotes around it, or write it out",
    "a value cannot start with !: put quotes around it",
    f"more than {DEEPEST} levels deep",
)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the plain scalars of YAML 1.2's core schema, without references."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's own
        """Refuse what would make one place of the file mean another."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(None, None, _REFUSED[0], event.start_mark)
        if getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, _REFUSED[1], event.start_mark)
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, _REFUSED[2], event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?[0-9]{1,18}\.[0-9]{1,18}", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))

_SCALARS: dict[str, Callable[[str], Plain]] = {
    "bool": lambda text: text == "true",
    "null": lambda _: None,
    "int": int,
    "float": float,
    "str": str,
}


def _value(node: yaml.Node | None, path: Path, document: Document) -> Plain:
    """A YAML node as plain values; tells the document where each stands."""
    if node is None:
        return None
    document.key(path, node.start_mark)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - the third and last kind of node
    document.scalar(path, node)
    value = _SCALARS[node.tag.rpartition(":")[2]](node.value)
    if value is None and path:
        document.problem(path, "nothing stands here: write a value, or leave this out", of_key=not node.value)
    return value


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Plain]:
    result: dict[str, Plain] = {}
    for key, value in node.value:
        place = Place(key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append(Problem(dotted(path), *place, "a key is one word, not a list or a mapping"))
            continue
        inner = (*path, key.value)
        if key.value in result:
            first = document.place(inner, of_key=True).line
            message = f"{key.value!r} stands here twice (first on line {first}); keep one"
            document.problems.append(Problem(dotted(inner), *place, message))
            continue
        if key.value == "<<" and key.style is None:
            message = "the language has no merge keys: write out what this stands for"
            document.problems.append(Problem(dotted(inner), *place, message))
            continue
        document.key(inner, key.start_mark)
        result[key.value] = _value(value, inner, document)
    return result
