"""A form's proof of when its page was loaded, and the link that confirms: only ours are taken, whatever is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schema.form import GOOD_FOR, check_token, make_token
from schema.opt_in import check_token as check_link
from schema.opt_in import make_token as make_link
from schema.payload import LIMITS
from schema.payload.multipart import files_of
from schema.store.ids import new_id

PEPPER = b"p" * 32
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@given(st.timedeltas(timedelta(0), GOOD_FOR), st.text(max_size=20))
def test_a_page_tells_how_long_ago_it_was_loaded(ago: timedelta, consent: str) -> None:
    token = make_token(PEPPER, "site", consent, NOON - ago)
    state, age = check_token(PEPPER, "site", consent, token, NOON)
    assert state == "ok"
    assert age is not None
    assert abs(age - ago) <= timedelta(milliseconds=1)


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()), st.from_regex(r"\d{1,15}\..{0,30}")))
def test_nothing_that_somebody_makes_up_is_taken_for_a_token(made_up: object) -> None:
    state, age = check_token(PEPPER, "site", "", made_up, NOON)
    assert state == ("forged" if isinstance(made_up, str) and made_up else "none")
    assert age is None


def test_a_token_is_good_for_its_own_form_consent_and_installation_only() -> None:
    token = make_token(PEPPER, "site", "7", NOON)
    assert check_token(PEPPER, "site", "7", token, NOON)[0] == "ok"
    assert check_token(PEPPER, "other", "7", token, NOON)[0] == "forged"
    assert check_token(PEPPER, "site", "8", token, NOON)[0] == "forged"
    assert check_token(b"q" * 32, "site", "7", token, NOON)[0] == "forged"
    assert check_token(PEPPER, "site", "7", token, NOON + GOOD_FOR + timedelta(seconds=1))[0] == "old"


@given(st.one_of(st.text(), st.from_regex(r"[0-9a-f]{32}\.[A-Za-z0-9_-]{22}")))
def test_nothing_that_somebody_makes_up_confirms_anything(made_up: str) -> None:
    assert check_link(PEPPER, made_up, datetime.now(UTC)) is None


def test_a_link_names_its_receipt() -> None:
    receipt = new_id()
    link = make_link(PEPPER, receipt)
    assert check_link(PEPPER, link, datetime.now(UTC)) == receipt
    assert check_link(b"q" * 32, link, datetime.now(UTC)) is None


@given(st.lists(st.binary(min_size=1, max_size=60).filter(lambda content: b"--b" not in content), max_size=5))
def test_files_come_out_as_they_went_in(contents: list[bytes]) -> None:
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="%d"\r\n\r\n%s\r\n' % (number, content)
        for number, content in enumerate(contents)
    )
    found = files_of(parts + b"--b--\r\n", "multipart/form-data; boundary=b", limits=LIMITS) if contents else []
    assert [(file.name, file.content) for file in found] == [(str(at), content) for at, content in enumerate(contents)]
