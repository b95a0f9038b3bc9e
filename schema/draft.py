"""
Draft: what does a payload say about a person?

    reads   the fields of a payload, and the source's mapping (payload path -> our field)
    gives   a draft of person, company, attribution and consent, with what could not be used kept and flagged

Pure, and total: any fields give a draft. A value is used, or it stands in `custom` with an issue; it is never both
gone and unmentioned. Names are compared without case and separators (`E-Mail`, `your_email`, `your-email`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from schema import contact
from schema.draft_words import (
    ALIASES,
    CLAIMS,
    CONTAINERS,
    COUNTRIES,
    COUNTRY_NAMES,
    DROPPED,
    GROUPS,
    LANGUAGES,
    NO,
    OWN,
    UTM,
    YES,
    normal_name,
)
from schema.payload import JSON, Fields, Issue, storable, without_controls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNUSABLE: Final = frozenset(
    {
        "control_character",
        "country_unknown",
        "date_invalid",
        "email_control_character",
        "email_domain_literal",
        "email_quoted_local",
        "email_reserved_domain",
        "email_syntax",
        "email_too_long",
        "interests_invalid",
        "language_unknown",
        "number_expected",
        "phone_control_character",
        "phone_invalid",
        "phone_region_missing",
        "phone_too_long",
        "string_too_long",
        "text_expected",
        "website_invalid",
    }
)
"""
Issues that say: this value cannot be used as the field it was sent for. A strict way in refuses for these.

All others are notes on something that was understood (`date_epoch`, `phone_extension_dropped`, `field_repeated`,
`invisible_character`, `file_kept_raw`), that is dropped for safety (`key_dropped`), or that counts as no consent
(`consent_…`); nobody needs to send again for them.
"""
_LONGEST_LINE: Final = 500
"""Characters of a one-line field; a longer one does not fit in an index, and is not a name."""
_MOST_INTERESTS: Final = 50
_DEEPEST_CONTAINER: Final = 3
_MOST_EMPLOYEES: Final = 10_000_000
_INVISIBLE: Final = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Bidirectional controls and zero-width marks; the joiners that emoji, Persian or Hindi need are not among them."""
_NOT_IN_A_KIND: Final = re.compile(r"[^a-z0-9]+")
_LONGEST_KIND: Final = 100
_LANGUAGE_TAG: Final = re.compile(r"([A-Za-z]{2,3})((?:[-_][A-Za-z0-9]{2,8}){0,3})\Z", re.ASCII)
_EMPLOYEES: Final = re.compile(r"[<>~]?\s*(\d{1,3}(?:[,.' ]\d{3})+|\d{1,8})\s*(?:(?:-|\u2013|to|bis)\s*[\d,.']+|\+)?\Z")
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2200
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST_EPOCH: Final = 9
"""Digits; fewer are a date without separators (`20260131`)."""
_EPOCH_SECONDS: Final = (946_684_800, 7_258_118_400)
"""Years 2000 to 2200: what lies there is a time in seconds, a thousand times that one in milliseconds."""


class Company(msgspec.Struct):
    """What is said about the company; `domain` is registrable (`example.co.uk`) and never one of free mail."""

    name: str | None = None
    domain: str | None = None
    employees: int | None = None


class Draft(msgspec.Struct):
    """A person as one payload describes them. JSON and jsonb take it as it is."""

    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: contact.Email | None = None
    """Only a usable one."""
    phone: contact.Phone | None = None
    """Only a usable one."""
    company: Company = msgspec.field(default_factory=Company)
    country: str | None = None
    """ISO 3166-1 alpha-2."""
    language: str | None = None
    """BCP 47, as in `de-AT`."""
    interests: list[str] = msgspec.field(default_factory=list)
    message: str | None = None
    preferences: dict[str, Any] = msgspec.field(default_factory=dict)
    attribution: dict[str, Any] = msgspec.field(default_factory=dict)
    consent: dict[str, bool] = msgspec.field(default_factory=dict)
    """By purpose; `general` where none is named. Time, address and wording are the receipt's, not the payload's."""
    external_id: str | None = None
    """The sender's id of the person; only by an explicit mapping, or anybody could claim to be anybody."""
    occurred_at: datetime | None = None
    kind: str | None = None
    """What happened, as a touchpoint's kind; only by an explicit mapping."""
    custom: dict[str, Any] = msgspec.field(default_factory=dict)
    issues: list[Issue] = msgspec.field(default_factory=list)


