"""
Every operation of the OpenAPI document, asked in generated ways: the answer is one that the document describes.

Never 5xx, whatever is in the path, the query, the headers and the body, with a key, without one, and with one that is
none. Half of what a path names is really there. The examples are the same in every run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from schema.journey import load
from services.api.keys import SCOPES
from tests.door import FORM, Door, api_process, house, journey_text
from tests.management import Seed
from workers.sales.by_hand import Sales

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemathesis import Case
    from schemathesis.schemas import APIOperation, BaseSchema

_CONFORMS: Final = [content_type_conformance, response_schema_conformance, status_code_conformance]
_PATIENCE_S: Final = 20
_SOURCES: Final = """
  any: {kind: hook}
"""
examples: Final = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def api(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    document = journey_text().replace("\nsources:\n", f"\nsources:{_SOURCES}", 1)
    folder = tmp_path_factory.mktemp("api")
    with house(postgres_server, document) as url, api_process(url, folder) as door:
        _, door.key = door.make_key(*SCOPES)
        yield door


@pytest.fixture(scope="module")
def document(api: Door) -> BaseSchema:
    return schemathesis.openapi.from_dict(api.send("GET", "/openapi.json").json)


@pytest.fixture(scope="module")
def there(api: Door) -> dict[str, list[str]]:
    """What a part of a path can name that is really there."""
    sent = [api.post(FORM, {"email": f"{uuid4().hex}@lind.example", "message": "Hello"}) for _ in range(5)]
    sent += [api.post(FORM, {"colour": "blue"}), api.post("/f/old", {"email": "late@lind.example"})]
    api.settle()
    receipts = [row["id"] for row in api.spine.rows("SELECT id FROM receipt")]
    leads = api.spine.rows("SELECT id, person_id, journey, owner FROM lead")
    seed = Seed(api.spine.engine, leads[0]["journey"])
    letters = [seed.dead_letter("lead", row["id"], "score", f"{number:016x}") for number, row in enumerate(leads)]
    assert {answer.status for answer in sent} == {200, 410}
    sales = Sales(api.spine.engine, lambda *_: None)
    return {
        "receipt_id": receipts,
        "lead_id": [row["id"] for row in leads],
        "person_id": [row["person_id"] for row in leads],
        "letter_id": letters,
        "opportunity_id": [sales.open(row["id"], None, {}, actor="test")["id"] for row in leads],
        "owner": sorted({row["owner"] for row in leads if row["owner"]}),
        "version": [leads[0]["journey"]],
        "name": [load(journey_text()).name],
        "kind": ["throughline.lead.created.v1"],
        "source": ["website", "shop", "old", "any"],
        "number": ["1"],
    }


KEYS: Final = st.sampled_from(["its own", "its own", "its own", "none", "another"])


def headers_of(api: Door, key: str) -> dict[str, str]:
    return {"its own": api.bearer, "another": {"Authorization": "Bearer tl_0_\xe9"}}.get(key, {})


def operations(document: BaseSchema) -> Iterator[APIOperation[Any, Any, Any, Any]]:
    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        yield found.ok()


def test_every_operation_answers_as_it_is_described_whatever_it_is_asked(
    api: Door, document: BaseSchema, there: dict[str, list[str]], subtests: pytest.Subtests
) -> None:
    asked = set()
    for operation in operations(document):
        with subtests.test(operation.label):
            ask(api, operation, there)
        asked.add(operation.label)
    assert {"POST /f/{source}", "POST /v1/events", "PUT /v1/journeys", "GET /v1/leads/{lead_id}/why"} <= asked
    assert api.good().status == 200


def ask(api: Door, operation: APIOperation[Any, Any, Any, Any], there: dict[str, list[str]]) -> None:
    readiness = operation.path == "/readyz"  # a 503 without a problem is what it is there for
    checks = _CONFORMS if readiness else [not_a_server_error, *_CONFORMS]

    @examples
    @given(case=operation.as_strategy(), key=KEYS, named=st.booleans(), which=st.integers(0, 1000))
    def run(case: Case[Any], key: str, which: int, *, named: bool) -> None:
        if named:
            for part, names in there.items():
                if part in case.path_parameters and names:
                    case.path_parameters[part] = names[which % len(names)]
        given_headers = headers_of(api, key)
        base = "http://{}:{}".format(*api.address)
        response = case.call(base_url=base, headers=given_headers, timeout=_PATIENCE_S, allow_redirects=False)
        case.validate_response(response, checks=checks, headers=given_headers)
        assert response.status_code < 400 or readiness or response.json()["code"]

    run()
