"""Mail: somebody it is from, hours that come, caps that let it through, and templates that can be filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from schema import zones
from schema.errors import Permanent
from schema.journey.campaign import Campaign, Cap
from schema.journey.check.finding import Finding, View, key, warning
from schema.journey.document import Path
from schema.journey.fields import FIELDS, kind, nearest
from schema.journey.words import listing, time
from schema.mail.address import mailbox_of
from schema.mail.words import mailboxes
from schema.quiet import window

_SOME_DAY = datetime(2026, 1, 5, tzinfo=UTC)
_BUILT_IN = {"opt_in": ("link",)}
"""Templates that are used without any campaign, each with what it can name besides."""
_IN_SURVEYS = ("survey.question", "survey.answers", "survey.url")
_ALWAYS_KNOWN = frozenset({"person.id", "person.email", "lead.id", "lead.created_at", "lead.state"})
_OURS = ("unsubscribe_url", "preferences_url")
"""What every message can name besides the fields of its person."""
_MORE_FIELDS = {"lead.state": "text", "owner.name": "text", "owner.email": "text"}
_NOT_IN_MAIL = ("touchpoint", "member", "qualification", "source", "channel", "pool", "state", "owner", "score.cell")
_WRITTEN = re.compile(r"\{\{-?\s*([\w.]+)\s*(\|[^}]*)?-?\}\}")
_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_ONE_BRACE = re.compile(r"(?<![{%])\{\s*((?:person|company|lead|score|owner)\.\w[\w.]*)\s*\}(?!\})")
_LINK = {
    "markdown": re.compile(r"\]\(\s*<?(?P<to>(?:\{\{[^}]*\}\}|[^()<>\n\"'])*)"),
    "html": re.compile(
        r"<a\b[^>]{0,2000}?\bhref\s*=\s*(?P<quote>[\"'])(?P<to>.*?)(?P=quote)", re.IGNORECASE | re.DOTALL
    ),
}
"""Where links lead to: behind `](`, and in `href`."""
_LEADS = re.compile(r"https?://[^\s/]|mailto:[^\s@]+@|tel:\+?\d|\{[{%]", re.IGNORECASE)
_BARE_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}(/\S*)?$", re.IGNORECASE)
_FIELD = re.compile(r"\{[{%].*?[}%]\}")
_BREAK = re.compile(r"\s")
_CALENDAR = "names no days, so this is never open: add them, as in mon-fri: '09:00-17:00'"


def sender(view: View) -> Iterator[Finding]:
    """Campaigns that write without saying from whom, and marketing without the postal address it has to name."""
    mail, told = view.journey.mail, False
    for name, campaign in view.journey.campaigns.items():
        sends = [at for at, step in enumerate(campaign.steps) if step.send]
        if sends and mail is None:
            message = "nobody can be written to without `mail: {sender: …}`: say from whom mail is"
            yield Finding(("campaigns", name, "steps", sends[0], "send"), message)
        elif sends and mail and not mail.postal and campaign.kind == "marketing" and not told:
            told = True
            message = f"marketing ({name}) has to name the postal address of the business: add `postal`"
            yield key(("mail",), message)


def answers(view: View) -> Iterator[Finding]:
    """Answers that go to where no source takes them in, though there are sources of mail."""
    mail = view.journey.mail
    taken = [source.address for source in view.journey.sources.values() if source.kind == "email" and source.address]
    if mail is None or not taken:
        return
    place = mailboxes(mail.reply_to or mail.sender)[0].address
    if mailbox_of(place)[0] not in {mailbox_of(address)[0] for address in taken}:
        message = f"answers go to {place}, which no source takes in: is `reply_to: {taken[0]}` meant?"
        yield warning(("mail", "reply_to" if mail.reply_to else "sender"), message)


def hours(view: View) -> Iterator[Finding]:
    """Hours that nobody defined or that never come, for anybody or for those of whose place nothing is known."""
    mail, calendars = view.journey.mail, view.journey.calendars
    if mail is None:
        return
    where: Path = ("mail", "calendar") if mail.calendar else ("mail", "hours")
    calendar = mail.hours or calendars.get(mail.calendar or "")
    if calendar is None:
        if mail.calendar:
            known = list(calendars)
            listed = f"; there are {', '.join(known[:8])}" if known else "; add it to `calendars`"
            yield Finding(where, f"there is no calendar {mail.calendar}{nearest(mail.calendar, known) or listed}")
    elif not calendar.__pydantic_extra__:
        yield key(where, _CALENDAR)
    elif window(mail, (), calendars)(_SOME_DAY) is None:
        if "tz" in calendar.model_fields_set or mail.assume:
            of = listing(mail.assume) if mail.assume and "tz" not in calendar.model_fields_set else calendar.tz
            yield Finding(where, f"these hours never come, by the clocks of {of} together")
        else:
            message = (
                "no moment is in these hours all over the world, so that nobody could be written to of whose place "
                "nothing is known: name the zones to take for them in `assume`"
            )
            yield key(where, message)
    else:
        never = [
            country
            for country, there in zones.by_country().items()
            if len(there) > 1 and country in _asked(view) and window(mail, there, calendars)(_SOME_DAY) is None
        ]
        if never:
            yield warning(
                where, f"no moment is in these hours all over {listing(never)}: only who gives a zone gets mail"
            )


def _asked(view: View) -> set[str]:
    """The countries that the journey asks about or takes numbers of."""
    asked = {source.region for source in view.journey.sources.values() if source.region}
    return asked | {
        value
        for question in view.journey.expressions()
        for atom in question.comparisons
        if atom.term == "person.country" and isinstance(value := atom.value, str)
    }


def caps(view: View) -> Iterator[Finding]:
    """Messages of one campaign that stand so close together that a cap never lets the later one through."""
    for name, campaign in view.journey.campaigns.items():
        if campaign.kind == "service" or not view.journey.mail:
            continue
        for at, step in enumerate(campaign.steps):
            for cap in view.journey.mail.caps if step.send and step.capped != "defer" else ():
                apart = _apart(campaign, at, cap)
                if apart is not None and apart < cap.per:
                    what = "skipped" if step.capped == "skip" else "the end of it"
                    allowed = f"more than {cap.most} within {time(cap.per)} are not allowed"
                    message = (
                        f"this is always {what}: at most {time(apart)} lie between it and earlier ones, and {allowed}"
                    )
                    yield Finding(("campaigns", name, "steps", at, "send"), message)


def _apart(campaign: Campaign, place: int, cap: Cap) -> timedelta | None:
    """
    The longest time there can be since the earliest of as many messages as the cap allows; None: fewer are sure.

    Only messages that are put off count as sure to have gone out.
    """
    ages: list[_Ages | None] = [None] * (len(campaign.steps) + 1)
    ages[0] = (None,) * cap.most
    for at, step in enumerate(campaign.steps[:place]):
        here = ages[at]
        if here is None:
            continue
        if step.send and step.capped == "defer":
            here = (timedelta(), *here[:-1])
        passed = step.wait or step.timeout or timedelta()
        here = tuple(None if age is None else age + passed for age in here)
        try:
            following = campaign.following(at)
        except ValueError:
            return None  # a jump leads nowhere, which is told elsewhere
        for target in following:
            known = ages[target]
            ages[target] = here if known is None else _longer(known, here)
    found = ages[place]
    return found[-1] if found else None


_Ages = tuple[timedelta | None, ...]


def _longer(one: _Ages, other: _Ages) -> _Ages:
    return tuple(None if a is None or b is None else max(a, b) for a, b in zip(one, other, strict=True))


# -- templates ---------------------------------------------------------------------------------------------------------


def templates(view: View) -> Iterator[Finding]:
    """Templates that cannot be read, that name fields nobody has, or that many people would not get."""
    journey = view.journey
    used = {step.send for campaign in journey.campaigns.values() for step in campaign.steps}
    surveys = {survey.template for survey in journey.surveys.values()}
    spoken = dict.fromkeys(tag for template in journey.templates.values() for tag in template.languages)
    for name, template in journey.templates.items():
        if name not in used | surveys and name not in _BUILT_IN:
            yield warning(("templates", name), "no campaign or survey sends this", of_key=True)
        more = _BUILT_IN.get(name, ()) + (_IN_SURVEYS if name in surveys else ())
        missing = [tag for tag in spoken if tag not in template.languages]
        if missing and template.languages:
            message = f"other templates are also in {listing(missing)}; who speaks that gets the words above here"
            yield warning(("templates", name, "languages"), message, of_key=True)
        for place, wording in template.wordings():
            if template.html and not wording.html:
                message = "the template has a page of its own, and these words have none: people get the usual one"
                yield warning(("templates", name, *place), message, of_key=True)
            for part, how in _PARTS:
                source = getattr(wording, part)
                if source is not None:
                    yield from _template(("templates", name, *place, part), source, how, more)


_PARTS: tuple[tuple[str, Literal["line", "markdown", "html"]], ...] = (
    ("subject", "line"),
    ("preview", "line"),
    ("text", "markdown"),
    ("html", "html"),
)


def _template(
    path: Path, source: str, how: Literal["line", "markdown", "html"], more: tuple[str, ...]
) -> Iterator[Finding]:
    from schema import fill  # noqa: PLC0415 - only a journey with templates pays for reading them

    try:
        fill.check(source, how)
        named = fill.fields(source)
        with suppress(_Unsure):
            _try(source, how, sorted(named))
    except Permanent as error:
        yield Finding(path, str(error), at=_at(source, error.facts.get("line"), error.facts.get("column")))
        return
    more = (*more, *_OURS)
    unknown = [field for field in named if field not in more and not _is_field(field)]
    for field in unknown:
        known = [*(each for each in (*FIELDS, *_MORE_FIELDS) if _is_field(each)), *more]
        yield Finding(path, f"{field} is not a field of a message{nearest(field, known)}", at=named[field])
    tags = " ".join(_TAG.findall(source))
    told = {*unknown, *more, *_ALWAYS_KNOWN}
    for found in _WRITTEN.finditer(source):
        field, filters = found[1], found[2] or ""
        if field in named and field not in told and "default" not in filters and field not in tags:
            told.add(field)
            message = f"who has no {field} does not get this: give a default, as in {{{{ {field} | default: '…' }}}}"
            yield warning(path, message, at=found.start(1))
    for found in _ONE_BRACE.finditer(source):
        message = f"this is no field and is sent as it stands: a field has two braces, {{{{ {found[1]} }}}}"
        yield warning(path, message, at=found.start())
    yield from _links(path, source, how)


def _links(path: Path, source: str, how: Literal["line", "markdown", "html"]) -> Iterator[Finding]:
    """Links that lead nowhere from a mail program, which is on no page of ours."""
    for found in _LINK[how].finditer(source) if how in _LINK else ():
        target = found["to"].strip()
        at = found.start("to")
        if not target:
            yield Finding(path, "this link leads nowhere: write where, as in https://example.com/page", at=at)
        elif not _LEADS.match(target):
            near = f"https://{target}" if _BARE_HOST.match(target) else "https://example.com/page"
            yield Finding(path, f"{target[:80]} is no address for a link: write it whole, as in {near}", at=at)
        elif _BREAK.search(_FIELD.sub("", target)) and how == "markdown":
            message = "an address has no blank in it, so this is no link: write %20 for it"
            yield Finding(path, message, at=at)


class _Unsure(Exception):
    """What happened says nothing about other values."""


def _try(source: str, how: Literal["line", "markdown", "html"], named: list[str]) -> None:
    """Fill a template in with something, which finds filters that are not there. Raises Permanent."""
    from schema import fill  # noqa: PLC0415 - as above

    values: dict[str, Any] = {}
    for name in named:
        *groups, last = name.split(".")
        here = values
        for group in groups:
            inner = here.setdefault(group, {})
            here = inner if isinstance(inner, dict) else {}
        here.setdefault(last, "1")
    try:
        fill.fill(source, how, values)
    except Permanent as error:
        if error.code != "template_invalid" or "line" not in error.facts:
            raise _Unsure from None
        raise


def _is_field(path: str) -> bool:
    of, _, part = path.rpartition(".")
    if kind(of) == "list" and (part.isdigit() or part in {"first", "last", "size"}):
        return True
    if path in _MORE_FIELDS:
        return True
    root = path.partition(".")[0]
    return kind(path) is not None and path not in _NOT_IN_MAIL and root not in _NOT_IN_MAIL


def _at(source: str, line: object, column: object) -> int | None:
    """The character of a template at a line and column, both from 1."""
    if not isinstance(line, int) or not isinstance(column, int):
        return None
    before = source.split("\n")[: line - 1]
    return sum(map(len, before)) + len(before) + column - 1
