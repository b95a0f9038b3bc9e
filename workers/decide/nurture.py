"""
Nurture: which campaigns does a lead enter, and how far does somebody who is in one go now?

Everything follows from the facts, the enrolment and `now`, whatever happened first: a look that comes late, twice or
for nothing finds the same. The goal is asked before the exits, the exits before the steps, each time. Jumps lead
forward only, so that an enrolment takes each step at most once and there is always an end.

A day in a campaign is 24 hours; only what begins with a calendar day (`date`) goes by the person's own clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec

from schema.facts import Facts
from schema.journey.campaign import Campaign, Exit, Step
from schema.journey.model import Journey
from workers.decide.entering import Entry, News, Past, assigned, enters, held_out, next_entry
from workers.decide.follow_up import due
from workers.decide.seen import Seen

__all__ = [
    "AFTER_LAST",
    "CAPPED",
    "Enrolled",
    "Entry",
    "News",
    "Notice",
    "Past",
    "PlannedSend",
    "Sent",
    "StepDone",
    "Task",
    "Walk",
    "assigned",
    "enters",
    "held_out",
    "next_entry",
    "span",
    "still",
    "walk",
]

AFTER_LAST: Final = "goal"
"""Where an enrolment is that has taken its last step and waits for what is left of the goal's time."""
REFUSALS: Final = frozenset({"email.unsubscribe", "email.complaint"})
"""Kinds of touchpoints by which somebody says no to all marketing."""
NEVER_AGAIN: Final = frozenset(
    {"unsubscribed", "withdrawn", "suppressed", "complaint", "hard_bounce", "soft_bounces", "by_hand"}
)
"""Reasons for which a message was not sent that hold for every later one of a marketing campaign too."""
CAPPED: Final = "capped"
"""The reason of a message that was not sent because its person had enough already."""

End = Literal["finished", "goal", "exited", "aborted", "cancelled"]


class Enrolled(msgspec.Struct, frozen=True, gc=False):
    """
    One person's way through a campaign, as its row has it.

    `step` is the next one, or where it waits since `since`; None: over. `listens_since`: touchpoints since then are
    what the questions of its steps are about. `number` of steps are done, `arms` are the ways taken at splits.
    """

    campaign: str
    person_id: str
    entered_at: datetime
    step: str | None
    since: datetime
    listens_since: datetime
    number: int = 0
    arms: Mapping[str, str] = {}
    holdout: bool = False

    def in_utc(self) -> Enrolled:
        """The same with moments that can be counted with: in other zones Python counts by the clock on the wall."""
        moments = self.entered_at, self.since, self.listens_since
        if all(moment.tzinfo is UTC for moment in moments):
            return self
        entered_at, since, listens_since = (moment.astimezone(UTC) for moment in moments)
        return msgspec.structs.replace(self, entered_at=entered_at, since=since, listens_since=listens_since)


class Sent(NamedTuple):
    """What became of a message: the `state` of its row in the ledger (`planned`, `sent`, `skipped`, …) and why."""

    state: str
    reason: str | None = None


class StepDone(msgspec.Struct, frozen=True, gc=False):
    """A step that was taken, for the table `enrolment_step`; the explanation is JSON-ready, without personal data."""

    step: str
    action: str
    outcome: str
    explanation: dict[str, Any] = {}


class PlannedSend(msgspec.Struct, frozen=True, gc=False):
    """A message to plan; `capped` says what to do where the person had enough already."""

    step: str
    template: str
    capped: Literal["defer", "skip", "abort"]


