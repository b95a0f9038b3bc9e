"""
Follow: people under way in a campaign go on by another version of it.

    hears   whoever asks, over HTTP or on the command line
    reads   who is under way in the versions to leave
    writes  the version of their enrolment and, where it has another name there, their step; makes them due

Who is under way stays with the version they entered unless this is asked for. A step is found again by its name; those
at a step that the new version does not have stay where they are, or leave the campaign if that is asked for. Portions
in order of id, each a transaction of its own, with the leads locked as for every change of an enrolment; a run that
was interrupted goes on when it is asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent
from schema.events import CampaignExited
from schema.journey.fields import nearest
from schema.store import clock, journeys
from schema.store.ids import uuid_array
from schema.store.journeys import JourneyBook
from schema.store.rows import as_json
from workers.batch import Batch
from workers.campaigns.enrolments import keep_changed
from workers.decide.nurture import AFTER_LAST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.journey import Journey
    from schema.store.campaigns import Place

PORTION: Final = 500
GONE: Final = "step_gone"
"""The reason of those who left since the new version does not have their step."""
_FIRST: Final = "00000000-0000-0000-0000-000000000000"
_COUNT: Final = text("""
SELECT journey AS version, step, count(*) AS people FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign AND outcome IS NULL AND journey <> :to
  AND (CAST(:versions AS text[]) = '{}' OR journey = ANY(CAST(:versions AS text[])))
GROUP BY journey, step ORDER BY journey, step
""")
_PAGE: Final = text("""
SELECT id, lead_id, journey, step, number FROM enrolment
WHERE journey_name = :journey AND campaign = :campaign AND outcome IS NULL AND journey <> :to
  AND (CAST(:versions AS text[]) = '{}' OR journey = ANY(CAST(:versions AS text[])))
  AND step = ANY(CAST(:steps AS text[])) AND id > CAST(:after AS uuid)
