"""Purchases by hand, contracts over HTTP, and what is bought together, counted exactly."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import text

from schema import tables
from schema.lift import wilson
from schema.store import rows
from schema.store.ids import new_id
from services.api.contracts import Contract, ContractShown
from services.api.customers import Healths, Offers
from services.api.people import WholePerson
from tests.door import api_thread
from workers.learn import baskets
from workers.retention.by_hand import Retention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.door import Door
    from tests.spine import Spine

NAMES: Final = ("Oven", "Scale", "Mixer", "Peel", "Stone")


def _sell(spine: Spine, sold: dict[str, list[dict[str, Any]]]) -> None:
    """Have people who have bought, each with these rows of `purchase`."""
    found = []
    people = []
    usual = {"lead_id": new_id(), "source": "shop", "receipt_id": new_id(), "currency": "EUR", "issues": []}
    at = spine.now
    for person, sales in sold.items():
        people.append({"id": person, "created_at": at, "updated_at": at})
        for sale in sales:
            row: dict[str, Any] = {
                "id": new_id(),
                "person_id": person,
                "external_id": None,
                "order_id": None,
                "kind": "purchase",
            }
            row |= {"amount": 10, "products": [], "at": at, "told_at": at, "recorded_at": at}
            found.append(row | usual | sale)
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.person, people)
        rows.insert(connection, tables.purchase, found)


def _counted(spine: Spine) -> dict[tuple[tuple[str, ...], str], tuple[int, int, int]]:
    found = spine.rows("SELECT * FROM association")
    figures = ("with_both", "with_given", "with_product")
    return {(tuple(row["given"]), row["product"]): tuple(row[name] for name in figures) for row in found}


def _plainly(owned: list[set[str]]) -> dict[tuple[tuple[str, ...], str], tuple[int, int, int]]:
    """The same, counted one by one."""
    products = sorted(set().union(*owned))
    kept = {}
    for size in (1, 2):
        for given in combinations(products, size):
            having = [each for each in owned if each >= set(given)]
            for product in set(products) - set(given):
                both, all_ = (sum(product in each for each in of) for of in (having, owned))
                if both < baskets.LEAST_TOGETHER or wilson(both, len(having))[0] <= all_ / len(owned):
                    continue
                alone = [[each for each in owned if one in each] for one in given]
                shares = [sum(product in each for each in of) / len(of) for of in alone]
                if size == 1 or both / len(having) > max(shares):
                    kept[given, product] = (both, len(having), all_)
    return kept


def test_what_is_bought_together_is_counted_as_by_hand(spine: Spine) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    sold: dict[str, list[dict[str, Any]]] = {}
    owned = []
    for _ in range(240):
        likes = chance.random()
        has = {name for place, name in enumerate(NAMES) if chance.random() < 0.2 + 0.6 * (likes > 0.2 * place)}
        if {"Oven", "Scale"} <= has and chance.random() < 0.8:
            has.add("Stone")
        has -= {"Peel"} if chance.random() < 0.5 else set()
        owned.append({name.lower() for name in has})
        person = new_id()
        sold[person] = [{"products": [{"name": name}]} for name in sorted(has)]
        if chance.random() < 0.1:  # paid back in full: not theirs, and half: theirs
            sold[person] += [
                {"products": [{"name": "Peel"}], "external_id": person},
                {"kind": "refund", "order_id": person, "amount": 10, "products": []},
            ]
    sold[new_id()] = [{"products": []}]
    _sell(spine, sold)

    assert baskets.count(spine.engine, spine.now) == len(_counted(spine))
    owned = [each for each in owned if each]
    expected = _plainly(owned)
    assert any(len(given) == 2 for given, _ in expected)
    assert _counted(spine) == expected
    assert spine.rows("SELECT people FROM association_count") == [{"people": len(owned)}]
    assert baskets.count(spine.engine, spine.now + timedelta(hours=23)) is None
    assert baskets.count(spine.engine, spine.now + timedelta(hours=24)) == len(expected)


def test_offers_ask_for_nothing_but_the_counts_and_the_persons_own_rows(spine: Spine) -> None:
    receipt = spine.arrives({"email": "jo@kiln.example"})
    spine.run()
    person = spine.receipt(receipt)["person_id"]
    sold: dict[str, list[dict[str, Any]]] = {
        new_id(): [{"products": [{"name": "Oven", "sku": "OV"}] + ([{"name": "Scale"}] if number < 27 else [])}]
        for number in range(60)
    }
    sold |= {new_id(): [{"products": [{"name": "Scale" if number < 13 else "Mixer"}]}] for number in range(339)}
    _sell(spine, sold)
    spine.do(
        "UPDATE purchase SET person_id = :person WHERE id = (SELECT max(id::text)::uuid FROM purchase)", person=person
    )
    spine.do(
        """UPDATE purchase SET products = '[{"sku": "ov", "name": "The oven"}]' WHERE person_id = :id""", id=person
    )
    baskets.count(spine.engine, spine.now)
    retention = Retention(spine.engine, spine.hints.send)
    shown = retention.offers(person, spine.now)
    Offers.model_validate(shown | {"next": None})
    [offer] = [each for each in shown["items"] if each["by"] == "history"]
    assert offer["why"] == "27 of 61 who have Oven have Scale too (44 %); of all 399 people 10 % have it"
    spine.do("UPDATE purchase SET products = '[]' WHERE person_id <> :id", id=person)
    assert retention.offers(person, spine.now)["items"] == shown["items"]
    assert retention.offers(new_id(), spine.now)["items"] == []


@pytest.fixture
def api(database_url: str) -> Iterator[Door]:
    """The API on a database of its own."""
    with api_thread(database_url) as door:
        yield door


@pytest.fixture
def jo(api: Door) -> dict[str, str]:
    """Somebody who has come in: the ids of the person and the lead."""
    receipt = api.spine.arrives({"email": "jo@kiln.example", "name": "Jo"})
    api.spine.run()
    found = api.spine.receipt(receipt)
    return {"person": found["person_id"], "lead": found["lead_id"]}


def test_purchases_are_told_of_a_person_and_add_up_to_what_they_are_worth(api: Door, jo: dict[str, str]) -> None:
    path = f"/v1/people/{jo['person']}/purchases"
    bearer = api.make_key("leads:write", "leads:read")[1]
    asked = {"Authorization": f"Bearer {bearer}"}
    sale = {"amount": "19.90", "currency": "EUR", "order_id": "O-1", "products": [{"name": "Oven"}], "at": "2026-01-02"}
    for told in (sale, sale, {"amount": 80.1, "currency": "EUR", "order_id": "O-2"},
                 {"kind": "refund", "amount": "9.90", "currency": "EUR", "order_id": "O-1"}):  # fmt: skip
        taken = api.post(path, told, **asked)
        assert taken.status == 202, taken.body
    api.spine.run()
    known = api.request("GET", f"/v1/people/{jo['person']}", None, asked).json
    WholePerson.model_validate(known)
    bought = known["purchases"]
    assert (bought["count"], bought["total"]) == (2, {"EUR": "90.10"})
    assert {each["lead_id"] for each in bought["items"]} == {jo["lead"]}
    assert bought["items"][-1]["at"].startswith("2026-01-02")
    refused: dict[str, dict[str, Any]] = {
        "currency": {"amount": 1, "currency": "EURO"},
        "amount": {"amount": "-1", "currency": "EUR"},
        "contract": {"amount": 1, "currency": "EUR", "contract": {"period": "sometimes"}},
    }
    for wrong in refused.values():
        assert api.post(path, wrong, **asked).code == "validation_failed"
    assert api.post(f"/v1/people/{new_id()}/purchases", sale, **asked).code == "person_not_found"
    assert api.post(path + "?source=website", sale, **asked).code == "source_not_found"


def test_contracts_are_added_listed_renewed_and_cancelled_over_http(api: Door, jo: dict[str, str]) -> None:
    asked = {"Authorization": f"Bearer {api.make_key('contracts:read', 'contracts:write', 'leads:read')[1]}"}

    def get(path: str) -> Any:  # noqa: ANN401 - decoded JSON
        found = api.request("GET", path, None, asked)
        assert found.status == 200, found.body
        return found.json

    wanted = {"starts_on": "2126-02-01", "period": "yearly", "amount": "1200", "currency": "EUR", "external_id": "C-1"}
    made = api.post(f"/v1/leads/{jo['lead']}/contracts", wanted, **asked)
    assert made.status == 201, made.body
    first = Contract.model_validate(made.json)
    assert (first.ends_on.isoformat(), first.period, first.amount) == ("2127-01-31", "P12M", "1200")
    assert api.post(f"/v1/leads/{jo['lead']}/contracts", wanted, **asked).code == "contract_exists"
    assert api.post(f"/v1/leads/{jo['lead']}/contracts", {"starts_on": "2126-02-01"}, **asked).code == "term_unclear"
    assert api.post(f"/v1/leads/{new_id()}/contracts", wanted, **asked).code == "lead_not_found"
    assert (
        api.post(f"/v1/leads/{jo['lead']}/contracts", {"period": "P1M", "amount": 1}, **asked).code
        == "currency_missing"
    )

    second = api.post(f"/v1/contracts/{first.id}/renew", {"amount": 1300, "currency": "EUR"}, **asked).json
    again = api.post(f"/v1/contracts/{first.id}/renew", {}, **asked)
    assert (again.code, again.json["renewed_as"]) == ("contract_renewed", second["id"])
    assert (second["starts_on"], second["amount"], second["follows"]) == ("2127-02-01", "1300", first.id)
    over = api.post(f"/v1/contracts/{second['id']}/cancel", {"reason": "moved"}, **asked).json
    assert (over["status"], over["running"], over["reason"]) == ("cancelled", True, "moved")

    assert [each["id"] for each in get("/v1/contracts?limit=1")["items"]] == [second["id"]]
    assert get("/v1/contracts?ends_by=2127-12-31")["items"] == []
    both = get(f"/v1/contracts?person={jo['person']}&limit=1")
    assert (both["items"][0]["id"], both["next"]) == (first.id, f"2127-01-31_{first.id}")
    after = get(f"/v1/contracts?lead={jo['lead']}&status=cancelled&cursor={both['next']}")
    assert [each["id"] for each in after["items"]] == [second["id"]]
    shown = ContractShown.model_validate(get(f"/v1/contracts/{second['id']}"))
    assert [(term.number, term.status) for term in shown.terms] == [(1, "renewed"), (2, "cancelled")]
    assert api.request("GET", "/v1/contracts?status=ended", None, asked).code == "filter_missing"
    assert api.request("GET", "/v1/contracts?cursor=x", None, asked).code == "cursor_invalid"
    assert api.request("GET", f"/v1/contracts/{jo['lead']}", None, asked).code == "contract_not_found"
    Healths.model_validate(get(f"/v1/people/{jo['person']}/health"))
    Offers.model_validate(get(f"/v1/people/{jo['person']}/offers"))
    assert api.request("GET", f"/v1/people/{new_id()}/offers", None, asked).code == "person_not_found"


def test_lists_of_contracts_and_what_is_due_go_by_an_index(spine: Spine) -> None:
    asked = {
        "running": "SELECT id FROM contract WHERE ended_at IS NULL ORDER BY ends_on, id LIMIT 9",
        "person": "SELECT id FROM contract WHERE person_id = '00000000-0000-0000-0000-000000000000'",
        "association": "SELECT product FROM association WHERE given = ARRAY['oven']",
    }
    with spine.engine.connect() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        for question in asked.values():
            plan = "\n".join(connection.execute(text(f"EXPLAIN {question}")).scalars())
            assert "Index" in plan, plan
