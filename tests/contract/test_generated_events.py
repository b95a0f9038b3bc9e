"""
Events, deliveries and files that nobody has thought of: always an answer, never 5xx, and what is stored settles.

Each provider's real delivery is where its changes begin, so that they get as far as its own reader.
"""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.errors import Permanent
from schema.incoming import CALLS
from schema.journey.source import IDS_ONLY
from schema.settings import Settings
from services.cli import imports
from services.importing import mapping
from services.importing.reading import Rows
from services.importing.run import Order
from tests.anything import NAMES, OBJECTS, TEXTS, VALUES, bytes_like, changed, examples, settled
from tests.deliveries import GIVEN, SHAPES, Sent, delivery, multipart, provider_of
from tests.door import Door, api_process, house, journey_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hypothesis.strategies import DrawFn, SearchStrategy

SECRET: Final = "known to nobody here"
PROVIDERS: Final = sorted({provider_of(shape) for shape in SHAPES})
EVENTS: Final = "/v1/events"
STRUCTURED: Final = "application/cloudevents+json"
SIGNATURES: Final = (
    "Authorization", "X-Api-Key", "X-HubSpot-Signature-v3", "X-HubSpot-Request-Timestamp", "Typeform-Signature",
    "Tally-Signature", "X-FS-Signature", "X-Hub-Signature-256", "X-LI-Signature", "Calendly-Webhook-Signature",
    "Stripe-Signature", "webhook-id", "webhook-timestamp", "webhook-signature", "X-Twenty-Webhook-Signature",
    "X-Twenty-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature", "Content-Encoding", "ce-id", "Host",
    "X-Twilio-Email-Event-Webhook-Timestamp", "X-Forwarded-Proto",
)  # fmt: skip


def _journey() -> str:
    token = dict.fromkeys(IDS_ONLY, ", token: TOKEN_THAT_NOBODY_SET")
    lines = [f"  {name}: {{kind: hook, provider: {name}{token.get(name, '')}}}" for name in PROVIDERS]
    lines += [
        f"  s_{name}: {{kind: hook, provider: {name}, secret: GENERATED_SECRET{token.get(name, '')}}}"
        for name in PROVIDERS
    ]
    sources = "\n".join(["  any: {kind: hook}", *lines])
    return journey_text().replace("\nsources:\n", f"\nsources:\n{sources}\n", 1)


@pytest.fixture(scope="module")
def api(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GENERATED_SECRET", SECRET)
        folder = tmp_path_factory.mktemp("api")
        with house(postgres_server, _journey()) as url, api_process(url, folder) as door:
            _, door.key = door.make_key("events:write")
            yield door


# -- webhooks ----------------------------------------------------------------------------------------------------------


@st.composite
def deliveries(draw: DrawFn) -> Sent:
    """A provider's delivery that differs in a place or two from what it really sends."""
    shape = draw(st.sampled_from(SHAPES))
    given_ = GIVEN[shape]
    sent = delivery(shape)
    content_type, headers = given_.get("content_type", sent.content_type), dict(sent.headers)
    if "text" in given_ or not draw(st.integers(0, 4)):
        return Sent(provider_of(shape), draw(bytes_like(sent.body)), content_type, headers)
    kind = next(kind for kind in ("body", "form", "parts") if kind in given_)
    value = draw(changed(given_[kind]))
    if kind == "body" or not isinstance(value, dict):
        return Sent(provider_of(shape), json.dumps(value).encode(), "application/json", headers)
    texts = {_text(name): _text(inner) for name, inner in value.items()}
    body = urlencode(texts).encode() if kind == "form" else multipart(texts)
    return Sent(provider_of(shape), body, content_type, headers)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


def deliver(api: Door, source: str, sent: Sent) -> None:
    headers = {"Content-Type": sent.content_type, **sent.headers}
    answer = api.request("POST", f"/hooks/{source}", sent.body, headers)
    settled(api, answer)
    assert answer.status == 200, answer


@settings(examples, max_examples=150)
@given(sent=deliveries(), named=st.booleans(), other=st.none() | st.sampled_from(PROVIDERS))
def test_a_delivery_that_its_provider_never_sent_is_taken_and_settles(
    api: Door, sent: Sent, other: str | None, *, named: bool
) -> None:
    deliver(api, other or (sent.provider if named else "any"), sent)


@examples
@given(
    body=st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()),
    content_type=st.sampled_from(["application/json", "", "text/plain", "message/rfc822", "multipart/form-data", "x"]),
    source=st.sampled_from(["any", *PROVIDERS]),
)
def test_any_bytes_that_come_to_a_webhook_are_taken(api: Door, body: bytes, content_type: str, source: str) -> None:
    deliver(api, source, Sent("", body, content_type, {}))


