"""
What a person wrote, out of the text of a mail: HTML made plain, and without the mail it answers and the signature.

Pure, and in time linear in the text: tags and lines are looked at one by one, with patterns that cannot run away. The
standard library's reader of HTML takes quadratic time for what never ends.
"""

from __future__ import annotations

import html
import re
from typing import Final

from schema.mail.languages import (
    BEGINS,
    CONFIDENTIAL,
    FROM,
    INTENDED,
    RULED,
    SENT,
    SENT_FROM,
    SEPARATOR,
    TO,
    UNTOLD,
    WROTE,
)

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
_CITING: Final = ("moz-cite-prefix", "gmail_attr", "yahoo_quoted", "protonmail_quote", "zmail_extra")
"""Classes of what holds a quote, or introduces one."""
_SIGNING: Final = ("gmail_signature", "moz-signature", "ms-outlook-mobile-signature")
_ENDING: Final = ("divrplyfwdmsg", "appendonsend", "mail-editor-reference-message-container")
"""Behind these everything is the mail answered."""
_QUOTE: Final = "\ue000"
"""Stands in front of where that begins; as the next two a private character, taken out of what comes in."""
_CITED: Final = "\ue001"
_UNCITED: Final = "\ue002"
"""Around what HTML marks as quoted: as lines of text it begins with `> `."""
PRIVATE: Final = dict.fromkeys(map(ord, (_QUOTE, _CITED, _UNCITED)))
"""Takes them out (`str.translate`) of what is no HTML."""
_BLANK: Final = dict.fromkeys(map(ord, "\xa0\u2009\u202f"), " ")
"""Spaces that do not break lines: the French have them before a colon."""
_COMMENTED: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_DECLARED: Final = re.compile(r"<[!?][^>]*(?:>|\Z)")
_RAW: Final = re.compile(r"<(script|style|textarea|title)\b.*?(?:</\1\s{0,9}>|\Z)", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,19})")
_ATTRIBUTE: Final = re.compile(
    r"\b(class|id|type|style|name)\s{0,9}=\s{0,9}(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.IGNORECASE
)
_LONGEST_ATTRIBUTES: Final = 1000
_LINE: Final = re.compile(r"[_-]{20,}\Z")
_COLONS: Final = (":", "\uff1a")
_MOST_AFTER: Final = 3
"""A line that a telephone adds is one of the last so many."""
_MOST_HEADERS: Final = 10
_LONGEST_LINE: Final = 1000
_MOST_LAWYERS: Final = 12
_LONGEST_PARAGRAPH: Final = 3000
_MANY_BREAKS: Final = re.compile(r"\n{3,}")
_SPACES: Final = re.compile(r"[^\S\n]+")


def plain(markup: str) -> str:
    """The text of HTML as a reader sees it, blocks on lines of their own; scripts, styles and tags are gone."""
    markup = markup[:LONGEST_HTML].translate(PRIVATE)
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
    return _MANY_BREAKS.sub("\n\n", "\n".join(_cited("".join(reader.found)))).strip()


def _cited(text: str) -> list[str]:
    """Lines, those between the marks of a quote in the form that quotes have in text."""
    lines = []
    cited = False
    for line in text.split("\n"):
        cited = cited or _CITED in line
        said = _SPACES.sub(" ", line.replace(_CITED, "").replace(_UNCITED, "")).strip()
        marked = cited and said and not SEPARATOR.match(said[:_LONGEST_MARK])
        lines.append(f"> {said}" if marked else said)
        cited = cited and _UNCITED not in line
    return lines


