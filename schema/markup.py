"""
Markdown as mail shows it: plain text, and HTML with its styles on each element, since many mail programs drop others.

A paragraph that is nothing but a link becomes a button. HTML inside of Markdown is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from html import escape, unescape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

Linked = Callable[[str], str]
"""Says where a link is to lead instead."""

_INK: Final = "#1b1b1f"
_SOFT: Final = "#5a5a66"
_MARK: Final = "#1f4fd8"
_STYLES: Final = {
    "p": "margin:0 0 16px",
    "h1": f"margin:0 0 16px;font-size:26px;line-height:1.25;font-weight:700;color:{_INK}",
    "h2": f"margin:24px 0 12px;font-size:21px;line-height:1.3;font-weight:700;color:{_INK}",
    "h3": f"margin:20px 0 8px;font-size:18px;line-height:1.35;font-weight:700;color:{_INK}",
    "h4": "margin:16px 0 8px;font-size:16px;font-weight:700",
    "h5": "margin:16px 0 8px;font-size:16px;font-weight:700",
    "h6": "margin:16px 0 8px;font-size:16px;font-weight:700",
    "ul": "margin:0 0 16px;padding:0 0 0 24px",
    "ol": "margin:0 0 16px;padding:0 0 0 24px",
    "li": "margin:0 0 6px",
    "a": f"color:{_MARK};text-decoration:underline",
    "blockquote": f"margin:0 0 16px;padding:0 0 0 16px;border-left:3px solid #c9c9d2;color:{_SOFT}",
    "hr": "border:0;border-top:1px solid #dcdce3;margin:24px 0",
    "img": "display:block;max-width:100%;height:auto;border:0",
    "code": "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:90%",
    "pre": "margin:0 0 16px;white-space:pre-wrap;overflow-wrap:anywhere",
    "table": "border-collapse:collapse;margin:0 0 16px;width:100%",
    "th": "text-align:left;padding:6px 8px 6px 0;border-bottom:2px solid #c9c9d2",
    "td": "padding:6px 8px 6px 0;border-bottom:1px solid #dcdce3;vertical-align:top",
}
_CLASSES: Final = {
    "a": "mark",
    "blockquote": "soft",
    "h1": "ink",
    "h2": "ink",
    "h3": "ink",
}
_BUTTON: Final = (
    f"display:inline-block;background:{_MARK};color:#ffffff;font-weight:600;text-decoration:none;"
    "padding:12px 24px;border-radius:8px"
)
_HREF: Final = re.compile(r"(<a\b[^>]{0,2000}?\bhref\s*=\s*)(\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_INDENT: Final = "  "


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def read(markdown: str) -> list[Token]:
    """Markdown taken apart, to be shown as text and as HTML."""
    return _reader().parse(markdown)


def as_html(tokens: Sequence[Token], linked: Linked = lambda url: url) -> str:
    """The HTML of a message's inside; links to the web lead where `linked` says."""
    found = list(tokens)
    for number, token in enumerate(found):
        _dress(token)
        lone = token.type == "inline" and number and found[number - 1].type == "paragraph_open"
        for child in token.children or ():
            _dress(child)
            if child.type == "link_open":
                child.attrSet("href", _leads(str(child.attrs["href"]), linked))
        if lone and _is_link(token.children or []):
            opened = (token.children or [])[0]
            opened.attrSet("style", _BUTTON)
            opened.attrSet("class", "button")
    return str(_reader().renderer.render(found, _reader().options, {}))


def _leads(url: str, linked: Linked) -> str:
    return linked(url) if _WEB.match(url) else url


def _dress(token: Token) -> None:
    tag = {"fence": "code", "code_block": "code", "code_inline": "code"}.get(token.type, token.tag)
    if token.nesting >= 0 and tag in _STYLES:
        token.attrSet("style", _STYLES[tag])
        if tag in _CLASSES:
            token.attrSet("class", _CLASSES[tag])


def _is_link(children: Sequence[Token]) -> bool:
    """Whether that is one link and nothing else."""
    return (
        len(children) > 1
        and children[0].type == "link_open"
        and children[-1].type == "link_close"
        and sum(child.type == "link_open" for child in children) == 1
    )


def as_text(tokens: Sequence[Token]) -> str:
    """The same as plain text, ends with one line break; an address stands behind its link."""
    written = _Text()
    for token in tokens:
        written.take(token)
    return re.sub(r"\n{3,}", "\n\n", "".join(written.parts)).strip("\n") + "\n"


class _Text:
    """Plain text while it is written: the lists it is in, and what begins its lines."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._numbers: list[int | None] = []
        self._quoted = 0
        self._row: list[str] | None = None

    def take(self, token: Token) -> None:
        """Write what a block adds."""
        match token.type:
            case "bullet_list_open":
                self._numbers.append(None)
            case "ordered_list_open":
                self._numbers.append(int(token.attrs.get("start", 1)))
            case "list_item_open":
                self._begin_item()
            case "blockquote_open" | "blockquote_close":
                self._quoted += token.nesting
            case "inline":
                self._write(_inline(token.children or []), token)
            case "tr_open":
                self._row = []
            case _:
                self._close(token)

    def _close(self, token: Token) -> None:
        """Write what ends a block, and what stands alone."""
        match token.type:
            case "bullet_list_close" | "ordered_list_close":
                self._numbers.pop()
                self.parts.append("" if self._numbers else "\n")
            case "fence" | "code_block":
                self.parts.append(token.content + "\n")
            case "hr":
                self.parts.append("---\n\n")
            case "tr_close":
                self.parts.append("  ".join(self._row or []) + "\n")
                self._row = None
            case "table_close":
                self.parts.append("\n")

    def _begin_item(self) -> None:
        number = self._numbers[-1]
        mark = "- " if number is None else f"{number}. "
        if number is not None:
            self._numbers[-1] = number + 1
        self.parts.append(_INDENT * (len(self._numbers) - 1) + mark)

    def _write(self, text: str, token: Token) -> None:
        if self._row is not None:
            self._row.append(text)
            return
        if self._quoted:
            text = "\n".join("> " * self._quoted + line for line in text.split("\n"))
        # What stands in a list is one line; paragraphs and headings are parted by an empty one.
        self.parts.append(text + ("\n" if token.level > 1 and self._numbers else "\n\n"))


def _inline(children: Sequence[Token]) -> str:
    parts: list[str] = []
    links: list[tuple[str, int]] = []
    for child in children:
        match child.type:
            case "text" | "code_inline" | "html_inline":
                parts.append(child.content)
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "image":
                parts.append(child.content)
            case "link_open":
                links.append((str(child.attrs.get("href", "")), len(parts)))
            case "link_close":
                url, start = links.pop()
                if "".join(parts[start:]) not in {url, url.removeprefix("mailto:")}:
                    parts.append(f" ({url})" if "".join(parts[start:]) else url)
    return "".join(parts)


def relinked(page: str, linked: Linked) -> str:
    """A page somebody wrote, with its links to the web leading where `linked` says."""

    def replaced(found: re.Match[str]) -> str:
        url = unescape(found[3] if found[3] is not None else found[4])
        return f'{found[1]}"{escape(_leads(url, linked))}"' if _WEB.match(url) else found[0]

    return _HREF.sub(replaced, page)
