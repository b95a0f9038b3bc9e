"""Addresses, numbers and domains: what is usable, and which of them are the same."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schema.contact import domain, email, is_free_mail, match_key, phone, plain_email

USABLE = {
    # as written: match key
    "ana@example.com": "ana@example.com",
    "Ana.Lopez@Example.COM": "ana.lopez@example.com",
    " ana@example.com\t": "ana@example.com",
    "\u200bana@example.com\ufeff": "ana@example.com",
    "ana+news@example.com": "ana+news@example.com",
    "ana@mail.example.co.uk": "ana@mail.example.co.uk",
    "a@b.de": "a@b.de",
    "1@1.de": "1@1.de",
    "_@example.com": "_@example.com",
    "o'brien@example.ie": "o'brien@example.ie",
    "!#$%&'*+-/=?^_`{|}~@example.com": "!#$%&'*+-/=?^_`{|}~@example.com",
    "ana@ex-ample.com": "ana@ex-ample.com",
    "ana@example.museum": "ana@example.museum",
    "ana@xn--bcher-kva.de": "ana@xn--bcher-kva.de",
    "ana@bücher.de": "ana@xn--bcher-kva.de",
    "ana@BÜCHER.de": "ana@xn--bcher-kva.de",
    "ana@bu\u0308cher.de": "ana@xn--bcher-kva.de",
    "ana@straße.de": "ana@xn--strae-oqa.de",
    "ana@例え.jp": "ana@xn--r8jz45g.jp",
    "ana@example。com": "ana@example.com",
    "re\u0301mi@example.fr": "rémi@example.fr",
    "RÉMI@example.fr": "rémi@example.fr",
    "straße@example.de": "strasse@example.de",
    "İpek@example.com": "i\u0307pek@example.com",
    "用户@example.com": "用户@example.com",
    "😀@example.com": "😀@example.com",
    "Ana Lopez <ana@example.com>": "ana@example.com",
    '"Lopez, Ana" <ana@example.com>': "ana@example.com",
    "<ana@example.com>": "ana@example.com",
    "mailto:ana@example.com": "ana@example.com",
    "A.N.A+x@gmail.com": "ana@gmail.com",
    "ana@googlemail.com": "ana@gmail.com",
    "+tag@gmail.com": "+tag@gmail.com",
    "ana.l+x@outlook.com": "ana.l@outlook.com",
    "ana+x@icloud.com": "ana@icloud.com",
    "ana+x@proton.me": "ana@proton.me",
    "a.n.a@example.com": "a.n.a@example.com",
    f"{'a' * 64}@example.com": f"{'a' * 64}@example.com",
}
UNUSABLE = {
    "": "email_syntax",
    "ana": "email_syntax",
    "@": "email_syntax",
    "@example.com": "email_syntax",
    "ana@": "email_syntax",
    "a@b": "email_syntax",
    "a@@b.de": "email_syntax",
    "a@b@c.de": "email_syntax",
    ".ana@example.com": "email_syntax",
    "ana.@example.com": "email_syntax",
    "a..na@example.com": "email_syntax",
    "ana@example..com": "email_syntax",
    "ana@.example.com": "email_syntax",
    "ana@example.com.": "email_syntax",
    "ana@-example.com": "email_syntax",
    "ana@example-.com": "email_syntax",
    "ana@exa_mple.com": "email_syntax",
    "ana@exa mple.com": "email_syntax",
    "ana lopez@example.com": "email_syntax",
    "ana@192.0.2.1": "email_syntax",
    "ana@ab--cd.de": "email_syntax",
    "ana@xn--\u00fc.de": "email_syntax",
    "ana@😀.com": "email_syntax",
    "ana\uff20example.com": "email_syntax",
    "ana@example.com, ben@example.com": "email_syntax",
    "ana@example.com;ben@example.com": "email_syntax",
    "a(b)c@example.com": "email_syntax",
    "a\u202eb@example.com": "email_syntax",
    '"ana lopez"@example.com': "email_quoted_local",
    '"ana@x"@example.com': "email_quoted_local",
    "ana@[192.0.2.1]": "email_domain_literal",
    "ana@[IPv6:2001:db8::1]": "email_domain_literal",
    "ana@host.local": "email_reserved_domain",
    "ana@localhost": "email_reserved_domain",
    "ana@example.invalid": "email_reserved_domain",
    "x@y.zz\r\nBcc: v@w.zz": "email_control_character",
    "ana@example.com\n": "email_control_character",
    "ana\0@example.com": "email_control_character",
    "ana\u2028@example.com": "email_control_character",
    "ana\ud800@example.com": "email_control_character",
    f"{'a' * 65}@example.com": "email_too_long",
    f"ana@{'a.' * 125}com": "email_too_long",
    "a" * 100_000: "email_too_long",
    f"ana@{'a' * 64}.com": "email_syntax",
}


@pytest.mark.parametrize(("written", "key"), USABLE.items())
def test_an_address_that_can_be_written_to_has_a_match_key(written: str, key: str) -> None:
    found = email(written)
    assert (found.match_key, found.issues) == (key, ())
    assert found.domain is not None
    assert found.domain.isascii()


@pytest.mark.parametrize(
    ("written", "code"), [pytest.param(*pair, id=ascii(pair[0][:40])) for pair in UNUSABLE.items()]
)
def test_an_address_that_cannot_be_written_to_says_why(written: str, code: str) -> None:
    found = email(written)
    assert (found.match_key, found.domain, found.issues) == (None, None, (code,))


def test_an_address_is_kept_as_it_was_written() -> None:
    assert email(" Ana.Lopez+x@GMail.com ").address == "Ana.Lopez+x@GMail.com"
    assert email("Ana <Ana@Bücher.de>").address == "Ana@Bücher.de"


ATOMS = st.text("abzAZ019.!#$%&'*+-/=?^_`{|}~\"@ é", min_size=1, max_size=8)
HOSTS = st.text("abzAZ019.-xnü_", min_size=1, max_size=14)
ENDINGS = st.sampled_from(
    [".de", ".com", ".test", ".local", ".c0m", ".co1", "", ".arpa", "." + "a" * 63, "." + "a" * 64]
)
WRITTEN = st.builds("{}@{}{}".format, ATOMS, HOSTS, ENDINGS)


@settings(deadline=None, max_examples=400)
@given(written=WRITTEN)
@example("a@xn--a.de")
@example("a@a--b.de")
@example("a@ab-.de")
@example("a@" + ".".join(["a" * 63] * 4) + ".de")
def test_an_address_read_without_the_library_reads_the_same_with_it(written: str) -> None:
    plain = plain_email(written)
    if plain is None:
        return
    found = validate_email(written, check_deliverability=False, strict=True, test_environment=True)
    assert plain.domain == found.ascii_domain
    assert plain.match_key == match_key(found.local_part, found.ascii_domain)
    assert plain.address == written


@settings(deadline=None)
@given(written=WRITTEN)
def test_an_address_is_usable_exactly_when_the_library_takes_it(written: str) -> None:
    try:
        validate_email(
            written.strip(), check_deliverability=False, allow_display_name=True, strict=True, test_environment=True
        )
        taken = True
    except EmailNotValidError:
        taken = False
    assert (email(written).match_key is not None) == taken


@settings(deadline=None)
@given(written=WRITTEN | st.text(max_size=40))
def test_no_text_is_too_strange_for_an_address_and_a_usable_one_never_has_a_control_character(written: str) -> None:
    found = email(written)
    assert (found.match_key is None) == bool(found.issues)
    if found.match_key is not None:
        assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in found.address)


@settings(deadline=None)
@given(
    local=st.text(st.characters(codec="utf-8"), max_size=10), host=st.sampled_from(["gmail.com", "web.de", "me.com"])
)
def test_the_key_of_a_key_is_the_key(local: str, host: str) -> None:
    key = match_key(local, host)
    again_local, _, again_host = key.rpartition("@")
    once_more = match_key(again_local, again_host)
    assert match_key(*once_more.rsplit("@", 1)) == once_more


@pytest.mark.parametrize(
    ("written", "region", "e164"),
    [
        ("030 901820", "DE", "+4930901820"),
        ("030/90 18-20", "de", "+4930901820"),
        ("+49 (0)30 901820", None, "+4930901820"),
        ("0049 30 901820", None, "+4930901820"),
        ("tel:+49-30-901820", None, "+4930901820"),
        ("٠٣٠ ٩٠١٨٢٠", "DE", "+4930901820"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("020 7946 0958", "GB", "+442079460958"),
    ],
)
def test_a_number_is_brought_to_e164(written: str, region: str | None, e164: str) -> None:
    found = phone(written, region)
    assert (found.e164, found.issues) == (e164, ())


@pytest.mark.parametrize(
    ("written", "region", "code"),
    [
        ("", "DE", "phone_invalid"),
        ("call me", None, "phone_invalid"),
        ("12", "DE", "phone_invalid"),
        ("030 901820", None, "phone_region_missing"),
        ("030 901820", "XX", "phone_invalid"),
        ("+999 123456", None, "phone_invalid"),
        ("+49 30\r\n901820", None, "phone_control_character"),
        ("1" * 100, "DE", "phone_too_long"),
    ],
)
def test_a_number_that_cannot_be_called_says_why(written: str, region: str | None, code: str) -> None:
    found = phone(written, region)
    assert (found.e164, found.issues) == (None, (code,))


def test_an_extension_is_no_part_of_the_key() -> None:
    found = phone("+49 30 901820 ext. 5", None)
    assert (found.e164, found.issues) == ("+4930901820", ("phone_extension_dropped",))


@settings(deadline=None)
@given(written=st.text(max_size=70), region=st.sampled_from([None, "DE", "US", "XX", ""]))
def test_no_text_is_too_strange_for_a_number(written: str, region: str | None) -> None:
    assert phone(written, region).e164 is None or phone(written, region).text == written.strip()


@pytest.mark.parametrize(
    ("written", "registrable"),
    [
        ("https://www.example.co.uk/a?b#c", "example.co.uk"),
        ("WWW.Example.COM:8080", "example.com"),
        ("ana@mail.example.com", "example.com"),
        ("acme.github.io", "acme.github.io"),
        ("bücher.de", "xn--bcher-kva.de"),
        ("straße.de", "xn--strae-oqa.de"),
        ("co.uk", None),
        ("localhost", None),
        ("192.0.2.1", None),
        ("http://[::1", None),
        ("not a domain", None),
        ("a\nb.com", None),
        ("x" * 5000 + ".com", None),
        (f"{'x' * 64}.com", None),
        ("", None),
    ],
)
def test_a_domain_is_the_part_that_somebody_registered(written: str, registrable: str | None) -> None:
    assert domain(written) == registrable


@settings(deadline=None)
@given(written=st.text(max_size=60) | HOSTS)
def test_no_text_is_too_strange_for_a_domain(written: str) -> None:
    found = domain(written)
    assert found is None or found.isascii()


def test_free_mail_says_nothing_about_a_company() -> None:
    assert is_free_mail("gmail.com")
    assert is_free_mail("GMX.de")
    assert not is_free_mail("example.com")
