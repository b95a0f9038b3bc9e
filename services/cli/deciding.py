"""How long deciding takes: all four decisions of the shipped journey about one lead of a batch, nothing recorded."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from schema.facts import Facts, Touch
from schema.journey import default_journey
from workers.decide.advance import next_moves
from workers.decide.qualify import judge
from workers.decide.route import choose
from workers.decide.score import warmth
from workers.decide.turns import Ledger

if TYPE_CHECKING:
    from schema.journey import Journey

LEADS: Final = 2_000
_ROUNDS: Final = 5
_NOW: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
_KINDS: Final = ("form", "email.click", "page.pricing", "email.reply", "event")
_COUNTRIES: Final = ("DE", "AT", "US", "GB", "FR")
_SIZES: Final = (None, 4, 60, 750)


def decide_us_per_lead(leads: int = LEADS) -> float:
    """Microseconds of CPU for all decisions about one lead with one to five touchpoints; the best of a few rounds."""
    journey = default_journey()
    return min(_round(journey, leads) for _ in range(_ROUNDS)) / leads * 1e6


def _round(journey: Journey, leads: int) -> float:
    """CPU seconds for deciding about a batch, seen for the first time."""
    batch = [sample(number) for number in range(leads)]
    ledgers: dict[str, Ledger] = {}
    began = time.process_time()
    for facts in batch:
        facts.know(qualification=judge(facts, journey, _NOW).facts())
        facts.know(score=warmth(facts, journey, _NOW).facts())
        routing = choose(facts, journey, ledgers, _NOW)
        if routing.pool is not None and routing.ledger is not None:
            ledgers[routing.pool] = routing.ledger
        facts.know(owner=routing.owner, pool=routing.pool)
        next_moves(facts, journey, _NOW)
    return time.process_time() - began


def sample(number: int) -> Facts:
    """A lead like those that come: most say who they are and what they want, some hardly anything."""
    touches = [
        Touch(_KINDS[(number + place) % len(_KINDS) if place else 0], _NOW - timedelta(days=3 * place), f"{place}")
        for place in range(1 + number % 5)
    ]
    size = _SIZES[number % len(_SIZES)]
    return Facts(
        lead_id=f"{number}",
        source="website",
        channel="form",
        state="lead",
        person={
            "id": f"{number}",
            "name": f"Person {number}",
            "email": f"person{number}@example.com",
            "country": _COUNTRIES[number % len(_COUNTRIES)],
            **({"phone": f"+4930{number:07}"} if number % 2 else {}),
        },
        company={"name": f"Company {number}", "domain": f"c{number}.example", **({"employees": size} if size else {})},
        lead={
            "id": f"{number}",
            "source": "website",
            "channel": "form",
            "created_at": touches[-1].occurred_at,
            **({"interests": ["pricing", "support"]} if number % 3 else {}),
            **({"message": "We would like to know more about your offer."} if number % 4 else {}),
        },
        touchpoints=touches,
        entered_at=touches[-1].occurred_at,
    )
