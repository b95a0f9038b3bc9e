"""Forms as people meet them: the page, the snippet, files, consent with its proof, and what is held without a word."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest

from schema import form, opt_in
from schema.journey import default_text
from schema.settings import Settings
from schema.store import clock
from tests.door import SECRET, Answer, Door, api_thread
from tests.servers import create_database, drop_database
from tests.spine import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PEPPER = Settings(secret_key=SECRET).pepper()
SHOP = "https://shop.example"
TEXT = 'Send me "news" & offers.'
SOURCES = f"""
  talk:
    kind: form
    label: Talk <to> us
    description: We answer within a day.
    fields:
      - {{name: email, required: true, help: Only to answer you.}}
      - name
      - {{name: topic, options: [Prices, "R&D"]}}
      - message
      - {{name: cv, type: file}}
    consent: {{text: '{TEXT}', version: "7"}}
    redirect: [{SHOP}/thanks]
    origins: [{SHOP}]
  kontakt: {{kind: form, label: Kontakt, language: de, fields: [email], double_opt_in: true,
             consent: {{text: Ja zum Newsletter., version: a}}}}
  strict: {{kind: form, fields: [email], spam: {{hold: 10}}}}
  closed: {{kind: form, fields: [email], enabled: false}}
"""
HTML = {"Accept": "text/html,application/xhtml+xml"}
FILE = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def api(postgres_server: str) -> Iterator[Door]:
    url = create_database(postgres_server, "forms")
    prepare(url, default_text().replace("\nsources:\n", f"\nsources:{SOURCES}", 1))
    with api_thread(url) as door:
        yield door
    drop_database(postgres_server, "forms")


class Page(HTMLParser):
    """The inputs of a page by name, and what is labelled."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inputs: dict[str, dict[str, str | None]] = {}
        self.labelled: set[str | None] = set()
        self.form: dict[str, str | None] = {}
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "id" in given:
            self.ids.append(str(given["id"]))
        if tag in {"input", "textarea", "select"}:
            self.inputs[str(given["name"])] = given
        elif tag == "label":
            self.labelled.add(given["for"])
        elif tag == "form":
            self.form = given


def page(api: Door, name: str = "talk") -> Page:
    return Page(api.send("GET", f"/f/{name}").body.decode())


def token(name: str, consent: str, ago: timedelta) -> str:
    return form.make_token(PEPPER, name, consent, clock.now() - ago)


def post(api: Door, name: str, fields: dict[str, str], **headers: str) -> Answer:
    given = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    return api.request("POST", f"/f/{name}", urlencode(fields).encode(), given)


def somebody(**fields: str) -> dict[str, str]:
    made = {"email": f"{hashlib.sha256(repr(fields).encode()).hexdigest()[:12]}@berg.example", "name": "Ida Berg"}
    return made | {"message": "Please call me."} | fields


def settled(api: Door, answer: Answer) -> dict[str, Any]:
    """The receipt of an answer after the steps have done what they do."""
    (receipt,) = answer.receipts
    api.settle(receipt)
    return api.spine.receipt(receipt)


def touch(api: Door, receipt: str) -> dict[str, Any]:
    return dict(api.spine.rows("SELECT data FROM touchpoint WHERE id = :id", id=receipt)[0]["data"])


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_has_every_field_with_a_label_and_works_without_script(api: Door) -> None:
    answer = api.send("GET", "/f/talk")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<script" not in answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    shown = Page(answer.body.decode())
    assert (shown.form["method"], shown.form["action"], shown.form["enctype"]) == (
        "post", "/f/talk", "multipart/form-data",
    )  # fmt: skip
    seen = {name: given for name, given in shown.inputs.items() if given.get("type") != "hidden"}
    assert seen.keys() == {"email", "name", "topic", "message", "cv", "consent_marketing", "_website"}
    assert {given["id"] for given in seen.values()} == shown.labelled
    assert len(shown.ids) == len(set(shown.ids))
    assert shown.inputs["email"]["autocomplete"] == "email"
    assert shown.inputs["email"]["aria-describedby"] in shown.ids
    assert "required" in shown.inputs["email"]
    assert "required" not in shown.inputs["name"]


