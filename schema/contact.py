"""
Addresses, phone numbers and domains as people write them, and the keys under which the same one is found again.

Pure: nothing is looked up in the network. A value that cannot be used has no key, and a code that says why; it
never raises. Only what has a key may be written or called.

    ana.lopez+news@GoogleMail.com   match key   analopez@gmail.com
    ana@bücher.example              match key   ana@xn--bcher-kva.example
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import idna
import msgspec
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

if TYPE_CHECKING:
    from tldextract import TLDExtract

_LONGEST_INPUT: Final = 512
_LONGEST_ADDRESS: Final = 254
_LONGEST_LOCAL: Final = 64
_LONGEST_PHONE: Final = 64
_LONGEST_HOST: Final = 2048
_LONGEST_LABEL: Final = 63

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN: Final = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+(?:{_LABEL})(?<=[A-Za-z]))\Z")
"""Addresses that need no library: ASCII, no quotes, no IDNA. Everything else is left to email-validator."""
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOWHERE: Final = frozenset(SPECIAL_USE_DOMAIN_NAMES) - {"test"}
"""Top-level domains that no mail can reach. `test` is let through: people try things out with it (RFC 6761)."""
_AROUND: Final = " \t\xa0\u200b\ufeff\u3000"
"""What copying and pasting leaves around an address; CR and LF are not in it, they make an address unusable."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DOTLESS: Final = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Mailboxes of one provider under two names, where dots in the local part do not count."""
_PLUS_TAGS: Final = _words(
    "gmail.com googlemail.com outlook.com outlook.de hotmail.com hotmail.de hotmail.co.uk hotmail.fr live.com msn.com "
    "icloud.com me.com mac.com fastmail.com fastmail.fm proton.me protonmail.com protonmail.ch pm.me yandex.com "
    "yandex.ru mailbox.org posteo.de posteo.net hey.com zoho.com zohomail.com runbox.com"
)
"""Providers that deliver `name+anything` to `name`."""
_FREE: Final = _PLUS_TAGS | _words(
    "aol.com arcor.de att.net bellsouth.net bigpond.com bluewin.ch bol.com.br btinternet.com charter.net comcast.net "
    "cox.net daum.net duck.com email.com email.cz free.fr freenet.de gmx.at gmx.ch gmx.com gmx.de gmx.net hanmail.net "
    "hushmail.com inbox.ru interia.pl kpnmail.nl laposte.net libero.it list.ru live.co.uk live.de live.fr live.nl "
    "mail.com mail.de mail.ru naver.com neuf.fr o2.pl online.de onet.pl optonline.net orange.fr outlook.fr outlook.it "
    "outlook.es qq.com 126.com 163.com rediffmail.com rocketmail.com sbcglobal.net seznam.cz sfr.fr shaw.ca sina.com "
    "skynet.be sky.com t-online.de telenet.be tiscali.it tuta.com tuta.io tutanota.com tutanota.de ukr.net uol.com.br "
    "verizon.net virgilio.it vodafone.de wanadoo.fr web.de wp.pl xtra.co.nz yahoo.com yahoo.co.in yahoo.co.jp "
    "yahoo.co.uk yahoo.com.br yahoo.de yahoo.es yahoo.fr yahoo.it ymail.com yeah.net ziggo.nl bk.ru hotmail.es "
    "hotmail.it"
)


class Email(msgspec.Struct, frozen=True):
    """An address. Without `match_key` it is not usable: keep it to show, never write to it."""

    address: str
    """As written, without what stood around it."""
    match_key: str | None
    domain: str | None
    """ASCII (IDNA), lower case."""
    issues: tuple[str, ...] = ()


class Phone(msgspec.Struct, frozen=True):
    """A number. Without `e164` it is not usable."""

    text: str
    e164: str | None
    issues: tuple[str, ...] = ()


def email(raw: str) -> Email:
    """
    Read an address; `Ana <ana@example.com>` and `mailto:ana@example.com` are understood too.

    Issues: `email_syntax`, `email_control_character`, `email_too_long`, `email_quoted_local`,
    `email_domain_literal`, `email_reserved_domain`.
    """
    text = raw.strip(_AROUND)
    return plain_email(text) or _careful_email(text)


def plain_email(text: str) -> Email | None:
    """Read an address that needs no library, exactly as `email` would; None if it is not of that kind."""
    found = _PLAIN.match(text) if len(text) <= _LONGEST_ADDRESS else None
    if not found:
        return None
    local, domain = found.groups()
    domain = domain.lower()
    if len(local) > _LONGEST_LOCAL or domain.rpartition(".")[2] in _NOWHERE:
        return None
    return Email(text, _match_key(local.lower(), domain), domain)


