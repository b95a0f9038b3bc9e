"""
A report as HTML: one file that needs nothing else, for the screen, by night, and on paper. Pure.

No script, no link to elsewhere; whatever journeys and leads say stands in it as text. A Content-Security-Policy on the
page allows its one style sheet and nothing more.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from typing import TYPE_CHECKING, Final

from schema.diagram.style import STYLE
from schema.diagram.text import plain
from services.cli.report.parts import Card, Cell, Column, Picture, Section, Table, Words
from services.cli.report.style import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SHADES: Final = 10
_LONG: Final = 36
"""A text of more characters needs room in a table."""
_BROAD: Final = 8
"""A table of more columns is set smaller on paper."""
_LEGIBLE: Final = 0.62
"""So much smaller than drawn a diagram may become before it is scrolled."""

_PATTERN: Final = (
    '<svg class="patterns" aria-hidden="true"><defs>'
    '<pattern id="tl-hatched" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hatch-paper" width="7" height="7"/><path class="hatch-line" d="M0 0V7"/></pattern></defs></svg>'
)


def written(title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section], foot: str) -> str:
    """The page: a title, what it is of, its sections with a list of them, and what is said at its end."""
    diagrams = [block for each in sections for block in each.blocks if isinstance(block, Picture) and block.wide]
    own = "".join(
        f"#{block.name} svg{{width:100%;min-width:{block.wide * _LEGIBLE:.0f}px;max-width:{block.wide:.0f}px}}"
        for block in diagrams
    )
    style = f"{STYLE}{RULES}@media screen{{{own}}}"
    policy = f"default-src 'none'; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        '<meta name="robots" content="noindex">',
        f"<title>{_t(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        '<body class="tl">',
        _PATTERN,
        '<a class="skip" href="#headline">To the figures</a>',
        f"<header><h1>{_t(title)}</h1>",
        "<dl>",
        *(f"<div><dt>{_t(name)}</dt><dd>{_t(value)}</dd></div>" for name, value in facts),
        "</dl></header>",
        '<nav aria-label="Sections"><ul>',
        *(f'<li><a href="#{each.name}">{_t(each.title)}</a></li>' for each in sections),
        "</ul></nav>",
        "<main>",
        *(part for each in sections for part in _section(each)),
        "</main>",
        f"<footer><p>{_t(foot)}</p></footer>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _hash(style: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def _section(section: Section) -> Iterator[str]:
    yield f'<section id="{section.name}" aria-labelledby="{section.name}-title">'
    yield f'<h2 id="{section.name}-title">{_t(section.title)}</h2>'
    if section.intro:
        yield f'<p class="intro">{_prose(section.intro)}</p>'
    blocks = [block for block in section.blocks if not (isinstance(block, Table) and not block.shown)]
    small = [block for block in blocks if isinstance(block, Picture) and block.size == "small"]
    if small:
        yield '<div class="plots">'
        yield from (part for block in small for part in _picture(block))
        yield "</div>"
    for block in blocks:
        if isinstance(block, Picture):
            yield from _picture(block) if block.size != "small" else ()
        elif isinstance(block, Table):
            yield from _table(block)
        elif isinstance(block, Words):
            yield f"<p>{_prose(block.text)}</p>"
        elif block:
            yield '<ul class="cards">'
            yield from (part for card in block for part in _card(card))
            yield "</ul>"
    yield "</section>"


def _card(card: Card) -> Iterator[str]:
    yield f'<li class="card{" scant" if card.few else ""}"><h3>{_t(card.title)}</h3>'
    yield f'<p class="value">{_t(card.value)}</p>'
    if card.change:
        yield f'<p class="change">{_t(card.change)}</p>'
    if card.target:
        state = {None: "few", True: "missed", False: "met"}[card.missed]
        sign = {None: "○", True: "✗", False: "✓"}[card.missed]
        yield f'<p class="is-{state}">{sign} {_t(card.target)}</p>'
    if card.sample:
        yield f'<p class="sample">{_t(card.sample)}</p>'
    yield f'<p class="definition">{_t(card.definition)}</p></li>'


def _picture(picture: Picture) -> Iterator[str]:
    landscape = " landscape" if picture.landscape else ""
    yield f'<figure id="{_id(picture.name)}" class="{picture.size}{landscape}">'
    yield f"<h3>{_t(picture.title)}</h3>"
    if picture.size == "small":
        yield picture.svg
    else:  # what is wider than the screen is moved by keys, too
        yield f'<div class="scrolled" tabindex="0" role="region" aria-label="{_t(picture.title)}">{picture.svg}</div>'
    yield f"<figcaption>{_t(picture.caption)}</figcaption></figure>"


def _table(table: Table) -> Iterator[str]:
    if not table.rows:
        yield f"<h3>{_t(table.caption)}</h3><p>{_prose(table.warning or table.empty)}</p>"
        return
    shown = [at for at, column in enumerate(table.columns) if column.title is not None]
    yield f'<div class="scrolled" tabindex="0" role="region" aria-label="{_t(table.caption)}">'
    broad = ' class="broad"' if len(shown) > _BROAD else ""
    yield f'<table id="table-{_id(table.name)}"{broad}><caption>{_t(table.caption)}</caption>'
    yield "<thead><tr>"
    for at in shown:
        column = table.columns[at]
        yield f'<th scope="col"{_number(number=column.number)}>{_t(column.title or "")}</th>'
    yield "</tr></thead><tbody>"
    for row in table.rows:
        yield "<tr>"
        for place, at in enumerate(shown):
            yield _cell(row[at], table.columns[at], head=not place)
        yield "</tr>"
    yield "</tbody></table></div>"
    if table.warning:
        yield f'<p class="remark is-missed">{_prose(table.warning)}</p>'
    if table.note:
        yield f'<p class="remark">{_prose(table.note)}</p>'


def _cell(cell: Cell, column: Column, *, head: bool) -> str:
    classes = ["n"] if column.number else ["tight"] if column.tight else []
    classes += [f"is-{cell.mark}"] if cell.mark else []
    classes += [f"s{round(_SHADES * cell.shade)}"] if cell.shade is not None else []
    text = cell.text if cell.text is not None else "" if cell.value is None else str(cell.value)
    classes += ["long"] if len(text) > _LONG and not column.number else []
    named = f' class="{" ".join(classes)}"' if classes else ""
    return f'<th scope="row"{named}>{_t(text)}</th>' if head else f"<td{named}>{_t(text)}</td>"


def _number(*, number: bool) -> str:
    return ' class="n"' if number else ""


def _id(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name)


def _t(text: str) -> str:
    return escape(plain(text), quote=True)


def _prose(text: str) -> str:
    """Words of ours, in which commands stand between backticks."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _t(text))
