"""
Entering: which campaigns does a lead enter now, and when will time alone let it enter one?

An occasion is a state that was come into, a touchpoint, a day that has come, or that a condition holds. Whether it lets
somebody in depends on how often they may enter; its key lets it do so once, however often it is seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from schema.facts import Facts, Touch
from schema.journey.campaign import Campaign, Enter
from schema.journey.model import Journey
from workers.decide.dates import due
from workers.decide.seen import Seen


class News(NamedTuple):
    """What is new about a lead in this run: states it came into (in order), and touchpoints."""

    states: Sequence[str] = ()
    touches: Sequence[Touch] = ()


class Past(NamedTuple):
    """Somebody's enrolments in one campaign so far: whether one is under way, how many there were, and when."""

    running: bool
    times: int
    last_entered: datetime | None = None
    last_ended: datetime | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    """
    A campaign that a lead enters. `entry_key` is the occasion: the same one enters once, however often it is seen.

    `by` is the way in: `when`, `state opportunity`, `event form.submitted`, `date person.custom.renewal`.
    """

    campaign: str
    entry_key: str
    by: str
    holdout: bool
    at: datetime


def assigned(seed: str, person_id: str, weights: Mapping[str, int]) -> str:
    """
    One of the names by weight: the same for the same seed, person and weights, and uniform over people.

    The first 64 bits of SHA-256 of both are a point on a line of the weights' length, in their order.
    """
    digest = hashlib.sha256(f"{seed}\0{person_id}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") * sum(weights.values()) >> 64
    for name, weight in weights.items():
        point -= weight
        if point < 0:
            return name
    raise ValueError("there is nothing to choose from")


def held_out(journey: Journey, campaign: str, person_id: str) -> bool:
    """Whether this person gets nothing of the campaign: always the same people, also of a larger share."""
    share = journey.campaigns[campaign].holdout
    seed = f"{journey.name}/{campaign}/holdout"
    return share > 0 and assigned(seed, person_id, {"out": share, "in": 100 - share}) == "out"


def enters(facts: Facts, journey: Journey, past: Mapping[str, Past], now: datetime, news: News) -> list[Entry]:
    """
    The campaigns that this lead enters now, in the order of the journey.

    `past` are the person's enrolments by campaign; a campaign that is missing was never entered. Leads that only files
    told us of enter nothing by themselves.
    """
    if facts.quiet or not journey.campaigns:
        return []
    seen, now = Seen(facts, journey), now.astimezone(UTC)
    found = (_entry(seen, journey, name, past.get(name, _NEVER), now, news) for name in journey.campaigns)
    return [entry for entry in found if entry is not None]


def next_entry(facts: Facts, journey: Journey, now: datetime) -> datetime | None:
    """When time alone next makes a `date` entry due, for any campaign; None: never, as far as is known now."""
    moments = [
        moment
        for campaign in journey.campaigns.values()
        for way in campaign.enter
        if way.date is not None and not facts.quiet and (moment := due(facts, way, now).ahead) is not None
    ]
    return min(moments, default=None)


_NEVER: Final = Past(running=False, times=0)


def _entry(seen: Seen, journey: Journey, name: str, past: Past, now: datetime, news: News) -> Entry | None:
    """The first way in that is open, where the campaign may be entered (again)."""
    campaign = journey.campaigns[name]
    if not _may_enter(campaign, past, now):
        return None
    for way in campaign.enter:
        occasion = _occasion(seen, way, past, now, news)
        if occasion is None or (way.when is not None and not seen.holds(way.when, None)):
            continue
        if _would_leave(seen, campaign, now):
            return None
        key = _entry_key(campaign, past, now, occasion[1])
        return Entry(name, key, occasion[0], held_out(journey, name, str(seen.facts.person.get("id"))), now)
    return None


def _may_enter(campaign: Campaign, past: Past, now: datetime) -> bool:
    if past.running:
        return False
    if campaign.again == "once":
        return past.times == 0
    if isinstance(campaign.again, timedelta):
        return past.last_entered is None or past.last_entered + campaign.again <= now
    return True


def _occasion(seen: Seen, way: Enter, past: Past, now: datetime, news: News) -> tuple[str, str] | None:
    """How somebody comes in this way now, and a text that no other occasion has; None where they do not."""
    if way.state is not None:
        return (f"state {way.state}", f"state:{way.state}:{_stamp(now)}") if way.state in news.states else None
    if way.event is not None:
        fresh = {touch.id for touch in news.touches if touch.kind == way.event}
        touch = next((touch for touch in seen.touches if touch.id in fresh), None) if fresh else None
        return (f"event {way.event}", touch.id) if touch else None
    if way.date is not None:
        moment = due(seen.facts, way, now).reached
        used = moment is None or (past.last_entered is not None and past.last_entered >= moment)
        return None if moment is None or used else (f"date {way.date}", f"date:{_stamp(moment)}")
    return "when", f"when:{past.times + 1}"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _entry_key(campaign: Campaign, past: Past, now: datetime, occasion: str) -> str:
    """The same for everybody who sees the same occasion, so that the database lets it in once."""
    if campaign.again == "once":
        return "once"
    if campaign.again == "always":
        return occasion
    if isinstance(campaign.again, timedelta):
        return f"every:{int(now.timestamp() // campaign.again.total_seconds())}"
    return f"time:{past.times + 1}"


def _would_leave(seen: Seen, campaign: Campaign, now: datetime) -> bool:
    """Whether somebody who entered now would be out again at once."""
    questions = [way.when for way in campaign.exit if way.when is not None]
    questions += [campaign.goal.when] if campaign.goal else []
    return any(seen.holds(question, now) for question in questions)