def draft(fields: Fields, mapping: Mapping[str, str] | None = None, *, region: str | None = None) -> Draft:
    """
    Read a payload.

    `mapping` goes from a payload path (`data.account.email`) to one of our fields, or to `custom.…`,
    `preferences.…`, `attribution.…`, `consent.…`; it comes first, and what it does not mention is recognised by
    name. `region` (ISO 3166 alpha-2) reads national phone numbers where the payload names no country.
    """
    reading = _Reading(Draft(issues=list(fields.issues)), region)
    rest = dict(fields.values)
    for path, target in (mapping or {}).items():
        found = _take(rest, path)
        if found is not None:
            reading.put(_target(target), found)
    reading.recognise(rest)
    return reading.finished()


def unusable(found: Draft) -> list[Issue]:
    """Name what a program should correct and send again, in the order it was found; see `UNUSABLE`."""
    return [issue for issue in found.issues if issue.code in UNUSABLE]


def match_keys(found: Draft, source: str | None = None) -> list[tuple[str, str]]:
    """
    Name the keys under which the person is looked up, surest first.

    An external id is the sender's word within that source. An external id and an e-mail address find whoever has
    them, and any other key of the arrival becomes that person's too if it is nobody's yet. A phone number finds the
    person of an arrival that has no address, or somebody who has none yet: so a switchboard or a family's number never
    makes one person of two addresses.
    """
    keys: list[tuple[str, str]] = []
    if found.external_id and source:
        keys.append((f"external:{source}", found.external_id))
    if found.email and found.email.match_key:
        keys.append(("email", found.email.match_key))
    if found.phone and found.phone.e164:
        keys.append(("phone", found.phone.e164))
    return keys


def says_something(found: Draft) -> bool:
    """Tell whether somebody could make use of it, if only by hand: an address with a typing error is still one."""
    tried = any(issue.code.startswith(("email_", "phone_")) for issue in found.issues)
    return bool(tried or found.name or found.message or found.phone or found.company.name or found.company.domain)


def is_field(name: str) -> bool:
    """Tell whether the right side of a mapping is a field of ours, or says itself that it is one of their own."""
    return name.startswith("custom.") or not _target(name).startswith("custom.")


class _Found(NamedTuple):
    """A value, where it stood, and the name it goes by in `custom` if it cannot be used."""

    pointer: str
    name: str
    value: JSON

    def member(self, key: str, value: JSON) -> _Found:
        """What stands inside this one."""
        return _Found(self.pointer + _pointer(key), f"{self.name}.{key}" if self.name else key, value)


_TOP: Final = _Found("", "", None)


