"""
History: when was a lead judged, and when did it move, of which only files tell?

Its arrivals are told later than they happened, and it moved when they happened. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from schema.facts import Facts
    from schema.journey import Journey
    from workers.decide.advance import Move


def moved_at(facts: Facts, journey: Journey, move: Move, now: datetime) -> datetime:
    """
    Return when a quiet lead made a `move` out of the state that it is in, as `facts` have it.

    That is the earliest of its new arrivals with which the transition's question holds, but never before it came into
    its state. What was done by hand, and what no arrival made, happens now.
    """
    if move.trigger not in {"automatic", "requalify"}:
        return now
    moments = _new(facts, now)
    if not moments:
        return now
    when = journey.transition(move.name).when
    holds = (at for at in moments if when is None or when.evaluate(_until(facts, at).context(journey)) is True)
    at = moments[0] if len(moments) == 1 else next(holds, moments[-1])
    return min(max(at, facts.entered_at or at), now)


def judged_at(facts: Facts, now: datetime) -> datetime | None:
    """Return when what is judged of a quiet lead was known: with the earliest of its new arrivals. None: just now."""
    moments = _new(facts, now)
    return max(moments[0], facts.entered_at or moments[0]) if moments else None


def _new(facts: Facts, now: datetime) -> list[datetime]:
    """When its new arrivals happened, the earliest first."""
    return sorted({touch.occurred_at for touch in facts.touchpoints if touch.new and touch.occurred_at <= now})


def _until(facts: Facts, moment: datetime) -> Facts:
    return replace(facts, touchpoints=[touch for touch in facts.touchpoints if touch.occurred_at <= moment])


def begins(facts: Facts) -> bool:
    """Tell whether a lead has not been advanced before: all that is known of it is new."""
    return all(touch.new for touch in facts.touchpoints)