def test_words_of_the_journey_stand_on_the_page_as_text(api: Door) -> None:
    body = api.send("GET", "/f/talk").body.decode()
    assert "<h1>Talk &lt;to&gt; us</h1>" in body
    assert "Send me &quot;news&quot; &amp; offers." in body
    assert "<option>R&amp;D</option>" in body


def test_the_page_may_only_post_to_us_and_to_where_it_leads_and_only_be_framed_by_its_sites(api: Door) -> None:
    policy = api.send("GET", "/f/talk").headers["Content-Security-Policy"]
    assert f"form-action 'self' {SHOP};" in policy
    assert f"frame-ancestors {SHOP}" in policy
    assert "frame-ancestors 'none'" in api.send("GET", "/f/kontakt").headers["Content-Security-Policy"]


def test_a_german_form_speaks_german(api: Door) -> None:
    body = api.send("GET", "/f/kontakt").body.decode()
    assert '<html lang="de">' in body
    assert ">Absenden</button>" in body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/f/nobody", 404, "form_not_found"),
        ("/f/api", 404, "form_not_found"),
        ("/f/website", 405, "method_not_allowed"),
        ("/f/closed", 410, "form_disabled"),
        ("/f/talk/token?consent=8", 404, "consent_unknown"),
    ],
)
def test_a_page_that_is_not_there_says_why(api: Door, path: str, status: int, code: str) -> None:
    answer = api.send("GET", path)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(("name", "allowed"), [("talk", "GET, HEAD, OPTIONS, POST"), ("website", "OPTIONS, POST")])
def test_a_method_that_is_not_possible_is_answered_with_those_that_are(api: Door, name: str, allowed: str) -> None:
    answer = api.send("PUT", f"/f/{name}")
    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "method_not_allowed", allowed)


def test_a_person_who_fills_in_the_page_becomes_a_lead_and_sees_the_page_of_thanks(api: Door) -> None:
    shown = page(api)
    sent = somebody(_token=str(shown.inputs["_token"]["value"]), _consent="7", _website="", topic="Prices")
    answer = post(api, "talk", sent, **HTML)
    assert (answer.status, answer.headers["Location"]) == (303, f"{SHOP}/thanks")
    api.settle()
    (person,) = api.spine.rows("SELECT custom FROM person WHERE email = :email", email=sent["email"])
    assert not [name for name in person["custom"] if name.startswith("_")]


def test_the_page_itself_may_post_whichever_sites_may_too(api: Door) -> None:
    shown = api.send("GET", "/f/talk")
    host, port = api.address
    # A browser that is told not to name the page it comes from calls its origin `null`.
    assert shown.headers["Referrer-Policy"] == "same-origin"
    for here in (f"http://{host}:{port}", f"https://{host}:{port}"):
        assert post(api, "talk", somebody(), Origin=here, **HTML).status == 303
    for foreign in (f"http://{host}:{port}.evil.example", "https://[", "null", f"http://evil.example/{host}:{port}"):
        assert post(api, "talk", somebody(), Origin=foreign, **HTML).status == 403


def test_a_browser_whose_form_was_refused_shows_a_page_and_a_program_gets_the_problem(api: Door) -> None:
    shown = api.request("POST", "/f/talk", b"", HTML | {"Content-Type": "text/plain"})
    told = api.request("POST", "/f/talk", b"", {"Content-Type": "text/plain"})
    assert (shown.status, shown.headers["Content-Type"]) == (told.status, "text/html; charset=utf-8")
    assert b"what you typed is still there" in shown.body
    assert told.code == "body_empty"


# -- the snippet -------------------------------------------------------------------------------------------------------