class _Reading:
    """One payload on its way into one draft."""

    __slots__ = ("_draft", "_pending", "_region")

    def __init__(self, draft_: Draft, region: str | None) -> None:
        self._draft = draft_
        self._region = region
        self._pending: dict[str, _Found] = {}

    def recognise(self, values: dict[str, JSON], parent: _Found = _TOP, depth: int = 0) -> None:
        """Put every value where its name says, and the others into `custom`."""
        for key, value in values.items():
            found = parent.member(key, value)
            plain = normal_name(key)
            if without_controls(key) in DROPPED:
                self._issue(found.pointer, "key_dropped")
            elif plain in CONTAINERS and isinstance(value, dict) and depth < _DEEPEST_CONTAINER:
                self.recognise(value, found, depth + 1)
            else:
                self.put(_recognised(key, plain), found)

    def put(self, target: str, found: _Found) -> None:
        """Keep a value for a field of ours; the first that says something has it, later ones stay in `custom`."""
        group, _, member = target.partition(".")
        if target == "custom":
            self._keep(found)
        elif found.value is None or (isinstance(found.value, str) and not found.value.strip()):
            return
        elif member and group == "custom":
            self._keep(found._replace(name=member))
        elif group in GROUPS:
            self._put_in_group(group, member, found)
        elif target in self._pending:
            self._unless_same(self._pending[target], found)
        else:
            self._pending[target] = found

    def finished(self) -> Draft:
        """Turn what was kept into the draft's fields. Country comes before phone, e-mail before company."""
        for target, found in sorted(self._pending.items(), key=_turn):
            if not _READERS[target](self, found):
                self._keep(found)
        self._whole_name()
        return self._draft

    def _whole_name(self) -> None:
        if self._draft.name is None:
            parts = [part for part in (self._draft.first_name, self._draft.last_name) if part]
            self._draft.name = " ".join(parts) or None

    def _issue(self, pointer: str, code: str) -> None:
        self._draft.issues.append(Issue(pointer, code))

    def _refuse(self, found: _Found, code: str) -> bool:
        self._issue(found.pointer, code)
        return False

    def _keep(self, found: _Found) -> None:
        custom = self._draft.custom
        name = without_controls(found.name)
        value = found.value
        safe = without_controls(value) if isinstance(value, str) else self._harmless(value, found.pointer)
        while name in custom and custom[name] != safe:
            name += "_"
        custom[name] = safe

    def _harmless(self, value: JSON, pointer: str) -> JSON:
        """The value without names that we do not pass on."""
        safe = storable(value)
        if _drop_names(safe):
            self._issue(pointer, "key_dropped")
        return safe

    def _unless_same(self, first: _Found, found: _Found) -> None:
        if found.value != first.value:
            self._issue(found.pointer, "field_repeated")
            self._keep(found)

    def _put_in_group(self, group: str, member: str, found: _Found) -> None:
        if not member and isinstance(found.value, dict):
            for key, value in found.value.items():
                self._put_member(group, key, found.member(key, value))
        else:
            self._put_member(group, member or "general", found)

    def _put_member(self, group: str, member: str, found: _Found) -> None:
        values = self._draft.attribution if group == "attribution" else self._draft.preferences
        name = without_controls(member)
        if name in DROPPED:
            self._issue(found.pointer, "key_dropped")
        elif group == "consent":
            self._put_consent(name, found)
        elif name in values:
            self._keep(found)
        else:
            values[name] = self._harmless(found.value, found.pointer)

    def _put_consent(self, purpose: str, found: _Found) -> None:
        plain = normal_name(purpose)
        given = _yes_or_no(found.value)
        name = _consent_purpose(plain) or purpose
        if plain in CLAIMS or given is None:
            self._issue(found.pointer, "consent_claim" if plain in CLAIMS else "consent_unclear")
            self._keep(found)
        elif self._draft.consent.get(name, given) != given:
            self._issue(found.pointer, "consent_contradiction")
            self._draft.consent[name] = False
        else:
            self._draft.consent[name] = given

    def _line(self, found: _Found) -> str | None:
        """A text of one line, or None (flagged) for what is none."""
        text = self._text(found)
        if text is None or (text.isprintable() and len(text) <= _LONGEST_LINE):
            return text
        line = " ".join(without_controls(text).split())
        visible = _INVISIBLE.sub("", line)
        if visible != text.strip():
            self._issue(found.pointer, "control_character" if line != text.strip() else "invisible_character")
        if len(visible) > _LONGEST_LINE:
            self._issue(found.pointer, "string_too_long")
            self._keep(found)
        return visible[:_LONGEST_LINE] or None

    def _text(self, found: _Found) -> str | None:
        value = found.value
        if isinstance(value, list) and value:
            scalars = [item for item in value if _scalar(item) is not None]
            if len(scalars) != len(value) or len(scalars) > 1:
                self._issue(found.pointer, "field_repeated")
                self._keep(found)
            value = scalars[0] if scalars else None
        text = _scalar(value)
        if text is None:
            self._issue(found.pointer, "text_expected")
        return text

    def read_line(self, found: _Found, field: str) -> bool:
        line = self._line(found)
        setattr(self._draft, field, line)
        return line is not None

    def read_name(self, found: _Found) -> bool:
        return self.read_line(found, "name")

    def read_first_name(self, found: _Found) -> bool:
        return self.read_line(found, "first_name")

    def read_last_name(self, found: _Found) -> bool:
        return self.read_line(found, "last_name")

    def read_external_id(self, found: _Found) -> bool:
        return self.read_line(found, "external_id")

    def read_kind(self, found: _Found) -> bool:
        self._draft.kind = kind_of(self._line(found) or "")
        return self._draft.kind is not None

    def read_company(self, found: _Found) -> bool:
        self._draft.company.name = self._line(found)
        return self._draft.company.name is not None

    def read_message(self, found: _Found) -> bool:
        text = self._text(found)
        self._draft.message = without_controls(text) if text else None
        return text is not None

    def read_email(self, found: _Found) -> bool:
        text = self._text(found)
        if text is None:
            return False
        email = contact.email(text)
        for code in email.issues:
            self._issue(found.pointer, code)
        if email.match_key is None or email.domain is None:
            return False
        self._draft.email = email
        if self._draft.company.domain is None and not contact.is_free_mail(email.domain):
            self._draft.company.domain = contact.domain(email.domain)
        return True

    def read_phone(self, found: _Found) -> bool:
        text = self._text(found)
        if text is None:
            return False
        phone = contact.phone(text, self._draft.country or self._region)
        for code in phone.issues:
            self._issue(found.pointer, code)
        self._draft.phone = phone if phone.e164 else None
        return phone.e164 is not None

    def read_website(self, found: _Found) -> bool:
        text = self._text(found)
        domain = contact.domain(text) if text else None
        if domain is None or contact.is_free_mail(domain):
            return self._refuse(found, "website_invalid")
        self._draft.company.domain = domain
        self._keep(found)  # the whole address says more than its domain
        return True

    def read_employees(self, found: _Found) -> bool:
        text = self._text(found)
        count = head_count(text) if text else None
        self._draft.company.employees = count
        return count is not None or self._refuse(found, "number_expected")

    def read_country(self, found: _Found) -> bool:
        text = self._text(found)
        self._draft.country = country_code(text) if text else None
        return self._draft.country is not None or self._refuse(found, "country_unknown")

    def read_language(self, found: _Found) -> bool:
        text = self._text(found)
        self._draft.language = language_tag(text) if text else None
        return self._draft.language is not None or self._refuse(found, "language_unknown")

    def read_interests(self, found: _Found) -> bool:
        value = found.value
        given = re.split(r"[,;\n]", value) if isinstance(value, str) else value if isinstance(value, list) else [value]
        texts = [text for text in map(_scalar, given) if text is not None]
        lines = [" ".join(_INVISIBLE.sub("", without_controls(text)).split())[:_LONGEST_LINE] for text in texts]
        self._draft.interests = list(dict.fromkeys(filter(None, lines)))[:_MOST_INTERESTS]
        whole = len(texts) == len(given) and len(lines) <= _MOST_INTERESTS
        return whole or self._refuse(found, "interests_invalid")

    def read_occurred_at(self, found: _Found) -> bool:
        self._draft.occurred_at, code = moment(found.value)
        if code:
            self._issue(found.pointer, code)
        return self._draft.occurred_at is not None