class _Reader:
    """
    Gathers text.

    `hidden` are the open elements of one kind, the outermost of which nobody sees; `citing` those of the kind that the
    outermost quote is in.
    """

    __slots__ = ("citing", "found", "hidden")

    def __init__(self) -> None:
        self.found: list[str] = []
        self.hidden: list[str] = []
        self.citing: list[str] = []

    def text(self, text: str) -> None:
        if text and not self.hidden:
            self.found.append(html.unescape(text).replace("\n", " ").replace("\xa0", " ").translate(PRIVATE))

    def tag(self, name: str, attributes: str, *, ends: bool) -> None:
        if self.hidden:
            if name == self.hidden[0] and ends:
                self.hidden.pop()
            elif name == self.hidden[0] and name not in _VOID:
                self.hidden.append(name)
        elif ends:
            self.found.append("\n" if name in _BLOCKS else " " if name in {"td", "th"} else "")
            if self.citing and name == self.citing[0]:
                self.citing.pop()
                self.found += [] if self.citing else [f"{_UNCITED}\n"]
        else:
            self._begin(name, {found[1].lower(): found[2].lower() for found in _ATTRIBUTE.finditer(attributes)})

    def _begin(self, name: str, given: dict[str, str]) -> None:
        if name in _UNSEEN or "display:none" in given.get("style", "").replace(" ", ""):
            self.hidden = [name] if name not in _VOID else []
            return
        marks = f"{given.get('class', '')} {given.get('id', '')}"
        if any(mark in marks for mark in _ENDING):
            self.found.append(f"\n{_QUOTE}\n")
        elif any(mark in marks for mark in _SIGNING) and not self.citing:
            self.found.append("\n-- \n")
        if self.citing:
            self.citing += [name] if name == self.citing[0] else []
        elif name not in _VOID and _quotes(name, given, marks):
            self.citing = [name]
            self.found.append(f"\n{_CITED}")
        if name in _BLOCKS:
            self.found.append("\n\n" if name == "p" else "\n")


def _quotes(name: str, given: dict[str, str], marks: str) -> bool:
    """Whether an element is a quote, or introduces one."""
    if name == "blockquote":
        return "cite" in given.get("type", "") or "quote" in marks
    return any(mark in marks for mark in _CITING) or given.get("name", "").strip("\"'") == "quote"


# -- replies -----------------------------------------------------------------------------------------------------------


def reply(text: str) -> str:
    """
    What is new in a text: without the mail it answers, quoted lines at its end, the signature, and what lawyers add.

    Answers written between quoted lines are kept together with these; one below a whole quoted mail is kept alone.
    Where nothing would be left, the text is left.
    """
    lines = [line.translate(_BLANK).rstrip() for line in text[:LONGEST_TEXT].split("\n")]
    own = _unquoted(lines[: _end_of_own(lines)])
    own = _unquoted(own[: _end_without_signature(own)])
    own = own[_end_of_quote_above(own) :]
    kept = _MANY_BREAKS.sub("\n\n", "\n".join(own)).strip()
    return kept or text[:LONGEST_TEXT].translate(PRIVATE).strip()


def passed_on(text: str) -> tuple[str, str] | None:
    r"""
    Of a text that passes a mail on: who wrote that mail, as its header says, and what it says; None if it is none.

    >>> passed_on("For you.\n\n---- Forwarded message ----\nFrom: Cem <c@x.test>\nSubject: Seats\n\nWe need 40.")
    ('Cem <c@x.test>', 'We need 40.')
    """
    lines = [line.translate(_BLANK).lstrip("> ").rstrip() for line in text[:LONGEST_TEXT].split("\n")]
    for number, line in enumerate(lines):
        bare = line[: _LONGEST_MARK + 1].replace("\u2019", "'").replace("*", "")
        if bare and len(bare) <= _LONGEST_MARK and (SEPARATOR.match(bare) or _quoted_headers(lines, number)):
            head = [each.replace("*", "")[:_LONGEST_LINE] for each in lines[number : number + _MOST_HEADERS]]
            told = [(place, header) for place, each in enumerate(head) if (header := FROM.match(each))]
            if not told:
                return None
            place, header = told[0]
            end = next((n for n in range(place, len(head)) if not head[n]), len(head))
            below = "\n".join(lines[number + end :]).replace(_QUOTE, "")
            return head[place][header.end() :].strip(), below.strip()
    return None


