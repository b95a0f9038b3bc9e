"""
The words of an expression, read once before it is compiled: which fields, lists and functions it names.

Every mistake is kept with the place where it stands, so that all of them are told at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schema.journey.fields import FIELDS, kind, nearest
from schema.journey.language import cel
from schema.journey.question import Among, Compare, Contains, Token, Tree, Value, atoms

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
_OF_TEXT = {"startsWith", "endsWith", "contains", "matches"}
_MACROS = {"all", "exists", "exists_one", "map", "filter"}
_TESTS = _OF_TEXT | {"all", "exists", "exists_one"}
_METHODS = _TESTS | _MACROS | {"size"}
_COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
_YES_NO = _COMPARISONS | {"&&", "||", "!", "in", "true", "false", "has"} | _TESTS
_MEANT = {"and": "&&", "or": "||", "not": "!", "=": "==", "&": "&&", "|": "||", "<>": "!=", "is": "=="}
"""How other languages write it, and how it is written here."""
FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError)
"""What CEL raises."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong, and at which character of the expression (from 0)."""

    message: str
    at: int = 0


class ExpressionInvalid(ValueError):
    """What is wrong with an expression, in words for whoever wrote it. `mistakes` are all of them, in order."""

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.at))
        super().__init__("; and ".join(mistake.message for mistake in self.mistakes))


