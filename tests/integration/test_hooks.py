"""Providers' webhooks over HTTP: whose a delivery is, what is the same one, and what it is answered."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schema.journey import default_text
from schema.mail.address import reply_address
from schema.providers import FETCH_PENDING
from schema.settings import Settings
from schema.store import quarantine, rows
from tests.deliveries import SHAPES, Sent, delivery, multipart, provider_of
from tests.door import SECRET as SECRET_KEY
from tests.door import Answer, Door, api_thread
from tests.servers import create_database, drop_database
from tests.spine import prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET: Final = "shared between the two of us"
OLD: Final = "the one before"
BASE: Final = "https://hooks.example"
KEY: Final = ec.generate_private_key(ec.SECP256R1())
PUBLIC: Final = base64.b64encode(
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
HOME: Final = "https://shop.example"
SIGNED: Final = (
    "hubspot_webhooks",
    "typeform",
    "tally",
    "formstack",
    "wufoo",
    "meta_lead_ads",
    "linkedin_lead_sync",
    "google_lead_form",
    "calendly",
    "mailgun",
    "sendgrid",
    "postmark",
    "stripe",
    "standard_webhooks",
    "twenty",
    "jotform",
)
_SOURCES: Final = f"""\
  any: {{kind: hook}}
  mapped: {{kind: hook, map: {{"buyer.contact_mail": email}}}}
  secret: {{kind: hook, secret: HOOK_SECRET}}
  unset: {{kind: hook, provider: stripe, secret: HOOK_SECRET_NOBODY_SET}}
  off: {{kind: hook, enabled: false}}
  off_mailgun: {{kind: hook, provider: mailgun, enabled: false}}
  off_postmark: {{kind: hook, provider: postmark, enabled: false}}
  cf7: {{kind: hook, provider: contact_form_7}}
  web: {{kind: hook, provider: salesforce_web_to_lead, redirect: ["{HOME}/done", "{HOME}/thanks"]}}
