"""
Filling in: the fields of a template, in Liquid, within limits.

    "Hello {{ person.first_name | default: 'there' }}"

A field that is missing and has no default raises; so does whatever would take too much time, memory or output. What a
field says is always text, never a part of the template's own Markdown, HTML or headers. Nothing in a template reaches
files, other templates or Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from html import escape as escape_html
from typing import Any, Final, Literal

from liquid import Environment
from liquid.builtin import illegal, output
from liquid.builtin.content import Literal as Content
from liquid.builtin.filters import math as numbers
from liquid.builtin.filters import misc, string
from liquid.builtin.tags import assign_tag, case_tag, comment_tag, for_tag, if_tag, inline_comment_tag, unless_tag
from liquid.context import RenderContext
from liquid.exceptions import LiquidError, LiquidTypeError, ResourceLimitError, UndefinedError
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate
from liquid.undefined import FalsyStrictUndefined

from schema.errors import Permanent
from schema.journey.fields import nearest

Kind = Literal["line", "markdown", "html"]
"""What a template is: one line of a header, Markdown, or HTML."""

_LONGEST_TEXT: Final = 20_000
"""Characters of one value while it is worked on."""
_LARGEST_OUTPUT: Final = 256 * 1024
_MOST_LOOKUPS: Final = 20_000
_MOST_TURNS: Final = 200
"""Turns of all loops inside each other."""
_DEEPEST: Final = 20
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&\"'=:/@])")
"""What can mean something in Markdown, or make a link by itself."""
_BREAKS: Final = re.compile(r"\s+")
_ADDRESS: Final = re.compile(r"(https?://[^\s<>\"'`\\^{|}\x00-\x1f\x7f]*[^\s<>\"'`\\^{|}\x00-\x1f\x7f.,;:!?)\]])")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_BLOCKS: Final = frozenset({"if", "unless", "case", "for", "comment"})
_TAGS: Final = ("if", "unless", "case", "for", "assign", "comment")
_INNER: Final = frozenset({"else", "elsif", "when"})
_TAG: Final = re.compile(r"\{%-?\s*(\w+)")
_NO_TAG: Final = re.compile(r"unexpected tag '(\w+)'")
_NAME: Final = re.compile(r"([\w.]+)['\"]? is undefined")


class Unfilled(Permanent):
    """
    A template that cannot be filled in for this person: `field_missing` (`facts["field"]`), `template_too_much`.

    `template_invalid` with `line` and `column` is one that cannot be filled in for anybody.
    """


class _Missing(FalsyStrictUndefined):
    """A field that is not known: it may be asked about and have a default, and raises where it is written."""

    force_liquid_default = True

    def __getattribute__(self, name: str) -> object:
        if name in {"force_liquid_default", "__class__"}:
            return object.__getattribute__(self, name)
        return super().__getattribute__(name)


class _Context(RenderContext):
    """Counts what is looked up, which bounds the time that a template takes."""

    __slots__ = ("lookups",)

    def get(self, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - as the library has it
        self.lookups = getattr(self, "lookups", 0) + 1
        if self.lookups > _MOST_LOOKUPS:
            raise ResourceLimitError("too many lookups", token=None)
        return super().get(*args, **kwargs)


class _Template(BoundTemplate):
    context_class = _Context


class _OutputNode(output.OutputNode):
    """A field, written as its surroundings need it."""

    def render_to_output(self, context: RenderContext, buffer: Any) -> int:  # noqa: ANN401 - a text stream
        value = self.expression.evaluate(context)
        if isinstance(value, _Missing):
            raise Unfilled("field_missing", "A field is missing.", field=_named(self.expression))
        if isinstance(value, Mapping):
            raise LiquidTypeError("this has fields of its own: write one of them", token=self.token)
        text = to_liquid_string(value, autoescape=False)
        environment = context.env
        assert isinstance(environment, _Environment)  # noqa: S101 - ours
        return int(buffer.write(environment.written(_bounded(text))))


def _named(expression: object) -> str:
    """How the field of an output is called."""
    return str(getattr(expression, "left", ""))


class _Output(output.Output):
    node_class = _OutputNode


class _Environment(Environment):
    """What a template may use: conditions, short loops, and filters on texts and numbers that cannot explode."""

    output_stream_limit = _LARGEST_OUTPUT
    local_namespace_limit = _LARGEST_OUTPUT
    loop_iteration_limit = _MOST_TURNS
    context_depth_limit = 5
    block_nesting_limit = _DEEPEST
    template_class = _Template

    def __init__(self, written: Callable[[str], str]) -> None:
        super().__init__(undefined=_Missing, strict_filters=True)
        self.written = written

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:  # noqa: ARG002 - as the library has it
        for tag in (
            Content,
            _Output,
            illegal.Illegal,
            if_tag.IfTag,
            unless_tag.UnlessTag,
            case_tag.CaseTag,
            for_tag.ForTag,
            for_tag.BreakTag,
            for_tag.ContinueTag,
            assign_tag.AssignTag,
            comment_tag.CommentTag,
            inline_comment_tag.InlineCommentTag,
        ):
            self.add_tag(tag)
        for name, function in _FILTERS.items():
            self.add_filter(name, _limited(function))


def _join(values: object, separator: object = " ") -> str:
    items = [values] if isinstance(values, str) or not isinstance(values, (list, tuple)) else values
    return str(separator).join(map(str, items))


def _replace(text: object, old: object, new: object = "") -> str:
    before, part, by = str(text), str(old), str(new)
    if not part:
        return before
    if len(before) + before.count(part) * len(by) > _LONGEST_TEXT:
        raise ResourceLimitError("a text grew too long", token=None)
    return before.replace(part, by)


def _size(value: Any) -> int:  # noqa: ANN401 - of any kind
    return len(value) if isinstance(value, (str, list, dict)) else 0


def _first(value: Any) -> Any:  # noqa: ANN401
    return value[0] if isinstance(value, list) and value else ""


def _last(value: Any) -> Any:  # noqa: ANN401
    return value[-1] if isinstance(value, list) and value else ""


def _date(value: object, form: object) -> str:
    """A day or moment written by a pattern as in `%d.%m.%Y`."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.strftime(str(form)[:100])