def _unquoted(lines: list[str]) -> list[str]:
    """Without quoted and empty lines at the end."""
    end = len(lines)
    while end and (not lines[end - 1] or lines[end - 1].lstrip().startswith(">")):
        end -= 1
    return lines[:end]


def _end_of_own(lines: list[str]) -> int:
    """The number of the first line that belongs to the mail answered."""
    marks = _Marks(lines)
    for number, line in enumerate(lines):
        if line == _QUOTE:
            return number
        bare = line.strip().replace("\u2019", "'")
        if not bare or len(bare) > _LONGEST_MARK:
            continue
        if SEPARATOR.match(bare) or RULED.match(bare) or _quoted_headers(lines, number):
            return _without_rule(lines, number)
        length = _introduction(lines, number)
        if length and marks.only_quoted(lines, number + length):
            return number
    return len(lines)


def _quoted_headers(lines: list[str], number: int) -> bool:
    """
    Whether the headers of a quoted mail begin here: who wrote it, and another that only mails have.

    A form has lines like these too, and who asks for transport writes from where to where.
    """
    block = [line.strip()[:_LONGEST_MARK] for line in lines[number : number + 4]]
    if not any(header.match(block[0]) for header in (FROM, SENT, TO)):
        return False
    sender = next((line for line in block if FROM.match(line)), "")
    before = lines[number - 1].strip() if number else ""
    ruled = _LINE.match(before) is not None
    told = sum(any(header.match(line) for header in (FROM, SENT, TO)) for line in block)
    sure = ruled or "@" in sender or any(SENT.match(line) for line in block)
    return bool(sender) and told > 1 and sure and (ruled or not before or "@" in block[0])


def _introduction(lines: list[str], number: int) -> int:
    """How many lines, 0 to 3, say from here who wrote what follows."""
    following = [line.strip() for line in lines[number : number + 3]]
    first = following[0]
    if BEGINS.match(first) is None and "@" not in first:
        return 0
    said = ""
    for count, line in enumerate(following, 1):
        said = f"{said} {line}"[:_LONGEST_MARK].strip()
        if not line or line.endswith(_COLONS):
            quoted = next((each for each in lines[number + count : number + count + 3] if each.strip()), "")
            untold = UNTOLD.match(said) is not None and quoted.lstrip().startswith(">")
            return count if line and (untold or WROTE.search(said)) else 0
    return 0


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


def _end_of_quote_above(lines: list[str]) -> int:
    """Where the answer begins below a whole mail that is introduced and quoted; 0 where it is not like that."""
    marks = _Marks(lines)
    first = marks.next[0]
    if first == len(lines) or marks.last_quoted < 0:
        return 0
    bare = [line.lstrip("> ") for line in lines[first : first + 3]]
    length = _introduction([*bare, ">"], 0)
    begin = first if marks.quoted[first] else first + length
    if not length or marks.next_own[begin] < marks.last_quoted:
        return 0
    return marks.last_quoted + 1


def _without_rule(lines: list[str], number: int) -> int:
    """Take a ruled line in front of quoted headers along."""
    before = [n for n in range(max(number - 3, 0), number) if lines[n].strip()]
    return before[-1] if before and _LINE.match(lines[before[-1]].strip()) else number


def _end_without_signature(lines: list[str]) -> int:
    """The number of the line where the signature begins, the words that telephones add, or those of lawyers."""
    said = [number for number, line in enumerate(lines) if line]
    last = said[-_MOST_AFTER:][0] if said else 0
    for number, line in enumerate(lines):
        if number and (line in {"--", "\u2014", "__"} or _is_confidential(lines, number)):
            return number
        if number >= max(last, 1) and SENT_FROM.match(line[:_LONGEST_MARK]):
            return number
    return len(lines)


def _is_confidential(lines: list[str], number: int) -> bool:
    """Whether a paragraph begins here that says for whom the mail is, and that others must not read it."""
    if lines[number - 1] or not CONFIDENTIAL.match(lines[number]):
        return False
    paragraph = " ".join(lines[number : number + _MOST_LAWYERS])[:_LONGEST_PARAGRAPH]
    return INTENDED.search(paragraph) is not None
