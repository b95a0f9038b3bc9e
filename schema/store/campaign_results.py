"""
Results: what came of a campaign and of each of its steps, counted from the rows that say it.

A message counts as delivered when its server took it and nothing bounced since. Openings, clicks, replies and
unsubscriptions count people's messages, not how often. The lift compares all who entered with those held out.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.lift import lift

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from schema.store.campaigns import Place

_ENDS: Final = text("""
SELECT holdout, outcome, reason, count(*) AS people FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign GROUP BY holdout, outcome, reason
""")
_WAITING: Final = text("""
SELECT step, count(*) AS waiting FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign AND outcome IS NULL AND NOT holdout GROUP BY step
""")
_TAKEN: Final = text("""
SELECT s.step, s.action, s.outcome, count(*) AS people
FROM enrolment AS e JOIN enrolment_step AS s ON s.enrolment_id = e.id
WHERE e.journey_name = :journey AND e.campaign = :campaign GROUP BY s.step, s.action, s.outcome
""")
_MESSAGES: Final = text("""
SELECT step,
       count(*) FILTER (WHERE state IN ('planned', 'sending')) AS planned,
       count(*) FILTER (WHERE state = 'sent') AS sent,
       count(*) FILTER (WHERE state = 'sent' AND bounced_at IS NULL) AS delivered,
       count(*) FILTER (WHERE state = 'failed') AS failed,
       count(*) FILTER (WHERE state = 'unknown') AS unknown,
       count(*) FILTER (WHERE state = 'skipped') AS skipped,
       count(opened_at) AS opened, count(clicked_at) AS clicked, count(replied_at) AS replied,
       count(bounced_at) AS bounced, count(complained_at) AS complained, count(unsubscribed_at) AS unsubscribed
FROM send WHERE journey_name = :journey AND campaign = :campaign GROUP BY step
""")
_SKIPPED: Final = text("""
SELECT step, reason, count(*) AS messages FROM send
WHERE journey_name = :journey AND campaign = :campaign AND state IN ('skipped', 'failed') GROUP BY step, reason
""")
_COUNTED: Final = (
    "planned", "sent", "delivered", "failed", "unknown", "skipped", "opened", "clicked", "replied", "bounced",
    "complained", "unsubscribed",
)  # fmt: skip


def results(connection: Connection, place: Place) -> dict[str, Any]:
    """
    Return what came of a campaign: people, messages, costs, the lift over those held out, and the same step by step.

    `cost` is what the active version says it costs, once and for each message sent; null where it does not say.
    """
    ends = [row._asdict() for row in connection.execute(_ENDS, place.key)]
    people = {held: _people([end for end in ends if end["holdout"] is held]) for held in (False, True)}
    messages = {row["step"]: dict(row) for row in connection.execute(_MESSAGES, place.key).mappings()}
    total = {name: sum(message[name] for message in messages.values()) for name in _COUNTED}
    with_it, without = people[False], people[True]
    return {
        "journey": place.journey_name,
        "name": place.name,
        "people": with_it,
        "holdout": without if without["entered"] else None,
        "lift": _lift(with_it, without),
        "messages": total,
        "cost": _cost(place, total["sent"], with_it["goal"]),
        "steps": _steps(connection, place, messages),
    }


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


def _cost(place: Place, sent: int, goals: int) -> dict[str, Any] | None:
    cost = place.campaign.cost if place.campaign else None
    if cost is None:
        return None
    total = cost.fixed + cost.per_send * sent
    return {"total": total, "per_goal": total / goals if goals else None, "currency": cost.currency}


def _steps(connection: Connection, place: Place, messages: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    waiting = {row.step: row.waiting for row in connection.execute(_WAITING, place.key)}
    taken: dict[str, dict[str, int]] = defaultdict(dict)
    action: dict[str, str] = {}
    for row in connection.execute(_TAKEN, place.key):
        taken[row.step][row.outcome] = row.people
        action[row.step] = row.action
    why: dict[str, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(_SKIPPED, place.key):
        why[row.step][row.reason or "unknown"] = row.messages
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
            "messages": _messages(messages[name], why[name]) if name in messages else None,
        }
        for name in names
    ]


def _messages(counts: Mapping[str, Any], why: Mapping[str, int]) -> dict[str, Any]:
    return {name: counts[name] for name in _COUNTED} | {"reasons": dict(why)}
