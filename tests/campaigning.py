"""What tests of campaigns share: a journey that has one, people who arrive, and messages that are settled by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema.store import journeys
from schema.store.journeys import JourneyBook
from workers.campaigns import looks
from workers.campaigns.looks import Looker
from workers.moves import move_lead

if TYPE_CHECKING:
    from tests.spine import Spine

JOURNEY: Final = """\
journey: default
people: {ana: {email: ana@example.com}}
sources: {website: {kind: form}}
score: {engagement: {on: {form: 10}}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {talk: opportunity, drop: lost}}
  opportunity: {to: {win: customer, drop: lost}}
  customer: {final: true}
  lost: {final: true}
mail: {sender: Us <us@example.com>, postal: Street 1}
templates:
  welcome: {subject: Welcome, text: Hello}
  news: {subject: News, text: Hello again}
campaigns:
"""
WARM_UP: Final = """\
  warm_up:
    enter: [{state: lead}]
    exit: [{when: 'state == "lost"', reason: lost}, {event: reply, reason: replied}]
    goal: {when: 'state == "customer"', within: 90d}
    steps:
      - {name: hello, send: welcome}
      - {name: some_days, wait: 3d}
      - {name: second, send: news}
      - {name: two_months, wait: 60d}
      - {name: call, follow_up: Call them}
"""


def activate(spine: Spine, campaigns: str = WARM_UP) -> str:
    """Activate the journey with these campaigns; return the version."""
    with spine.engine.begin() as connection:
        journey = journeys.store(connection, JOURNEY + campaigns, spine.now)
        journeys.activate(connection, journey, spine.now)
    return journey.version


def arrive(spine: Spine, number: int = 1, **more: Any) -> str:  # noqa: ANN401 - fields of a form
    """Let somebody arrive, and return their lead when everything has settled."""
    receipt = spine.arrives({"email": f"p{number}@kiln.example", "country": "DE"} | more)
    spine.run(ids=[receipt])
    return str(spine.lead_of(receipt)["id"])


def move(spine: Spine, lead: str, name: str) -> None:
    """Move a lead by hand, and let everybody hear of it."""
    move_lead(spine.engine, lead, name, reason=None, actor="key:1", now=spine.now)
    spine.run(step="advance")
    spine.run(step="nurture")


def settle(spine: Spine, state: str = "sent", reason: str | None = None) -> int:
    """Settle what is planned as `deliver` does, and let everybody go on; return how many messages that were."""
    settled = spine.rows("SELECT id FROM send WHERE state = 'planned'")
    spine.do(
        """
        WITH settled AS (
            UPDATE send SET state = :state, reason = :reason, due_at = NULL, settled_at = :now, claimed_at = :now
            WHERE state = 'planned' RETURNING enrolment_id
        )
        UPDATE enrolment SET due_at = :now WHERE outcome IS NULL AND id IN (SELECT enrolment_id FROM settled)
        """,
        state=state,
        reason=reason,
        now=spine.now,
    )
    spine.run(step="nurture")
    return len(settled)


def look(spine: Spine) -> None:
    """Let those who are there be looked at for campaigns that are new, as the sweeper and the workers do."""
    book = JourneyBook()
    with spine.engine.begin() as connection:
        looks.begin(connection, book, spine.now)
    Looker(spine.engine, spine.hints, book).hear(spine.now)
    spine.run(step="nurture")


def enrolled(spine: Spine, campaign: str = "warm_up") -> list[dict[str, Any]]:
    """Read who is or was in a campaign, in order of entering."""
    return spine.rows("SELECT * FROM enrolment WHERE campaign = :campaign ORDER BY id", campaign=campaign)


def steps(spine: Spine, enrolment: str) -> list[tuple[str, str]]:
    """Read the steps that were taken and what came of them, in order."""
    taken = spine.rows("SELECT * FROM enrolment_step WHERE enrolment_id = :id ORDER BY number", id=enrolment)
    return [(row["step"], row["outcome"]) for row in taken]


def told(spine: Spine, kind: str) -> list[dict[str, Any]]:
    """Read the data of events of a type, in order."""
    found = spine.rows("SELECT data FROM event WHERE type = :kind ORDER BY lead_id, sequence", kind=kind)
    return [row["data"] for row in found]
