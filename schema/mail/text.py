"""
What a person wrote, out of the text of a mail: HTML made plain, and without the mail it answers and the signature.

Pure, and in time linear in the text: tags and lines are looked at one by one, with patterns that cannot run away. The
standard library's reader of HTML takes quadratic time for what never ends.
"""

from __future__ import annotations

import html
import re
from typing import Final

from schema.mail.languages import BEGINS, FROM, SENT, SENT_FROM, SEPARATOR, WROTE

LONGEST_HTML: Final = 1024 * 1024
LONGEST_TEXT: Final = 100_000
"""Characters of a text that are looked at."""
_LONGEST_MARK: Final = 300


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BLOCKS: Final = _names(
    "address article aside blockquote body br center dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 header "
    "hr li main nav ol p pre section table tbody tfoot thead title tr ul"
)
_UNSEEN: Final = _names("head template noscript svg math object iframe select")
_VOID: Final = _names("area base br col embed hr img input link meta source track wbr")
_QUOTING: Final = (
    "gmail_quote",
    "yahoo_quoted",
    "moz-cite-prefix",
    "protonmail_quote",
    "divrplyfwdmsg",
    "appendonsend",
)
_QUOTE: Final = "\ue000"
"""Stands in front of lines that HTML marks as the mail answered; a private character, taken out of what comes in."""
_COMMENTED: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_DECLARED: Final = re.compile(r"<[!?][^>]*(?:>|\Z)")
_RAW: Final = re.compile(r"<(script|style|textarea|title)\b.*?(?:</\1\s{0,9}>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,19})")
_ATTRIBUTE: Final = re.compile(r"\b(class|id|type|style)\s{0,9}=\s{0,9}(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE)
_LONGEST_ATTRIBUTES: Final = 1000
_LINE: Final = re.compile(r"[_-]{20,}\Z")
_COLONS: Final = (":", "\uff1a")
_MANY_BREAKS: Final = re.compile(r"\n{3,}")
_SPACES: Final = re.compile(r"[^\S\n]+")


def plain(markup: str) -> str:
    """The text of HTML as a reader sees it, blocks on lines of their own; scripts, styles and tags are gone."""
    markup = markup[:LONGEST_HTML].replace(_QUOTE, "")
    for pattern in (_COMMENTED, _DECLARED, _RAW):
        markup = pattern.sub("", markup)
    reader = _Reader()
    start = 0
    while (opened := markup.find("<", start)) >= 0:
        tag = _TAG.match(markup, opened)
        end = markup.find(">", opened) if tag else -1
        if tag and end < 0:
            break  # what begins here never ends
        reader.text(markup[start : opened if tag else opened + 1])
        start = opened + 1
        if tag:
            reader.tag(tag[2].lower(), markup[tag.end() : min(end, tag.end() + _LONGEST_ATTRIBUTES)], ends=bool(tag[1]))
            start = end + 1
    reader.text(markup[start : opened if opened >= 0 else len(markup)])
    lines = [_SPACES.sub(" ", line).strip() for line in "".join(reader.found).split("\n")]
    return _MANY_BREAKS.sub("\n\n", "\n".join(lines)).strip()


class _Reader:
    """Gathers text. `hidden` are the open elements of one kind, the outermost of which nobody sees."""

    __slots__ = ("found", "hidden", "quoted")

    def __init__(self) -> None:
        self.found: list[str] = []
        self.hidden: list[str] = []
        self.quoted = False

    def text(self, text: str) -> None:
        if text and not self.hidden:
            self.found.append(html.unescape(text).replace("\n", " ").replace("\xa0", " ").replace(_QUOTE, ""))

    def tag(self, name: str, attributes: str, *, ends: bool) -> None:
        if self.hidden:
            if name == self.hidden[0] and ends:
                self.hidden.pop()
            elif name == self.hidden[0] and name not in _VOID:
                self.hidden.append(name)
        elif ends:
            self.found.append("\n" if name in _BLOCKS else " " if name in {"td", "th"} else "")
        else:
            self._begin(name, {found[1].lower(): found[2].lower() for found in _ATTRIBUTE.finditer(attributes)})

    def _begin(self, name: str, given: dict[str, str]) -> None:
        if name in _UNSEEN or "display:none" in given.get("style", "").replace(" ", ""):
            self.hidden = [name] if name not in _VOID else []
            return
        marks = f"{given.get('class', '')} {given.get('id', '')}"
        cited = name == "blockquote" and "cite" in given.get("type", "")
        if not self.quoted and (cited or any(mark in marks for mark in _QUOTING)):
            self.quoted = True
            self.found.append(f"\n{_QUOTE}\n")
        if name in _BLOCKS:
            self.found.append("\n\n" if name == "p" else "\n")


# -- replies -----------------------------------------------------------------------------------------------------------


def reply(text: str) -> str:
    """
    What is new in a text: without the mail it answers, quoted lines at its end, and the signature.

    Answers written between quoted lines are kept together with these. Where nothing would be left, the text is left.
    """
    lines = [line.rstrip() for line in text[:LONGEST_TEXT].split("\n")]
    own = lines[: _end_of_own(lines)]
    while own and (not own[-1].strip() or own[-1].lstrip().startswith(">")):
        own.pop()
    own = own[: _end_without_signature(own)]
    kept = _MANY_BREAKS.sub("\n\n", "\n".join(own)).strip()
    return kept or _unmarked("\n".join(lines)).strip()


def _unmarked(text: str) -> str:
    return text.replace(_QUOTE, "")


def _end_of_own(lines: list[str]) -> int:
    """The number of the first line that belongs to the mail answered."""
    marks = _Marks(lines)
    for number, line in enumerate(lines):
        if line == _QUOTE:
            return _before_introduction(lines, number)
        bare = line.strip()
        if not bare or len(bare) > _LONGEST_MARK:
            continue
        following = next((each for each in lines[number + 1 : number + 4] if each.strip()), "")[:_LONGEST_MARK].strip()
        if SEPARATOR.match(bare) or (FROM.match(bare) and SENT.match(following)):
            return _without_rule(lines, number)
        length = _introduction(bare, following)
        if length and marks.only_quoted(lines, number + length):
            return number
    return len(lines)


def _introduction(bare: str, following: str) -> int:
    """How many lines, 0 to 2, say from here who wrote what follows."""
    if BEGINS.match(bare) is None and "@" not in bare:
        return 0
    if bare.endswith(_COLONS):
        return 1 if WROTE.search(bare) else 0
    return 2 if following.endswith(_COLONS) and WROTE.search(f"{bare} {following}") else 0


class _Marks:
    """Of each line of a text: whether it is quoted; and where the next line is that says something, quoted or not."""

    def __init__(self, lines: list[str]) -> None:
        self.quoted = [line.lstrip().startswith(">") for line in lines]
        self.last_quoted = max((number for number, quoted in enumerate(self.quoted) if quoted), default=-1)
        self.next = [len(lines)] * (len(lines) + 1)
        self.next_own = [len(lines)] * (len(lines) + 1)
        for number in range(len(lines) - 1, -1, -1):
            said = bool(lines[number].strip())
            self.next[number] = number if said else self.next[number + 1]
            self.next_own[number] = number if said and not self.quoted[number] else self.next_own[number + 1]

    def only_quoted(self, lines: list[str], start: int) -> bool:
        """Whether nothing of the sender's own follows: an answer between quoted lines is, and a signature is not."""
        first = self.next[min(start, len(lines))]
        if first == len(lines) or not self.quoted[first]:
            return True  # mail programs that do not mark what they quote
        own = self.next_own[first]
        return own == len(lines) or (own > self.last_quoted and lines[own].startswith("--"))


def _before_introduction(lines: list[str], number: int) -> int:
    """The start of the one or two lines before a quote that HTML marks, if they introduce it; else the quote's."""
    before = [n for n in range(max(number - 4, 0), number) if lines[n].strip()]
    for count in (1, 2):
        said = " ".join(lines[n].strip() for n in before[-count:])[:_LONGEST_MARK]
        if len(before) >= count and said.endswith(_COLONS) and WROTE.search(said):
            return before[-count]
    return number


def _without_rule(lines: list[str], number: int) -> int:
    """Take a ruled line in front of quoted headers along."""
    before = [n for n in range(max(number - 3, 0), number) if lines[n].strip()]
    return before[-1] if before and _LINE.match(lines[before[-1]].strip()) else number


def _end_without_signature(lines: list[str]) -> int:
    """The number of the line where the signature begins: after `-- `, or the words that telephones add."""
    for number, line in enumerate(lines):
        if number and (line in {"--", "-- ", "\u2014", "__"} or SENT_FROM.match(line.strip()[:_LONGEST_MARK])):
            return number
    return len(lines)