def match_key(local: str, domain: str) -> str:
    """
    The key that the same mailbox always has.

    The local part is case-folded and NFC; at providers known to ignore them, dots and `+tags` are dropped.
    The domain must be lower-case ASCII.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())
    return _match_key(folded, domain)


def phone(raw: str, region: str | None) -> Phone:
    """
    Read a number; `region` (ISO 3166 alpha-2) is where a number without country code is taken to be.

    Issues: `phone_too_long`, `phone_control_character`, `phone_region_missing`, `phone_invalid`, and
    `phone_extension_dropped` for a usable number whose extension is not part of the key.
    """
    text = raw.strip()
    if len(text) > _LONGEST_PHONE:
        return Phone(text, None, ("phone_too_long",))
    if _CONTROL.search(text):
        return Phone(text, None, ("phone_control_character",))
    if not region and not text.startswith(("+", "00", "\uff0b", "tel:", "(+")):
        return Phone(text, None, ("phone_region_missing" if any(map(str.isdigit, text)) else "phone_invalid",))
    return _parsed_phone(text, region)


@lru_cache(maxsize=4096)
def domain(text: str) -> str | None:
    """
    Find the registrable domain (`example.co.uk`) of a host, an address or a URL, in lower-case ASCII.

    None for what has none: an IP address, `localhost`, a public suffix itself. Subdomains that a host gives to its
    customers (`acme.github.io`) are domains of their own.
    """
    if len(text) > _LONGEST_HOST or _CONTROL.search(text):
        return None
    found = _extractor()(text.strip().rpartition("@")[2])
    if not found.domain or found.ipv4 or found.ipv6 or len(found.domain) > _LONGEST_LABEL:
        return None
    if found.suffix:
        return _ascii_host(f"{found.domain}.{found.suffix}".lower())
    # A top-level domain that the list does not know counts as a suffix (publicsuffix.org, the rule `*`).
    owner = found.subdomain.rpartition(".")[2]
    return _ascii_host(f"{owner}.{found.domain}".lower()) if owner else None


def is_free_mail(host: str) -> bool:
    """Whether addresses at the domain are given to anybody, so that it says nothing about a company."""
    return host.lower() in _FREE


def _match_key(local: str, host: str) -> str:
    if host in _PLUS_TAGS:
        local = local.partition("+")[0] or local
        if host in _DOTLESS:
            return f"{local.replace('.', '')}@{_DOTLESS[host]}"
    return f"{local}@{host}"


def _ascii_host(host: str) -> str | None:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return None


def _careful_email(text: str) -> Email:
    if _CONTROL.search(text):
        return Email(text, None, None, ("email_control_character",))
    if len(text) > _LONGEST_INPUT:
        return Email(text, None, None, ("email_too_long",))
    try:
        found = validate_email(
            text.removeprefix("mailto:"),
            check_deliverability=False,
            allow_display_name=True,
            strict=True,
            test_environment=True,
        )
    except EmailNotValidError:
        return Email(text, None, None, (_reason(text),))
    address = found.original.strip()
    return Email(address, match_key(found.local_part, found.ascii_domain), found.ascii_domain)


def _reason(text: str) -> str:
    """Name what is wrong with an address that was refused, as far as it can be said simply."""
    local, at, host = text.rpartition("@")
    if not at:
        return "email_syntax"
    if len(text) > _LONGEST_ADDRESS or len(local) > _LONGEST_LOCAL:
        return "email_too_long"
    if local.startswith('"'):
        return "email_quoted_local"
    if host.startswith("["):
        return "email_domain_literal"
    reserved = host.lower().rpartition(".")[2] in _NOWHERE
    return "email_reserved_domain" if reserved else "email_syntax"


def _parsed_phone(text: str, region: str | None) -> Phone:
    import phonenumbers  # noqa: PLC0415 - tens of megabytes of metadata: only processes that meet a phone pay

    international = f"+{text[2:]}" if not region and text.startswith("00") else text
    try:
        number = phonenumbers.parse(international, region.upper() if region else None)
    except phonenumbers.NumberParseException:
        return Phone(text, None, ("phone_invalid",))
    if not phonenumbers.is_valid_number(number):
        return Phone(text, None, ("phone_invalid",))
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Phone(text, e164, ("phone_extension_dropped",) if number.extension else ())


@lru_cache(maxsize=1)
def _extractor() -> TLDExtract:
    """Build the Public Suffix List's reader from the list that the library carries: no network, no cache folder."""
    from tldextract import TLDExtract  # noqa: PLC0415 - imports an HTTP client that we do not use

    return TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
