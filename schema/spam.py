"""
Spam: how much an arrival by a form looks like a machine's, in points with a reason for each.

Pure: a draft and what the edge noticed in, points out. Only what machines do gives points: filling a field that people
do not see, sending sooner than anybody types, links and more links, letters of two alphabets inside one word. No word
and no language does, so that a message in Tamil weighs as much as one in English. What only one sign speaks against
stays below the usual threshold, except the field that nobody sees.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schema.draft import Draft

POINTS: Final[Mapping[str, int]] = {
    "honeypot_filled": 60,
    "token_forged": 45,
    "flood_of_the_same": 40,
    "link_in_name": 40,
    "many_links": 40,
    "markup_link": 40,
    "too_fast": 40,
    "mixed_scripts": 35,
    "gibberish": 30,
    "disposable_domain": 25,
    "same_text_everywhere": 25,
    "repeated_content": 20,
    "links": 15,
    "token_missing": 15,
    "token_old": 5,
}
"""Every reason there is and its usual points; a journey may give others. `gibberish` counts for up to two fields."""
HOLD: Final = 50
"""The usual threshold: with so many points an arrival waits in quarantine."""
TOO_FAST_S: Final = 2.0
"""Sooner after the page was loaded nobody has read it, filled it in and sent it, not even with the browser's help."""

_SOME_LINKS: Final = 3
_MANY_LINKS: Final = 6
_PAGES_OF_ONE: Final = 2
_REPEATED: Final = 3
_FLOOD: Final = 10
_LOOKED_AT: Final = 8000
"""Characters of all texts together that are looked at."""
_LINK: Final = re.compile(r"(?:https?://|www\.)([^\s/?#<>\"'\]\[)]{1,253})", re.IGNORECASE)
_MARKUP: Final = re.compile(r"\[(?:url|link)\s*[=\]]|<a\s[^>]{0,200}\bhref", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W\d_]{4,60}")
_LETTERS: Final = re.compile(r"[A-Za-z]{10,60}\Z")
_HUMP: Final = re.compile(r"[A-Z]?[a-z]*")
_VOWELS: Final = re.compile(r"[aeiouy]", re.IGNORECASE)
_TURN: Final = re.compile(r"[a-z][A-Z]")
_TURNS: Final = 3
_VOICELESS: Final = 0.4
_SWITCHES: Final = 2
_SAME: Final = 3
_SHORTEST_SAME: Final = 4
_GIBBERISH_FIELDS: Final = 2


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Mailboxes for a few minutes. People use them too, now and then: a sign, never a proof.
_DISPOSABLE: Final = _words(
    "10minutemail.com 10minutemail.net 20minutemail.com 33mail.com anonbox.net burnermail.io byom.de "
    "discard.email discardmail.com dispostable.com dropmail.me emailondeck.com emailtemporanea.net "
    "fakeinbox.com fakemail.net getairmail.com getnada.com guerrillamail.biz guerrillamail.com guerrillamail.de "
    "guerrillamail.info guerrillamail.net guerrillamail.org guerrillamailblock.com harakirimail.com inboxbear.com "
    "inboxkitten.com incognitomail.com jetable.org mail-temp.com mailcatch.com maildrop.cc mailexpire.com "
    "mailforspam.com mailinator.com mailinator.net mailnesia.com mailnull.com mailsac.com mailtemp.net "
    "mintemail.com mohmal.com moakt.com mytemp.email mytrashmail.com nada.email owlymail.com pokemail.net "
    "sharklasers.com sofort-mail.de spam4.me spambog.com spambox.us spamgourmet.com spamherelots.com "
    "temp-mail.io temp-mail.org tempail.com tempinbox.com tempmail.com tempmail.de tempmail.net tempmailo.com "
    "tempr.email throwawaymail.com tmpmail.net tmpmail.org trash-mail.com trashmail.com trashmail.de trashmail.net "
    "trbvm.com wegwerfemail.de wegwerfmail.de wegwerfmail.net wegwerfmail.org yopmail.com yopmail.fr yopmail.net "
    "zetmail.com"
)


class Noticed(msgspec.Struct, frozen=True):
    """What only the edge can know of an arrival. `token` is `""` (not asked for), `ok`, `none`, `forged` or `old`."""

    trapped: bool = False
    """The field that nobody sees was filled in."""
    token: str = ""
    age_s: float | None = None
    """Seconds from loading the page to sending the form."""
    repeats: int = 0
    """How often the same text came lately from elsewhere."""


class Reason(msgspec.Struct, frozen=True):
    """One sign and what it weighs."""

    code: str
    points: int


class Verdict(msgspec.Struct, frozen=True):
    """The signs, the heaviest first."""

    reasons: tuple[Reason, ...] = ()

    @property
    def points(self) -> int:
        """What they come to together."""
        return sum(reason.points for reason in self.reasons)


