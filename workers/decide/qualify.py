"""
Qualify: is this somebody we can help?

A criterion that fails disqualifies, with its reason; what the lead has not told us does not: it is asked for. Who was
told no is looked at again as the journey's `requalify` says about the reason: on news, after a while, or never.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from schema import lifecycle
from schema.facts import Facts
from schema.journey.expressions import Unknown, View
from schema.journey.model import Again, Criterion, Journey

Verdict = Literal["pass", "fail", "unknown"]
Outcome = Literal["qualified", "disqualified", "incomplete"]
Look = Literal["news", "after", "never", "most", "not_yet", "newer_lead"]
"""Why somebody who was told no is looked at again (`news`, `after`), or why not."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """
    One criterion with its verdict; `missing` are the fields an answer would need.

    An unknown answer counts as `taken_as`; without that it is being asked for: since `asked_at`, and `until` then
    (None: for as long as it takes). `anew`: it was a no before, and is asked for again.
    """

    criterion: Criterion
    verdict: Verdict
    missing: tuple[str, ...] = ()
    taken_as: Literal["pass", "fail"] | None = None
    asked_at: datetime | None = None
    until: datetime | None = None
    anew: bool = False

    @property
    def fails(self) -> bool:
        """Whether this disqualifies."""
        return self.verdict == "fail" or self.taken_as == "fail"

    @property
    def asks(self) -> bool:
        """Whether an answer is waited for."""
        return self.verdict == "unknown" and self.taken_as is None

    def ask(self) -> dict[str, Any]:
        """What is asked of the lead, as `qualification.ask` shows and remembers it."""
        told = {
            "criterion": self.criterion.name,
            "question": self.criterion.question,
            "missing": list(self.missing),
            "asked_at": self.asked_at and self.asked_at.isoformat(),
        }
        if self.until:
            told["asked_until"] = self.until.isoformat()
        return told | ({"anew": True} if self.anew else {})

    def explain(self) -> dict[str, Any]:
        """JSON-ready, with what is said of an unknown answer only where there is something to say."""
        told: dict[str, Any] = {
            "name": self.criterion.name,
            "verdict": self.verdict,
            "rule": self.criterion.rule.source,
        }
        if self.missing:
            told["missing"] = list(self.missing)
        if self.taken_as:
            told["taken_as"] = self.taken_as
        if self.until:
            told["asked_until"] = self.until.isoformat()
        if self.anew:
            told["anew"] = True
        return told


class Qualification(msgspec.Struct, frozen=True, gc=False):
    """
    What the criteria say together.

    `incomplete`: nothing speaks against the lead, but something has to be asked first; it goes on and is not
    disqualified. `reason` is the code of the first criterion that failed, or empty; `since` when that was first said.
    `look` is set for who was told no before: why they were looked at again, or why not; with `again`, the number of
    that look (1, 2 …), nothing speaks against them any more. `look_again`: when to judge anew without any news.
    """

    outcome: Outcome
    reason: str
    criteria: tuple[Judged, ...]
    since: datetime | None = None
    look: Look | None = None
    again: int = 0
    look_again: datetime | None = None

    @property
    def ask(self) -> tuple[str, ...]:
        """The criteria whose answers are missing and wanted."""
        return tuple([judged.criterion.name for judged in self.criteria if judged.asks])

    @property
    def stands(self) -> bool:
        """Whether the no of before was left as it is, without asking the criteria."""
        return self.look not in {None, "news", "after"}

    def facts(self) -> dict[str, Any]:
        """As `qualification` in expressions, in the lead, and in the facts of the next judgement."""
        told: dict[str, Any] = {
            "outcome": self.outcome,
            "passed": self.outcome == "qualified",
            "reason": self.reason,
        }
        if self.since:
            told["since"] = self.since.isoformat()
        if self.outcome == "incomplete":
            told["ask"] = [judged.ask() for judged in self.criteria if judged.asks]
        if unanswered := [judged.ask() for judged in self.criteria if judged.asked_at and judged.taken_as]:
            told["unanswered"] = unanswered
        return told | ({"again": self.again, "look": self.look} if self.again else {})

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`."""
        told: dict[str, Any] = {
            "outcome": self.outcome,
            "reason": self.reason,
            "ask": list(self.ask),
            "criteria": [judged.explain() for judged in self.criteria],
        }
        if self.look:
            told["look"] = self.look
        if self.look_again:
            told["look_again"] = self.look_again.isoformat()
        return told


def judge(facts: Facts, journey: Journey, now: datetime) -> Qualification:
    """
    All criteria of the journey about one lead: one that fails disqualifies, with the reason of the first.

    A lead that was told no, and is where its journey keeps such leads, is only judged again when the journey says so.
    """
    before = facts.qualification or {}
    look: Look | None = None
    if lifecycle.turns_down(journey, facts.state):
        look = _look(facts, journey, now)
        if look not in {"news", "after"}:
            return left_as_it_is(facts, journey, now, look)
    fresh = bool(before.get("overruled")) or (look is not None and before.get("again") != facts.recycled + 1)
    asked = {} if fresh or not before else _asked(before)
    doubted = _doubted(before, look, fresh=fresh) if before else None
    view = facts.context(journey)
    criteria = tuple([_judged(criterion, view, now, asked, doubted) for criterion in journey.qualify])
    failed = next((judged.criterion for judged in criteria if judged.fails), None)
    if failed:
        return _no(facts, journey, now, _reason(failed), criteria, look)
    asking = [judged for judged in criteria if judged.asks]
    return Qualification(
        "incomplete" if asking else "qualified",
        "",
        criteria,
        look=look,
        again=facts.recycled + 1 if look else 0,
        look_again=min([judged.until for judged in asking if judged.until], default=None),
    )


