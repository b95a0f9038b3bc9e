"""Whose an arrival is: which keys find somebody, which bring another key to them, and what makes nobody one person."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from schema.journey import default_text
from schema.store import journeys, merges
from tests.integration.test_merge import arrives
from workers.identity.merge import Merger

if TYPE_CHECKING:
    from tests.spine import Spine

ANA = {"email": "ana@kiln.example", "name": "Ana Pons"}
PHONE = {"phone": "+49 30 901820"}


@pytest.fixture
def _ids(spine: Spine) -> None:
    """A journey whose source `api` names people by an id of its own."""
    document = default_text().replace("{kind: api, label: Other systems}", "{kind: api, map: {customer: external_id}}")
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, document, spine.now), spine.now)


def by_id(spine: Spine, payload: dict[str, Any]) -> str:
    return arrives(spine, payload, source="api", channel="api")


def keys_of(spine: Spine, person: str) -> set[tuple[str, str]]:
    found = spine.rows("SELECT kind, value FROM person_key WHERE person_id = :person", person=person)
    return {(row["kind"], row["value"]) for row in found}


def people(spine: Spine) -> int:
    return int(spine.rows("SELECT count(*) AS n FROM person")[0]["n"])


# -- further keys ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_ids")
def test_a_new_address_of_a_known_id_is_that_persons_too(spine: Spine) -> None:
    known = by_id(spine, {"customer": "7", **ANA})

    assert by_id(spine, {"customer": "7", "email": "ana@private.example"}) == known

    assert arrives(spine, {"email": "ana@private.example"}) == known
    assert keys_of(spine, known) == {
        ("external:api", "7"),
        ("email", "ana@kiln.example"),
        ("email", "ana@private.example"),
    }


def test_who_wrote_before_is_known_when_they_only_leave_their_number(spine: Spine) -> None:
    known = arrives(spine, ANA | PHONE)
    assert arrives(spine, {"name": "Ana", **PHONE}) == known


def test_who_called_before_and_now_gives_an_address_is_one_person(spine: Spine) -> None:
    called = arrives(spine, PHONE)
    assert arrives(spine, ANA | PHONE) == called
    assert keys_of(spine, called) == {("phone", "+4930901820"), ("email", "ana@kiln.example")}


@pytest.mark.parametrize("together", [True, False])
def test_a_familys_telephone_makes_nobody_one_person(spine: Spine, *, together: bool) -> None:
    given = [PHONE, ANA | PHONE, {"email": "ben@kiln.example", "name": "Ben Pons", **PHONE}]
    if together:
        receipts = [spine.arrives(payload) for payload in given]
        spine.run()
        called, ana, ben = (spine.receipt(receipt)["person_id"] for receipt in receipts)
    else:
        called, ana, ben = (arrives(spine, payload) for payload in given)

    assert called == ana != ben
    [noted] = spine.rows("SELECT * FROM person_suggestion")
    assert (noted["person_id"], noted["other_id"], noted["reason"]) == (ben, ana, "phone")


def test_a_family_that_gives_its_telephone_in_the_same_moment_stays_two(spine: Spine) -> None:
    called = arrives(spine, PHONE)
    receipts = [spine.arrives({"email": f"{name}@kiln.example", **PHONE}) for name in ("ana", "ben", "cem", "dee")]
    runtimes = [spine.runtime(batch_size=1) for _ in receipts]

    def take(number: int) -> None:
        runtimes[number].hear("identify", [receipts[number]], now=spine.now)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(take, range(4)))
    spine.run()

    whose = [spine.receipt(receipt)["person_id"] for receipt in receipts]
    assert len(set(whose)) == 4
    assert called in whose


def test_a_switchboard_leads_to_few_suggestions(spine: Spine) -> None:
    for number in range(15):
        spine.arrives({"email": f"person{number}@kiln.example", **PHONE})
    spine.run()
    assert people(spine) == 15
    assert spine.rows("SELECT count(*) AS n FROM person_suggestion") == [{"n": 10}]


def test_one_mailbox_under_two_names_is_one_person_and_that_is_noted(spine: Spine) -> None:
    known = arrives(spine, ANA)
    assert arrives(spine, {"email": "ana@kiln.example", "name": "ana  PONS"}) == known
    assert arrives(spine, {"email": "ana@kiln.example", "name": "Ben Miller"}) == known

    told = spine.rows("SELECT number FROM decision WHERE explanation ? 'name_differs'")
    assert len(told) == 1


# -- what merges nobody ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shared",
    [
        {"anonymous_id": "c0ffee", "cookie": "c0ffee", "hutk": "c0ffee"},
        {"ip": "203.0.113.7", "ip_address": "203.0.113.7", "user_agent": "Browser 1.0"},
        {"device_id": "d-1", "session_id": "s-1", "client_id": "g-1"},
        {"name": "Ana Pons", "company": "Kiln"},
    ],
)
def test_what_several_people_share_makes_nobody_one_person(spine: Spine, shared: dict[str, str]) -> None:
    one = arrives(spine, {"email": "ana@kiln.example", **shared})
    two = arrives(spine, {"email": "ann@kiln.example", **shared})
    assert one != two
    assert people(spine) == 2


def test_a_shared_anonymous_id_of_events_makes_nobody_one_person(spine: Spine) -> None:
    def identify(address: str) -> str:
        call = {"type": "identify", "anonymousId": "a-1", "messageId": address, "traits": {"email": address}}
        body = json.dumps(call).encode()
        receipt = spine.arrives(body, source="product", channel="event")
        spine.run()
        return str(spine.receipt(receipt)["person_id"])

    assert identify("ana@kiln.example") != identify("ann@kiln.example")


def test_people_of_one_name_and_company_are_only_suggested(spine: Spine) -> None:
    one = arrives(spine, {"email": "ana@kiln.example", "name": "Ana Pons"})
    two = arrives(spine, {"email": "a.pons@kiln.example", "name": "ana pons"})
    elsewhere = arrives(spine, {"email": "ana@oven.example", "name": "Ana Pons"})

    assert len({one, two, elsewhere}) == 3
    with spine.engine.connect() as connection:
        [found] = merges.suggestions(connection, one)
    assert (found["id"], [each["reason"] for each in found["reasons"]]) == (two, ["name"])


def test_an_address_of_a_free_mailbox_says_nothing_about_a_company(spine: Spine) -> None:
    for name in ("ana", "ben"):
        arrives(spine, {"email": f"{name}@gmail.com"})
    arrives(spine, {"email": "cem@mail.kiln.example"})
    arrives(spine, {"email": "dee@kiln.example"})
    assert spine.rows("SELECT domain FROM company") == [{"domain": "kiln.example"}]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("ana.lopez+news@googlemail.com", "AnaLopez@gmail.com"),
        ("ana@bücher.example", "ana@xn--bcher-kva.example"),
        ("ANA@Kiln.example", "ana@kiln.EXAMPLE"),
        ("ana+a@outlook.com", "ana@outlook.com"),
    ],
)
def test_one_mailbox_however_it_is_written_is_one_person(spine: Spine, one: str, two: str) -> None:
    assert arrives(spine, {"email": one}) == arrives(spine, {"email": two})


def test_a_tag_at_an_unknown_provider_may_be_another_mailbox(spine: Spine) -> None:
    assert arrives(spine, {"email": "ana+a@kiln.example"}) != arrives(spine, {"email": "ana@kiln.example"})


# -- at once -----------------------------------------------------------------------------------------------------------


def at_once(spine: Spine, workers: int = 4, batch_size: int = 10) -> None:
    runtimes = [spine.runtime(batch_size=batch_size) for _ in range(workers)]
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(8):
            list(pool.map(lambda runtime: runtime.hear("identify", now=spine.now), runtimes))
    spine.run()


@pytest.mark.usefixtures("_ids")
def test_two_hundred_that_create_and_update_one_person_at_once_are_one_person(spine: Spine) -> None:
    for number in range(100):
        spine.arrives({"customer": "7", **ANA, "message": str(number)}, source="api", channel="api")
        spine.arrives({"customer": "7", "country": "DE", **PHONE}, source="api", channel="api")

    at_once(spine)

    [person] = spine.rows("SELECT * FROM person")
    assert (person["name"], person["country"], person["phone"]) == ("Ana Pons", "DE", "+4930901820")
    assert keys_of(spine, person["id"]) == {
        ("external:api", "7"),
        ("email", "ana@kiln.example"),
        ("phone", "+4930901820"),
    }
    assert spine.rows("SELECT count(*) AS n, count(DISTINCT lead_id) AS leads FROM touchpoint") == [
        {"n": 200, "leads": 1}
    ]


def test_many_people_with_one_telephone_at_once_are_as_many_people(spine: Spine) -> None:
    for number in range(100):
        spine.arrives({"email": f"person{number % 20}@kiln.example", **PHONE})

    at_once(spine)

    assert people(spine) == 20
    assert spine.rows("SELECT count(*) AS n FROM person_key WHERE kind = 'email'") == [{"n": 20}]
    assert spine.rows("SELECT count(*) AS n FROM touchpoint") == [{"n": 100}]
    [wrong] = spine.rows(
        "SELECT count(*) AS n FROM touchpoint AS t JOIN receipt AS r USING (id) JOIN person AS p ON p.id = t.person_id "
        "WHERE convert_from(r.body, 'UTF8') NOT LIKE '%\"' || p.email || '\"%'"
    )
    assert wrong == {"n": 0}


# -- what it costs -----------------------------------------------------------------------------------------------------


def statements(spine: Spine, payloads: list[dict[str, Any]]) -> list[str]:
    """What the database is asked while these arrivals are taken, in one batch."""
    for payload in payloads:
        spine.arrives(payload)
    runtime = spine.runtime()
    seen: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        seen.append(statement)

    event.listen(runtime.engine, "before_cursor_execute", note)
    runtime.hear("identify", now=spine.now)
    return seen


def test_arrivals_without_a_conflict_ask_nothing_more_however_many_they_are(spine: Spine) -> None:
    statements(spine, [{"email": "first@kiln.example"}])
    few = statements(spine, [{"email": "a@kiln.example"}])
    many = statements(
        spine, [{"email": f"p{number}@kiln.example", "phone": f"+49 30 9018{number:02}"} for number in range(50)]
    )
    assert len(many) == len(few)
    assert not any("person_suggestion" in statement or "person_merge" in statement for statement in many)


def test_an_arrival_by_a_merged_persons_key_ends_at_the_survivor(spine: Spine) -> None:
    one, two = arrives(spine, ANA), arrives(spine, {"email": "ann@kiln.example"})
    Merger(spine.engine, spine.hints.send).merge(one, two, actor="ops", now=spine.now)
    assert arrives(spine, {"email": "ann@kiln.example"}) == one
    [touch] = spine.rows("SELECT data FROM touchpoint WHERE data ? 'merged_person'")
    assert touch["data"]["merged_person"] == two