def judge(read: Draft, noticed: Noticed, points: Mapping[str, int] = POINTS) -> Verdict:
    """Weigh an arrival; `points` may give some of the reasons other weights than `POINTS` (0: it does not count)."""
    found = [Reason(code, times * points.get(code, POINTS[code])) for code, times in _signs(read, noticed)]
    heavy = sorted((reason for reason in found if reason.points > 0), key=lambda reason: -reason.points)
    return Verdict(tuple(heavy))


def _signs(read: Draft, noticed: Noticed) -> Iterator[tuple[str, int]]:
    yield from _noticed(noticed)
    texts = _texts(read)
    whole = "\n".join(texts)
    if "/" in whole or "www." in whole.lower():
        yield from _linked(read, whole)
    if "[" in whole or "<" in whole:
        yield from _once("markup_link", _MARKUP.search(whole))
    if read.email and read.email.domain in _DISPOSABLE:
        yield "disposable_domain", 1
    if not whole.isascii():
        yield from _once("mixed_scripts", any(_is_mixed(word) for word in _WORD.findall(whole)))
    yield from _once("same_text_everywhere", _is_same_everywhere(texts))
    strange = sum(map(_is_gibberish, (read.name or "", read.company.name or "", read.message or "")))
    if strange:
        yield "gibberish", min(strange, _GIBBERISH_FIELDS)


def _noticed(noticed: Noticed) -> Iterator[tuple[str, int]]:
    yield from _once("honeypot_filled", noticed.trapped)
    if noticed.token in {"none", "forged", "old"}:
        yield {"none": "token_missing", "forged": "token_forged", "old": "token_old"}[noticed.token], 1
    yield from _once("too_fast", noticed.age_s is not None and noticed.age_s < TOO_FAST_S)
    if noticed.repeats >= _REPEATED:
        yield "flood_of_the_same" if noticed.repeats >= _FLOOD else "repeated_content", 1


def _once(code: str, holds: object) -> Iterator[tuple[str, int]]:
    if holds:
        yield code, 1


def _texts(read: Draft) -> list[str]:
    """What was typed, as far as it is text, the message last and at most `_LOOKED_AT` characters of each."""
    others: Iterable[object] = read.custom.values()
    given = (read.name, read.company.name, *others, read.message)
    return [text[:_LOOKED_AT] for text in given if isinstance(text, str) and text.strip()]


def _linked(read: Draft, whole: str) -> Iterator[tuple[str, int]]:
    """Links to elsewhere: a person's own site may be named as often as they like, pages of one other site twice."""
    own = {domain for domain in (read.email.domain if read.email else None, read.company.domain) if domain}
    hosts = [host.lower().removeprefix("www.") for host in _LINK.findall(whole[:_LOOKED_AT])]
    foreign = sum(
        min(times, _PAGES_OF_ONE)
        for host, times in Counter(hosts).items()
        if not any(host == domain or host.endswith(f".{domain}") for domain in own)
    )
    if foreign >= _SOME_LINKS:
        yield "many_links" if foreign >= _MANY_LINKS else "links", 1
    yield from _once("link_in_name", read.name and _LINK.search(read.name))


def _is_mixed(word: str) -> bool:
    """
    Whether letters of two alphabets that look alike take turns inside a word, as in a disguised brand.

    One change is how people inflect a foreign word, two or more are how it is hidden.
    """
    if word.isascii():
        return False
    alphabets = [alphabet for letter in word if (alphabet := _alphabet(letter))]
    switches = sum(first != second for first, second in pairwise(alphabets))
    return switches >= _SWITCHES


def _alphabet(letter: str) -> str:
    if letter.isascii():
        return "LATIN"
    name = unicodedata.name(letter, "").partition(" ")[0]
    return name if name in {"LATIN", "CYRILLIC", "GREEK"} else ""


def _is_same_everywhere(texts: list[str]) -> bool:
    """Whether one text stands in three fields or more; that name and company are the same is usual."""
    if len(texts) < _SAME:
        return False
    plain = [text.strip().casefold() for text in texts]
    return any(plain.count(text) >= _SAME for text in set(plain) if len(text) >= _SHORTEST_SAME)


def _is_gibberish(text: str) -> bool:
    """Whether a field is one word of letters in random case (`kQzWbTrXmPlo`); names in CamelCase can be spoken."""
    word = text.strip()
    if not _LETTERS.match(word) or len(_TURN.findall(word)) < _TURNS:
        return False
    humps = [hump for hump in _HUMP.findall(word) if hump]
    voiceless = sum(not _VOWELS.search(hump) for hump in humps)
    return voiceless / len(humps) > _VOICELESS