def test_the_snippet_is_the_same_form_to_paste(api: Door) -> None:
    answer = api.send("GET", "/f/talk/snippet")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    pasted, shown = Page(answer.body.decode()), page(api)
    assert pasted.inputs.keys() == shown.inputs.keys()
    assert str(pasted.form["action"]).endswith("/f/talk")
    assert str(pasted.form["action"]).startswith("http://")
    assert pasted.inputs["_token"]["value"] == ""
    script = re.search(r'<script src="http://[^/]+(/f/form\.js)"', answer.body.decode())
    assert script
    assert api.send("GET", script[1]).headers["Content-Type"].startswith("text/javascript")


def test_a_snippet_for_sites_that_may_not_read_the_answer_has_no_script(api: Door) -> None:
    body = api.send("GET", "/f/kontakt/snippet").body.decode()
    assert "<form" in body
    assert "script" not in body
    assert "data-" not in body


def test_the_token_that_a_pasted_form_asks_for_is_a_good_one(api: Door) -> None:
    answer = api.send("GET", "/f/talk/token?consent=7", Origin=SHOP)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert form.check_token(PEPPER, "talk", "7", answer.json["token"], clock.now())[0] == "ok"


def test_a_pasted_form_without_script_still_makes_a_lead(api: Door) -> None:
    row = settled(api, post(api, "talk", somebody(_token="", _consent="7", _website="", message="No script here.")))
    assert row["status"] == "processed"
    assert [r["code"] for r in touch(api, row["id"])["spam"]["reasons"]] == ["token_missing"]


# -- spam --------------------------------------------------------------------------------------------------------------


def test_a_machine_gets_the_same_answer_as_a_person_and_is_held(api: Door) -> None:
    good = token("talk", "7", timedelta(minutes=1))
    person = post(api, "talk", somebody(_token=good, _consent="7", _website="", message="A person."))
    machine = post(api, "talk", somebody(_token=good, _consent="7", _website="http://x.example", message="A machine."))
    assert (person.status, person.json.keys()) == (machine.status, machine.json.keys()) == (200, {"receipt"})
    assert settled(api, person)["status"] == "processed"
    held = settled(api, machine)
    assert (held["status"], held["reason"]) == ("spam", "honeypot_filled")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (lambda: token("talk", "7", timedelta(seconds=0.3)), "too_fast"),
        (lambda: token("talk", "7", timedelta(days=3)), "token_old"),
        (lambda: token("strict", "7", timedelta(minutes=1)), "token_forged"),
        (lambda: token("talk", "6", timedelta(minutes=1)), "token_forged"),
        (lambda: token("talk", "7", timedelta(minutes=-9)), "token_forged"),
        (lambda: f"{token('talk', '7', timedelta(hours=1))}x", "token_forged"),
        (lambda: "9" * 400, "token_forged"),
        (lambda: "\u0661.\u00e9", "token_forged"),
    ],
)
def test_the_token_tells_when_the_page_was_loaded_and_cannot_be_made_up(api: Door, made: Any, expected: str) -> None:  # noqa: ANN401
    row = settled(api, post(api, "talk", somebody(_token=made(), _consent="7", message=f"{expected} {made()}")))
    assert [r["code"] for r in touch(api, row["id"])["spam"]["reasons"]] == [expected]


def test_a_journey_sets_from_how_many_points_on_a_form_holds(api: Door) -> None:
    row = settled(api, post(api, "strict", somebody(message="Without a token.")))
    assert (row["status"], row["reason"], row["detail"]["spam"]["hold"]) == ("spam", "token_missing", 10)


def test_the_same_words_from_many_addresses_are_noticed(api: Door) -> None:
    words = "Dear owner, we offer the first place in every search."
    rows = [settled(api, post(api, "website", somebody(message=words, name=f"Bot {n}"))) for n in range(11)]
    first, last = touch(api, rows[0]["id"]), touch(api, rows[-1]["id"])
    assert "spam" not in first
    assert [r["code"] for r in last["spam"]["reasons"]] == ["flood_of_the_same"]
    assert rows[-1]["status"] in {"processed", "merged"}


