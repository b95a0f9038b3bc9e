"""The way of a lead from a form to an opportunity, as sender, seller, operator and downstream see it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import jsonschema

from tests.rig import until

if TYPE_CHECKING:
    from tests.rig import Rig


def post(rig: Rig, payload: dict[str, Any]) -> str:
    status, answer = rig.request("POST", "/f/website", payload)
    assert status == HTTPStatus.OK
    return str(answer["receipt"])


def settled(rig: Rig, receipt: str) -> dict[str, Any]:
    found: dict[str, Any] = until(
        lambda: (r := rig.get(f"/v1/receipts/{receipt}"))["status"] != "pending" and r,
        f"receipt {receipt} is settled",
    )
    return found


def test_a_form_becomes_an_opportunity_with_an_owner_and_a_reason(rig: Rig) -> None:
    receipt = settled(
        rig,
        post(
            rig,
            {"email": "ana@kiln.example", "name": "Ana", "country": "DE", "employees": 80, "interests": ["crm"]},
        ),
    )

    lead = rig.get(f"/v1/leads/{receipt['lead_id']}")
    why = rig.get(f"/v1/leads/{receipt['lead_id']}/why")
    timeline = rig.get(f"/v1/leads/{receipt['lead_id']}/timeline")

    assert (lead["state"], lead["next_step"]) == ("opportunity", None)
    assert lead["score"]["total"] == lead["score"]["fit"] + lead["score"]["engagement"]
    assert lead["owner"] in {"ana", "ben"}
    assert lead["person"]["email"] == "ana@kiln.example"
    assert [decision["step"] for decision in why["decisions"] if decision["step"]] == [
        "identify",
        "qualify",
        "score",
        "route",
        "advance",
    ]
    assert timeline["items"]


def test_the_same_form_again_is_the_same_receipt_and_another_is_the_same_person(rig: Rig) -> None:
    payload = {"email": "ben@kiln.example", "name": "Ben", "interests": ["crm"]}
    first, again = post(rig, payload), post(rig, payload)
    other = post(rig, payload | {"message": "Please call me this week"})

    assert first == again
    one, two = settled(rig, first), settled(rig, other)
    assert one["person_id"] == two["person_id"]
    assert one["lead_id"] == two["lead_id"]
    assert {one["status"], two["status"]} == {"processed", "merged"}


def test_what_cannot_be_understood_is_kept_with_its_reason(rig: Rig) -> None:
    receipt = settled(rig, post(rig, {"colour": "blue"}))

    assert (receipt["status"], receipt["reason"], receipt["lead_id"]) == ("quarantined", "nothing_recognised", None)


def test_a_seller_moves_a_lead_and_cannot_move_it_where_the_journey_does_not_go(rig: Rig) -> None:
    payload = {"email": "cleo@kiln.example", "country": "DE", "employees": 80, "interests": ["crm"]}
    lead = settled(rig, post(rig, payload))["lead_id"]

    status, answer = rig.request("POST", f"/v1/leads/{lead}/transitions", {"name": "renew", "reason": "hoped for"})
    assert (status, answer["code"]) == (HTTPStatus.CONFLICT, "illegal_transition")
    assert set(answer["possible"]) == {"win", "lose"}

    status, _ = rig.request("POST", f"/v1/leads/{lead}/transitions", {"name": "lose", "reason": "price"})
    assert status == HTTPStatus.OK
    assert rig.get(f"/v1/leads/{lead}")["state"] == "lost"


def test_downstream_hears_each_lead_in_order_and_once(rig: Rig) -> None:
    lead = settled(rig, post(rig, {"email": "dora@kiln.example", "country": "DE", "interests": ["crm"]}))["lead_id"]

    told = until(
        lambda: [event for event in rig.feed() if event["subject"] == lead],
        "the feed tells of the lead",
    )

    assert [event["sequence"] for event in told] == list(range(1, len(told) + 1))
    for event in told:
        jsonschema.validate(event, rig.get(f"/v1/schemas/{event['type']}"))
    assert told[0]["type"] == "throughline.lead.created.v1"
    assert len({event["id"] for event in told}) == len(told)
    assert "dora" not in str(told)


def test_when_all_is_settled_no_queue_has_anything_waiting(rig: Rig) -> None:
    until(rig.settled, "everything is settled")

    def idle() -> bool:
        queues = rig.get("/v1/ops/queues")["queues"]
        assert {"identify", "qualify", "score", "route", "advance", "kpi", "sweep"} <= {each["name"] for each in queues}
        return all(each["waiting"] == each["in_work"] == each["dead"] == 0 for each in queues)

    until(idle, "figures are counted, too")