_READERS: Final[dict[str, Callable[[_Reading, _Found], bool]]] = {
    "country": _Reading.read_country,
    "website": _Reading.read_website,
    "email": _Reading.read_email,
    "phone": _Reading.read_phone,
    "name": _Reading.read_name,
    "first_name": _Reading.read_first_name,
    "last_name": _Reading.read_last_name,
    "company": _Reading.read_company,
    "employees": _Reading.read_employees,
    "language": _Reading.read_language,
    "interests": _Reading.read_interests,
    "message": _Reading.read_message,
    "external_id": _Reading.read_external_id,
    "occurred_at": _Reading.read_occurred_at,
    "kind": _Reading.read_kind,
}
"""In the order in which one field helps to read the next."""
_TURNS: Final = {target: turn for turn, target in enumerate(_READERS)}


def kind_of(name: str) -> str | None:
    """A sender's name of what happened as a kind that rules can ask for: `Invoice Paid` is `invoice_paid`."""
    parts = [_NOT_IN_A_KIND.sub("_", part).strip("_") for part in name.casefold().split(".")]
    kind = ".".join(filter(None, parts))[:_LONGEST_KIND].rstrip("_.")
    return kind if kind[:1].isascii() and kind[:1].isalpha() else None


def our_kind(kind: str | None, kinds: Mapping[str, str]) -> str | None:
    """Our word for a kind that a mapping has read, where the source's `kinds` has one for it."""
    return next((ours for theirs, ours in kinds.items() if kind and kind_of(theirs) == kind), kind)


def country_code(text: str) -> str | None:
    """ISO 3166-1 alpha-2 of a country as people write it: a code of two or three letters, or a common name."""
    code = text.strip().upper()
    if code in COUNTRIES:
        return code
    return COUNTRY_NAMES.get(normal_name(text[:_LONGEST_LINE]))


def language_tag(text: str) -> str | None:
    """BCP 47 tag of a language as people write it: `de`, `de_at`, `Deutsch`. The subtags are not looked up."""
    found = _LANGUAGE_TAG.match(text.strip())
    if not found:
        return LANGUAGES.get(text.strip().lower())
    subtags = [part.upper() if len(part) == len("AT") else part for part in re.split("[-_]", found[2])[1:]]
    return "-".join([found[1].lower(), *subtags])


def head_count(text: str) -> int | None:
    """Read a number of people; of a range (`11-50`, `50+`) its lower end, so that nobody looks larger than they are."""
    found = _EMPLOYEES.match(text.strip()[:40])
    count = int(re.sub(r"\D", "", found[1])) if found else None
    return count if count is not None and count <= _MOST_EMPLOYEES else None


