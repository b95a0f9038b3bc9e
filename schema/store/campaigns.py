"""
Campaigns as people see and steer them: what runs, what stands still and why, who is in them.

Nothing is lost while a campaign is paused or held: who is due stays due, what is planned stays planned, and both go on
when it goes on. Every process asks in the transaction that takes people or messages in hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.journey.fields import nearest
from schema.store.journeys import JourneyBook

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.journey.campaign import Audience, Campaign

LARGEST_PAGE: Final = 200

STANDS_STILL: Final = """
EXISTS (
    SELECT FROM campaign_state AS s WHERE s.journey_name = {of}.journey_name AND s.campaign = {of}.campaign
      AND (s.paused_at IS NOT NULL OR s.held_at IS NOT NULL)
)
"""
"""SQL, for a row `{of}` with `journey_name` and `campaign`: whether its campaign is paused or held."""

# One look into the index for each campaign, however many people are in it; the whole order of the index is asked for,
# so that no other one will do.
UNDER_WAY: Final = """
under_way AS (
    (
        SELECT journey_name, campaign FROM enrolment WHERE due_at IS NOT NULL
        ORDER BY journey_name, campaign, due_at LIMIT 1
    )
    UNION ALL
    SELECT later.journey_name, later.campaign FROM under_way AS c CROSS JOIN LATERAL (
        SELECT journey_name, campaign FROM enrolment
        WHERE due_at IS NOT NULL AND (journey_name, campaign) > (c.journey_name, c.campaign)
        ORDER BY journey_name, campaign, due_at LIMIT 1
    ) AS later
)
"""
"""SQL, a part of WITH RECURSIVE: the campaigns that have somebody who is or will be due."""

_DUE: Final = text(f"""
WITH RECURSIVE {UNDER_WAY}
SELECT EXISTS (
    SELECT FROM under_way AS c WHERE NOT {STANDS_STILL.format(of="c")} AND :before >= (
        SELECT e.due_at FROM enrolment AS e
        WHERE e.journey_name = c.journey_name AND e.campaign = c.campaign AND e.due_at IS NOT NULL
        ORDER BY e.due_at LIMIT 1
    )
)
""")  # noqa: S608 - our own text
_ENTERED: Final = text("""
SELECT count(*) FROM (
    SELECT FROM enrolment WHERE journey_name = :journey AND campaign = :campaign AND entered_at > :since LIMIT :most
) AS entered
""")
_STATE: Final = text("SELECT * FROM campaign_state WHERE journey_name = :journey AND campaign = :campaign")
_HOLD: Final = text("""
INSERT INTO campaign_state AS s (journey_name, campaign, held_at, held_for)
VALUES (:journey, :campaign, :now, :entered)
ON CONFLICT (journey_name, campaign) DO UPDATE SET held_at = excluded.held_at, held_for = excluded.held_for
WHERE s.held_at IS NULL
""")
_PAUSE: Final = text("""
INSERT INTO campaign_state AS s (journey_name, campaign, paused_at, paused_by)
VALUES (:journey, :campaign, :now, :actor)
ON CONFLICT (journey_name, campaign) DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by
WHERE s.paused_at IS NULL
""")
_RESUME: Final = text("""
UPDATE campaign_state SET paused_at = NULL, paused_by = NULL
WHERE journey_name = :journey AND campaign = :campaign AND paused_at IS NOT NULL
""")
_APPROVE: Final = text("""
INSERT INTO campaign_state AS s (journey_name, campaign, approved_until, approved_by, approved_most)
VALUES (:journey, :campaign, :until, :actor, :most)
ON CONFLICT (journey_name, campaign) DO UPDATE
SET held_at = NULL, held_for = NULL, approved_until = excluded.approved_until, approved_by = excluded.approved_by,
    approved_most = excluded.approved_most
""")
_HAS_ENROLMENTS: Final = text("""
SELECT EXISTS (SELECT FROM enrolment WHERE journey_name = :journey AND campaign = :campaign)
""")
_KNOWN: Final = text("SELECT name FROM journey_active ORDER BY name")
_COUNTS: Final = text("""
SELECT journey_name, campaign, count(*) AS entered, count(*) FILTER (WHERE outcome IS NULL) AS running,
       count(*) FILTER (WHERE outcome = 'goal') AS goal
FROM enrolment
WHERE CAST(:campaign AS text) IS NULL OR (journey_name = :journey AND campaign = :campaign)
GROUP BY journey_name, campaign
""")
_STATES: Final = text("SELECT * FROM campaign_state")
_VERSIONS: Final = text("""
SELECT journey AS version, count(*) AS running FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign AND outcome IS NULL GROUP BY journey ORDER BY running DESC
""")
_AT: Final = text("""
SELECT step, count(*) AS waiting, min(since) AS oldest FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign AND outcome IS NULL GROUP BY step
""")
_ENROLMENT: Final = """
SELECT id, lead_id, person_id, journey, entered_at, entered_by, step, since, due_at, number AS steps, arms, holdout,
       outcome, reason, goal_at, ended_at
