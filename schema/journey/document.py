"""
The text of a journey file: YAML in, plain values and the line of every key out.

A journey is edited by people and may arrive over HTTP, so the YAML here is the small and unsurprising part of YAML 1.2:
`true` and `false` are the only booleans (`no` is Norway, `on` is a key), `09:00` is text, a key stands once; anchors,
aliases, tags and several documents are refused, as are files over 256 KiB. Nothing in the text is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

LARGEST = 256 * 1024
DEEPEST = 12

Plain = Any
"""None, bool, int, float, str, and lists and string-keyed dicts of these."""
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct: where (`route.pools.dach`), on which line (1-based; 0: the file as a whole), and how."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        where = ": ".join(part for part in (f"line {self.line}" if self.line else "", self.path) if part)
        return f"{where}: {self.message}" if where else self.message


@dataclass(slots=True)
class Document:
    """A journey's text as plain values, with the line each path starts on and what is wrong with the text itself."""

    data: Plain = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, message: str) -> None:
        """Note a problem at the line of `path`, or of its nearest parent that the text has."""
        self.problems.append(Problem(dotted(path), self.line(path), message))

    def line(self, path: Path) -> int:
        """Line of `path` or of its nearest parent; 0 when there is none."""
        return next((self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), 0)


def dotted(path: Path) -> str:
    """`("qualify", 0, "when")` as people write it: `qualify[0].when`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def read(text: str) -> Document:
    """The document in `text`. Never raises for what the text says: problems are in the result."""
    document = Document()
    if len(text.encode(errors="replace")) > LARGEST:
        document.problem((), f"the file is larger than {LARGEST // 1024} KiB")
        return document
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        document.problems.append(Problem("", line, f"this is not YAML: {error.problem or error.context}"))
    except yaml.YAMLError:
        document.problem((), "this is not YAML: it holds a character that a text file cannot have")
    else:
        document.data = _value(node, (), document)
    return document


class _Loader(yaml.SafeLoader):
    """SafeLoader with the plain scalars of YAML 1.2's core schema, without references."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's own
        """Refuse what would make one place of the file mean another."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "a value cannot start with & or *: put quotes around it, or write it out"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        if getattr(event, "tag", None):
            problem = "a value cannot start with !: put quotes around it"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        self.depth = getattr(self, "depth", 0) + 1
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"more than {DEEPEST} levels deep", event.start_mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]{1,18}", "-+0123456789"),
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
    """A YAML node as plain values; fills in `document.lines`."""
    if node is None:
        return None
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _SCALARS[node.tag.rpartition(":")[2]](node.value)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Plain]:
    result: dict[str, Plain] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            document.problems.append(Problem(dotted(path), line, "a key is one word, not a list or a mapping"))
            continue
        inner = (*path, key.value)
        if key.value in result:
            message = f"{key.value!r} stands here twice (first on line {document.lines[inner]}); keep one"
            document.problems.append(Problem(dotted(inner), line, message))
            continue
        document.lines[inner] = line
        result[key.value] = _value(value, inner, document)
    return result
