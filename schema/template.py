"""
Templates: a message of the journey filled in for one person: subject, plain text and page.

The text is Markdown with fields in Liquid; `html` replaces the page that is made of it. Pure: the same template, values
and frame give the same message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from importlib.resources import files
from string import Template as Blanks
from typing import TYPE_CHECKING, Any, Final

from schema import markup
from schema.fill import as_typed, fill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from markdown_it.token import Token

    from schema.facts import Facts
    from schema.journey import Journey
    from schema.journey.campaign import Wording

_NO_FIRST_NAME: Final = frozenset("0123456789@/\\<>&+")
_TITLES: Final = frozenset({"dr", "prof", "mr", "mrs", "ms", "herr", "frau", "mme"})


@dataclass(frozen=True, slots=True)
class Frame:
    """
    What stands around a message.

    `foot` are lines under it, each as text and as HTML. `link` says where the link of a number is to lead (its target
    is kept in `Rendered.links`), `picture` is the address of the one that is seen when the mail is opened; None: not.
    `plain_links` are addresses that are left as they are: to say no is no click.
    """

    language: str = "en"
    foot: tuple[tuple[str, str], ...] = ()
    link: Callable[[int], str] | None = None
    picture: str | None = None
    plain_links: frozenset[str] = frozenset()


@dataclass(slots=True)
class Rendered:
    """A message as one person gets it. Personal data stays out of `repr`."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    links: list[str] = field(default_factory=list, repr=False)


def render(wording: Wording, values: Mapping[str, Any], frame: Frame) -> Rendered:
    """
    Fill the words of a template in.

    :raises schema.fill.Unfilled: a field is missing, or the template is wrong or too much
    """
    subject = " ".join(fill(wording.subject, "line", values).split())
    links: list[str] = []

    def linked(url: str) -> str:
        if frame.link is None or url in frame.plain_links:
            return url
        if url not in links:
            links.append(url)
        return frame.link(links.index(url))

    tokens = markup.read(fill(wording.text, "markdown", values))
    text = _text(tokens, frame)  # before links lead elsewhere
    if wording.html is not None:
        page = markup.relinked(fill(wording.html, "html", values), linked)
        return Rendered(subject, text, _before_end(page, _foot(frame) + _picture(frame)), links)
    preview = " ".join(fill(wording.preview, "line", values).split()) if wording.preview else ""
    page = _filled(markup.as_html(tokens, linked), subject, preview, frame)
    return Rendered(subject, text, page, links)


def render_typed(subject: str, text: str, frame: Frame) -> Rendered:
    """A message that somebody wrote by hand: as they typed it, without any fields."""
    tokens = markup.read(as_typed(text))
    subject = " ".join(fill("{{ subject }}", "line", {"subject": subject}).split())
    page = _filled(markup.as_html(tokens, lambda url: url), subject, "", frame)
    return Rendered(subject, _text(tokens, frame), page)


def _text(tokens: Sequence[Token], frame: Frame) -> str:
    text = markup.as_text(tokens)
    return text + ("\n-- \n" + "\n".join(line for line, _ in frame.foot) + "\n" if frame.foot else "")


def _filled(body: str, subject: str, preview: str, frame: Frame) -> str:
    blanks = {
        "language": escape(frame.language),
        "subject": escape(subject),
        "preview": escape(preview),
        "body": body,
        "footer": _foot(frame),
        "pixel": _picture(frame),
    }
    return _page().substitute(blanks)


def _picture(frame: Frame) -> str:
    return f'<img src="{escape(frame.picture)}" width="1" height="1" alt="">' if frame.picture else ""


def values_of(facts: Facts, journey: Journey) -> dict[str, Any]:
    """The fields of a message: `person`, `company`, `lead`, `score` and `owner`, without what is not known."""
    name = str(facts.person.get("name") or "")
    owner = journey.people.get(facts.owner or "")
    person = {"first_name": first_name(name), **facts.person}
    found: dict[str, Any] = _known(
        {
            "person": person,
            "company": facts.company,
            "lead": {**facts.lead, "state": facts.state},
            "score": facts.score,
            "owner": {"name": owner.name or facts.owner, "email": owner.email} if owner else None,
        }
    )
    return found


def first_name(name: str) -> str:
    """The first name of `Ana Lopez`, `Dr. Ana Lopez` and `Lopez, Ana`; empty where what was typed is no name."""
    family, comma, given = name.partition(",")
    words = (given if comma else family).split()
    while words and words[0].lower().rstrip(".") in _TITLES:
        words = words[1:]
    return words[0] if words and not _NO_FIRST_NAME & set(words[0]) else ""


def _known(value: Any) -> Any:  # noqa: ANN401 - nested values
    """The same without what is empty, so that a field which says nothing is missing."""
    if isinstance(value, dict):
        return {key: kept for key, each in value.items() if (kept := _known(each)) not in (None, "", [], {})}
    return value.strip() if isinstance(value, str) else value


def _foot(frame: Frame) -> str:
    lines = "<br>\n".join(line for _, line in frame.foot)
    style = "margin:32px 0 0;padding:16px 0 0;border-top:1px solid #dcdce3;font-size:13px;line-height:1.5;color:#5a5a66"
    return f'<p class="foot" style="{style}">{lines}</p>\n' if lines else ""


def _before_end(page: str, more: str) -> str:
    """Put what has to stand in every message at the end of a page that somebody wrote."""
    place = page.lower().rfind("</body>")
    return page + more if place < 0 else page[:place] + more + page[place:]


@lru_cache(maxsize=1)
def _page() -> Blanks:
    return Blanks(files("schema").joinpath("layout/page.html").read_text(encoding="utf-8"))