class Reading:
    """
    One walk over the words of an expression: `paths` it reads, each with its place, and those it only tests with has().

    `mistakes` are those that can be told without compiling it. Raises `ExpressionInvalid` where nothing can be read.
    """

    def __init__(self, source: str, lists: Mapping[str, Iterable[str]]) -> None:
        self.source = source
        self.lists = lists
        self.paths: dict[str, int] = {}
        self.tested: list[str] = []
        self.mistakes: list[Mistake] = []
        self._literals: list[tuple[int, int, str]] = []
        self.tokens = _tokens(source)
        _refuse_depth(self.tokens)
        self._bound = self._macro_variables()
        at = 0
        while at < len(self.tokens):
            at = self._name(at) if self._kind(at) == "name" else self._other(at)
        if not self.mistakes:
            self._refuse_statements()

    def program(self) -> str:
        """The source with the named lists written out."""
        text, end = [], 0
        for start, stop, literal in self._literals:
            text += [self.source[end:start], literal]
            end = stop
        return "".join([*text, self.source[end:]])

    def mistakes_and(self, error: str) -> list[Mistake]:
        """All mistakes when `program` cannot be parsed; what is told of a place already is not told again."""
        unreadable = self._unreadable(error)
        told = any(mistake.at == unreadable.at for mistake in self.mistakes)
        return self.mistakes if told else [*self.mistakes, unreadable]

    def _unreadable(self, error: str) -> Mistake:
        """The parser's first complaint about `program`, without its drawing and its grammar, placed in the source."""
        found = re.search(r"<input>:(\d+):(\d+): (?:Syntax error: )?(.*)", error)
        if not found:
            return Mistake("this cannot be read as an expression")
        lines = self.program().split("\n")
        at = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2]) - 1
        for start, stop, literal in self._literals:
            if at >= start:
                at = max(start, at - len(literal) + stop - start)
        complaint = found[3].partition(" expecting ")[0].replace("'<EOF>'", "the end")
        complaint = re.sub(r"token recognition error at: ", "unfinished text: ", complaint)
        at = max(0, min(at, len(self.source.rstrip())))
        return Mistake(f"this cannot be read as an expression, at character {at + 1}: {complaint}", at)

    def compare(self, tree: Tree) -> None:
        """Note what is compared with something it can never equal: a number with text, a list with a word."""
        for atom in atoms(tree):
            if isinstance(atom, Compare):
                self._comparable(atom)
            elif isinstance(atom, Among):
                self._among(atom)
            elif isinstance(atom, Contains) and kind(atom.term) in {"text", "number", "flag", "moment"}:
                hint = f"; ask {atom.term}.contains(…)" if kind(atom.term) == "text" else ""
                self._wrong(atom.at, f"{atom.term} is {_a(atom.term)}, and `in` looks into a list{hint}")

    def _wrong(self, at: int, message: str) -> None:
        self.mistakes.append(Mistake(message, at))

    def _kind(self, at: int) -> str:
        return self.tokens[at][0] if 0 <= at < len(self.tokens) else ""

    def _word(self, at: int) -> str:
        return self.tokens[at][1] if 0 <= at < len(self.tokens) else ""

    def _start(self, at: int) -> int:
        return self.tokens[at][2] if at < len(self.tokens) else len(self.source)

    def _macro_variables(self) -> set[str]:
        """Names bound by `list.exists(name, …)`. Refuses a macro inside a macro: that is where work multiplies."""
        bound: set[str] = set()
        open_macros: list[bool] = []
        for at, (_, word, start, _) in enumerate(self.tokens):
            if word == "(":
                macro = self._word(at - 1) in _MACROS and self._word(at - 2) == "."
                if macro and any(open_macros):
                    message = f"{self._word(at - 1)}() stands inside another one; one level is allowed"
                    raise ExpressionInvalid(Mistake(message, start))
                if macro:
                    bound.add(self._word(at + 1))
                    if self._word(at + 1) in {name.partition(".")[0] for name in FIELDS}:
                        message = f"{self._word(at + 1)!r} is the name of a field; give the variable another name"
                        raise ExpressionInvalid(Mistake(message, self._start(at + 1)))
                open_macros.append(macro)
            elif word == ")" and open_macros:
                open_macros.pop()
        return bound

    def _name(self, at: int) -> int:
        """A name that starts something: a word of the language, a function, a macro's variable, a list, a field."""
        name = self._word(at)
        if name in _WORDS:
            return at + 1
        if name.lower() in _MEANT:
            self._wrong(self._start(at), f"write {_MEANT[name.lower()]} instead of {name}")
            return at + 1
        if self._word(at + 1) == "(":
            self._known_function(at, _FUNCTIONS)
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
            self._known_function(at + 1, _METHODS)
            if self._word(at + 1) == "matches":
                self._pattern(at + 3)
            return at + 2
        return at + 1

    def _known_function(self, at: int, known: set[str]) -> None:
        name = self._word(at)
        if name in known:
            return
        if name in _FUNCTIONS | _METHODS:
            form = f"write it as {name}(…)" if name in _FUNCTIONS else f"write it behind what it is about: ….{name}(…)"
            self._wrong(self._start(at), f"{name}() does not stand like this; {form}")
        else:
            hint = nearest(name, sorted(_FUNCTIONS | _METHODS)) or f"; there are {', '.join(sorted(known))}"
            self._wrong(self._start(at), f"there is no function {name}(){hint}")

    def _has(self, at: int) -> None:
        end = at
        while self._word(end) not in {")", ""}:
            end += 1
        path = "".join(self._word(part) for part in range(at, end))
        if "." not in path or (kind(path) is None and path.partition(".")[0] not in self._bound):
            hint = nearest(path, [name for name in FIELDS if "." in name])
            message = f"has() asks for a field, as in has(person.email); {path or 'nothing'} is none{hint}"
            self._wrong(self._start(at), message)
        self.tested.append(path)

    def _pattern(self, at: int) -> None:
        """A regular expression is written here, so that a wrong one is found here."""
        if self._kind(at) != "text":
            self._wrong(self._start(at), "matches() takes a pattern in quotes")
            return
        try:
            cel.compile(f"''.matches({self._word(at)})").execute()
        except FAILURES:
            self._wrong(self._start(at), f"{self._word(at)} is not a regular expression")

    def _list(self, path: str, at: int, end: int) -> None:
        name = path.removeprefix("lists.")
        if name not in self.lists:
            hint = nearest(path, [f"lists.{known}" for known in self.lists])
            self._wrong(self._start(at), f"there is no list {path}{hint or _all_lists(self.lists)}")
            return
        literal = json.dumps(list(self.lists[name]), ensure_ascii=False)
        self._literals.append((self.tokens[at][2], self.tokens[end - 1][3], literal))

    def _field(self, path: str, at: int, end: int) -> None:
        known = kind(path)
        if known is None:
            if path in self.tested:
                return  # told by has() already
            starts = "; fields start with person., company., lead., score., qualification. or touchpoint."
            self._wrong(self._start(at), f"{path} is not a field{nearest(path, list(FIELDS)) or starts}")
            return
        if self._word(end) == "[" and self._kind(end + 1) != "number":
            self._wrong(self._start(at), f"write a name with a dot: {path}.name")
        method = self._word(end + 1) if self._word(end) == "." else ""
        if method in _OF_TEXT and known not in {"text", "any"}:
            hint = f'; ask "…" in {path}' if known == "list" else ""
            self._wrong(self._start(at), f"{path} is {_a(path)}, and {method}() is for text{hint}")
        if method in _MACROS and known not in {"list", "map", "any"}:
            self._wrong(self._start(at), f"{path} is {_a(path)}, and {method}() is for a list")
        self.paths.setdefault(path, self._start(at))

    def _comparable(self, atom: Compare) -> None:
        of_field = "number" if atom.term.startswith("size(") else kind(atom.term)
        if of_field in {None, "any"} or of_field == _kind_of(atom.value):
            return
        hint = {
            "number": "write it without quotes" if isinstance(atom.value, str) else "compare it with a number",
            "text": "write it in quotes",
            "flag": f"write {atom.term} or !{atom.term}",
            "list": f"ask … in {atom.term}, or for size({atom.term})",
            "map": f"name something in it, as in {atom.term}.name",
            "moment": "compare it with timestamp('2026-12-31T00:00:00Z')",
        }[str(of_field)]
        self._wrong(atom.at, f"{atom.term} is {_a(atom.term)}; {hint}")

    def _among(self, atom: Among) -> None:
        of_field = "number" if atom.term.startswith("size(") else kind(atom.term)
        if of_field in {"list", "map", "moment"}:
            hint = f"; ask {atom.term}.exists(one, one in …)" if of_field == "list" else ""
            self._wrong(atom.at, f"{atom.term} is {_a(atom.term)} and cannot stand in a list{hint}")
        elif of_field not in {None, "any"} and any(_kind_of(value) != of_field for value in atom.values):
            form = "write them without quotes" if of_field == "number" else "write them in quotes"
            self._wrong(atom.at, f"{atom.term} is {_a(atom.term)}, and the list holds something else; {form}")

    def _refuse_statements(self) -> None:
        """A question has a comparison, a test or a flag somewhere; `company.name` alone has none."""
        if any(word in _YES_NO for _, word, _, _ in self.tokens):
            return
        if not any(kind(path) in {"flag", "any"} for path in self.paths):
            self._wrong(0, "this is not a yes/no question; compare it with something, as in company.employees >= 50")