def moment(value: JSON, zone: tzinfo = UTC) -> tuple[datetime | None, str]:
    """
    Read a time as UTC, with an issue code or "".

    ISO 8601 with or without an offset (none: of the `zone`); a number, seconds or milliseconds since 1970, is used and
    flagged `date_epoch`. Anything else, and years outside 1900 to 2200, is `date_invalid`.
    """
    if isinstance(value, bool):
        return None, "date_invalid"
    if isinstance(value, int | float):
        return _from_epoch(value)
    text = value.strip()[:40] if isinstance(value, str) else ""
    if text.isascii() and text.isdigit() and len(text) >= _SHORTEST_EPOCH:
        return _from_epoch(int(text))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None, "date_invalid"
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        return None, "date_invalid"
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC), ""


@lru_cache(maxsize=4096)
def _recognised(key: str, plain: str) -> str:
    """Our field for a name that nobody mapped; `custom` for one that we do not know."""
    if plain in UTM or key.lower().startswith("utm_"):
        return f"attribution.utm_{plain.removeprefix('utm')}"
    for prefix, group in (("preference", "preferences"), ("pref", "preferences"), ("consent", "consent")):
        if key.lower().startswith((f"{prefix}_", f"{prefix}.", f"{prefix}-")):
            return f"{group}.{key[len(prefix) + 1 :]}"
    return ALIASES.get(plain, "custom")


@lru_cache(maxsize=1024)
def _target(name: str) -> str:
    """Our field for the right side of a mapping; one that we do not have is custom under that name."""
    group = name.partition(".")[0]
    if name in OWN or name in GROUPS or group in GROUPS:
        return name
    ours = {"company.name": "company", "company.domain": "website"}.get(name) or name.removeprefix("person.")
    if ours in OWN:
        return ours
    recognised = _recognised(ours, normal_name(ours.removeprefix("company.")))
    return f"custom.{name}" if recognised == "custom" else recognised


def _take(rest: dict[str, JSON], path: str) -> _Found | None:
    """Take the value at a dotted path out of the rest; a key that is written like the whole path comes first."""
    key = _like(rest, path)
    if key is not None:
        return _Found(_pointer(key), path, rest.pop(key))
    head, dot, tail = path.partition(".")
    key = _like(rest, head)
    inner = rest.get(key) if dot and key is not None else None
    if key is None or not isinstance(inner, dict):
        return None
    rest[key] = copy = dict(inner)
    found = _take(copy, tail)
    if not copy and inner:
        del rest[key]
    return found and found._replace(pointer=f"{_pointer(key)}{found.pointer}", name=path)


def _like(values: dict[str, JSON], name: str) -> str | None:
    """The key that is written as the name is, or else like it but for case and separators."""
    if name in values:
        return name
    plain = normal_name(name)
    return next((key for key in values if plain and normal_name(key) == plain), None)


def _turn(item: tuple[str, _Found]) -> int:
    return _TURNS[item[0]]


def _pointer(name: str) -> str:
    return f"/{without_controls(name).replace('~', '~0').replace('/', '~1')}"


def _scalar(value: JSON) -> str | None:
    """A text or number as text without what stands around it; None for anything else and for nothing."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(storable(value))


def _yes_or_no(value: JSON) -> bool | None:
    """What a checkbox means; None for what cannot be taken for an answer, and then no consent is assumed."""
    if isinstance(value, list) and len(value) == 1:
        return _yes_or_no(value[0])
    if isinstance(value, bool):
        return value
    text = (_scalar(value) or "").casefold()
    return True if text in YES else False if text in NO else None


def _consent_purpose(plain: str) -> str:
    """`marketing` for any name of it, and so on; "" for a purpose of somebody's own."""
    alias = ALIASES.get(plain, "")
    return alias.partition(".")[2] if alias.startswith("consent.") else ""


def _drop_names(value: JSON) -> bool:
    """Remove dangerous names in place, at every level; whether there were any."""
    found = False
    if isinstance(value, dict):
        for name in DROPPED & value.keys():
            del value[name]
            found = True
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found = _drop_names(item) or found
    return found


def _from_epoch(number: float) -> tuple[datetime | None, str]:
    earliest, latest = _EPOCH_SECONDS
    for seconds in (number, number / 1000 if abs(number) < 2**63 else number):
        if earliest <= seconds < latest:
            return _EPOCH + timedelta(seconds=seconds), "date_epoch"
    return None, "date_invalid"