def test_no_address_of_a_sender_is_kept_in_the_clear(api: Door) -> None:
    row = settled(api, post(api, "talk", somebody(message="From where?"), **{"User-Agent": "x" * 5000}))
    assert "127.0.0.1" not in json.dumps(row["headers"])
    assert row["headers"]["remote"] == form.keyed(PEPPER, "127.0.0.1")
    assert len(row["headers"]["user-agent"]) == 500


# -- files -------------------------------------------------------------------------------------------------------------


def post_file(api: Door, source: str, name: str, content: bytes = FILE) -> Answer:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="email"\r\n\r\nfile@berg.example\r\n'
        b'--b\r\nContent-Disposition: form-data; name="cv"; filename="' + name.encode() + b'"\r\n'
        b"Content-Type: text/html\r\n\r\n" + content + b"\r\n--b--\r\n"
    )
    return api.request("POST", f"/f/{source}", body, {"Content-Type": "multipart/form-data; boundary=b"})


def test_a_file_is_listed_with_its_hash_and_handed_out_as_an_attachment_only(api: Door) -> None:
    row = settled(api, post_file(api, "talk", "../../etc/Lebenslauf <b>ü.pdf"))
    (listed,) = touch(api, row["id"])["files"]
    assert listed == {
        "number": 1, "field": "cv", "name": "../../etc/Lebenslauf <b>ü.pdf", "type": "text/html", "size": len(FILE),
        "sha256": hashlib.sha256(FILE).hexdigest(),
    }  # fmt: skip

    answer = api.request("GET", f"/v1/receipts/{row['id']}/files/1", None, api.bearer)

    assert answer.body == FILE
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''Lebenslauf%20%3Cb%3E%C3%BC.pdf"


def test_a_file_is_for_those_with_a_key_and_there_are_no_others(api: Door) -> None:
    (receipt,) = post_file(api, "talk", "a.txt", b"other").receipts
    assert api.send("GET", f"/v1/receipts/{receipt}/files/1").status == 401
    assert api.request("GET", f"/v1/receipts/{receipt}/files/2", None, api.bearer).code == "file_not_found"
    assert api.request("GET", "/v1/receipts/nonsense/files/1", None, api.bearer).code == "receipt_not_found"


def test_only_a_form_that_asks_for_files_takes_large_ones(api: Door) -> None:
    assert post_file(api, "kontakt", "a.bin").code == "body_too_large"
    assert post_file(api, "talk", "a.bin", b"\0" * form.WITH_FILES.bytes).code == "body_too_large"


# -- consent -----------------------------------------------------------------------------------------------------------


def test_consent_is_kept_with_the_words_that_were_shown(api: Door) -> None:
    good = token("talk", "7", timedelta(minutes=1))
    row = settled(api, post(api, "talk", somebody(_token=good, _consent="7", consent_marketing="yes", message="Yes!")))
    data = touch(api, row["id"])
    assert data["consent"] == {"marketing": True}
    evidence = data["consent_evidence"]
    assert (evidence["version"], evidence["text"], evidence["shown"]) == ("7", TEXT, True)
    assert evidence["remote"] == form.keyed(PEPPER, "127.0.0.1")


@pytest.mark.parametrize("version", ["6", ""])
def test_words_that_were_not_shown_are_not_claimed(api: Door, version: str) -> None:
    row = settled(api, post(api, "talk", somebody(_consent=version, consent_marketing="yes", message=f"v {version}")))
    evidence = touch(api, row["id"])["consent_evidence"]
    assert "text" not in evidence
    assert evidence["shown"] is False


# -- double opt-in -----------------------------------------------------------------------------------------------------


