"""One person's days ahead in campaigns: what is decided about them, and when, if they do nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schema.errors import Permanent
from schema.store import suppression
from schema.template import Frame, render, values_of
from workers.decide.entering import Entry, News, Past, enters, next_entry
from workers.decide.nurture import Enrolled, Sent, still, walk
from workers.decide.sending import Asked, Go, Later, verdict
from workers.simulate.campaign_tally import CampaignTally, Example, Plan, StepTally, Tally, Told

if TYPE_CHECKING:
    from schema.facts import Facts
    from schema.journey import Journey
    from schema.mailing.wanted import Consent
    from schema.store.suppression import Suppressed
    from workers.batch import Case

_MOST_LOOKS: Final = 1_000
"""Looks at one person; the campaigns' own laws end long before."""


@dataclass(slots=True)
class Going:
    """One enrolment, as it is now."""

    journey: Journey
    enrolled: Enrolled
    sent: dict[str, Sent]
    tally: CampaignTally
    example: Example | None
    due_at: datetime | None = None


class Life:
    """One person's time from now on, with everything that becomes due in it, in order."""

    def __init__(self, case: Case, plan: Plan, tally: Tally) -> None:
        self.case, self._plan, self._tally = case, plan, tally
        self._facts: Facts = case.facts
        self.person_id: str = case.lead["person_id"]
        address = self._facts.person.get("email")
        self.key = suppression.address_key(address) if address else None
        self.ahead: list[tuple[datetime, int, int, int, Callable[[datetime], None]]] = []
        self._number = count()
        self.purposes: set[str] = set()
        self.caps: set[Any] = set()
        self.consent: dict[str, Consent] = {}
        self.held: dict[str, Sequence[Suppressed]] = {}
        self.recent: list[datetime] = []
        self._past: dict[str, Past] = {}
        self._going: dict[str, Going] = {}

    def _expect(self, at: datetime, happen: Callable[[datetime], None], lane: int = 0, priority: int = 0) -> None:
        moment = max(at, self._plan.now)
        if moment < self._plan.until:
            heapq.heappush(self.ahead, (moment, lane, -priority, next(self._number), happen))

    def play(self) -> None:
        """Let everything happen that is due before the end."""
        looks = 0
        while self.ahead and looks < _MOST_LOOKS:
            at, _, _, _, happen = heapq.heappop(self.ahead)
            happen(at)
            looks += 1
        for going in self._going.values():
            going.tally.left += going.enrolled.step is not None

    # -- entering ------------------------------------------------------------------------------------------------------

    def may_enter(self, journey: Journey, past: Mapping[str, Past], asleep: set[str]) -> None:
        """Look now, and whenever a date comes, whether somebody enters."""
        wanted = {name for name in journey.campaigns if self._plan.campaign in {None, name}} - asleep
        if not wanted:
            return
        self._past |= past

        def look(at: datetime) -> None:
            for entry in enters(self._facts, journey, self._past, at, News()):
                if entry.campaign in wanted:
                    self._enter(journey, entry)
            following = next_entry(self._facts, journey, at)
            if following is not None:
                self._expect(following, look)

        following = next_entry(self._facts, journey, self._plan.now)
        now = [e for e in enters(self._facts, journey, self._past, self._plan.now, News()) if e.campaign in wanted]
        if now or (following is not None and following < self._plan.until):
            self._note(journey, wanted)
            self._expect(self._plan.now if now else following or self._plan.now, look)

    def _note(self, journey: Journey, campaigns: Iterable[str]) -> None:
        """What has to be known of this person before anything is played."""
        for name in campaigns:
            if journey.campaigns[name].kind == "marketing":
                self.purposes.add(journey.campaigns[name].purpose)
        self.caps |= {*(journey.mail.caps if journey.mail else ())}

    def _enter(self, journey: Journey, entry: Entry) -> None:
        campaign = journey.campaigns[entry.campaign]
        tally = self._tally[journey.name, entry.campaign]
        tally.entering[entry.by] += 1
        known = self._past.get(entry.campaign, Past(running=False, times=0))
        self._past[entry.campaign] = known._replace(running=True, times=known.times + 1, last_entered=entry.at)
        first = campaign.names[0]
        enrolled = Enrolled(entry.campaign, self.person_id, entry.at, first, entry.at, entry.at, holdout=entry.holdout)
        going = self._begin(journey, enrolled, {})
        self._tell(going, Told(entry.at, "entered", reason=entry.by))
        self._look(going, entry.at)

    def goes_on(
        self,
        journey: Journey,
        enrolled: Enrolled,
        sent: dict[str, Sent],
        due_at: datetime | None,
        planned: Mapping[str, datetime],
    ) -> None:
        """Take an enrolment up where it is."""
        going = self._begin(journey, enrolled, sent)
        if enrolled.campaign in journey.campaigns:
            self._note(journey, [enrolled.campaign])
        for step, at in planned.items():
            self._plan_send(going, step, at)
        if due_at is not None:
            self._wake(going, due_at)
        elif not planned:
            self._wake(going, self._plan.now)

    def _begin(self, journey: Journey, enrolled: Enrolled, sent: dict[str, Sent]) -> Going:
        tally = self._tally[journey.name, enrolled.campaign]
        tally.held_out += enrolled.holdout
        example = None
        if len(tally.examples) < self._plan.examples and not enrolled.holdout:
            example = Example(self.person_id, self.case.id, enrolled.campaign, [])
            tally.examples.append(example)
        going = Going(journey, enrolled, sent, tally, example)
        self._going[f"{journey.name}/{enrolled.campaign}/{enrolled.entered_at.isoformat()}"] = going
        return going

    # -- going on ------------------------------------------------------------------------------------------------------

    def _wake(self, going: Going, at: datetime) -> None:
        going.due_at = at

        def look(moment: datetime) -> None:
            if going.due_at == at:  # else it was looked at since
                self._look(going, moment)

        self._expect(at, look)

    def _look(self, going: Going, now: datetime) -> None:
        """As the worker does."""
        found = walk(going.enrolled, self._facts, going.journey, now, going.sent)
        going.enrolled = msgspec.structs.replace(
            going.enrolled,
            step=found.step,
            since=found.since,
            listens_since=found.listens_since,
            number=going.enrolled.number + len(found.done),
            arms=found.arms,
        )
        going.due_at = None
        if found.sets:
            self._facts.person["custom"] = {**(self._facts.person.get("custom") or {}), **found.sets}
            self._facts.know(person=self._facts.person)
        for send in found.sends:
            going.sent[send.step] = Sent("planned")
            self._plan_send(going, send.step, now)
        if found.outcome:
            name = going.enrolled.campaign
            going.tally.ends[found.outcome if not found.reason else f"{found.outcome}: {found.reason}"] += 1
            self._tell(going, Told(now, found.outcome, reason=found.reason))
            known = self._past.get(name)
            if known:
                self._past[name] = known._replace(running=False, last_ended=now)
        elif found.due_at is not None:
            self._wake(going, found.due_at)

    def _plan_send(self, going: Going, step: str, at: datetime) -> None:
        campaign = going.journey.campaigns.get(going.enrolled.campaign)
        if campaign is None or step not in campaign.names:
            return
        lane = 1 if campaign.kind == "service" else 2
        self._expect(at, lambda moment: self._claim(going, step, moment), lane, campaign.priority)

    def _claim(self, going: Going, step: str, now: datetime) -> None:
        """As the sender does: it asks again, and sends, puts off or lets be."""
        campaign = going.journey.campaigns[going.enrolled.campaign]
        wanted = campaign.steps[campaign.place(step)]
        template = wanted.send or ""
        purpose = campaign.purpose if campaign.kind == "marketing" else None
        told = going.tally.steps.setdefault(step, StepTally(template))
        send = {"purpose": purpose, "capped": wanted.capped, "campaign": going.enrolled.campaign, "planned_at": now}
        asked = Asked(
            send,
            self._facts,
            going.journey,
            self.key,
            over=still(going.enrolled, self._facts, going.journey, now),
            suppressed=self.held.get(purpose or "", ()),
            consent=self.consent,
            recent=self.recent,
        )
        found = verdict(asked, now)
        refused = None if isinstance(found, Go | Later) else found.reason
        refused = refused or (self._unfilled(going.journey, template) if isinstance(found, Go) else None)
        if isinstance(found, Later):
            told.put_off[found.reason] += 1
            self._tell(going, Told(now, "put_off", step, template, found.reason, found.at))
            self._plan_send(going, step, found.at)
            return
        if refused:
            told.skipped[refused] += 1
            self._tell(going, Told(now, "skipped", step, template, refused))
        else:
            told.days[now.date()] += 1
            self._tell(going, Told(now, "sent", step, template))
            if purpose is not None:
                self.recent.append(now)
        going.sent[step] = Sent("skipped" if refused else "sent", refused)
        self._look(going, now)

    def _unfilled(self, journey: Journey, name: str) -> str | None:
        """Why a template cannot be filled in for this person, with the field that is missing; None: it can."""
        _, wording = journey.templates[name].said_in(self._facts.person.get("language"))
        if not any("{" in (part or "") for part in (wording.subject, wording.text, wording.html, wording.preview)):
            return None
        try:
            render(wording, values_of(self._facts, journey), Frame())
        except Permanent as error:
            field = error.facts.get("field")
            return f"{error.code}: {field}" if field else error.code
        return None

    def _tell(self, going: Going, told: Told) -> None:
        if going.example is not None:
            going.example.story.append(told)