_HEADER_TEXTS: Final = st.sampled_from(
    ["", "t=1,v1=00", "sha256=", "Basic !", "Basic w6k6", "9" * 30, "-1", "v1,", "=,=", "[", "gzip"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30).map(str.strip)


@settings(examples, max_examples=120)
@given(
    provider=st.sampled_from(PROVIDERS),
    headers=st.dictionaries(
        st.sampled_from(SIGNATURES),
        _HEADER_TEXTS,
        max_size=4,
    ),
)
def test_no_header_makes_a_delivery_somebody_s(api: Door, provider: str, headers: dict[str, str]) -> None:
    shape = next(shape for shape in SHAPES if provider_of(shape) == provider)
    sent = delivery(shape)

    answer = api.request(
        "POST", f"/hooks/s_{provider}", sent.body, {"Content-Type": sent.content_type, **sent.headers} | headers
    )

    assert (answer.status, answer.code) == (401, "signature_invalid")


# -- events ------------------------------------------------------------------------------------------------------------

_EVENT: Final = {
    "specversion": "1.0", "id": "1", "source": "/shop", "type": "purchase", "time": "2026-11-01T10:00:00Z",
    "subject": "order 7", "datacontenttype": "application/json",
    "data": {"email": "ana@lind.example", "name": "Ana Lind", "amount": 5},
}  # fmt: skip
_CALL: Final = {
    "type": "track", "userId": "7", "anonymousId": "a", "event": "Order Completed", "name": "Pricing",
    "messageId": "m", "timestamp": "2026-11-01T10:00:00Z", "properties": {"revenue": 5, "plan": "large"},
    "traits": {"email": "ana@lind.example", "company": {"name": "Lind", "employees": 9}},
    "context": {"traits": {"phone": "+49 30 901820"}},
}  # fmt: skip
_ATTRIBUTES: Final = st.dictionaries(
    st.sampled_from(["ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-subject", "ce-x"]),
    st.sampled_from(["1.0", "1", "/shop", "purchase", "2026-11-01T10:00:00Z", "0001-01-01T00:00:00+23:59", "\xe9", ""]),
    max_size=7,
)


def post(api: Door, path: str, body: bytes, content_type: str, headers: dict[str, str]) -> None:
    settled(api, api.request("POST", path, body, api.bearer | headers | {"Content-Type": content_type}))


def _events() -> SearchStrategy[Any]:
    return changed(_EVENT).flatmap(lambda event: st.just(event) | changed(event))


@settings(examples, max_examples=150)
@given(
    event=_events(),
    batch=st.booleans(),
    content_type=st.sampled_from([STRUCTURED, STRUCTURED, "application/json", "text/plain", ""]),
    headers=st.just({}) | _ATTRIBUTES,
)
def test_any_event_in_any_mode_is_answered_and_settles(
    api: Door,
    event: Any,  # noqa: ANN401
    content_type: str,
    headers: dict[str, str],
    *,
    batch: bool,
) -> None:
    if batch:
        event, content_type = [_EVENT | {"id": uuid4().hex}, event], "application/cloudevents-batch+json"
    post(api, EVENTS, json.dumps(event).encode(), content_type, headers)


@examples
@given(
    body=bytes_like(json.dumps(_EVENT).encode()) | st.binary(max_size=100),
    content_type=st.sampled_from([STRUCTURED, "application/cloudevents-batch+json", "application/json", "a/b"]),
    headers=_ATTRIBUTES,
)
def test_any_bytes_of_an_event_are_answered(api: Door, body: bytes, content_type: str, headers: dict[str, str]) -> None:
    post(api, EVENTS, body, content_type, headers)


@settings(examples, max_examples=150)
@given(call=changed(_CALL).flatmap(lambda call: st.just(call) | changed(call)), way=st.sampled_from([*CALLS, "batch"]))
def test_any_call_is_answered_and_settles(api: Door, call: Any, way: str) -> None:  # noqa: ANN401
    body = {"batch": [_CALL | {"messageId": uuid4().hex}, call]} if way == "batch" else call
    post(api, f"/v1/{way}", json.dumps(body).encode(), "application/json", {})


# -- files -------------------------------------------------------------------------------------------------------------

_CELLS: Final = TEXTS.filter(lambda text: len(text) < 100).map(lambda text: text.encode("utf-8", "replace").decode())
_MAPS: Final = (None, "email=email", "name=occurred_at", "note=consent.marketing")


def load(api: Door, path: Path, given_map: str | None) -> None:
    """Import a file: it is refused as a whole and nothing of it is stored, or its rows settle."""
    before = api.receipts()
    try:
        found = Rows(path)
        found.count()
        plan = mapping.read(given_map, found.columns)
    except Permanent:
        assert api.receipts() == before
        return
    imports.load(Settings(database_url=api.spine.url), api.spine.url, Order("files", plan), path, found)
    (left,) = api.spine.rows("SELECT count(*) AS count FROM receipt WHERE status = 'pending' OR due_since IS NOT NULL")
    assert left["count"] == 0


@settings(examples, max_examples=25)
@given(
    rows=st.lists(st.lists(_CELLS, min_size=1, max_size=4), max_size=6),
    spoiled=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    given_map=st.sampled_from(_MAPS),
    data=st.data(),
)
def test_any_table_is_refused_or_its_rows_settle(
    api: Door,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    encoding: str,
    given_map: str | None,
    data: st.DataObject,
    *,
    spoiled: bool,
) -> None:
    lines = ["email,name,note,employees", f"{uuid4().hex}@lind.example,Ana,x,5", *(",".join(row) for row in rows)]
    content = "\n".join(lines).encode(encoding, "replace")
    path = tmp_path_factory.mktemp("table") / "leads.csv"
    path.write_bytes(data.draw(bytes_like(content)) if spoiled else content)

    load(api, path, given_map)


@settings(examples, max_examples=25)
@given(objects=st.lists(OBJECTS | VALUES, max_size=6), given_map=st.sampled_from(_MAPS))
def test_any_lines_of_json_are_refused_or_settle(
    api: Door, tmp_path_factory: pytest.TempPathFactory, objects: list[Any], given_map: str | None
) -> None:
    path = tmp_path_factory.mktemp("lines") / "leads.jsonl"
    path.write_text("\n".join(["{}", *map(json.dumps, objects)]))

    load(api, path, given_map)


def _workbook() -> dict[str, bytes]:
    """The parts of a sound workbook."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["email", "name", "since", "note"], ["ana@lind.example", "Ana", 45_000.5, "=A1"], ["b@lind.example"]):
        sheet.append(row)
    sheet["C2"].number_format = "yyyy-mm-dd"
    sheet["B3"], sheet["B3"].data_type = "#REF!", "e"
    file = io.BytesIO()
    book.save(file)
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


_PARTS: Final = _workbook()
_IN_XML: Final = st.sampled_from(
    [b"-1", b"9" * 20, b"4294967296", b"ZZZZ9", b"A0", b"NaN", b"1e999", b"", b"x", b"inlineStr", b"d", b"&#0;"]
)


@st.composite
def workbooks(draw: DrawFn) -> bytes:
    """A workbook with another value, other bytes or nothing somewhere in it; or damaged as an archive."""
    parts = dict(_PARTS)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(parts)))
        how = draw(st.sampled_from(["value", "value", "value", "bytes", "gone"]))
        if how == "gone":
            del parts[name]
        elif how == "bytes":
            parts[name] = draw(bytes_like(parts[name]))
        else:
            pieces = parts[name].split(b'"')
            at = draw(st.integers(0, len(pieces) // 2 - 1)) * 2 + 1 if len(pieces) > 2 else 0
            pieces[at] = draw(_IN_XML)
            parts[name] = b'"'.join(pieces)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return draw(bytes_like(file.getvalue())) if not draw(st.integers(0, 3)) else file.getvalue()


@settings(examples, max_examples=200)
@given(content=workbooks(), sheet=st.none() | NAMES)
def test_any_workbook_is_rows_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, sheet: str | None
) -> None:
    path = tmp_path_factory.mktemp("book") / "leads.xlsx"
    path.write_bytes(content)

    with suppress(Permanent):
        for row in Rows(path, sheet=sheet):
            assert row.number
