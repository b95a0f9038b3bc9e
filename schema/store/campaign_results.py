"""
Results: what came of a campaign and of each of its steps, counted from the rows that say it.

A message counts as delivered when its server took it and nothing bounced since. Openings, clicks, replies and
unsubscriptions count people's messages, not how often. The lift compares all who entered with those held out.

Each table is read once, whatever is asked of it: a campaign of a million is counted in a few seconds.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.lift import lift
from schema.store import campaign_money
from schema.store.journeys import JourneyBook

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from schema.journey.campaign import Campaign
    from schema.store.campaigns import Place

_PEOPLE: Final = text("""
SELECT holdout, outcome, reason, step, count(*) AS people FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign GROUP BY holdout, outcome, reason, step
""")
_TAKEN: Final = text("""
SELECT s.step, s.action, s.outcome, count(*) AS people
FROM enrolment AS e JOIN enrolment_step AS s ON s.enrolment_id = e.id
WHERE e.journey_name = :journey AND e.campaign = :campaign GROUP BY s.step, s.action, s.outcome
""")
_MESSAGES: Final = text("""
SELECT step, state, CASE WHEN state IN ('skipped', 'failed') THEN COALESCE(reason, 'unknown') END AS reason,
       count(*) AS messages, count(*) FILTER (WHERE state = 'sent' AND bounced_at IS NULL) AS delivered,
       count(opened_at) AS opened, count(clicked_at) AS clicked, count(replied_at) AS replied,
       count(bounced_at) AS bounced, count(complained_at) AS complained, count(unsubscribed_at) AS unsubscribed
FROM send WHERE journey_name = :journey AND campaign = :campaign
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")
_LATEST: Final = text("""
SELECT journey FROM enrolment WHERE journey_name = :journey AND campaign = :campaign
ORDER BY entered_at DESC LIMIT 1
""")
# Sorting and hashing a million people on disk takes three times as long.
_ROOM: Final = text("SET LOCAL work_mem = '64MB'")
_STATES: Final = {"planned": "planned", "sending": "planned"} | {
    state: state for state in ("sent", "failed", "unknown", "skipped")
}
"""As what a message counts that is in a state."""
_COUNTED: Final = (
    "planned", "sent", "delivered", "failed", "unknown", "skipped", "opened", "clicked", "replied", "bounced",
    "complained", "unsubscribed",
)  # fmt: skip


def results(connection: Connection, place: Place) -> dict[str, Any]:
    """
    Return what came of a campaign: people, messages, money, the lift over those held out, and the same step by step.

    `cost` and the time in which purchases count are what the active version says, or the latest that somebody entered
    where that does not have the campaign any more; see `schema.store.campaign_money`.
    """
    connection.execute(_ROOM)
    campaign = place.campaign or _latest(connection, place)
    found = [row._asdict() for row in connection.execute(_PEOPLE, place.key)]
    people = {held: _people([row for row in found if row["holdout"] is held]) for held in (False, True)}
    messages = _messages(connection, place)
    total = {name: sum(message[name] for message in messages.values()) for name in _COUNTED}
    with_it, without = people[False], people[True]
    spent = campaign_money.cost(campaign, total["sent"], with_it["goal"])
    earned = campaign_money.revenue(connection, place, campaign)
    waiting: dict[str, int] = defaultdict(int)
    for row in found:
        if row["outcome"] is None and not row["holdout"]:
            waiting[row["step"]] += row["people"]
    return {
        "journey": place.journey_name,
        "name": place.name,
        "people": with_it,
        "holdout": without if without["entered"] else None,
        "lift": _lift(with_it, without),
        "messages": total,
        "cost": spent,
        "revenue": earned,
        "return": campaign_money.returned(spent, earned),
        "steps": _steps(connection, place, waiting, messages),
    }


def _latest(connection: Connection, place: Place) -> Campaign | None:
    """The campaign as the latest version has it that somebody entered; None where this code cannot read that."""
    version = connection.execute(_LATEST, place.key).scalar_one_or_none()
    book = JourneyBook()
    if version is None or not book.readable(connection, version):
        return None
    return book.version(connection, version).campaigns.get(place.name)


def _people(ends: list[dict[str, Any]]) -> dict[str, Any]:
    by_outcome: dict[str, int] = defaultdict(int)
    reasons: dict[str, int] = defaultdict(int)
    for end in ends:
        by_outcome[end["outcome"] or "running"] += end["people"]
        if end["outcome"] not in {None, "finished", "goal"} and end["reason"]:
            reasons[end["reason"]] += end["people"]
    entered = sum(by_outcome.values())
    return {
        "entered": entered,
        **{name: by_outcome[name] for name in ("running", "finished", "goal", "exited", "aborted", "cancelled")},
        "goal_rate": by_outcome["goal"] / entered if entered else None,
        "reasons": dict(sorted(reasons.items())),
    }


def _lift(with_it: Mapping[str, Any], without: Mapping[str, Any]) -> dict[str, Any] | None:
    found = lift(with_it["goal"], with_it["entered"], without["goal"], without["entered"])
    if found is None:
        return None
    return {"difference": found.difference, "low": found.low, "high": found.high, "level": 0.95, "sure": found.sure}


def _messages(connection: Connection, place: Place) -> dict[str, dict[str, Any]]:
    """What became of the messages of each step, with the `reasons` for which some did not go out."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(_COUNTED, 0) | {"reasons": {}})
    for row in connection.execute(_MESSAGES, place.key).mappings():
        counts = found[row["step"]]
        counts[_STATES[row["state"]]] += row["messages"]
        for name in _COUNTED:
            counts[name] += row.get(name, 0)
        if row["reason"]:
            counts["reasons"][row["reason"]] = counts["reasons"].get(row["reason"], 0) + row["messages"]
    return found


def _steps(
    connection: Connection, place: Place, waiting: Mapping[str, int], messages: Mapping[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    taken: dict[str, dict[str, int]] = defaultdict(dict)
    action: dict[str, str] = {}
    for row in connection.execute(_TAKEN, place.key):
        taken[row.step][row.outcome] = row.people
        action[row.step] = row.action
    names = list(place.campaign.names) if place.campaign else []
    if place.campaign:
        action |= {name: step.action for name, step in zip(names, place.campaign.steps, strict=True)}
    names += sorted({*taken, *messages, *waiting} - {*names})
    return [
        {
            "step": name,
            "action": action.get(name),
            "waiting": waiting.get(name, 0),
            "taken": sum(taken[name].values()),
            "outcomes": taken[name],
            "messages": messages.get(name),
        }
        for name in names
    ]
