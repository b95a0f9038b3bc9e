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

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import cel

from schema.journey.fields import FIELDS, kind, nearest
from schema.journey.plain import NotPlain, plain

LONGEST = 2000
MOST_TOKENS = 500
DEEPEST = 16
"""Brackets inside brackets, and likewise conditions (`a ? b : c`) in one expression; the parser recurses natively."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>[rR]"[^"\n]*"|[rR]'[^'\n]*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]])
    )""",
    re.VERBOSE | re.ASCII,
)
_WORDS = {"true", "false", "null", "in"}
_FUNCTIONS = {"has", "size", "int", "double", "string", "timestamp", "duration"}
_TESTS = {"startsWith", "endsWith", "contains", "matches", "all", "exists", "exists_one"}
_MACROS = {"all", "exists", "exists_one", "map", "filter"}
_METHODS = _TESTS | _MACROS | {"size"}
_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
_YES_NO = _COMPARISONS | {"&&", "||", "!", "in", "true", "false", "has"} | _TESTS
_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError)


class ExpressionInvalid(ValueError):
    """What is wrong with an expression, in words for whoever wrote it."""


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
            except _FAILURES:
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
    except _FAILURES:
        return None
    return value


class Expression:
    """
    One compiled question.

    `source` is what was written, `paths` the fields it reads. Raises `ExpressionInvalid` for a mistake. `lists` are
    the journey's named lists; they become part of the program, so that a long list costs nothing where it is not used.
    """

    __slots__ = ("_ask", "_execute", "_tested", "paths", "source")

    def __init__(self, source: str, lists: Mapping[str, Iterable[str]] | None = None) -> None:
        reading = _Reading(source, lists or {})
        self.source: Final = source
        self.paths: Final = tuple(dict.fromkeys(reading.paths))
        self._tested = frozenset(reading.tested)
        try:
            self._execute = cel.compile(reading.program()).execute
        except ValueError as error:
            raise ExpressionInvalid(_plain_words(str(error))) from None
        self._ask = plain(reading.program())

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
        except _FAILURES:
            return None

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)


def _plain_words(error: str) -> str:
    """The parser's first complaint, without its drawing and its grammar."""
    found = re.search(r"<input>:\d+:(\d+): (?:Syntax error: )?(.*)", error)
    if not found:
        return "this cannot be read as an expression"
    complaint = found[2].partition(" expecting ")[0].replace("'<EOF>'", "the end")
    return f"this cannot be read as an expression, at character {found[1]}: {complaint}"


