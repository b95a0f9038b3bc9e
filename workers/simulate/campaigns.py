"""
Campaigns ahead of time: who would get what and when over the next days, if nobody did anything.

The decisions are the ones that people are really carried by (`workers.decide.nurture`, `workers.decide.sending`), under
a clock that jumps from one due moment to the next. Whoever is in a campaign goes on in it; whoever would enter by a
condition or a date enters. Who will come into a state or do something nobody can know.

Read from one snapshot, nothing is written. People do not depend on one another here, so they are played in batches.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import text

from schema.consent import MARKETING
from schema.mailing.wanted import Consent
from schema.store import consents, sends, suppression
from schema.store.ids import uuid_array
from workers.batch import Batch
from workers.decide.entering import Past
from workers.decide.nurture import Enrolled, Sent
from workers.simulate.campaign_life import Life
from workers.simulate.campaign_tally import CampaignTally, Plan, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from schema.journey import Journey
    from schema.store.journeys import JourneyBook

CHUNK: Final = 1_000
"""Leads that are read at once."""
_FIRST: Final = "00000000-0000-0000-0000-000000000000"
"""Before every id."""

_IN_IT: Final = text("""
SELECT DISTINCT lead_id AS id FROM enrolment WHERE outcome IS NULL AND lead_id > CAST(:after AS uuid)
  AND (CAST(:campaign AS text) IS NULL OR campaign = :campaign)
ORDER BY lead_id LIMIT :limit
""")
_EVERYBODY: Final = text("""
SELECT id FROM lead WHERE id > CAST(:after AS uuid) ORDER BY id LIMIT :limit
""")
_ENROLMENTS: Final = text("""
SELECT * FROM enrolment WHERE lead_id = ANY(CAST(:ids AS uuid[])) AND outcome IS NULL
  AND (CAST(:campaign AS text) IS NULL OR campaign = :campaign)
ORDER BY id
""")
_SENDS: Final = text("""
SELECT s.enrolment_id, s.step, s.state, s.reason, s.due_at, s.planned_at
FROM jsonb_to_recordset(CAST(:enrolments AS jsonb)) AS e(id uuid, person_id uuid)
JOIN send AS s ON s.person_id = e.person_id AND s.enrolment_id = e.id
""")
_PAST: Final = text("""
SELECT person_id, journey_name, campaign, bool_or(outcome IS NULL) AS running, count(*) AS times,
       max(entered_at) AS last_entered, max(ended_at) AS last_ended