def turned_down(facts: Facts, journey: Journey, now: datetime, reason: str) -> Qualification:
    """The no that a lead is told at `now` by a move, and not by a criterion."""
    return _no(facts, journey, now, reason, (), None)


def left_as_it_is(facts: Facts, journey: Journey, now: datetime, look: Look) -> Qualification:
    """The no that a lead was told before, without another judgement; `look` says why."""
    reason, since = _said(facts)
    return _no(facts, journey, now, reason, (), look, since=since or now)


def _no(
    facts: Facts,
    journey: Journey,
    now: datetime,
    reason: str,
    criteria: tuple[Judged, ...],
    look: Look | None,
    *,
    since: datetime | None = None,
) -> Qualification:
    """A no; `since` when, the same one as before counts from then, unless the time it was for is over."""
    if since is None:
        said, then = _said(facts)
        since = then if then and said == reason and look != "after" and _is_no(facts) else now
    again = _moment(_policy(journey, reason), since, facts) if look != "newer_lead" else None
    waits = again if again and again > now else None
    return Qualification("disqualified", reason, criteria, since, look, look_again=waits)


def _judged(
    criterion: Criterion, view: View, now: datetime, asked: Mapping[str, Any], doubted: frozenset[str] | None
) -> Judged:
    answer = criterion.rule.evaluate(view)
    unknown = isinstance(answer, Unknown)
    passes = answer is (criterion.require is not None)
    doubt = doubted is not None and bool({criterion.name, f"reason {_reason(criterion)}", "every"} & doubted)
    if not unknown and (passes or not doubt):
        return Judged(criterion, "pass" if passes else "fail")
    missing = answer.missing if isinstance(answer, Unknown) else criterion.rule.paths
    if unknown and (criterion.unknown == "pass" or (criterion.unknown == "fail" and not doubt)):
        return Judged(criterion, "unknown", missing, taken_as=criterion.unknown)
    asked_at = datetime.fromisoformat(asked[criterion.name]["asked_at"]) if criterion.name in asked else now
    until = asked_at + criterion.within if criterion.within else None
    over = criterion.otherwise if until and until <= now else None
    return Judged(criterion, "unknown", missing, over, asked_at, until, anew=doubt and not unknown)


def _asked(before: Mapping[str, Any]) -> dict[str, Any]:
    """What the lead was asked earlier, by criterion; what nobody answered in time as well."""
    return {ask["criterion"]: ask for name in ("ask", "unanswered") for ask in before.get(name, ())}


def _doubted(before: Mapping[str, Any], look: Look | None, *, fresh: bool) -> frozenset[str] | None:
    """The criteria whose no does not count, because they are asked anew: names, those of a reason, or every."""
    if before.get("overruled"):
        return frozenset({"every"})
    if fresh:
        return frozenset({f"reason {before.get('reason', '')}"}) if look == "after" else None
    return frozenset(ask["criterion"] for ask in _asked(before).values() if ask.get("anew"))


def _look(facts: Facts, journey: Journey, now: datetime) -> Look:
    """Whether somebody who was told no is looked at again now, and why (not)."""
    before = facts.qualification or {}
    if before.get("again") == facts.recycled + 1:
        going_on: Look = before["look"]
        return going_on  # nothing spoke against them at that look, and they are still on their way back
    reason, since = _said(facts)
    policy = _policy(journey, reason)
    if policy is None or not (policy.news or policy.after):
        return "never"
    if facts.recycled >= policy.most:
        return "most"
    moment = _moment(policy, since, facts)
    if moment and moment <= now:
        return "after"
    return "news" if policy.news and any(touch.new for touch in facts.touchpoints) else "not_yet"


def _said(facts: Facts) -> tuple[str, datetime | None]:
    """The reason of the no that the lead was told, and since when."""
    before = facts.qualification or {}
    if _is_no(facts) and before.get("since"):
        return before.get("reason") or "", datetime.fromisoformat(before["since"])
    return (before.get("reason") or "" if _is_no(facts) else ""), facts.entered_at


def _is_no(facts: Facts) -> bool:
    return (facts.qualification or {}).get("outcome") == "disqualified"


def _policy(journey: Journey, reason: str) -> Again | None:
    """When who was told no for this reason is looked at again; None: never."""
    return journey.requalify.get(reason) or journey.requalify.get("otherwise")


def _moment(policy: Again | None, since: datetime | None, facts: Facts) -> datetime | None:
    """When a while is over; None where the journey waits for none, has looked often enough, or no clock runs."""
    if policy is None or policy.after is None or since is None or facts.recycled >= policy.most or facts.quiet:
        return None
    return since + policy.after


def _reason(criterion: Criterion) -> str:
    return criterion.reason or criterion.name
