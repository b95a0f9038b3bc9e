"""
Expressions of a journey: yes/no questions about one lead, in CEL, that never fail while a lead waits.

The answer is True, False or `Unknown`: what a lead has not told us is not held against it. A field that is missing or
empty, a comparison of things that do not compare, an error of any kind: all are `Unknown`, and say why. As CEL has it,
one true side decides `a || b` and one false side decides `a && b`, whatever the other is.

An expression is compiled once, when its journey is loaded; there every mistake that can be found is found: unknown
fields, functions and lists, numbers compared with text, things that are not questions. The work is bounded: 2,000
characters, 500 words and signs, 16 brackets inside one another, no macro inside a macro, regular expressions that run
in linear time.

A `View` is what the expressions of one journey see of one lead; it holds only the fields that they name, and is built
once for all of them, because building it costs more than ten evaluations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from schema.journey.language import cel
from schema.journey.plain import NotPlain, plain
from schema.journey.question import Compare, Taking, Tree, atoms
from schema.journey.reading import FAILURES, LONGEST, ExpressionInvalid, Reading

__all__ = ["LONGEST", "Answer", "Expression", "ExpressionInvalid", "Reads", "Unknown", "View"]


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer: these fields are missing, or (none missing) the question does not fit the values it met."""

    missing: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return False


Answer = bool | Unknown


class View:
    """One lead as the expressions of one journey see it: the fields they name, without those that are empty."""

    __slots__ = ("_context", "_reads", "values")

    def __init__(self, reads: Reads, values: Mapping[str, Any]) -> None:
        self._reads = reads
        self._context: cel.Context | None = None
        self.values: dict[str, Any] = {
            root: seen for root in reads.roots if (seen := reads.prune(root, values.get(root))) is not None
        }

    @property
    def context(self) -> cel.Context:
        """The same for CEL; made when a question first needs it."""
        if self._context is None:
            known = {root: value for root, value in self.values.items() if value is not None}
            try:
                self._context = cel.Context(known)
            except FAILURES:
                self.values = {root: _convertible(value) for root, value in known.items()}
                self._context = cel.Context({root: value for root, value in self.values.items() if value is not None})
        return self._context

    def replace(self, root: str, value: object) -> None:
        """See `value` under `root` from now on (a score just computed, for the guards that follow)."""
        if root in self._reads.roots:
            self.values[root] = self._reads.prune(root, value)
            self._context = None

    def lacks(self, path: str) -> bool:
        """Whether nothing is known at `path`."""
        value: Any = self.values
        for name in path.split("."):
            if not isinstance(value, dict) or value.get(name) is None:
                return True
            value = value[name]
        return False


class Reads:
    """Which fields a set of expressions looks at, as a tree: what a `View` has to hold, and nothing more."""

    __slots__ = ("_tree", "roots")

    def __init__(self, paths: Iterable[str]) -> None:
        self._tree: dict[str, Any] = {}
        for path in sorted(set(paths)):
            _grow(self._tree, path.split("."))
        self.roots = frozenset(self._tree)

    def include(self, path: str) -> bool:
        """Whether anything at this path is looked at."""
        tree = self._tree
        for name in path.split("."):
            if name not in tree:
                return False
            tree = tree[name]
            if not tree:
                return True
        return True

    def prune(self, root: str, value: object) -> Any:  # noqa: ANN401 - any plain value of a lead
        """The part of `value` that expressions read; None when nothing is known."""
        below = self._tree[root]
        if below:
            return _pruned(value if isinstance(value, dict) else {}, below)
        return value if _told(value) else None


def _grow(tree: dict[str, Any], names: list[str]) -> None:
    """Add a path; an empty branch means everything below (paths come sorted, so a parent comes first)."""
    name, *rest = names
    if not rest:
        tree[name] = {}
    elif tree.get(name) != {}:
        _grow(tree.setdefault(name, {}), rest)


def _pruned(value: dict[str, Any], tree: dict[str, Any]) -> dict[str, Any]:
    """The branches of `tree`; a map that is named stays, if empty, so that `has()` can look into it."""
    result: dict[str, Any] = {}
    for name, below in tree.items():
        inner = value.get(name)
        if below:
            result[name] = _pruned(inner if isinstance(inner, dict) else {}, below)
        elif _told(inner):
            result[name] = inner
    return result


def _told(value: object) -> bool:
    """An empty answer is no answer; zero and false are answers."""
    return bool(value) or value == 0


def _convertible(value: Any) -> Any:  # noqa: ANN401 - any plain value of a lead
    """The value without the parts that CEL has no type for (a whole number of 70 bits, a UUID)."""
    if isinstance(value, dict):
        return {name: inner for name, item in value.items() if (inner := _convertible(item)) is not None}
    try:
        cel.Context({"value": value})
    except FAILURES:
        return None
    return value


class Expression:
    """
    One compiled question.

    `source` is what was written, `paths` the fields it reads, each with the character it first stands at in `places`,
    `tree` what it asks, taken apart. Raises `ExpressionInvalid` with every mistake. `lists` are the journey's named
    lists; they become part of the program, so that a long list costs nothing where it is not used.
    """

    __slots__ = ("_ask", "_execute", "_tested", "paths", "places", "source", "tree")

    def __init__(self, source: str, lists: Mapping[str, Iterable[str]] | None = None) -> None:
        reading = Reading(source, lists or {})
        program = reading.program()
        self.source: Final = source
        self.places: Final[Mapping[str, int]] = reading.paths
        self.paths: Final = tuple(reading.paths)
        self._tested = frozenset(reading.tested)
        try:
            self._execute = cel.compile(program).execute
        except ValueError as error:
            raise ExpressionInvalid(*reading.mistakes_and(str(error))) from None
        self.tree: Final[Tree] = Taking(source, lists or {}).tree(reading.tokens)
        reading.compare(self.tree)
        if reading.mistakes:
            raise ExpressionInvalid(*reading.mistakes)
        self._ask = plain(program)

    @property
    def comparisons(self) -> tuple[Compare, ...]:
        """The comparisons of a field (or its size) with a text, a number or a flag that the question makes."""
        return tuple(atom for atom in atoms(self.tree) if isinstance(atom, Compare))

    def evaluate(self, view: View) -> Answer:
        """True, False or `Unknown`; never an exception."""
        answer = self._answer(view)
        if answer is True or answer is False:
            return answer
        return Unknown(tuple(path for path in self.paths if path not in self._tested and view.lacks(path)))

    def _answer(self, view: View) -> object:
        if self._ask is not None:
            with suppress(NotPlain):
                return self._ask(view.values)
        return self.in_cel(view)

    def in_cel(self, view: View) -> object:
        """What CEL answers; None for an error."""
        try:
            return self._execute(view.context)
        except FAILURES:
            return None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)
