"""
Enrolments: who enters campaigns, and that those who are in them are looked at when something happens.

`hear` goes with every batch that something happened in: the entries of its leads are written with it, and those of its
leads who are in a campaign are due at once. New people enter what the active version of their journey has, whatever
version their lead follows; who has entered stays with the version of that moment.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.events import CampaignEntered
from schema.store import rows
from schema.store.ids import new_id, uuid_array
from workers.decide.nurture import Entry, News, Past, enters, next_entry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from schema.journey import Journey
    from workers.batch import Batch, Case

    Occasion = tuple[Case, Journey, Entry]

# Who is in a campaign goes on with their newest lead. In the order in which others lock them.
_LOOK_NOW: Final = text("""
WITH heard AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:leads AS jsonb)) AS r(lead_id uuid, person_id uuid, journey_name text)
), running AS MATERIALIZED (
    SELECT e.id, h.lead_id FROM heard AS h JOIN enrolment AS e
      ON e.person_id = h.person_id AND e.journey_name = h.journey_name AND e.outcome IS NULL
    WHERE e.due_at IS NULL OR e.due_at > :now OR e.lead_id < h.lead_id
    ORDER BY e.id FOR UPDATE OF e
)
UPDATE enrolment AS e SET due_at = LEAST(e.due_at, :now), lead_id = GREATEST(e.lead_id, running.lead_id)
FROM running WHERE e.id = running.id RETURNING e.id
""")
_PAST: Final = text("""
SELECT person_id, journey_name, campaign, bool_or(outcome IS NULL) AS running, count(*) AS times,
       max(entered_at) AS last_entered, max(ended_at) AS last_ended
FROM enrolment WHERE person_id = ANY(CAST(:people AS uuid[])) GROUP BY person_id, journey_name, campaign
""")
_WHOSE: Final = ("person_id", "journey_name")
_COLUMNS: Final = (
    "id", "journey_name", "journey", "campaign", "person_id", "lead_id", "entry_key", "entered_at", "entered_by",
    "step", "since", "listens_since", "due_at", "holdout",
)  # fmt: skip
_INSERT: Final = rows.insert_statement(tables.enrolment, _COLUMNS, "ON CONFLICT DO NOTHING RETURNING id")


def hear(batch: Batch) -> None:
    """
    Let the leads of a batch to which something happened enter campaigns, and have those in campaigns looked at.

    They enter those of their journey's active version, if this code can read it. Costs a comparison where neither the
    journey has campaigns nor anybody is in one. Tests of a sender stay outside.
    """
    heard = [case for case in batch.cases.values() if case.heard]
    if not heard:
        return
    nurtured, active = batch.book.nurtured(batch.connection), batch.active
    concerned = [
        (case, journey)
        for case in heard
        if not case.lead["test"]
        and (
            (journey := active.get(case.lead["journey_name"]) or case.journey).campaigns
            or case.lead["journey_name"] in nurtured
        )
    ]
    if not concerned:
        return
    leads = [
        {"lead_id": case.id, **{name: case.lead[name] for name in _WHOSE}}
        for case, _ in concerned
        if not batch.created(case.lead["person_id"])
    ]
    if leads:
        found = batch.connection.execute(_LOOK_NOW, {"leads": rows.as_json(leads), "now": batch.now})
        batch.hints["nurture"] += found.scalars()
    enter(batch, [(case, journey) for case, journey in concerned if journey.campaigns])


def enter(batch: Batch, cases: Sequence[tuple[Case, Journey]]) -> int:
    """
    Let leads enter the campaigns of these journeys that they enter now; return how many entries there were.

    Where a date will let one in later, the lead is looked at then.
    """
    if not cases:
        return 0
    past = pasts(batch, [case for case, _ in cases])
    occasions: list[Occasion] = []
    for case, journey in cases:
        news = News(case.came_into, [touch for touch in case.facts.touchpoints if touch.new])
        before = past.get((case.lead["person_id"], journey.name), {})
        occasions += [(case, journey, entry) for entry in enters(case.facts, journey, before, batch.now, news)]
        _wait_for_date(case, journey)
    return len(enrol(batch, occasions))


def pasts(batch: Batch, cases: Iterable[Case]) -> Mapping[tuple[str, str], Mapping[str, Past]]:
    """Return what these leads' people were in before: by person and journey name, then by campaign."""
    people = {case.lead["person_id"] for case in cases if not batch.created(case.lead["person_id"])}
    found: dict[tuple[str, str], dict[str, Past]] = defaultdict(dict)
    for row in batch.connection.execute(_PAST, {"people": uuid_array(people)}) if people else ():
        past = Past(row.running, row.times, row.last_entered, row.last_ended)
        found[row.person_id, row.journey_name][row.campaign] = past
    return found


def enrol(batch: Batch, occasions: Sequence[Occasion]) -> Collection[str]:
    """Write these entries, each occasion once, and tell them; return the ids of the enrolments that are new."""
    made = {new_id(): occasion for occasion in occasions}
    if not made:
        return ()
    rows_ = [_row(enrolment_id, *occasion, batch) for enrolment_id, occasion in made.items()]
    entered = list(batch.connection.execute(_INSERT, {"rows": rows.as_json(rows_)}).scalars())
    for enrolment_id in entered:
        case, journey, entry = made[enrolment_id]
        case.tell(
            CampaignEntered(
                entry.campaign, enrolment_id, case.lead["person_id"], entry.by, entry.holdout, journey.version
            )
        )
    batch.hints["nurture"] += entered
    return entered


def keep_changed(batch: Batch) -> None:
    """Let go of the leads to which nothing happened: they are not written."""
    batch.cases = {
        case.id: case
        for case in batch.cases.values()
        if case.had is None or any(case.lead[name] != case.had[name] for name in ("events", "next_step", "wake_at"))
    }


def _row(enrolment_id: str, case: Case, journey: Journey, entry: Entry, batch: Batch) -> dict[str, Any]:
    return {
        "id": enrolment_id,
        "journey_name": journey.name,
        "journey": journey.version,
        "campaign": entry.campaign,
        "person_id": case.lead["person_id"],
        "lead_id": case.id,
        "entry_key": entry.entry_key,
        "entered_at": batch.now,
        "entered_by": entry.by,
        "step": journey.campaigns[entry.campaign].names[0],
        "since": batch.now,
        "listens_since": batch.now,
        "due_at": batch.now,
        "holdout": entry.holdout,
    }


def _wait_for_date(case: Case, journey: Journey) -> None:
    """Have the lead looked at when a date lets it into a campaign, if that is before it would be anyway."""
    at = next_entry(case.facts, journey, case.batch.now)
    waits = case.lead["waits"]
    if at is None or ("advance" in waits and waits["advance"] <= at):
        return
    case.look_again(at, step="advance")
    if case.lead["next_step"] is None:
        case.lead["wake_at"] = min(case.lead["waits"].values())
