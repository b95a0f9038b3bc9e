"""
The second shipped journey, run end to end: nothing of the first one is built in.

Solar roofs have other states, departments, grades and sources, working hours in two countries, capacity, skills,
languages, and moves that happen because time has passed.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from schema.journey import load, shipped
from schema.settings import Settings
from schema.store import journeys
from tests.spine import NOON, Spine, prepare
from workers.sweep import Sweeper

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOF = {"country": "DE", "language": "de", "phone": "+49 89 1234567", "owner_of_roof": "yes", "roof_m2": "60"}
BOLZANO_CLOSED, BOLZANO_OPEN = NOON, datetime(2026, 11, 20, 13, 0, tzinfo=UTC)


@pytest.fixture
def solar(postgres_url: str) -> Iterator[Spine]:
    """A database where only the solar journey is active. It is a Friday, 13:00 in Munich and in Bolzano."""
    prepare(postgres_url, shipped()["solar"])
    spine = Spine(postgres_url)
    yield spine
    spine.close()


def asks(spine: Spine, name: str, **fields: str) -> str:
    """Somebody uses the savings calculator; returns the receipt."""
    return spine.arrives({"email": f"{name}@roof.example"} | ROOF | fields, source="calculator")


def happens(spine: Spine, kind: str, name: str) -> None:
    """The site office tells what happened on somebody's roof."""
    spine.passes(timedelta(minutes=1))
    spine.arrives({"email": f"{name}@roof.example"}, source="site_office", channel=kind)
    spine.run()


def passes(spine: Spine, time: timedelta) -> None:
    """Time goes by, and whoever waited for it is looked at again."""
    spine.passes(time)
    Sweeper(spine.engine, spine.hints, Settings(database_url=spine.url)).sweep(spine.now)
    spine.run()


def path(spine: Spine, lead: str) -> list[str]:
    moves = spine.rows("SELECT name FROM transition WHERE lead_id = :lead ORDER BY number", lead=lead)
    return [move["name"] for move in moves]


def test_an_enquiry_becomes_a_visit_for_somebody_who_knows_about_it(solar: Spine) -> None:
    receipts = [asks(solar, f"home{number}", heating_now="oil", wants="storage") for number in range(3)]
    solar.run()

    leads = [solar.lead_of(receipt) for receipt in receipts]

    assert {(lead["state"], lead["pool"], lead["grade"], lead["score_cell"]) for lead in leads} == {
        ("visit", "homes", "hot", "A2")
    }
    assert Counter(lead["owner"] for lead in leads) == {"greta": 2, "hugo": 1}


def test_from_the_first_question_to_the_second_yearly_check(solar: Spine) -> None:
    lead = asks(solar, "anna", heating_now="gas")
    solar.run()
    for kind in ("offer.sent", "order.signed", "system.started"):
        happens(solar, kind, "anna")
    passes(solar, timedelta(days=364))
    assert solar.lead_of(lead)["state"] == "running"
    passes(solar, timedelta(days=2))
    assert solar.lead_of(lead)["state"] == "check"
    happens(solar, "check.done", "anna")
    passes(solar, timedelta(days=366))

    found = solar.lead_of(lead)

    assert (found["state"], found["open"]) == ("check", True)
    assert path(solar, found["id"]) == [
        "book_visit", "make_offer", "order", "commission", "check_is_due", "checked", "check_is_due",
    ]  # fmt: skip


def test_an_offer_nobody_answers_expires_and_a_call_brings_the_lead_back(solar: Spine) -> None:
    lead = asks(solar, "berta", heating_now="gas")
    solar.run()
    happens(solar, "offer.sent", "berta")
    passes(solar, timedelta(days=46))
    expired = solar.rows("SELECT reason, to_state FROM transition WHERE name = 'offer_expires'")
    assert expired == [{"reason": "no_answer", "to_state": "dormant"}]

    solar.arrives({"email": "berta@roof.example"}, source="phone_desk", channel="phone")
    solar.run()

    assert path(solar, solar.lead_of(lead)["id"])[2:] == ["offer_expires", "revive", "book_visit"]


def test_who_speaks_italian_waits_until_bolzano_is_back_from_lunch(solar: Spine) -> None:
    assert solar.now == BOLZANO_CLOSED
    lead = asks(solar, "carla", country="IT", language="it")
    english = asks(solar, "dan", country="IT", language="en")
    solar.run()
    waiting = solar.lead_of(lead)
    assert (waiting["pool"], waiting["owner"], waiting["waiting_since"]) == ("south_tyrol", None, NOON)
    assert solar.lead_of(english)["pool"] == "homes"

    passes(solar, BOLZANO_OPEN - BOLZANO_CLOSED)

    found = solar.lead_of(lead)
    assert found["owner"] in {"hugo", "ivo"}
    assert found["waiting_since"] is None


def test_nobody_is_given_more_than_they_can_take(solar: Spine) -> None:
    receipts = [asks(solar, f"many{number}", wants="storage") for number in range(12)]
    solar.run()

    owners = Counter(solar.lead_of(receipt)["owner"] for receipt in receipts)

    assert owners == {"greta": 5, "hugo": 4, None: 3}


def test_a_roof_that_is_too_small_is_looked_at_again_after_a_year(solar: Spine) -> None:
    lead = asks(solar, "emil", roof_m2="12")
    solar.run()
    declined = solar.lead_of(lead)
    assert (declined["state"], declined["open"]) == ("declined", False)
    [move] = solar.rows("SELECT name, reason FROM transition")
    assert move == {"name": "decline", "reason": "roof_too_small"}

    passes(solar, timedelta(days=366))

    assert path(solar, declined["id"])[:2] == ["decline", "reconsider"]


def test_two_businesses_in_one_installation_each_keep_their_own_leads(solar: Spine) -> None:
    with solar.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, shipped()["default"], NOON), NOON)
    roof, software = asks(solar, "fritz"), solar.arrives({"email": "g@kiln.example", "interests": ["crm"]})
    solar.run()

    versions = {name: load(text).version for name, text in shipped().items()}

    assert solar.lead_of(roof)["journey"] == versions["solar"]
    assert solar.lead_of(software)["journey"] == versions["default"]


def test_the_shipped_journeys_claim_no_source_twice() -> None:
    sources = [source for text in shipped().values() for source in load(text).sources]
    assert len(sources) == len(set(sources))