FROM enrolment WHERE person_id = ANY(CAST(:people AS uuid[])) GROUP BY person_id, journey_name, campaign
""")
_STANDING_STILL: Final = text("""
SELECT journey_name, campaign FROM campaign_state WHERE paused_at IS NOT NULL OR held_at IS NOT NULL
""")


def play(
    connection: Connection, book: JourneyBook, plan: Plan, draft: Journey | None, tell: Callable[[int], None]
) -> Tally:
    """
    Play everything from `plan.now` to `plan.until`; `draft` takes the place of its journey for those who enter.

    `tell` hears how many leads have been looked at.
    """
    tally: Tally = defaultdict(CampaignTally)
    asleep = {(row.journey_name, row.campaign) for row in connection.execute(_STANDING_STILL)}
    after, seen = _FIRST, 0
    statement = _EVERYBODY if _may_enter(connection, book, plan, draft) else _IN_IT
    while True:
        asked = {"after": after, "limit": CHUNK, "campaign": plan.campaign}
        ids = list(connection.execute(statement, asked).scalars())
        if not ids:
            return tally
        _Chunk(connection, book, plan, draft, asleep, tally).play(ids)
        after = ids[-1]
        seen += len(ids)
        tell(seen)


def _may_enter(connection: Connection, book: JourneyBook, plan: Plan, draft: Journey | None) -> bool:
    """Whether anybody can be known to enter: by a condition, or by a date."""
    journeys = [*book.active(connection), *([draft] if draft else [])]
    ways = [
        way
        for journey in journeys
        for name, campaign in journey.campaigns.items()
        if plan.campaign in {None, name}
        for way in campaign.enter
    ]
    return not plan.running_only and any(not (way.state or way.event) for way in ways)


class _Chunk:
    """Some leads, with all that is known about them."""

    def __init__(
        self,
        connection: Connection,
        book: JourneyBook,
        plan: Plan,
        draft: Journey | None,
        asleep: set[tuple[str, str]],
        tally: Tally,
    ) -> None:
        self._connection, self._book, self._plan = connection, book, plan
        self._draft, self._asleep, self._tally = draft, asleep, tally

    def play(self, ids: Sequence[str]) -> None:
        """Carry each lead's person through what they are in and what they enter."""
        asked = {"ids": uuid_array(ids), "campaign": self._plan.campaign}
        running: dict[str, list[RowMapping]] = defaultdict(list)
        for row in self._connection.execute(_ENROLMENTS, asked).mappings():
            running[row["lead_id"]].append(row)
        batch = Batch(self._connection, self._book, self._plan.now, "nurture")
        batch.load(ids)
        sent, planned = self._messages([row for rows in running.values() for row in rows])
        people = {case.lead["person_id"] for case in batch.cases.values()}
        past = self._past(people) if not self._plan.running_only else {}
        lives = []
        for case in batch.cases.values():
            if case.lead["test"]:
                continue
            life = Life(case, self._plan, self._tally)
            for row in running[case.id]:
                self._take_up(life, row, sent[row["id"]], planned[row["id"]])
            if not self._plan.running_only and not case.facts.quiet:
                self._may_enter(life, past.get(case.lead["person_id"], {}))
            if life.ahead:
                lives.append(life)
            else:
                life.play()
        self._know(lives)
        for life in lives:
            life.play()

    def _messages(
        self, enrolments: Sequence[RowMapping]
    ) -> tuple[dict[str, dict[str, Sent]], dict[str, dict[str, datetime]]]:
        """What became of the messages of these enrolments by step, and when those that wait are due."""
        sent: dict[str, dict[str, Sent]] = defaultdict(dict)
        planned: dict[str, dict[str, datetime]] = defaultdict(dict)
        if enrolments:
            wanted = [{"id": row["id"], "person_id": row["person_id"]} for row in enrolments]
            found = self._connection.execute(_SENDS, {"enrolments": msgspec.json.encode(wanted).decode()})
            for row in found:
                # What is on its way counts as gone.
                sent[row.enrolment_id][row.step] = Sent("sent" if row.state == "sending" else row.state, row.reason)
                if row.state == "planned":
                    planned[row.enrolment_id][row.step] = row.due_at
        return sent, planned

    def _past(self, people: Iterable[str]) -> dict[str, dict[tuple[str, str], Past]]:
        found: dict[str, dict[tuple[str, str], Past]] = defaultdict(dict)
        for row in self._connection.execute(_PAST, {"people": uuid_array(people)}):
            past = Past(row.running, row.times, row.last_entered, row.last_ended)
            found[row.person_id][row.journey_name, row.campaign] = past
        return found

    def _take_up(self, life: Life, row: RowMapping, sent: dict[str, Sent], planned: Mapping[str, datetime]) -> None:
        """Go on with somebody who is in a campaign, by the version they entered with."""
        tally = self._tally[row["journey_name"], row["campaign"]]
        tally.running += 1
        if (row["journey_name"], row["campaign"]) in self._asleep:
            tally.stands_still += 1
            tally.left += 1
            return
        if not self._book.readable(self._connection, row["journey"]):
            return
        journey = self._book.version(self._connection, row["journey"])
        enrolled = Enrolled(**{name: row[name] for name in Enrolled.__struct_fields__})
        life.goes_on(journey, enrolled, sent, row["due_at"], planned)

    def _may_enter(self, life: Life, past: Mapping[tuple[str, str], Past]) -> None:
        name = life.case.lead["journey_name"]
        journey = self._draft if self._draft and self._draft.name == name else self._active(name)
        if journey is None or not journey.campaigns:
            return
        before = {campaign: known for (of, campaign), known in past.items() if of == name}
        life.may_enter(journey, before, {campaign for of, campaign in self._asleep if of == name})

    def _active(self, name: str) -> Journey | None:
        return self._book.by_name(self._connection).get(name)

    def _know(self, lives: Sequence[Life]) -> None:
        """Read what the sender will ask: answers about consent, addresses held back, what went out lately."""
        marketing = [life for life in lives if life.purposes]
        people = {life.person_id for life in marketing}
        purposes = {purpose for life in marketing for purpose in life.purposes} | {MARKETING}
        connection, now = self._connection, self._plan.now
        answers = {purpose: consents.standing(connection, people, purpose) for purpose in purposes} if people else {}
        wanted = {(life.key, purpose) for life in lives if life.key for purpose in (*life.purposes, "")}
        held = suppression.suppressed(connection, self._plan.pepper, wanted, now) if wanted else {}
        longest = max((cap.per for life in lives for cap in life.caps), default=timedelta())
        recent = sends.recent(connection, people, now - longest) if longest and people else {}
        for life in marketing:
            life.recent = list(recent.get(life.person_id, ()))
        for life in lives:
            life.consent = {
                purpose: Consent(answer["id"], answer["state"] == "given", answer["at"])
                for purpose, by_person in answers.items()
                if (answer := by_person.get(life.person_id))
            }
            life.held = {purpose: held.get((life.key or "", purpose), ()) for purpose in (*life.purposes, "")}