ORDER BY id LIMIT :most
""")
_LEADS: Final = text("SELECT id FROM lead WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
_LOCK: Final = text("""
SELECT id, lead_id, person_id, journey, step, number FROM enrolment
WHERE id = ANY(CAST(:ids AS uuid[])) AND outcome IS NULL AND journey <> :to AND step = ANY(CAST(:steps AS text[]))
ORDER BY id FOR UPDATE
""")
_MOVE: Final = text("""
UPDATE enrolment AS e SET journey = :to, step = r.step, due_at = CAST(:now AS timestamptz)
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, step text) WHERE e.id = r.id
""")
# What became of a message is found by the name of its step.
_RENAME: Final = text("""
UPDATE send AS s SET step = r.step
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, person_id uuid, was text, step text)
WHERE s.person_id = r.person_id AND s.enrolment_id = r.id AND s.step = r.was AND r.step <> r.was
""")
_LEAVE: Final = text("""
UPDATE enrolment SET outcome = 'cancelled', reason = :reason, step = NULL, due_at = NULL, ended_at = :now
WHERE id = ANY(CAST(:ids AS uuid[]))
""")


@dataclass(frozen=True, slots=True)
class _Plan:
    place: Place
    journey: Journey
    versions: Sequence[str]
    ways: Mapping[str, str]
    """Where each step leads; those that are missing lead nowhere."""
    counts: Sequence[dict[str, Any]]
    leave: bool

    @property
    def given(self) -> dict[str, Any]:
        taken = sorted({count["step"] for count in self.counts} if self.leave else self.ways)
        return self.place.key | {"to": self.journey.version, "versions": list(self.versions), "steps": taken}

    def report(self) -> dict[str, Any]:
        steps = [count | {"to": self.ways.get(count["step"])} for count in self.counts]
        return {
            "campaign": self.place.name,
            "to": self.journey.version,
            "people": sum(count["people"] for count in self.counts),
            "steps": steps,
            "stuck": [step for step in steps if step["to"] is None],
        }


def follow(  # noqa: PLR0913 - what may be asked for
    engine: Engine,
    place: Place,
    to: str,
    names: Mapping[str, str],
    *,
    versions: Sequence[str] = (),
    leave: bool = False,
    dry_run: bool = False,
    most: int | None = None,
    now: datetime | None = None,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
    hint: Callable[[str, Sequence[str]], None] = lambda _step, _ids: None,
) -> dict[str, Any]:
    """
    Have who is under way in a campaign, in `versions` of it (none: any other), go on by the version `to`.

    `names` gives the new name of a step that has another one there. With `leave`, those at a step that leads nowhere
    leave the campaign. At most about `most` people are moved. Returns where each step leads, who is `stuck`, how many
    `moved` and `left`, and how many `remain`.

    :raises Permanent: `journey_unknown`; `other_journey`; `campaign_unknown`, the version does not have it;
        `step_unknown`, in `names`; `people_stuck`, unless `leave` or `dry_run`
    :raises schema.journey.JourneyInvalid: the version is not in order for this code
    """
    with engine.begin() as connection:
        plan = _plan(connection, place, to, names, versions, leave=leave)
    report = plan.report()
    if dry_run:
        return report | {"moved": 0, "left": 0, "remain": report["people"], "dry_run": True}
    if report["stuck"] and not leave:
        where = ", ".join(sorted({step["step"] for step in report["stuck"]}))
        there = ", ".join(plan.journey.campaigns[place.name].names)
        words = f"The new version has no step {where}, where people are; it has {there}"
        raise Permanent("people_stuck", f"{words}. Give it its new name, or have them leave.", stuck=report["stuck"])
    moved = left = 0
    book = JourneyBook()
    after: str | None = _FIRST
    while after is not None and (most is None or moved + left < most):
        with engine.begin() as connection:
            batch = Batch(connection, book, now or clock.now(), "nurture")
            after, done, gone = _portion(batch, plan, after)
        for name, ids in batch.hints.items():
            hint(name, ids)
        moved, left = moved + done, left + gone
        tell(moved + left, report["people"])
    remain = max(report["people"] - moved - left, 0) if after is not None else 0
    return report | {"moved": moved, "left": left, "remain": remain, "dry_run": False}


def _plan(
    connection: Connection,
    place: Place,
    to: str,
    names: Mapping[str, str],
    versions: Sequence[str],
    *,
    leave: bool,
) -> _Plan:
    journey = journeys.stored(connection, to)
    if journey.name != place.journey_name:
        raise Permanent("other_journey", f"{to} is a version of {journey.name}, not of {place.journey_name}.")
    if place.name not in journey.campaigns:
        raise Permanent("campaign_unknown", f"{journey.name} {to} has no campaign {place.name}.")
    there = [*journey.campaigns[place.name].names, AFTER_LAST]
    given = place.key | {"to": to, "versions": list(versions)}
    counts = [dict(row) for row in connection.execute(_COUNT, given).mappings()]
    for target in names.values():
        if target not in there:
            raise Permanent("step_unknown", f"The new version has no step {target}{nearest(target, there)}.")
    ways = {count["step"]: names.get(count["step"], count["step"]) for count in counts}
    return _Plan(place, journey, versions, {s: t for s, t in ways.items() if t in there}, counts, leave)


def _portion(batch: Batch, plan: _Plan, after: str) -> tuple[str | None, int, int]:
    """Move a portion; return after which to go on (None: nobody is left), how many moved, and how many left."""
    page = batch.connection.execute(_PAGE, plan.given | {"after": after, "most": PORTION}).all()
    if not page:
        return None, 0, 0
    leads = sorted({row.lead_id for row in page})
    batch.connection.execute(_LEADS, {"ids": uuid_array(leads)})
    younger = set(batch.load(leads))
    # Of whom a younger transaction has told events, the next one can: they come first in the next portion.
    first = min((row.id for row in page if row.lead_id in younger), default=None)
    ids = [row.id for row in page if first is None or row.id < first]
    locked = {"ids": uuid_array(ids), "to": plan.journey.version, "steps": plan.given["steps"]}
    rows_ = batch.connection.execute(_LOCK, locked).all()
    going = [
        {"id": row.id, "person_id": row.person_id, "was": row.step, "step": plan.ways[row.step]}
        for row in rows_
        if row.step in plan.ways
    ]
    leaving = [row for row in rows_ if row.step not in plan.ways]
    for row in leaving:
        over = {"outcome": "cancelled", "reason": GONE, "steps": row.number, "journey": row.journey}
        batch.cases[row.lead_id].tell(CampaignExited(plan.place.name, row.id, row.person_id, **over))
    given = {"rows": as_json(going), "to": plan.journey.version, "now": batch.now}
    batch.connection.execute(_MOVE, given)
    batch.connection.execute(_RENAME, {"rows": given["rows"]})
    batch.connection.execute(_LEAVE, {"ids": uuid_array(row.id for row in leaving), "reason": GONE, "now": batch.now})
    keep_changed(batch)
    batch.record()
    batch.hints["nurture"] += [row["id"] for row in going]
    return (ids[-1] if ids else after), len(going), len(leaving)