class Task(msgspec.Struct, frozen=True, gc=False):
    """
    A follow-up to ask for: `to` is a person of the journey, None where the lead has no owner yet.

    `owned`: it goes with the lead to its next owner.
    """

    step: str
    text: str
    to: str | None
    due_at: datetime
    owned: bool


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Something to tell other systems under this name."""

    step: str
    name: str


class Walk(msgspec.Struct, frozen=True, gc=False):
    """
    How far an enrolment goes now: the steps it took, where it is then, and what is to be done for them.

    `step` is where it waits since `since`, to be looked at again at `due_at` (None: when its message is settled). It
    is None where the enrolment is over; then `outcome` and `reason` say how. `sets` are answers of the person to write
    (`person.custom`), `arms` the ways taken at splits, old and new.
    """

    done: tuple[StepDone, ...]
    step: str | None
    since: datetime
    due_at: datetime | None
    listens_since: datetime
    outcome: End | None = None
    reason: str | None = None
    sends: tuple[PlannedSend, ...] = ()
    sets: dict[str, Any] = {}
    follow_ups: tuple[Task, ...] = ()
    notifies: tuple[Notice, ...] = ()
    arms: dict[str, str] = {}


def still(enrolled: Enrolled, facts: Facts, journey: Journey, now: datetime) -> str | None:
    """Why a message that was planned for somebody must not go any more, as a code; None: it may."""
    campaign = journey.campaigns.get(enrolled.campaign)
    if campaign is None or enrolled.step is None:
        return "over"
    if enrolled.holdout:
        return "holdout"
    ended = _ended(enrolled.in_utc(), Seen(facts, journey), campaign, now.astimezone(UTC))
    return ended[1] if ended else None


def span(campaign: Campaign) -> timedelta:
    """The longest that its waits can take together; hours and caps may make a message later still."""
    longest = [timedelta()] * (len(campaign.steps) + 1)
    for at in reversed(range(len(campaign.steps))):
        step = campaign.steps[at]
        own = step.wait or step.timeout or timedelta()
        following = [longest[place] for place in campaign.following(at)]
        longest[at] = own + max(following, default=timedelta())
    return longest[0]


def walk(enrolled: Enrolled, facts: Facts, journey: Journey, now: datetime, sent: Mapping[str, Sent]) -> Walk:
    """
    Take one enrolment as far as it goes at `now`; at most as many steps as its campaign has.

    `sent` says what became of its messages, by the names of their steps. At a message the enrolment plans it, and
    waits until it is settled.
    """
    enrolled, now = enrolled.in_utc(), now.astimezone(UTC)
    campaign = journey.campaigns.get(enrolled.campaign)
    way = _Way(enrolled, facts, journey, now)
    if campaign is None or enrolled.step is None:
        return way.over("cancelled", "campaign_gone" if campaign is None else "over")
    ended = _ended(enrolled, way.seen, campaign, now)
    if ended:
        return way.over(*ended)
    if enrolled.holdout:
        within = campaign.goal.within if campaign.goal else None
        return way.until(enrolled.entered_at + (within or span(campaign)), "holdout")
    if enrolled.step == AFTER_LAST:
        return way.after_last(campaign)
    if enrolled.step not in campaign.names:
        return way.over("cancelled", "step_gone")
    return way.along(campaign, campaign.place(enrolled.step), sent)


def _ended(enrolled: Enrolled, seen: Seen, campaign: Campaign, now: datetime) -> tuple[End, str] | None:
    """Whether the goal is reached or an exit holds, and which."""
    entered, goal = enrolled.entered_at, campaign.goal
    if goal and (goal.within is None or now < entered + goal.within) and seen.holds(goal.when, entered):
        return "goal", "goal"
    for way in campaign.exit:
        if _leaves(seen, way, entered):
            return "exited", way.reason
    if campaign.kind == "marketing":
        if seen.closed_since(entered):
            return "exited", "lead_closed"
        if (seen.facts.person.get("consent") or {}).get(campaign.purpose) is False:
            return "exited", "withdrawn"
        if seen.did(REFUSALS, entered):
            return "exited", "unsubscribed"
    return None


def _leaves(seen: Seen, way: Exit, entered: datetime) -> bool:
    if way.when is not None:
        return seen.holds(way.when, entered)
    return way.event is not None and seen.did(frozenset((way.event,)), entered)


class _Way:
    """One walk, as it gathers."""

    def __init__(self, enrolled: Enrolled, facts: Facts, journey: Journey, now: datetime) -> None:
        self.enrolled, self.journey, self.now = enrolled, journey, now
        self.seen = Seen(facts, journey)
        self.since, self.listens_since = enrolled.since, enrolled.listens_since
        self.arms = dict(enrolled.arms)
        self.done: list[StepDone] = []
        self.sends: list[PlannedSend] = []
        self.sets: dict[str, Any] = {}
        self.follow_ups: list[Task] = []
        self.notifies: list[Notice] = []

    def _here(self, step: str | None, due_at: datetime | None, outcome: End | None, reason: str | None) -> Walk:
        return Walk(
            done=tuple(self.done),
            step=step,
            since=self.since,
            due_at=due_at,
            listens_since=self.listens_since,
            outcome=outcome,
            reason=reason,
            sends=tuple(self.sends),
            sets=self.sets,
            follow_ups=tuple(self.follow_ups),
            notifies=tuple(self.notifies),
            arms=self.arms,
        )

    def over(self, outcome: End, reason: str | None = None) -> Walk:
        """It ends here."""
        return self._here(None, None, outcome, reason)

    def until(self, moment: datetime, reason: str) -> Walk:
        """It stays where it is until then, and is over afterwards."""
        return (
            self.over("finished", reason) if self.now >= moment else self._here(self.enrolled.step, moment, None, None)
        )

    def after_last(self, campaign: Campaign) -> Walk:
        """The steps are done; the goal may still be reached."""
        within = campaign.goal.within if campaign.goal else None
        end = self.enrolled.entered_at + within if within else self.now
        return self._here(AFTER_LAST, end, None, None) if self.now < end else self.over("finished")

    def along(self, campaign: Campaign, place: int, sent: Mapping[str, Sent]) -> Walk:
        """Step by step until one has to be waited at; only ever forward."""
        while place < len(campaign.steps):
            step, name = campaign.steps[place], campaign.names[place]
            if step.exit is not None:
                self._took(name, step, "done")
                return self.over("exited", step.exit)
            if step.send is not None:
                planned = sent.get(name)
                if planned is None or planned.state in {"planned", "sending"}:
                    if planned is None:
                        self.sends.append(PlannedSend(name, step.send, step.capped))
                        self.listens_since = self.now
                    return self._here(name, None, None, None)
                if ended := self._settled(campaign, step, name, planned):
                    return ended
                target = place + 1
            elif (moment := self._waits(step)) is not None:
                return self._here(name, moment, None, None)
            else:
                target = self._act(campaign, step, name, place)
            if target <= place:
                return self.over("aborted", "went_back")
            place, self.since = target, self.now
        return self.after_last(campaign)

    def _took(self, name: str, step: Step, outcome: str, **explanation: Any) -> None:  # noqa: ANN401 - plain values
        self.done.append(StepDone(name, step.action, outcome, explanation))

    def _settled(self, campaign: Campaign, step: Step, name: str, planned: Sent) -> Walk | None:
        """Go on after a message, or end where it says that there can be no further one."""
        told = {"reason": planned.reason} if planned.reason else {}
        self._took(name, step, planned.state, **told)
        if planned.state != "skipped":
            return None
        if planned.reason == CAPPED and step.capped == "abort":
            return self.over("aborted", CAPPED)
        if campaign.kind == "marketing" and planned.reason in NEVER_AGAIN:
            return self.over("exited", planned.reason)
        return None

    def _waits(self, step: Step) -> datetime | None:
        """Until when this step is to be waited at; None: not, or not any more."""
        if step.wait is not None:
            end = self.since + step.wait
        elif step.wait_until is not None and step.timeout is not None:
            if self.seen.holds(step.wait_until, self.listens_since):
                return None
            end = self.since + step.timeout
        else:
            return None
        return end if self.now < end else None

    def _act(self, campaign: Campaign, step: Step, name: str, place: int) -> int:
        """Do what the step says; the place of the next one."""
        if step.wait_until is not None:
            held = self.seen.holds(step.wait_until, self.listens_since)
            go = None if held else step.otherwise
            self._took(name, step, "held" if held else "timed_out", **({"go": go} if go else {}))
            return campaign.target(go, place)
        if step.branch is not None:
            ways = (way for way in step.branch if way.when is None or self.seen.holds(way.when, self.listens_since))
            chosen = next(ways, None)
            told = {"go": chosen.go, **({"when": chosen.when.source} if chosen.when else {})} if chosen else {}
            self._took(name, step, "chosen" if chosen else "none", **told)
            return campaign.target(chosen.go if chosen else None, place)
        if step.split is not None:
            seed = f"{self.journey.name}/{self.enrolled.campaign}/{name}"
            arm = self.arms.get(name) or assigned(seed, self.enrolled.person_id, step.split)
            self.arms[name] = arm
            self._took(name, step, "chosen", go=arm)
            return campaign.target(arm, place)
        if step.set is not None:
            self.sets |= step.set
            self.seen = self.seen.answered(step.set)
        if step.follow_up is not None:
            asked = step.follow_up
            to = self.seen.facts.owner if asked.to == "owner" else asked.to
            due_at = due(self.journey, None, to, self.now, asked.within)
            self.follow_ups.append(Task(name, asked.text, to, due_at, asked.to == "owner"))
        if step.notify is not None:
            self.notifies.append(Notice(name, step.notify))
        self._took(name, step, "done")
        return campaign.target(step.go, place)
