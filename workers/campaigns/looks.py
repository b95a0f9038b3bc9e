"""
Looks: the people who were there before a campaign was, and those whom somebody enrols by hand.

When a version is activated whose campaigns let people in `when` something holds, or by a date, every lead of the
journey is looked at once: in order of id, a portion in each transaction, how far it is kept in `campaign_look`. A look
that is interrupted goes on where it was; a lead in other hands is waited for, so that none is passed over.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema.errors import Permanent, Transient
from schema.store import clock
from schema.store.ids import uuid_array
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.campaigns.enrolments import enrol, enter, keep_changed, pasts
from workers.decide.nurture import Entry, held_out

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.journey import Journey
    from schema.journey.expressions import Expression
    from schema.store.campaigns import Place
    from workers.batch import Case
    from workers.runtime import Hinter

log = structlog.get_logger()

PORTION: Final = 500
SETTLED: Final = timedelta(seconds=10)
"""How long a version is active before its look begins: by then no process follows the one before it."""
_AT_ONCE_S: Final = 5.0
"""How long one hint's looking takes at most; then another hint, so that a worker can be stopped."""
_FIRST: Final = "00000000-0000-0000-0000-000000000000"

# Asked every second: it touches nothing where the look has begun, whose row a worker may have in hand.
_BEGIN: Final = text("""
INSERT INTO campaign_look AS l (journey_name, version, began_at)
SELECT name, version, :now FROM journey_active
WHERE name = :name AND version = :version AND activated_at <= :before
  AND NOT EXISTS (SELECT FROM campaign_look WHERE journey_name = :name AND version = :version)
ON CONFLICT (journey_name) DO UPDATE SET version = excluded.version, after = NULL, began_at = :now, done_at = NULL
WHERE l.version <> excluded.version
""")
_OPEN: Final = text("SELECT EXISTS (SELECT FROM campaign_look WHERE done_at IS NULL)")
# Whoever has the row looks; the others have nothing to do.
_TAKE: Final = text("""
SELECT journey_name, version, after FROM campaign_look
WHERE done_at IS NULL AND journey_name = ANY(CAST(:names AS text[]))
ORDER BY began_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_PAGE: Final = text("""
SELECT id FROM lead WHERE id > CAST(:after AS uuid) AND journey_name = :journey
ORDER BY id LIMIT :most FOR UPDATE
""")
_KEEP: Final = text("""
UPDATE campaign_look SET after = CAST(:after AS uuid), done_at = :done_at WHERE journey_name = :journey
""")
_NAMED: Final = text("""
SELECT id FROM lead WHERE id = ANY(CAST(:ids AS uuid[])) AND journey_name = :journey ORDER BY id FOR UPDATE
""")


def begin(connection: Connection, book: JourneyBook, now: datetime) -> bool:
    """Begin a look for each version that was activated and asks for one; tell whether any is under way."""
    asked = False
    for name, journey in book.by_name(connection).items():
        if journey is not None and _lets_in_by_itself(journey):
            asked = True
            wanted = {"name": name, "version": journey.version, "now": now, "before": now - SETTLED}
            connection.execute(_BEGIN, wanted)
    return asked and bool(connection.execute(_OPEN).scalar_one())


def _lets_in_by_itself(journey: Journey) -> bool:
    """Whether a campaign has a way in that needs nothing to happen."""
    ways = [way for campaign in journey.campaigns.values() for way in campaign.enter]
    return any(way.state is None and way.event is None for way in ways)


class Looker:
    """Looks for one process."""

    def __init__(
        self, engine: Engine, hints: Hinter, book: JourneyBook | None = None, *, portion: int = PORTION
    ) -> None:
        self._engine = engine
        self._most = portion
        self._hints = hints
        self._book = book or JourneyBook()

    def hear(self, now: datetime | None = None) -> int:
        """Look at some leads, if a look is under way; return at how many. What fails is tried again another time."""
        looked, until = 0, time.monotonic() + _AT_ONCE_S
        try:
            while found := self._portion(now or clock.now()):
                looked += found
                if time.monotonic() >= until:
                    self._hints.send("nurture", ())
                    break
        except (Transient, DBAPIError) as error:
            log.warning("look.postponed", exc_info=error)
        return looked

    def _portion(self, now: datetime) -> int:
        with self._engine.begin() as connection:
            names = [name for name, journey in self._book.by_name(connection).items() if journey is not None]
            look = connection.execute(_TAKE, {"names": names}).one_or_none()
            if look is None:
                return 0
            journey = self._book.version(connection, look.version)
            wanted = {"after": look.after or _FIRST, "journey": look.journey_name, "most": self._most}
            ids = list(connection.execute(_PAGE, wanted).scalars())
            batch = Batch(connection, self._book, now, "nurture")
            seen = _until_younger(ids, batch.load(ids)) if ids else []
            batch.cases = {lead: batch.cases[lead] for lead in seen}
            entered = enter(batch, [(case, journey) for case in batch.cases.values() if not case.lead["test"]])
            keep_changed(batch)
            batch.record()
            done_at = now if len(ids) < self._most and len(seen) == len(ids) else None
            kept = {"after": seen[-1] if seen else look.after, "done_at": done_at, "journey": look.journey_name}
            connection.execute(_KEEP, kept)
        for name, named in batch.hints.items():
            self._hints.send(name, named)
        log.info("look.portion", journey=look.journey_name, leads=len(seen), entered=entered, done=done_at is not None)
        return 0 if done_at else max(1, len(seen))


def _until_younger(ids: Sequence[str], younger: Collection[str]) -> list[str]:
    """Those before the first that is not to be had in this transaction, but in the next one."""
    first = min(younger, default=None)
    return [lead for lead in ids if first is None or lead < first]


# -- by hand -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Enrolled:
    """What became of leads that were to be enrolled: how many entered, and why others did not, by reason."""

    looked_at: int = 0
    entered: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"looked_at": self.looked_at, "entered": self.entered, "not_entered": dict(self.refused)}


def enrol_leads(  # noqa: PLR0913 - what may be asked for
    engine: Engine,
    place: Place,
    leads: Sequence[str] | None,
    *,
    actor: str,
    when: Expression | None = None,
    again: bool = False,
    dry_run: bool = False,
    now: datetime | None = None,
    tell: Callable[[int], None] = lambda _looked_at: None,
    hint: Callable[[str, Sequence[str]], None] = lambda _step, _ids: None,
) -> dict[str, Any]:
    """
    Enrol the leads named (None: all of the journey) for which `when` holds; also leads that only files told us of.

    Who is in the campaign stays where they are; who was in it before enters only if it lets them in once more, or with
    `again`. A transaction for each portion; `tell` hears at how many leads it has looked. Returns `looked_at`,
    `entered` and `not_entered`, by reason.

    :raises Permanent: `campaign_over`, no active version has it any more
    """
    if place.journey is None:
        raise Permanent("campaign_over", f"{place.name} is in no active version any more: nobody new enters it.")
    book, found, after = JourneyBook(), Enrolled(), _FIRST
    left = sorted(set(leads)) if leads is not None else None
    while left is None or left:
        with engine.connect() as connection, connection.begin() as transaction:
            ids = _page(connection, place, left, after)
            if not ids and left is None:
                break
            batch = Batch(connection, book, now or clock.now(), "nurture")
            younger = batch.load(ids) if ids else []
            seen = _until_younger(ids, younger)
            batch.cases = {lead: batch.cases[lead] for lead in seen}
            _enrol(batch, place, place.journey, found, actor, when, again=again)
            keep_changed(batch)
            batch.record()
            if dry_run:
                transaction.rollback()
        if not dry_run:
            for name, named in batch.hints.items():
                hint(name, named)
        found.looked_at += len(seen)
        tell(found.looked_at)
        after = seen[-1] if seen else after
        if left is not None:
            gone = set(left[:PORTION]) - set(ids)
            found.refused += Counter(lead_unknown=len(gone))
            left = [lead for lead in left[:PORTION] if lead in set(ids) - set(seen)] + left[PORTION:]
    return found.report() | {"dry_run": dry_run}


def _page(connection: Connection, place: Place, left: Sequence[str] | None, after: str) -> list[str]:
    if left is None:
        wanted: dict[str, Any] = {"after": after, "journey": place.journey_name, "most": PORTION}
        return list(connection.execute(_PAGE, wanted).scalars())
    named = {"ids": uuid_array(left[:PORTION]), "journey": place.journey_name}
    return list(connection.execute(_NAMED, named).scalars())


def _enrol(
    batch: Batch,
    place: Place,
    journey: Journey,
    found: Enrolled,
    actor: str,
    when: Expression | None,
    *,
    again: bool,
) -> None:
    past = pasts(batch, batch.cases.values())
    occasions = []
    for case in batch.cases.values():
        before = past.get((case.lead["person_id"], journey.name), {}).get(place.name)
        refusal = _refusal(case, journey, when)
        if refusal is None and before is not None:
            refusal = "is_in_it" if before.running else "was_in_it" if _once(journey, place) and not again else None
        if refusal is not None:
            found.refused[refusal] += 1
            continue
        key = f"by_hand:{before.times + 1 if before else 1}"
        out = held_out(journey, place.name, case.lead["person_id"])
        occasions.append((case, journey, Entry(place.name, key, actor, out, batch.now)))
    entered = len(enrol(batch, occasions))
    found.entered += entered
    found.refused += Counter(is_in_it=len(occasions) - entered)


def _refusal(case: Case, journey: Journey, when: Expression | None) -> str | None:
    if case.lead["test"]:
        return "test"
    if when is not None and when.evaluate(case.facts.seen_by(when, journey)) is not True:
        return "condition"
    return None


def _once(journey: Journey, place: Place) -> bool:
    return journey.campaigns[place.name].again == "once"