FROM enrolment
"""
_PAGE: Final = text(f"""
{_ENROLMENT} WHERE journey_name = :journey AND campaign = :campaign
  AND (CAST(:running AS boolean) IS NULL OR (outcome IS NULL) = :running)
  AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome)
  AND (CAST(:step AS text) IS NULL OR step = :step)
  AND (CAST(:cursor AS uuid) IS NULL OR (entered_at, id) < (
      SELECT c.entered_at, c.id FROM enrolment AS c WHERE c.id = CAST(:cursor AS uuid)
  ))
ORDER BY entered_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - our own text
_ONE: Final = text(f"{_ENROLMENT} WHERE id = CAST(:id AS uuid) AND journey_name = :journey AND campaign = :campaign")
_STEPS: Final = text("""
SELECT number, step, action, at, outcome, explanation FROM enrolment_step
WHERE enrolment_id = CAST(:id AS uuid) ORDER BY number
""")
_SENDS: Final = text("""
SELECT s.id, s.step, s.template, s.state, s.reason, s.planned_at, s.due_at, s.settled_at, s.opened_at, s.clicked_at,
       s.replied_at, s.bounced_at, s.unsubscribed_at
FROM send AS s WHERE s.person_id = CAST(:person AS uuid) AND s.enrolment_id = CAST(:id AS uuid) ORDER BY s.id
""")


@dataclass(frozen=True, slots=True)
class Place:
    """A campaign of a journey; `journey` is the active version if that still has it, else None."""

    journey_name: str
    name: str
    journey: Journey | None

    @property
    def campaign(self) -> Campaign | None:
        """What new people enter; None where only those are in it who entered an older version."""
        return self.journey.campaigns[self.name] if self.journey else None

    @property
    def key(self) -> dict[str, Any]:
        """Parameters of the statements that are about it."""
        return {"journey": self.journey_name, "campaign": self.name}


# -- which there are ---------------------------------------------------------------------------------------------------


def find(connection: Connection, name: str, journey_name: str | None = None) -> Place:
    """
    Return the campaign of that name, of the journey named or of the only one that has it.

    :raises Permanent: `campaign_unknown`; `journey_not_named`, several journeys have one
    """
    active = JourneyBook().by_name(connection)
    names = [journey_name] if journey_name is not None else sorted({*active, *connection.execute(_KNOWN).scalars()})
    found = []
    for each in names:
        journey = active.get(each)
        if journey is not None and name in journey.campaigns:
            found.append(Place(each, name, journey))
        elif connection.execute(_HAS_ENROLMENTS, {"journey": each, "campaign": name}).scalar_one():
            found.append(Place(each, name, None))
    if len(found) > 1:
        which = ", ".join(place.journey_name for place in found)
        raise Permanent("journey_not_named", f"Several journeys have a campaign of this name ({which}): name one.")
    if not found:
        there = sorted({each for journey in active.values() if journey for each in journey.campaigns})
        are = f"; there are {', '.join(there)}" if there else "; no active journey has any"
        raise Permanent("campaign_unknown", f"There is no such campaign{nearest(name, there)}{are}.")
    return found[0]


def overview(connection: Connection, now: datetime) -> list[dict[str, Any]]:
    """Return every campaign of the active journeys, and every other one that somebody was ever in, with its figures."""
    active = JourneyBook().by_name(connection)
    counts = {(row["journey_name"], row["campaign"]): row for row in _counts(connection)}
    states = {(row["journey_name"], row["campaign"]): dict(row) for row in connection.execute(_STATES).mappings()}
    places = [Place(name, each, journey) for name, journey in active.items() if journey for each in journey.campaigns]
    known = {(place.journey_name, place.name) for place in places}
    places += [Place(*key, None) for key in sorted(counts.keys() - known)]
    return [
        _summary(connection, place, counts.get((place.journey_name, place.name)),
                 states.get((place.journey_name, place.name)), now)
        for place in places
    ]  # fmt: skip


def shown(connection: Connection, place: Place, now: datetime) -> dict[str, Any]:
    """Return one campaign as `overview` does, with who waits at which step and the versions people are in."""
    counts = next(iter(_counts(connection, place)), None)
    state = connection.execute(_STATE, place.key).mappings().one_or_none()
    at = {row.step: row._asdict() for row in connection.execute(_AT, place.key)}
    names = [*(place.campaign.names if place.campaign else ())]
    names += [step for step in at if step not in names]
    return _summary(connection, place, counts, dict(state) if state else None, now) | {
        "description": place.campaign.description if place.campaign else None,
        "versions": [row._asdict() for row in connection.execute(_VERSIONS, place.key)],
        "steps": [
            {"step": step, "waiting": at[step]["waiting"], "oldest": at[step]["oldest"]}
            if step in at
            else {"step": step, "waiting": 0, "oldest": None}
            for step in names
        ],
    }


def _counts(connection: Connection, place: Place | None = None) -> list[dict[str, Any]]:
    wanted = place.key if place else {"journey": None, "campaign": None}
    return [dict(row) for row in connection.execute(_COUNTS, wanted).mappings()]


