"""
What is known about one lead, as plain values: the input of every decision.

A step gathers `Facts` and hands them to its decision. The steps of one chain share them: what a decision finds out is
told with `know`, so that the next one sees it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from schema.journey.expressions import Expression, Reads, View
from schema.journey.model import Journey


@dataclass(frozen=True, slots=True)
class Touch:
    """
    One interaction. `new` until the lead has been advanced for it: a purchase moves a lead once.

    `machine`: its sender says that a program did it, not a person. `ours`: it came of our own work, by no receipt.
    """

    kind: str
    occurred_at: datetime
    id: str
    new: bool = True
    machine: bool = False
    ours: bool = False


@dataclass(slots=True)
class Facts:
    """
    One lead with its person, company and touchpoints (in any order).

    `qualification` and `score` are what the steps `qualify` and `score` found, None before. `visited` are the states
    of this run that automation may not go back to. `entered_at` is since when the lead is in its state, `overdue`
    whether it was told that this is too long, `recycled` how often it was looked at again after a no. `assignment` is
    how it came to its owner and whether they accepted, `waiting_since` since when it is in a pool's queue, and
    `previous_owner` who had this person's last lead, until when. `quiet`: all that is known of it came from files,
    so no clock runs for it. Personal data stays out of `repr`.
    """

    lead_id: str
    source: str
    channel: str
    state: str
    person: dict[str, Any] = field(default_factory=dict, repr=False)
    company: dict[str, Any] = field(default_factory=dict, repr=False)
    lead: dict[str, Any] = field(default_factory=dict, repr=False)
    touchpoints: list[Touch] = field(default_factory=list, repr=False)
    qualification: dict[str, Any] | None = field(default=None, repr=False)
    score: dict[str, Any] | None = field(default=None, repr=False)
    owner: str | None = None
    pool: str | None = None
    entered_at: datetime | None = None
    overdue: bool = False
    recycled: int = 0
    assignment: dict[str, Any] | None = None
    waiting_since: datetime | None = None
    previous_owner: tuple[str, datetime] | None = None
    quiet: bool = False
    visited: frozenset[str] = frozenset()
    _view: View | None = field(default=None, init=False, repr=False, compare=False)
    _version: str = field(default="", init=False, repr=False, compare=False)

    def context(self, journey: Journey) -> View:
        """The lead as the expressions of `journey` see it; built once for each version."""
        if self._view is None or self._version != journey.version:
            self._view = View(journey.reads, self._values(journey))
            self._version = journey.version
        return self._view

    def seen_by(self, question: Expression, journey: Journey) -> View:
        """The lead as a question sees it that is none of the journey's own."""
        reads = Reads(question.paths)
        return View(reads, self._values(journey))

    def know(self, **found: Any) -> None:  # noqa: ANN401 - values of any field
        """Take over what a decision found: `know(score=score.facts())`, `know(owner="ana", pool="dach")`."""
        for name, value in found.items():
            setattr(self, name, value)
            if self._view is not None:
                self._view.replace(name, value)

    def _values(self, journey: Journey) -> dict[str, Any]:
        values = {
            "person": self.person,
            "company": self.company,
            "lead": self.lead,
            "qualification": self.qualification,
            "score": self.score,
            "source": self.source,
            "channel": self.channel,
            "owner": self.owner,
            "pool": self.pool,
            "state": self.state,
        }
        if "touchpoint" in journey.reads.roots:
            values["touchpoint"] = self._news()
        return values

    def _news(self) -> dict[str, Any]:
        """The touchpoints that the lead has not been advanced for yet, the latest last."""
        new = [touch for touch in self.touchpoints if touch.new]
        new.sort(key=attrgetter("occurred_at", "id"))
        kinds = [touch.kind for touch in new]
        return {"kinds": kinds, "kind": kinds[-1] if kinds else None, "count": len(self.touchpoints)}