"""


def _journey() -> str:
    secrets = dict.fromkeys(SIGNED, "HOOK_SECRET") | {"sendgrid": "HOOK_PUBLIC"}
    token = dict.fromkeys(("meta_lead_ads", "linkedin_lead_sync"), ", token: HOOK_TOKEN_NOBODY_SET")
    signed = "".join(
        f"  {name}: {{kind: hook, provider: {name}, secret: {secret}{token.get(name, '')}}}\n"
        for name, secret in secrets.items()
    )
    return default_text().replace("\nsources:\n", f"\nsources:\n{_SOURCES}{signed}", 1)


@pytest.fixture(scope="module")
def api(postgres_server: str) -> Iterator[Door]:
    name = f"hooks_{uuid4().hex[:12]}"
    url = create_database(postgres_server, name)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOOK_SECRET", f"{OLD},{SECRET}")
        environment.setenv("HOOK_PUBLIC", PUBLIC)
        environment.setenv("THROUGHLINE_BASE_URL", BASE)
        prepare(url, _journey())
        with api_thread(url) as door:
            yield door
    drop_database(postgres_server, name)


def post(api: Door, source: str, sent: Sent, **headers: str) -> Answer:
    given = {"Content-Type": sent.content_type, **sent.headers}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return api.request("POST", f"/hooks/{source}", sent.body, given)


def outcome(api: Door, answer: Answer) -> dict[str, Any]:
    (receipt,) = answer.receipts
    api.settle(receipt)
    return api.spine.receipt(receipt)


def touchpoint(api: Door, receipt: str) -> dict[str, Any]:
    return api.spine.rows("SELECT * FROM touchpoint WHERE id = :id", id=receipt)[0]


def unique(shape: str, **changes: Any) -> Sent:  # noqa: ANN401
    """A delivery that nobody has sent before, as far as its provider names it; else one with another content."""
    names: dict[str, dict[str, Any]] = {
        "stripe": {"id": f"evt_{uuid4().hex}"},
        "tally": {"eventId": uuid4().hex},
        "jotform": {"submissionID": uuid4().hex},
        "formstack": {"UniqueID": uuid4().hex},
        "wufoo": {"EntryId": uuid4().hex},
        "google_lead_form": {"lead_id": uuid4().hex},
        "postmark": {"MessageID": uuid4().hex},
        "hubspot_webhooks": {"objectId": uuid4().int % 10**9},
        "salesforce_web_to_lead": {"email": f"{uuid4().hex}@example.com"},
        "linkedin_lead_sync": {"leadGenFormResponse": f"urn:li:leadGenFormResponse:{uuid4().hex}"},
        "segment": {"messageId": uuid4().hex},
    }
    sent = delivery(shape, **names.get(shape, {}), **changes)
    if shape == "standard_webhooks":
        sent.headers["webhook-id"] = f"msg_{uuid4().hex}"
    return sent


# -- signatures: written here once more, from the providers' words -----------------------------------------------------


def digest(secret: str, content: bytes) -> bytes:
    return hmac.new(secret.encode(), content, hashlib.sha256).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _mailgun(_: Sent, secret: str, at: int) -> tuple[Sent, dict[str, str]]:
    signature = digest(secret, f"{at}tok".encode()).hex()
    return delivery("mailgun", timestamp=str(at), token="tok", signature=signature), {}


def _in_body(name: str) -> Callable[[Sent, str, int], tuple[Sent, dict[str, str]]]:
    def sign(sent: Sent, secret: str, _: int) -> tuple[Sent, dict[str, str]]:
        return delivery(sent.provider, **{name: secret}), {}

    return sign


def _standard(sent: Sent, secret: str, at: int) -> tuple[Sent, dict[str, str]]:
    content = b".".join([sent.headers["webhook-id"].encode(), str(at).encode(), sent.body])
    return sent, {"webhook_timestamp": str(at), "webhook_signature": f"v9,x v1,{b64(digest(secret, content))}"}


def _hubspot(sent: Sent, secret: str, at: int) -> tuple[Sent, dict[str, str]]:
    content = b"POST" + f"{BASE}/hooks/{sent.provider}".encode() + sent.body + str(at * 1000).encode()
    return sent, {
        "X_HubSpot_Signature_v3": b64(digest(secret, content)),
        "X_HubSpot_Request_Timestamp": str(at * 1000),
    }


def _sendgrid(sent: Sent, secret: str, at: int) -> tuple[Sent, dict[str, str]]:
    key = KEY if secret == SECRET else ec.generate_private_key(ec.SECP256R1())
    signature = key.sign(str(at).encode() + sent.body, ec.ECDSA(SHA256()))
    return sent, {
        "X_Twilio_Email_Event_Webhook_Signature": b64(signature),
        "X_Twilio_Email_Event_Webhook_Timestamp": str(at),
    }


SIGN: Final[dict[str, Callable[[Sent, str, int], tuple[Sent, dict[str, str]]]]] = {
    "hubspot_webhooks": _hubspot,
    "typeform": lambda s, k, _: (s, {"Typeform_Signature": "sha256=" + b64(digest(k, s.body))}),
    "tally": lambda s, k, _: (s, {"Tally_Signature": b64(digest(k, s.body))}),
    "formstack": lambda s, k, _: (s, {"X_FS_Signature": "sha256=" + digest(k, s.body).hex()}),
    "wufoo": _in_body("HandshakeKey"),
    "meta_lead_ads": lambda s, k, _: (s, {"X_Hub_Signature_256": "sha256=" + digest(k, s.body).hex()}),
    "linkedin_lead_sync": lambda s, k, _: (s, {"X_LI_Signature": digest(k, b"hmacsha256=" + s.body).hex()}),
    "google_lead_form": _in_body("google_key"),
    "calendly": lambda s, k, t: (
        s,
        {"Calendly_Webhook_Signature": f"t={t},v1={digest(k, f'{t}.'.encode() + s.body).hex()}"},
    ),
    "mailgun": _mailgun,
    "sendgrid": _sendgrid,
    "postmark": lambda s, k, _: (s, {"Authorization": "Basic " + b64(f"hook:{k}".encode())}),
    "stripe": lambda s, k, t: (
        s,
        {"Stripe_Signature": f"t={t},v1=00,v1={digest(k, f'{t}.'.encode() + s.body).hex()},v0=11"},
    ),
    "standard_webhooks": _standard,
    "twenty": lambda s, k, t: (
        s,
        {
            "X_Twenty_Webhook_Timestamp": str(t * 1000),
            "X_Twenty_Webhook_Signature": digest(k, f"{t * 1000}:".encode() + s.body).hex(),
        },
    ),
    "jotform": lambda s, k, _: (s, {"Authorization": f"Bearer {k}"}),
}
TIMED: Final = ("hubspot_webhooks", "calendly", "mailgun", "sendgrid", "stripe", "standard_webhooks", "twenty")


def signed(provider: str, secret: str = SECRET, at: int | None = None) -> tuple[Sent, dict[str, str]]:
    return SIGN[provider](delivery(provider), secret, int(time.time()) if at is None else at)


@pytest.mark.parametrize("provider", SIGNED)
def test_a_delivery_with_its_signature_is_taken(api: Door, provider: str) -> None:
    sent, headers = signed(provider)

    answer = post(api, provider, sent, **headers)

    assert answer.status == 200
    kept = outcome(api, answer)
    ids_only = provider in {"meta_lead_ads", "linkedin_lead_sync"}
    assert (kept["status"] in {"processed", "merged"}, kept["reason"]) == (
        not ids_only,
        FETCH_PENDING if ids_only else None,
    )


@pytest.mark.parametrize("provider", [name for name in SIGNED if name != "sendgrid"])
def test_while_one_secret_replaces_the_other_both_are_good(api: Door, provider: str) -> None:
    sent, headers = signed(provider, OLD)

    assert post(api, provider, sent, **headers).status == 200


@pytest.mark.parametrize("provider", SIGNED)
def test_a_delivery_made_with_another_secret_is_kept_and_not_processed(api: Door, provider: str) -> None:
    sent, headers = signed(provider, "somebody else's")

    answer = post(api, provider, sent, **headers)

    assert (answer.status, answer.code) == (401, "signature_invalid")
    held = api.spine.rows("SELECT * FROM receipt WHERE source = :name AND reason = 'signature_invalid'", name=provider)
    assert {(each["status"], each["due_since"]) for each in held} == {("quarantined", None)}


def test_what_somebody_made_up_does_not_hide_what_comes_with_the_same_id(api: Door) -> None:
    id_ = f"evt_{uuid4().hex}"
    made_up, real = (delivery("stripe", id=id_, created=created) for created in (1700000000, 1700000001))

    assert {post(api, "stripe", sent).status for sent in (made_up, real)} == {401}

    kept = {bytes(row["body"]) for row in api.spine.rows("SELECT body FROM receipt WHERE source = 'stripe'")}
    assert {made_up.body, real.body} <= kept


def test_only_releasing_lets_in_what_did_not_show_whose_it_is(api: Door) -> None:
    person = f"{uuid4().hex}@lind.example"
    sent = unique("stripe", data={"object": {"customer_email": person}})
    assert post(api, "stripe", sent).status == 401
    (held,) = api.spine.rows("SELECT id FROM receipt WHERE body = CAST(:body AS bytea)", body=rows.as_bytea(sent.body))

    with api.spine.engine.begin() as connection:
        quarantine.read_again(connection, [held["id"]], api.spine.now)
    api.settle(held["id"])
    again = api.spine.receipt(held["id"])
    with api.spine.engine.begin() as connection:
        quarantine.release(connection, [held["id"]], "somebody", api.spine.now)
    api.settle(held["id"])

    assert (again["status"], again["reason"]) == ("quarantined", "signature_invalid")
    assert api.spine.receipt(held["id"])["status"] == "processed"


def test_a_heap_of_bytes_without_a_signature_is_not_kept(api: Door) -> None:
    before = api.receipts()

    answer = api.post("/hooks/stripe", {"id": "evt_1", "object": "event", "heap": ["x" * 100_000] * 5})

    assert answer.code == "signature_invalid"
    assert api.receipts() == before


@pytest.mark.parametrize("provider", SIGNED)
def test_a_delivery_without_a_signature_is_not_taken(api: Door, provider: str) -> None:
    assert post(api, provider, delivery(provider)).status == 401


@pytest.mark.parametrize(
    "provider", sorted({*SIGNED} - {"wufoo", "google_lead_form", "mailgun", "postmark", "jotform"})
)
def test_a_body_that_was_written_anew_does_not_fit_its_signature(api: Door, provider: str) -> None:
    sent, headers = signed(provider)

    assert post(api, provider, sent._replace(body=sent.body + b"\n"), **headers).status == 401


@pytest.mark.parametrize("late", [-2 * 86400, 2 * 86400])
@pytest.mark.parametrize("provider", TIMED)
def test_a_signature_of_another_day_is_none(api: Door, provider: str, late: int) -> None:
    sent, headers = signed(provider, at=int(time.time()) + late)

    assert post(api, provider, sent, **headers).status == 401


@pytest.mark.parametrize("timestamp", ["", "x", "-5", "9" * 20, "1e9"])
def test_a_time_that_is_none_is_no_signature(api: Door, timestamp: str) -> None:
    sent = delivery("stripe")
    signature = digest(SECRET, f"{timestamp}.".encode() + sent.body).hex()

    assert post(api, "stripe", sent, Stripe_Signature=f"t={timestamp},v1={signature}").status == 401


def test_a_thousand_signatures_are_not_tried(api: Door) -> None:
    sent = unique("standard_webhooks")
    _, headers = _standard(sent, SECRET, int(time.time()))
    headers["webhook_signature"] = "v1,AAAA " * 40 + headers["webhook_signature"]

    assert post(api, "standard_webhooks", sent, **headers).status == 401


def test_a_shape_without_signatures_does_not_get_around_the_secret(api: Door) -> None:
    sent = delivery("contact_form_7")

    assert post(api, "secret", sent).status == 401
    in_query = f"/hooks/secret?token={quote(SECRET)}"
    assert api.request("POST", in_query, sent.body, {"Content-Type": sent.content_type}).status == 401
    assert post(api, "secret", sent, X_Webhook_Secret=SECRET).status == 200


def test_without_the_secret_that_the_source_names_a_delivery_waits(api: Door) -> None:
    answer = post(api, "unset", unique("stripe"))

    assert answer.status == 200
    kept = outcome(api, answer)
    assert (kept["status"], kept["reason"]) == ("quarantined", "secret_not_set")


@pytest.mark.parametrize(("provider", "name"), [("google_lead_form", "google_key"), ("wufoo", "HandshakeKey")])
def test_a_secret_in_the_payload_is_not_kept(api: Door, provider: str, name: str) -> None:
    answer = post(api, provider, delivery(provider, **{name: SECRET}))

    kept = bytes(api.spine.receipt(answer.receipts[0])["body"])
    assert name.encode() in kept
    assert SECRET.encode() not in kept
    assert SECRET.replace(" ", "+").encode() not in kept


# -- what is the same --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_taken_once(api: Door, shape: str) -> None:
    first, again = post(api, "any", delivery(shape)), post(api, "any", delivery(shape))

    assert (first.status, again.status) == (200, 200)
    assert again.receipts == first.receipts
    assert again.json["duplicate"]
    kept = outcome(api, first)
    owed = shape in {"meta_lead_ads", "linkedin_lead_sync", "gravity_forms"}
    assert kept["status"] in ({"quarantined"} if owed else {"processed", "merged"})


def test_a_delivery_that_is_tried_again_differs_in_its_counters_and_is_the_same(api: Door) -> None:
    told = unique("stripe")
    retried = told._replace(body=told.body.replace(b'"pending_webhooks": 3', b'"pending_webhooks": 1'))
    assert retried.body != told.body

    assert post(api, "any", retried).receipts == post(api, "any", told).receipts


def test_fifty_copies_at_once_are_one_delivery(api: Door) -> None:
    told = unique("stripe")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: post(api, "any", told), range(50)))

    assert {answer.status for answer in answers} == {200}
    assert len({receipt for answer in answers for receipt in answer.receipts}) == 1


def test_the_same_id_from_another_provider_is_another_delivery(api: Door) -> None:
    id_ = uuid4().hex

    formstack, wufoo = delivery("formstack", UniqueID=id_), delivery("wufoo", EntryId=id_)

    assert post(api, "any", formstack).receipts != post(api, "any", wufoo).receipts


def test_an_array_is_as_many_receipts_as_it_holds_and_each_is_once(api: Door) -> None:
    one, two, three = (json.loads(unique("hubspot_webhooks").body)[0] for _ in range(3))
    sent = delivery("hubspot_webhooks")

    first = post(api, "any", sent._replace(body=json.dumps([one, two]).encode()))
    second = post(api, "any", sent._replace(body=json.dumps([two | {"attemptNumber": 1}, three]).encode()))

    assert len(first.receipts) == 2
    assert second.receipts[0] == first.receipts[1]
    assert second.receipts[1] not in first.receipts


def test_a_notice_of_several_leads_is_a_receipt_each(api: Door) -> None:
    told = json.loads(delivery("meta_lead_ads").body)
    change = told["entry"][0]["changes"][0]
    told["entry"][0]["changes"] = [{**change, "value": {**change["value"], "leadgen_id": n}} for n in (70001, 70002)]

    answer = post(api, "any", delivery("meta_lead_ads")._replace(body=json.dumps(told).encode()))

    assert len(answer.receipts) == 2
    api.settle(*answer.receipts)
    assert {api.spine.receipt(receipt)["reason"] for receipt in answer.receipts} == {FETCH_PENDING}


# -- what is answered --------------------------------------------------------------------------------------------------


def test_what_nobody_understands_is_kept_and_answered_200(api: Door) -> None:
    told = {"buyer": {"contact_mail": "ann@lind.example"}, "n": uuid4().hex}

    answer = api.post("/hooks/any", told)

    kept = outcome(api, answer)
    assert (answer.status, kept["status"], kept["reason"]) == (200, "quarantined", "shape_unknown")
    assert kept["detail"]["suggested_map"] == {"buyer.contact_mail": "email"}


def test_the_suggested_mapping_does_what_it_says(api: Door) -> None:
    answer = api.post("/hooks/mapped", {"buyer": {"contact_mail": f"{uuid4().hex}@lind.example"}})

    assert outcome(api, answer)["status"] == "processed"


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<lead/>", "application/xml", "unsupported_media_type"),
        (b"{", "application/json", "json_syntax"),
        (b"", "application/json", "body_empty"),
        (b"[1, 2]", "application/json", "object_expected"),
        (b"\xff\xfe", "text/plain", "unsupported_media_type"),
        (b"[" * 100_000, "application/json", "json_depth"),
    ],
)
def test_what_cannot_be_read_is_kept_and_answered_200(api: Door, body: bytes, content_type: str, reason: str) -> None:
    answer = api.request("POST", "/hooks/any", body, {"Content-Type": content_type})

    assert answer.status == 200
    kept = outcome(api, answer)
    assert (kept["status"], kept["reason"]) == ("quarantined", reason)
    assert bytes(kept["body"]) == body


def test_a_compressed_body_is_kept_as_it_is(api: Door) -> None:
    answer = api.request(
        "POST", "/hooks/any", b"\x1f\x8b\x08", {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    )

    assert outcome(api, answer)["reason"] == "unsupported_encoding"


def test_json_that_is_not_called_so_is_read(api: Door) -> None:
    answer = api.request("POST", "/hooks/any", b'{"email": "plain@lind.example"}', {"Content-Type": "text/plain"})

    assert outcome(api, answer)["status"] == "processed"


@pytest.mark.parametrize("size", [1_000_000, 4_000_000])
def test_a_long_delivery_with_a_thousand_fields_is_taken(api: Door, size: int) -> None:
    told = {f"field {n}": "x" * (size // 1000) for n in range(1000)} | {"email": f"{uuid4().hex}@lind.example"}

    assert outcome(api, api.post("/hooks/any", told))["status"] == "processed"


def test_more_than_a_mail_with_its_attachments_is_too_large(api: Door) -> None:
    answer = api.bare([b"POST /hooks/any HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"])

    assert answer is not None
    assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize(("source", "status"), [("off", 410), ("off_mailgun", 406), ("off_postmark", 403)])
def test_a_source_that_is_off_says_never_again_in_the_provider_s_words(api: Door, source: str, status: int) -> None:
    answer = post(api, source, delivery("tally"))

    assert (answer.status, answer.code) == (status, "source_disabled")
    held = api.spine.rows("SELECT status, reason FROM receipt WHERE source = :name", name=source)
    assert held == [{"status": "quarantined", "reason": "source_disabled"}]


def test_a_page_that_was_made_for_web_to_lead_is_sent_on_to_an_allowed_page(api: Door) -> None:
    wanted = post(api, "web", unique("salesforce_web_to_lead", retURL=f"{HOME}/thanks"))
    elsewhere = post(api, "web", unique("salesforce_web_to_lead", retURL="https://evil.example/"))

    assert (wanted.status, wanted.headers["Location"]) == (302, f"{HOME}/thanks")
    assert (elsewhere.status, elsewhere.headers["Location"]) == (302, f"{HOME}/done")


def test_a_form_of_hubspot_is_thanked_for(api: Door) -> None:
    assert post(api, "any", delivery("hubspot_forms")).json["inlineMessage"] == "Thank you."


def test_a_form_may_come_as_the_parameters_of_a_get(api: Door) -> None:
    answer = api.send("GET", "/hooks/cf7?your-name=Ann+Lind&your-email=ann%40lind.example")

    assert outcome(api, answer)["status"] in {"processed", "merged"}


def test_there_are_only_the_sources_of_kind_hook(api: Door) -> None:
    assert api.post("/hooks/nothing", {}).code == "hook_not_found"
    assert api.post("/hooks/website", {}).code == "hook_not_found"
    assert api.send("GET", "/hooks/nothing").code == "hook_not_found"
    assert api.send("DELETE", "/hooks/any").status == 405


def test_whoever_looks_whether_the_address_is_there_is_told_so(api: Door) -> None:
    assert api.send("GET", "/hooks/any").json == {"source": "any", "takes": "POST"}
    assert api.send("HEAD", "/hooks/any").status == 200


# -- handshakes --------------------------------------------------------------------------------------------------------


def test_meta_hears_its_challenge_for_the_verify_token(api: Door) -> None:
    token = digest(SECRET, b"verify token").hex()[:32]
    asked = "/hooks/meta_lead_ads?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="

    heard = api.send("GET", asked + token)

    assert (heard.status, heard.body) == (200, b"1158201444")
    assert heard.headers["Content-Type"].startswith("text/plain")
    assert api.send("GET", asked + "guessed").code == "verify_token_wrong"
    assert api.send("GET", "/hooks/any?hub.challenge=1&hub.verify_token=").code == "verify_token_wrong"
    script = f"/hooks/meta_lead_ads?hub.challenge=%3Cscript%3E&hub.verify_token={token}"
    assert api.send("GET", script).code == "challenge_invalid"


def test_linkedin_hears_its_challenge_with_our_answer(api: Door) -> None:
    code = str(uuid4())

    heard = api.send("GET", f"/hooks/linkedin_lead_sync?challengeCode={code}")

    assert heard.json == {"challengeCode": code, "challengeResponse": digest(OLD, code.encode()).hex()}
    assert api.send("GET", f"/hooks/unset?challengeCode={code}").code == "secret_not_set"


def test_a_sender_of_events_may_ask_first(api: Door) -> None:
    heard = api.send("OPTIONS", "/hooks/any", webhook_request_origin="events.example")

    assert (heard.status, heard.headers["WebHook-Allowed-Origin"]) == (200, "events.example")


# -- what becomes of it ------------------------------------------------------------------------------------------------


def _stripe(type_: str, created: int, person: str, **about: object) -> Sent:
    thing = {"object": "invoice", "customer": f"cus_{person}", "customer_email": person, **about}
    return unique("stripe", type=type_, created=created, data={"object": thing})


@pytest.mark.parametrize("turned", [False, True])
def test_payments_out_of_order_stand_where_they_happened(api: Door, *, turned: bool) -> None:
    person = f"{uuid4().hex}@lind.example"
    told = [
        _stripe("invoice.paid", 1700000000, person, billing_reason="subscription_create", amount_paid=4900),
        _stripe("customer.subscription.deleted", 1710000000, person),
    ]

    answers = [post(api, "any", sent) for sent in (reversed(told) if turned else told)]
    receipts = [answer.receipts[0] for answer in answers]
    for receipt in receipts:
        api.settle(receipt)

    kinds = api.spine.rows(
        "SELECT kind, data FROM touchpoint WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY occurred_at", ids=receipts
    )
    assert [touch["kind"] for touch in kinds] == ["purchase", "contract.ended"]
    assert kinds[0]["data"]["properties"]["amount_paid"] == 4900
    assert len({touchpoint(api, receipt)["person_id"] for receipt in receipts}) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_a_meeting_that_is_moved_is_one_person_s_and_no_loss(api: Door, *, turned: bool) -> None:
    about = json.loads(delivery("calendly").body)["payload"] | {"email": f"{uuid4().hex}@lind.example"}
    old, new = f"https://api.calendly.com/{uuid4()}", f"https://api.calendly.com/{uuid4()}"
    told = [
        delivery("calendly", event="invitee.created", payload={**about, "uri": new, "old_invitee": old}),
        delivery("calendly", event="invitee.canceled", payload={**about, "uri": old, "rescheduled": True}),
    ]

    receipts = [post(api, "any", sent).receipts[0] for sent in (reversed(told) if turned else told)]
    api.settle(*receipts)

    assert {touchpoint(api, receipt)["kind"] for receipt in receipts} == {"meeting.rescheduled", "meeting.moved"}
    assert len({api.spine.receipt(receipt)["lead_id"] for receipt in receipts}) == 1


def test_a_test_of_the_sender_makes_a_lead_that_no_figure_counts(api: Door) -> None:
    about = [{"column_id": "EMAIL", "string_value": f"{uuid4().hex}@lind.example"}]
    answer = post(api, "any", unique("google_lead_form", user_column_data=about))

    assert outcome(api, answer)["test"]
    assert api.spine.lead_of(answer.receipts[0])["test"]


def test_a_mail_that_a_machine_wrote_opens_no_lead(api: Door) -> None:
    sent = delivery("postmark")
    told = json.loads(sent.body) | {"MessageID": uuid4().hex}
    told["Headers"] = [{"Name": "Auto-Submitted", "Value": "auto-replied"}]
    told["FromFull"] = {"Email": f"{uuid4().hex}@lind.example", "Name": ""}

    kept = outcome(api, post(api, "any", sent._replace(body=json.dumps(told).encode())))

    assert (kept["status"], kept["reason"], kept["lead_id"]) == ("quarantined", "auto_reply", None)


def test_a_mail_to_a_signed_address_belongs_to_its_lead_whoever_wrote_it(api: Door) -> None:
    first = outcome(api, api.post("/hooks/any", {"email": f"{uuid4().hex}@lind.example", "name": "Ann"}))
    address = reply_address("sales@we.example", Settings(secret_key=SECRET_KEY).pepper(), first["lead_id"])
    envelope = json.dumps({"to": [address], "from": "else@lind.example"})

    for sent in (
        unique("postmark", OriginalRecipient=address),
        delivery("mailgun", recipient=address, **{"message-headers": f'[["Message-Id", "<{uuid4()}@x.example>"]]'}),
        delivery("sendgrid", envelope=envelope, headers=f"Message-ID: <{uuid4()}@x.example>\nFrom: b@x.example\n"),
    ):
        assert outcome(api, post(api, "any", sent))["lead_id"] == first["lead_id"]


def test_fields_in_another_charset_are_read(api: Door) -> None:
    body = b"Name=%C4nn+Lind&Email=ann%2Bx%40lind.example&form_id=1&form_name=x&Email=other%40lind.example"

    answer = api.request("POST", "/hooks/any", body, {"Content-Type": "application/x-www-form-urlencoded"})

    assert outcome(api, answer)["status"] == "processed"
    (person,) = api.spine.rows(
        "SELECT p.* FROM person AS p JOIN receipt AS r ON r.person_id = p.id WHERE r.id = :id", id=answer.receipts[0]
    )
    assert person["name"] == "Änn Lind"


def test_a_file_in_a_form_is_named_and_stays_in_the_receipt(api: Door) -> None:
    body = multipart({"your-email": f"{uuid4().hex}@lind.example", "_url": HOME, "cv": {"filename": "cv.pdf"}})
    sent = delivery("jotform")._replace(body=body)

    assert outcome(api, post(api, "any", sent))["status"] == "processed"


def test_shapes_of_one_provider_are_all_sent_here() -> None:
    assert {provider_of(shape) for shape in SHAPES} >= set(SIGNED)