_FILTERS: Final[Mapping[str, Callable[..., object]]] = {
    "default": misc.default,
    "upcase": string.upcase,
    "downcase": string.downcase,
    "capitalize": string.capitalize,
    "strip": string.strip,
    "append": string.append,
    "prepend": string.prepend,
    "truncate": string.truncate,
    "truncatewords": string.truncatewords,
    "url_encode": string.url_encode,
    "plus": numbers.plus,
    "minus": numbers.minus,
    "times": numbers.times,
    "divided_by": numbers.divided_by,
    "round": numbers.round_,
    "replace": _replace,
    "join": _join,
    "size": _size,
    "first": _first,
    "last": _last,
    "date": _date,
}
FILTERS: Final = tuple(_FILTERS)
"""The filters there are."""


def _limited(function: Callable[..., object]) -> Callable[..., object]:
    """A filter that neither takes nor gives what is too long, nor takes what is missing."""

    def limited(value: object, *args: object, **kwargs: object) -> object:
        for given in (value, *args):
            if isinstance(given, _Missing) and function is not misc.default:
                raise Unfilled("field_missing", "A field is missing.", field=object.__getattribute__(given, "name"))
            _bounded(given)
        return _bounded(function(value, *args, **kwargs))

    if function is not misc.default:
        return limited

    def default(value: object, other: object = "", *, allow_false: bool = False) -> object:
        return limited(value, other, allow_false=allow_false)

    return default


def _bounded(value: Any) -> Any:  # noqa: ANN401 - passed through
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise ResourceLimitError("a text grew too long", token=None)
    if isinstance(value, int) and abs(value) > 10**18:
        raise ResourceLimitError("a number grew too large", token=None)
    return value


