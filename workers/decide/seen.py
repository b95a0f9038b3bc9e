"""
Seen: a lead as the questions of a campaign see it.

What somebody did since a moment is new to them; what was done at that very moment has led to it. What machines did,
security scanners above all, is not there at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from schema.facts import Facts, Touch
from schema.journey.expressions import Expression
from schema.journey.model import Journey
from workers.decide.machines import by_machines


def _people_only(facts: Facts, journey: Journey) -> list[Touch]:
    """The touchpoints without those that a machine made."""
    machines, _ = by_machines(facts.touchpoints, journey.score.machines)
    return [touch for touch in facts.touchpoints if not touch.machine and touch.id not in machines]


class Seen:
    """A lead as the questions of a campaign see it: what people did since a moment is new, nothing else is."""

    def __init__(self, facts: Facts, journey: Journey) -> None:
        self.facts, self._journey = facts, journey
        self._touches: list[Touch] | None = None
        self._asks_touches = "touchpoint" in journey.reads.roots
        self._since: dict[datetime | None, Facts] = {}

    @property
    def touches(self) -> list[Touch]:
        if self._touches is None:
            self._touches = _people_only(self.facts, self._journey)
        return self._touches

    def holds(
        self, question: Expression, since: datetime | None, about: tuple[str, Mapping[str, Any]] | None = None
    ) -> bool:
        """
        Whether the answer is yes; `since` None: about what is new in this run.

        `about` is what else it may ask about: `ticket` or `opportunity`, and what is known of that.
        """
        facts = self.facts
        if self._asks_touches and any(path.startswith("touchpoint") for path in question.paths):
            facts = self._since.get(since) or self._since.setdefault(since, self._heard(since))
        view = facts.context(self._journey)
        if about is None:
            return question.evaluate(view) is True
        view.replace(about[0], about[1])
        answer = question.evaluate(view)
        view.replace(about[0], None)
        return answer is True

    def _heard(self, since: datetime | None) -> Facts:
        touches = [touch if since is None else _as_new(touch, new=touch.occurred_at > since) for touch in self.touches]
        return replace(self.facts, touchpoints=touches)

    def did(self, kinds: frozenset[str], since: datetime) -> bool:
        """Whether somebody did one of these since then."""
        if not any(touch.kind in kinds and touch.occurred_at > since for touch in self.facts.touchpoints):
            return False
        return any(touch.kind in kinds and touch.occurred_at > since for touch in self.touches)

    def closed_since(self, moment: datetime) -> bool:
        """Whether the lead has come to a final state since then; who entered in one is there for a reason."""
        state, since = self._journey.lifecycle.get(self.facts.state), self.facts.entered_at
        return state is not None and state.final and since is not None and since > moment

    def answered(self, answers: Mapping[str, Any]) -> Seen:
        """The same after answers of the person were set."""
        person = {**self.facts.person, "custom": {**(self.facts.person.get("custom") or {}), **answers}}
        return Seen(replace(self.facts, person=person), self._journey)


def _as_new(touch: Touch, *, new: bool) -> Touch:
    return touch if touch.new is new else replace(touch, new=new)
