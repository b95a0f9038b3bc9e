"""
Claim: what is due to be sent, decided about one by one, and taken in hand.

One transaction that locks sends and nothing else, and never waits for a lock. It leaves what goes as `sending` with its
message written, and what has to wait with its reason; what is not to be sent is told to the caller, who writes it down
with its enrolment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from schema.consent import MARKETING
from schema.errors import Permanent
from schema.mailing.message import ANSWER, OPT_IN, SURVEY, Written, write, write_notice
from schema.mailing.wanted import Consent
from schema.store import consents, sends, suppression
from schema.store.tickets import answers
from workers.batch import Batch
from workers.decide.nurture import Enrolled, still
from workers.decide.sending import SURVEYS, Asked, Go, Later, No, verdict
from workers.followups import digests

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from schema.journey import Journey
    from schema.mailing.message import Place
    from schema.store.journeys import JourneyBook
    from workers.batch import Case
    from workers.sending.pace import Pace

    Row = Mapping[str, Any]

_MOST_ASKED: Final = 3
"""Mails a day that ask one person to confirm: a form that others fill in with their address is no way to pester."""
_LOOK_AGAIN: Final = timedelta(minutes=10)
"""When a message is looked at again that waits for somebody to set our address."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A message to be handed over."""

    id: str
    claimed_at: datetime
    enrolment_id: str | None
    attempts: int
    lane: int
    domain: str
    """Whose pace it keeps."""
    written: Written = field(repr=False)


@dataclass(slots=True)
class Claim:
    """What a claim found: messages in hand, what is not to be sent and why, and how many rows it looked at."""

    ready: list[Ready] = field(default_factory=list)
    refused: dict[str, No] = field(default_factory=dict)
    enrolled: set[str] = field(default_factory=set)
    """The enrolments of what is refused."""
    put_off: int = 0
    looked_at: int = 0


@dataclass(frozen=True, slots=True)
class Claimer:
    """Claims for one process. `reachable`: somebody has said under which address our links lead to us."""

    book: JourneyBook
    place: Place
    pace: Pace
    reachable: bool
    most: int

    def claim(self, connection: Connection, lanes: Collection[int], now: datetime) -> Claim:
        """Take what is due in these lanes, service mail first."""
        found = self._due(connection, lanes, now)
        batch = Batch(connection, self.book, now, "deliver")
        younger = set(batch.load({row["lead_id"] for row in found} - {None}))
        found = [row for row in found if row["lead_id"] not in younger]
        asking = _Asking(self, batch, found)
        claim = Claim(looked_at=len(found))
        going: list[dict[str, Any]] = []
        later: list[dict[str, Any]] = []
        for row in sorted(found, key=lambda row: (row["lane"], -row["priority"], row["due_at"])):
            answer = asking.ask(row)
            if isinstance(answer, No):
                claim.refused[row["id"]] = answer
                claim.enrolled |= {row["enrolment_id"]} - {None}
            elif isinstance(answer, Later):
                later.append({"id": row["id"], "due_at": answer.at, "reason": answer.reason})
            else:
                going.append(answer)
        planned = {row["id"]: row for row in found}
        claim.ready = [asking.ready(planned[row["id"]], row) for row in going]
        claim.put_off = len(later)
        sends.take(connection, going, later)
        return claim

    def _due(self, connection: Connection, lanes: Collection[int], now: datetime) -> list[Row]:
        """Lock what is due, with everything else that is due to the same people."""
        unread = set(self.book.unreadable())
        found: list[RowMapping] = []
        for lane in sorted(lanes):
            if len(found) < self.most:
                due = sends.due(connection, lane, now, unread, self.most - len(found))
                found += sends.park(connection, due, now)
        people = sends.lock_people(connection, {row["person_id"] for row in found if row["lane"]})
        found = [row for row in found if not row["lane"] or row["person_id"] in people]
        others = sends.siblings(connection, people, [row["id"] for row in found], now, unread)
        found += sends.park(connection, others, now)
        return [dict(row) for row in found if self.book.readable(connection, row["journey"])]