class _Reading:
    """One walk over the words of an expression: which fields, lists and functions it names, and whether it may."""

    def __init__(self, source: str, lists: Mapping[str, Iterable[str]]) -> None:
        self.source = source
        self.lists = lists
        self.paths: list[str] = []
        self.tested: list[str] = []
        self._literals: list[tuple[int, int, str]] = []
        self._tokens = _tokens(source)
        _refuse_depth([word for _, word, _, _ in self._tokens])
        self._bound = self._macro_variables()
        at = 0
        while at < len(self._tokens):
            at = self._name(at) if self._kind(at) == "name" else self._other(at)
        self._refuse_statements()

    def program(self) -> str:
        """The source with the named lists written out."""
        text, end = [], 0
        for start, stop, literal in self._literals:
            text += [self.source[end:start], literal]
            end = stop
        return "".join([*text, self.source[end:]])

    def _kind(self, at: int) -> str:
        return self._tokens[at][0] if 0 <= at < len(self._tokens) else ""

    def _word(self, at: int) -> str:
        return self._tokens[at][1] if 0 <= at < len(self._tokens) else ""

    def _macro_variables(self) -> set[str]:
        """Names bound by `list.exists(name, …)`. Refuses a macro inside a macro: that is where work multiplies."""
        bound: set[str] = set()
        open_macros: list[bool] = []
        for at, (_, word, _, _) in enumerate(self._tokens):
            if word == "(":
                macro = self._word(at - 1) in _MACROS and self._word(at - 2) == "."
                if macro and any(open_macros):
                    raise ExpressionInvalid(f"{self._word(at - 1)}() stands inside another one; one level is allowed")
                if macro:
                    bound.add(self._word(at + 1))
                open_macros.append(macro)
            elif word == ")" and open_macros:
                open_macros.pop()
        if clash := bound & {name.partition(".")[0] for name in FIELDS}:
            raise ExpressionInvalid(f"{min(clash)!r} is the name of a field; give the variable another name")
        return bound

    def _name(self, at: int) -> int:
        """A name that starts something: a word of the language, a function, a macro's variable, a list, a field."""
        name = self._word(at)
        if name in _WORDS:
            return at + 1
        if self._word(at + 1) == "(":
            self._known_function(name, _FUNCTIONS)
            if name == "has":
                self._has(at + 2)
            return at + 2
        end = at + 1
        while self._word(end) == "." and self._kind(end + 1) == "name" and self._word(end + 2) != "(":
            end += 2
        if name in self._bound:
            return end
        path = "".join(self._word(part) for part in range(at, end))
        if name == "lists":
            self._list(path, at, end)
        else:
            self._field(path, at, end)
        return end

    def _other(self, at: int) -> int:
        """A sign or a literal; after a dot that follows a value, a method."""
        if self._word(at) == "." and self._kind(at + 1) == "name":
            self._known_function(self._word(at + 1), _METHODS)
            if self._word(at + 1) == "matches":
                self._pattern(at + 3)
            return at + 2
        return at + 1

    def _known_function(self, name: str, known: set[str]) -> None:
        if name not in known:
            raise ExpressionInvalid(f"there is no function {name}(){nearest(name, sorted(_FUNCTIONS | _METHODS))}")

    def _has(self, at: int) -> None:
        end = at
        while self._word(end) not in {")", ""}:
            end += 1
        path = "".join(self._word(part) for part in range(at, end))
        if "." not in path or (kind(path) is None and path.partition(".")[0] not in self._bound):
            raise ExpressionInvalid(f"has() asks for a field, as in has(person.email); {path or 'nothing'} is none")
        self.tested.append(path)

    def _pattern(self, at: int) -> None:
        """A regular expression is written here, so that a wrong one is found here."""
        if self._kind(at) != "text":
            raise ExpressionInvalid("matches() takes a pattern in quotes")
        try:
            cel.compile(f"''.matches({self._word(at)})").execute()
        except _FAILURES:
            raise ExpressionInvalid(f"{self._word(at)} is not a regular expression") from None

    def _list(self, path: str, at: int, end: int) -> None:
        name = path.removeprefix("lists.")
        if name not in self.lists:
            raise ExpressionInvalid(
                f"there is no list {path}{nearest(path, [f'lists.{known}' for known in self.lists])}"
            )
        literal = json.dumps(list(self.lists[name]), ensure_ascii=False)
        self._literals.append((self._tokens[at][2], self._tokens[end - 1][3], literal))

    def _field(self, path: str, at: int, end: int) -> None:
        known = kind(path)
        if known is None:
            starts = "; fields start with person., company., lead., score., qualification. or touchpoint."
            raise ExpressionInvalid(f"{path} is not a field{nearest(path, list(FIELDS)) or starts}")
        if self._word(end) == "[" and self._kind(end + 1) != "number":
            raise ExpressionInvalid(f"write a name with a dot: {path}.name")
        self._comparable(path, known, self._word(end), self._kind(end + 1))
        if self._word(at - 1) in _COMPARISONS:
            self._comparable(path, known, self._word(at - 1), self._kind(at - 2))
        self.paths.append(path)

    def _comparable(self, path: str, known: str, sign: str, literal: str) -> None:
        """Text compared with a number is never true; say so now."""
        if sign in _COMPARISONS and (known, literal) in {("number", "text"), ("text", "number")}:
            hint = "write it without quotes" if known == "number" else "write it in quotes"
            raise ExpressionInvalid(f"{path} is {'a number' if known == 'number' else 'text'}; {hint}")

    def _refuse_statements(self) -> None:
        """A question has a comparison, a test or a flag somewhere; `company.name` alone has none."""
        if any(word in _YES_NO for _, word, _, _ in self._tokens):
            return
        if not any(kind(path) in {"flag", "any"} for path in self.paths):
            raise ExpressionInvalid(
                "this is not a yes/no question; compare it with something, as in company.employees >= 50"
            )


def _tokens(source: str) -> list[tuple[str, str, int, int]]:
    """Kind, word, start and end of each token. Raises `ExpressionInvalid` for what is no part of the language."""
    if len(source) > LONGEST:
        raise ExpressionInvalid(f"longer than {LONGEST} characters")
    tokens, at, end = [], 0, len(source.rstrip())
    while at < end:
        found = _TOKEN.match(source, at)
        if not found or not found.lastgroup:
            raise ExpressionInvalid(f"{source[at:].lstrip()[:1]!r} at character {at + 1} is no part of an expression")
        tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup), found.end()))
        at = found.end()
    if not tokens or len(tokens) > MOST_TOKENS:
        raise ExpressionInvalid(f"more than {MOST_TOKENS} words and signs" if tokens else "the expression is empty")
    return tokens


def _refuse_depth(words: list[str]) -> None:
    """Every level takes native stack, which a thread has little of; no rule of a business needs many."""
    depth = deepest = 0
    for word in words:
        depth += (word in {"(", "["}) - (word in {")", "]"})
        deepest = max(deepest, depth)
    if deepest > DEEPEST or words.count("?") > DEEPEST:
        raise ExpressionInvalid(f"more than {DEEPEST} brackets or conditions inside one another")
    if any(words[at] == words[at + 1] and words[at] in {"!", "-"} for at in range(len(words) - 1)):
        raise ExpressionInvalid("one ! or - is enough")