def _summary(
    connection: Connection, place: Place, counts: dict[str, Any] | None, state: dict[str, Any] | None, now: datetime
) -> dict[str, Any]:
    state, campaign = state or {}, place.campaign
    standing = "running" if campaign else "ended"
    if state.get("held_at"):
        standing = "held"
    if state.get("paused_at"):
        standing = "paused"
    return {
        "journey": place.journey_name,
        "name": place.name,
        "label": campaign.label if campaign else None,
        "kind": campaign.kind if campaign else None,
        "status": standing,
        "paused_at": state.get("paused_at"),
        "paused_by": state.get("paused_by"),
        "held_at": state.get("held_at"),
        "audience": _audience(connection, place, state, now),
        "entered": counts["entered"] if counts else 0,
        "running": counts["running"] if counts else 0,
        "goal": counts["goal"] if counts else 0,
    }


def _audience(connection: Connection, place: Place, state: dict[str, Any], now: datetime) -> dict[str, Any] | None:
    audience = place.campaign.audience if place.campaign else None
    if audience is None:
        return None
    return {
        "most": audience.most,
        "per_s": int(audience.per.total_seconds()),
        "expect": audience.expect,
        "entered": entered_within(connection, place, audience, now),
        "approved_most": state.get("approved_most"),
        "approved_until": state.get("approved_until"),
        "approved_by": state.get("approved_by"),
    }


# -- what stands still -------------------------------------------------------------------------------------------------


def owes(connection: Connection, before: datetime) -> bool:
    """Tell whether somebody in a campaign that does not stand still is due since before a moment."""
    return bool(connection.execute(_DUE, {"before": before}).scalar_one())


def entered_within(connection: Connection, place: Place, audience: Audience, now: datetime) -> int:
    """Return how many entered within the audience's time."""
    return int(connection.execute(_ENTERED, place.key | {"since": now - audience.per, "most": None}).scalar_one())


def exceeds(connection: Connection, place: Place, audience: Audience, now: datetime) -> bool:
    """Tell whether more people entered within the audience's time than it allows, or than was approved."""
    state = connection.execute(_STATE, place.key).one_or_none()
    most = audience.most
    if state is not None and state.approved_until is not None and state.approved_until > now:
        most = max(most, state.approved_most)
    since = now - audience.per
    return bool(connection.execute(_ENTERED, place.key | {"since": since, "most": most + 1}).scalar_one() > most)


def hold(connection: Connection, place: Place, audience: Audience, now: datetime) -> bool:
    """Have a campaign wait to be approved; tell whether it did not yet."""
    entered = entered_within(connection, place, audience, now)
    return bool(connection.execute(_HOLD, place.key | {"now": now, "entered": entered}).rowcount)


def pause(connection: Connection, place: Place, actor: str, now: datetime) -> bool:
    """Have a campaign stand still until it is resumed; tell whether it went on before."""
    return bool(connection.execute(_PAUSE, place.key | {"now": now, "actor": actor}).rowcount)


def resume(connection: Connection, place: Place) -> bool:
    """Have a paused campaign go on; tell whether it was paused."""
    return bool(connection.execute(_RESUME, place.key).rowcount)


def approve(connection: Connection, place: Place, most: int | None, actor: str, now: datetime) -> int:
    """
    Let as many people in as `most` (None: as many as have entered by now) within the audience's time from now on.

    Returns how many that are. A campaign that is held goes on.

    :raises Permanent: `audience_unlimited`; `too_few`, more have entered already
    """
    audience = place.campaign.audience if place.campaign else None
    if audience is None:
        raise Permanent("audience_unlimited", f"{place.name} has no `audience`: any number of people may enter.")
    entered = entered_within(connection, place, audience, now)
    if most is not None and most < entered:
        raise Permanent("too_few", f"{entered} people have entered already: approve at least as many.", entered=entered)
    approved = max(entered, audience.most) if most is None else most
    until = now + audience.per
    connection.execute(_APPROVE, place.key | {"until": until, "actor": actor, "most": approved})
    return approved


# -- who is in them ----------------------------------------------------------------------------------------------------


def enrolments(
    connection: Connection,
    place: Place,
    *,
    running: bool | None = None,
    outcome: str | None = None,
    step: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return who is or was in a campaign, the latest first, and the cursor of the next page (None: there is none)."""
    wanted = {"running": running, "outcome": outcome, "step": step, "cursor": cursor, "limit": limit + 1}
    found = [dict(row) for row in connection.execute(_PAGE, place.key | wanted).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def enrolment(connection: Connection, place: Place, enrolment_id: str) -> dict[str, Any] | None:
    """Return one enrolment with the steps it took, why, and its messages; None if there is none."""
    found = connection.execute(_ONE, place.key | {"id": enrolment_id}).mappings().one_or_none()
    if found is None:
        return None
    sends = connection.execute(_SENDS, {"id": enrolment_id, "person": found["person_id"]}).mappings()
    steps = connection.execute(_STEPS, {"id": enrolment_id}).mappings()
    return dict(found) | {"taken": [dict(row) for row in steps], "messages": [dict(row) for row in sends]}