class _Asking:
    """What is known about the sends of one claim, read once for all of them."""

    def __init__(self, claimer: Claimer, batch: Batch, found: Sequence[Row]) -> None:
        self._claimer = claimer
        self._batch = batch
        self.written: dict[str, Written] = {}
        connection, now = batch.connection, batch.now
        marketing = [row for row in found if row["purpose"] is not None]
        people = {row["person_id"] for row in marketing}
        self._keys = {row["id"]: self._key(row) for row in found}
        wanted = {(key, _purpose(row) or "") for row in found if (key := self._keys[row["id"]])}
        self._suppressed = suppression.suppressed(connection, claimer.place.pepper, wanted, now)
        asked = {row["purpose"] for row in marketing} | {MARKETING} if marketing else set()
        self._consent = {purpose: consents.standing(connection, people, purpose) for purpose in sorted(asked)}
        if surveyed := {row["person_id"] for row in found if row["campaign"] == SURVEY}:
            self._consent[SURVEYS] = consents.standing(connection, surveyed, SURVEYS)
        self._enrolled = sends.enrolments(connection, {row["enrolment_id"] for row in found} - {None})
        caps = [cap.per for row in marketing if (mail := self._journey(row).mail) for cap in mail.caps]
        self._answers = answers(connection, [row for row in found if row["campaign"] == ANSWER])
        self._asked = sends.asked(connection, [row["person_id"] for row in found if row["campaign"] == OPT_IN], now)
        self._recent = sends.recent(connection, people, now - max(caps)) if caps else {}

    def ask(self, row: Row) -> Later | No | dict[str, Any]:
        """Decide about one send; a message that goes is written, and its row returned as it is to be kept."""
        if row["staff"] is not None:
            return self._notice(row)
        case = self._batch.cases.get(row["lead_id"])
        if case is None:
            return No("lead_gone")
        if row["campaign"] == OPT_IN and self._asked.get(row["person_id"], 0) >= _MOST_ASKED:
            return No("asked_often")
        found = verdict(self._known(row, case), self._batch.now)
        return self._write(row, case, found) if isinstance(found, Go) else found

    def _notice(self, row: Row) -> Later | No | dict[str, Any]:
        """Decide about a digest for one of the journey's people, and write what it says now."""
        connection, now = self._batch.connection, self._batch.now
        journey = self._staffed(row)
        if journey is None or self._day_over(row, journey, now):
            return No("person_gone" if journey is None else "day_over")
        person = journey.people[row["staff"]]
        if held := self._suppressed.get((self._keys[row["id"]] or "", ""), ()):
            return No(held[0].reason)
        found = digests.written(connection, self._claimer.book, journey, row["staff"], now)
        if found is None:
            return No("nothing_due")
        if later := self._turn(row):
            return later
        try:
            written = write_notice(row["id"], journey, person.email, *found, now)
        except Permanent as error:
            return No(error.code)
        return self._going(row, written, None)

    def _day_over(self, row: Row, journey: Journey, now: datetime) -> bool:
        """Whether the day of a digest is over where its reader is."""
        day: str = row["entry_key"]
        return now.astimezone(ZoneInfo(journey.people[row["staff"]].tz)).date().isoformat() > day

    def _staffed(self, row: Row) -> Journey | None:
        """The active version of the journey, while whom it goes to is among its people."""
        journey = self._claimer.book.by_name(self._batch.connection).get(row["journey_name"])
        return journey if journey and row["staff"] in journey.people else None

    def _key(self, row: Row) -> str | None:
        """The key of the address that a message goes to, as suppression knows it."""
        if row["staff"] is None:
            case = self._batch.cases.get(row["lead_id"])
            address = case.facts.person.get("email") if case else None
        else:
            journey = self._staffed(row)
            address = journey.people[row["staff"]].email if journey else None
        return suppression.address_key(address) if address else None

    def _known(self, row: Row, case: Case) -> Asked:
        key = self._keys[row["id"]]
        answers = {
            purpose: Consent(answer["id"], answer["state"] == "given", answer["at"])
            for purpose in (_purpose(row) or MARKETING, MARKETING)
            if (answer := self._consent.get(purpose, {}).get(row["person_id"]))
        }
        return Asked(
            row,
            case.facts,
            self._journey(row),
            key,
            test=case.lead["test"],
            over=self._over(row, case),
            suppressed=self._suppressed.get((key or "", _purpose(row) or ""), ()),
            consent=answers,
            recent=self._recent.get(row["person_id"], ()),
        )

    def _over(self, row: Row, case: Case) -> str | None:
        """Why the campaign does not want it any more."""
        if row["enrolment_id"] is None:
            return None
        enrolment = self._enrolled.get(row["enrolment_id"])
        if enrolment is None or enrolment["outcome"] is not None:
            return "over"
        enrolled = Enrolled(**{name: enrolment[name] for name in Enrolled.__struct_fields__})
        return still(enrolled, case.facts, self._journey(row), self._batch.now)

    def _write(self, row: Row, case: Case, go: Go) -> Later | No | dict[str, Any]:
        now, claimer = self._batch.now, self._claimer
        if not claimer.reachable and (row["lane"] or row["campaign"] in {OPT_IN, SURVEY}):
            return Later(now + _LOOK_AGAIN, "base_url_missing")
        answer = self._answers.get(row["id"])
        if answer is not None:
            source = self._journey(row).sources.get(answer["source"])
            row = {**row, "answer": answer | {"address": source.address if source else None}}
        elif row["campaign"] == ANSWER:
            return No("answer_gone")
        if later := self._turn(row):
            return later
        try:
            written = write(row, case.facts, self._journey(row), case.facts.person["email"], claimer.place, now)
        except Permanent as error:
            return No(error.code, str(error.facts.get("field") or "") or None)
        return self._going(row, written, go.consent_id)

    def _turn(self, row: Row) -> Later | None:
        """When a message may go whose turn has not come; asked before it is written, which costs more."""
        slot = self._claimer.pace.slot(self._domain(row), self._batch.now, row["lane"])
        return Later(slot, "paced") if slot > self._batch.now else None

    def _going(self, row: Row, written: Written, consent_id: str | None) -> dict[str, Any]:
        """The row of a message that goes."""
        now = self._batch.now
        self.written[row["id"]] = written
        if row["lane"]:
            self._recent.setdefault(row["person_id"], []).append(now)
        return {
            "id": row["id"],
            "state": "sending",
            "reason": None,
            "due_at": None,
            "attempts": row["attempts"] + 1,
            "claimed_at": now,
            "consent_id": consent_id,
            "links": written.links or None,
            "message_id": written.message_id,
            "ticket_id": row["data"].get("ticket"),
            "lead_id": row["lead_id"],
            "at": now,
        }

    def ready(self, row: Row, going: Row) -> Ready:
        """Return a message that goes, as it is handed over."""
        written, domain = self.written[row["id"]], self._domain(row)
        claimed_at, attempts = going["claimed_at"], going["attempts"]
        return Ready(row["id"], claimed_at, row["enrolment_id"], attempts, row["lane"], domain, written)

    def _domain(self, row: Row) -> str:
        return (self._keys[row["id"]] or "").rpartition("@")[2]

    def _journey(self, row: Row) -> Journey:
        return self._batch.book.version(self._batch.connection, row["journey"])


def _purpose(row: Row) -> str | None:
    """What somebody may have refused that a message is for."""
    return SURVEYS if row["campaign"] == SURVEY else row["purpose"]


def _key(case: Case | None) -> str | None:
    address = case.facts.person.get("email") if case else None
    return suppression.address_key(address) if address else None