def _a(term: str) -> str:
    """The kind of a field, as a sentence has it."""
    known = "number" if term.startswith("size(") else str(kind(term))
    return known if known == "text" else f"a {known}"


def _kind_of(value: Value) -> str:
    return "text" if isinstance(value, str) else "flag" if isinstance(value, bool) else "number"


def _all_lists(lists: Mapping[str, Iterable[str]]) -> str:
    return f"; there are {', '.join(f'lists.{name}' for name in list(lists)[:8])}" if lists else "; add it to `lists`"


def _tokens(source: str) -> list[Token]:
    """Kind, word, start and end of each token. Raises `ExpressionInvalid` for what is no part of the language."""
    if len(source) > LONGEST:
        raise ExpressionInvalid(Mistake(f"longer than {LONGEST} characters"))
    tokens, at, end = [], 0, len(source.rstrip())
    while at < end:
        found = _TOKEN.match(source, at)
        if not found or not found.lastgroup:
            raise ExpressionInvalid(_no_part(source, at))
        tokens.append((found.lastgroup, found[found.lastgroup], found.start(found.lastgroup), found.end()))
        at = found.end()
    if not tokens or len(tokens) > MOST_TOKENS:
        message = f"more than {MOST_TOKENS} words and signs" if tokens else "the expression is empty"
        raise ExpressionInvalid(Mistake(message))
    return tokens


def _no_part(source: str, at: int) -> Mistake:
    rest = source[at:].lstrip()
    at = len(source) - len(rest)
    sign = rest[:1]
    hint = f"; write {_MEANT[sign]}" if sign in _MEANT else "; the text it starts does not end" if sign in "'\"" else ""
    return Mistake(f"{sign!r} at character {at + 1} is no part of an expression{hint}", at)


def _refuse_depth(tokens: list[Token]) -> None:
    """Every level takes native stack, which a thread has little of; no rule of a business needs many."""
    depth = conditions = 0
    for place, (of_kind, word, start, _) in enumerate(tokens):
        if of_kind != "sign":
            continue
        depth += (word in {"(", "["}) - (word in {")", "]"})
        conditions += word == "?"
        if depth > DEEPEST or conditions > DEEPEST:
            message = f"more than {DEEPEST} brackets or conditions inside one another"
            raise ExpressionInvalid(Mistake(message, start))
        if word in {"!", "-"} and tokens[place + 1 : place + 2] and tokens[place + 1][1] == word:
            raise ExpressionInvalid(Mistake("one ! or - is enough", start))