def _in_line(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _in_markdown(text: str) -> str:
    """Text that Markdown shows as it is; lines become one, so that it begins no block of its own."""
    return _MARKDOWN.sub(r"\\\1", _BREAKS.sub(" ", _CONTROL.sub(" ", text)))


def as_typed(text: str) -> str:
    """Markdown that shows a text as somebody typed it, line by line; web addresses in it are links."""
    blocks = re.split(r"\n[ \t]*(?:\n[ \t]*)+", text.replace("\r\n", "\n").replace("\r", "\n").strip())
    return "\n\n".join("\\\n".join(map(_typed_line, block.split("\n"))) for block in blocks)


def _typed_line(line: str) -> str:
    parts = _ADDRESS.split(line)
    return "".join(f"<{part}>" if number % 2 else _in_markdown(part) for number, part in enumerate(parts))


_ENVIRONMENTS: Final[Mapping[Kind, _Environment]] = {
    "line": _Environment(_in_line),
    "markdown": _Environment(_in_markdown),
    "html": _Environment(lambda text: escape_html(_CONTROL.sub(" ", text))),
}


@lru_cache(maxsize=512)
def _parsed(source: str, kind: Kind) -> BoundTemplate:
    return _ENVIRONMENTS[kind].from_string(source)


def check(source: str, kind: Kind = "markdown") -> None:
    """
    Make sure that a template can be read.

    :raises Unfilled: `template_invalid` with `line` and `column`; its message is for whoever wrote it
    """
    try:
        used = _parsed(source, kind).analyze(include_partials=False).filters
    except LiquidError as error:
        raise (_tag_mistake(source, error) or _invalid(error)) from None
    for name, places in used.items():
        if name not in _FILTERS:
            listed = nearest(name, list(FILTERS)) or f"; there are {', '.join(FILTERS)}"
            raise _mistake(source, places[0].index, f"there is no filter {name}{listed}")


def fields(source: str) -> dict[str, int]:
    """
    The fields that a template writes or asks about, as in `person.first_name`, and at which character first.

    :raises Unfilled: `template_invalid`
    """
    try:
        found = _parsed(source, "markdown").analyze(include_partials=False).globals
    except LiquidError as error:
        raise _invalid(error) from None
    first: dict[str, int] = {}
    for each in (each for places in found.values() for each in places):
        name = ".".join(map(str, each.segments))
        first[name] = min(each.span.index, first.get(name, each.span.index))
    return first


def _tag_mistake(source: str, error: LiquidError) -> Unfilled | None:
    """What is wrong with a tag, in words that say what to do; None where that is not it."""
    unknown = _NO_TAG.search(str(error.message))
    name = unknown[1] if unknown else ""
    unclosed = _unclosed(source)
    if unclosed and (name.startswith("end") or not error.context()):
        tag, at = unclosed
        return _mistake(source, at, f"{{% {tag} %}} has no end: write {{% end{tag} %}} where it ends")
    if error.token is None or not name or name in _INNER:
        return None
    if name.removeprefix("end") in _BLOCKS:
        return _mistake(source, error.token.start_index, f"{{% {name} %}} ends nothing that began above")
    near = nearest(name, list(_TAGS)) or f"; there are {', '.join(_TAGS)}"
    return _mistake(source, error.token.start_index, f"there is no tag {name}{near}")


def _unclosed(source: str) -> tuple[str, int] | None:
    """The innermost tag that has no end, and where it stands."""
    open_: list[tuple[str, int]] = []
    for found in _TAG.finditer(source):
        if found[1] in _BLOCKS:
            open_.append((found[1], found.start()))
        elif open_ and found[1] == f"end{open_[-1][0]}":
            open_.pop()
    return open_[-1] if open_ else None


def _mistake(source: str, at: int, words: str) -> Unfilled:
    before = source[:at]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    return Unfilled("template_invalid", words, line=line, column=column)


def fill(source: str, kind: Kind, values: Mapping[str, Any]) -> str:
    """
    A template with its fields filled in from `values`, nested mappings without empty entries.

    :raises Unfilled: a field is missing, or it is too much, or wrong
    """
    try:
        return _parsed(source, kind).render(**values)
    except UndefinedError as error:
        named = _NAME.search(str(error.message))
        raise Unfilled("field_missing", "A field is missing.", field=named[1] if named else "") from None
    except ResourceLimitError:
        raise Unfilled("template_too_much", "The template takes more than a message may.") from None
    except LiquidError as error:
        raise _invalid(error) from None
    except (ArithmeticError, TypeError, ValueError, RecursionError):
        raise Unfilled("template_invalid", "A filter cannot work on what it got.") from None


def _invalid(error: LiquidError) -> Unfilled:
    place = error.context()
    where = {"line": place[0], "column": place[1] + 1} if place else {}
    return Unfilled("template_invalid", str(error.message or "This is not a template."), **where)