def asked(api: Door, **fields: str) -> tuple[dict[str, Any], str]:
    """Somebody ticks the box; the receipt, and the path that the event tells."""
    good = token("kontakt", "a", timedelta(minutes=1))
    row = settled(api, post(api, "kontakt", somebody(_token=good, _consent="a", consent_marketing="yes", **fields)))
    (event,) = api.spine.rows(
        "SELECT data FROM event WHERE lead_id = :lead AND type = 'person.opt_in_requested'", lead=row["lead_id"]
    )
    assert (event["data"]["receipt_id"], event["data"]["purposes"]) == (row["id"], ["marketing"])
    return row, event["data"]["path"]


def confirmations(api: Door, lead: str) -> list[dict[str, Any]]:
    api.settle()
    return api.spine.rows("SELECT data FROM touchpoint WHERE lead_id = :lead AND kind = 'opt_in.confirmed'", lead=lead)


def test_consent_waits_until_it_is_confirmed_while_the_lead_goes_on(api: Door) -> None:
    row, path = asked(api, message="Waiting")
    assert row["status"] == "processed"
    data = touch(api, row["id"])
    assert data["consent_pending"] == ["marketing"]
    assert "consent" not in data

    assert b"Ja zum Newsletter." in api.send("GET", path).body
    assert confirmations(api, row["lead_id"]) == []
    answer = api.send("POST", path, b"")
    assert (answer.status, "bestätigt" in answer.body.decode()) == (200, True)

    (confirmed,) = confirmations(api, row["lead_id"])
    assert confirmed["data"]["consent"] == {"marketing": True}
    assert confirmed["data"]["confirms"] == row["id"]
    assert confirmed["data"]["consent_evidence"]["text"] == "Ja zum Newsletter."


def test_confirming_twice_is_one_confirmation(api: Door) -> None:
    row, path = asked(api, message="Twice")
    assert [api.send("POST", path, b"").status for _ in range(3)] == [200, 200, 200]
    assert len(confirmations(api, row["lead_id"])) == 1


def test_who_ticks_nothing_is_asked_nothing(api: Door) -> None:
    good = token("kontakt", "a", timedelta(minutes=1))
    row = settled(api, post(api, "kontakt", somebody(_token=good, _consent="a", message="No thanks")))
    assert "consent_pending" not in touch(api, row["id"])
    assert api.send("POST", f"/c/{opt_in.make_token(PEPPER, row['id'])}", b"").status == 404


MADE_UP: Final[list[Callable[[str], str]]] = [
    lambda path: path[:-1],
    lambda path: path + "A",
    lambda path: path.replace("/c/0", "/c/1"),
    lambda _: "/c/nonsense",
    lambda _: "/c/%00",
    lambda _: "/c/" + "f" * 32 + ".x",
]


@pytest.mark.parametrize("change", MADE_UP)
def test_a_link_that_was_made_up_confirms_nothing(api: Door, change: Callable[[str], str]) -> None:
    row, path = asked(api, message=f"Made up {id(change)}")
    for method in ("GET", "POST"):
        answer = api.send(method, change(path), b"" if method == "POST" else None)
        assert answer.status == 404
        assert b"does not work" in answer.body
    assert confirmations(api, row["lead_id"]) == []


def test_a_link_works_for_a_month(api: Door) -> None:
    row, path = asked(api, message="A month")
    name = path.removeprefix("/c/")
    month = row["received_at"] + opt_in.GOOD_FOR
    assert opt_in.check_token(PEPPER, name, month - timedelta(minutes=1)) == row["id"]
    assert opt_in.check_token(PEPPER, name, month + timedelta(minutes=1)) is None


def test_a_stranger_cannot_put_words_into_an_event(api: Door) -> None:
    fields = somebody(message="Sly", **{"consent_call me at 0170": "yes"})
    row = settled(api, post(api, "kontakt", fields))
    events = api.spine.rows("SELECT data FROM event WHERE lead_id = :lead", lead=row["lead_id"])
    assert events
    assert "0170" not in json.dumps([event["data"] for event in events])
