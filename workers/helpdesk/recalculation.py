"""
Recalculation: the clocks of tickets are counted by the active version of their journey from now on.

    hears   whoever asks, and the sweep after another version was activated
    reads   tickets of other versions with clocks that run and are not breached
    writes  the ticket's version, its policy and what of its clocks changes by that; an entry that says so
    tells   what is passed by the new hours and was not by the old

What is breached or stopped stays as it is, and so does a ticket of a kind that the version does not know. Portions in
order of id, each a short transaction of its own: a recalculation that was interrupted goes on when it is asked for
again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import text

from schema.errors import Permanent, Transient
from schema.log import described
from schema.store import clock, journeys
from schema.store.engine import is_transient
from schema.store.ids import uuid_array
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.helpdesk import clocks, tickets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from schema.journey import Journey
    from schema.sla import Clock
    from workers.decide.clock import Life
    from workers.runtime import Hinter

log = structlog.get_logger()

PORTION: Final = 200
_ATTEMPTS: Final = 10
"""A transaction that waited for a lead may be older than one that told events of it meanwhile; the next is not."""
_LATER: Final = timedelta(seconds=30)
"""How long the sweep leaves a journey alone whose tickets could not be had."""
_FIRST: Final = "00000000-0000-0000-0000-000000000000"

# Running clocks by their version and ticket: one look into the index for each other version.
_PAGE: Final = text("""
SELECT id, lead_id FROM ticket WHERE id = ANY(ARRAY(
    SELECT DISTINCT found.ticket_id FROM journey CROSS JOIN LATERAL (
        SELECT ticket_id FROM ticket_clock
        WHERE journey = journey.version AND stopped_at IS NULL AND state <> 'breached'
          AND ticket_id > CAST(:after AS uuid)
        ORDER BY ticket_id LIMIT 2 * :most
    ) AS found
    WHERE journey.name = :name AND journey.version <> :version ORDER BY found.ticket_id LIMIT :most
)) ORDER BY id
""")
_LOCK: Final = text("SELECT id FROM lead WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
_WHAT: Final = ("sooner", "later", "same", "dropped", "added", "breached")


@dataclass(slots=True)
class Report:
    """
    What a recalculation did, or would do.

    `clocks` counts what becomes due `sooner`, `later` or at the `same` time, what is `dropped` and `added`, and what is
    `breached` by it at once. `left` are tickets of kinds that the version does not know. `most` is the longest time by
    which something is due sooner or later.
    """

    journey: str
    version: str
    tickets: int = 0
    left: int = 0
    clocks: Counter[str] = field(default_factory=Counter)
    most: dict[str, timedelta] = field(default_factory=dict)
    last: str = _FIRST
    done: bool = False

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "journey": self.journey,
            "version": self.version,
            "tickets": self.tickets,
            "left": self.left,
            "clocks": {what: self.clocks[what] for what in _WHAT},
            "most_s": {way: int(by.total_seconds()) for way, by in sorted(self.most.items())},
        }


def recalculate(
    engine: Engine,
    name: str | None,
    *,
    actor: str,
    hint: Callable[[str, Sequence[str]], None],
    dry_run: bool = False,
    most: int | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """
    Have the tickets of a journey that run by other versions be counted by the active one; return what that changes.

    Without a `name` it is the one journey that is active. `most`: after so many tickets it stops, with `more` to do.

    :raises Permanent: `journey_not_named`, `journey_not_active`; `service_unknown`, the version knows no tickets
    :raises Transient: `lead_busy`, others tell events of a lead without end
    """
    book = JourneyBook()
    with engine.begin() as connection:
        named = name or journeys.active_name(connection)
        journey = book.version(connection, journeys.active_version(connection, named))
    if journey.service is None:
        raise Permanent("service_unknown", f"The active version of {named} has no `service`: it knows no tickets.")
    report, at = Report(journey.name, journey.version), now or clock.now()
    while not report.done and (most is None or report.tickets + report.left < most):
        for step, ids in portion(engine, book, journey, at, report, actor=actor, dry_run=dry_run).items():
            hint(step, ids)
    return report.facts() | {"more": not report.done, "dry_run": dry_run}


class Recalculating:
    """What the sweep of one process does about it: when another version is active, a portion in each sweep."""

    def __init__(self, engine: Engine, hints: Hinter, book: JourneyBook) -> None:
        self._engine = engine
        self._hints = hints
        self._book = book
        self._reports: dict[str, Report] = {}
        self._again_at: dict[str, datetime] = {}

    def go_on(self, now: datetime) -> None:
        """Do a portion of what is left. A ticket that cannot be recalculated holds nothing else up."""
        with self._engine.begin() as connection:
            active = self._book.active(connection)
        for journey in active:
            report = self._reports.get(journey.name)
            if report is None or report.version != journey.version:
                report = self._reports[journey.name] = Report(journey.name, journey.version)
            if report.done or journey.service is None or now < self._again_at.get(journey.name, now):
                continue
            try:
                for step, ids in portion(self._engine, self._book, journey, now, report).items():
                    self._hints.send(step, ids)
            except Exception as error:  # noqa: BLE001 - whatever it is, everything else goes on
                report.done = not isinstance(error, Transient) and not is_transient(error)
                self._again_at[journey.name] = now + _LATER
                log.warning("recalculation.postponed", journey=journey.name, error=described(error))
            if report.done and report.tickets:
                log.info("recalculation.done", **report.facts())


def portion(  # noqa: PLR0913 - what one portion is told
    engine: Engine,
    book: JourneyBook,
    journey: Journey,
    now: datetime,
    report: Report,
    *,
    actor: str = "journey",
    dry_run: bool = False,
    most: int = PORTION,
) -> Mapping[str, Sequence[str]]:
    """Go on with a recalculation by at most so many tickets; return what is to be hinted at, by queue."""
    for _ in range(_ATTEMPTS):
        with engine.connect() as connection:
            wanted = {"name": journey.name, "version": journey.version, "after": report.last, "most": most}
            found = connection.execute(_PAGE, wanted).all()
            connection.execute(_LOCK, {"ids": uuid_array({row.lead_id for row in found})})
            batch = Batch(connection, book, now, "followup")
            # Read once more now that nobody else has them; one may be another lead's since.
            if batch.load({row.lead_id for row in found}):
                connection.rollback()
                continue
            _follow(batch, [row.id for row in found], journey, report, actor)
            batch.record()
            if dry_run:
                connection.rollback()
            else:
                connection.commit()
            report.done = len(found) < most
            report.last = found[-1].id if found else report.last
            return {} if dry_run else batch.hints
    raise Transient("lead_busy")


def _follow(batch: Batch, ids: Sequence[str], journey: Journey, report: Report, actor: str) -> None:
    """Have tickets in hand follow a version, and count what that changes."""
    kinds = journey.service.kinds if journey.service else {}
    clocks.gather(batch, ids)
    before: dict[str, dict[tuple[str, int], Clock]] = {}
    for ticket in batch.tickets.load(ids):
        if ticket["lead_id"] not in batch.cases:
            continue
        if ticket["kind"] not in kinds:
            report.left += 1
            continue
        before[ticket["id"]] = dict(batch.clocks[ticket["id"]].clocks)
        was, ticket["journey"] = ticket["journey"], journey.version
        batch.tickets.note(ticket, "changed", actor, data={"journey": {"from": was, "to": journey.version}})
    tickets.settle(batch)
    for ticket_id, clocks_before in before.items():
        report.tickets += 1
        _count(clocks_before, batch.clocks[ticket_id], report)


def _count(before: Mapping[tuple[str, int], Clock], life: Life, report: Report) -> None:
    for place, now in life.clocks.items():
        was = before.get(place)
        if was is None:
            report.clocks["added"] += 1
        elif was.running and was.state != "breached":
            report.clocks[_what(was, now, report)] += 1
            report.clocks["breached"] += now.state in {"breached", "missed"}


def _what(was: Clock, now: Clock, report: Report) -> str:
    if now.state == "cancelled":
        return "dropped"
    if was.due_at is None or now.due_at is None:  # it stands still: more or less time is left of it
        by = timedelta(seconds=now.target_s - was.target_s)
    else:
        by = now.due_at - was.due_at
    if not by:
        return "same"
    way = "later" if by > timedelta() else "sooner"
    report.most[way] = max(report.most.get(way, timedelta()), abs(by))
    return way
