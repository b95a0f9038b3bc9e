"""
Surveys: who is asked how satisfied they are, and when.

    hears   what happened to the leads of a batch, and the states they came into; timers of surveys
    reads   surveys that are due, when their people were last asked, the tickets they are about
    writes  survey; the send that asks, of the same id; the timer of each, until it is asked and until it expires
    tells   survey.sent, survey.cancelled

What people answer: `workers/satisfaction/answers.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.events import SurveyCancelled, SurveySent
from schema.mailing.message import SURVEY
from schema.store import rows, sends, surveys
from schema.store.ids import new_id, uuid_array
from workers import timers
from workers.decide.seen import Seen
from workers.decide.survey import News, Plan, plans, refused
from workers.happening import About, happen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import RowMapping

    from workers.batch import Batch, Case

    Row = dict[str, Any]

KIND: Final = "survey"
"""Of its timers."""
_REOPENED: Final = "ticket.reopened"
_PRIORITY: Final = 40
_COLUMNS: Final = (
    "id", "lead_id", "person_id", "journey_name", "journey", "survey", "kind", "occasion", "about_kind", "about_id",
    "state", "asked_by", "planned_at",
)  # fmt: skip
_PLAN: Final = rows.insert_statement(tables.survey, _COLUMNS, "ON CONFLICT DO NOTHING RETURNING id")
_DUE: Final = text("""
SELECT * FROM survey WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('planned', 'sent') ORDER BY id FOR UPDATE
""")
# A mail that somebody is handing over at this moment is not called back: who has the row of its send has decided.
_CALL_BACK: Final = text("""
WITH stopped AS (
    UPDATE send AS s SET state = 'skipped', reason = 'reopened', due_at = NULL, settled_at = :now
    FROM survey AS v
    WHERE v.about_id = ANY(CAST(:ids AS uuid[])) AND v.state = 'sent' AND s.id = v.id AND s.state = 'planned'
    RETURNING s.id
)
UPDATE survey AS v SET state = 'cancelled', reason = 'reopened'
WHERE v.about_id = ANY(CAST(:ids AS uuid[])) AND (v.state = 'planned' OR v.id IN (SELECT id FROM stopped))
RETURNING v.id, v.lead_id, v.survey
""")


# -- what happens ------------------------------------------------------------------------------------------------------


def hear(batch: Batch) -> None:
    """
    Take up what happened to the leads of a batch.

    Costs a comparison for each that has no surveys, and a statement only where somebody is to be asked, or a ticket
    was opened again.
    """
    reopened: set[str] = set()
    planned: list[tuple[Case, Plan]] = []
    for case in batch.cases.values():
        if case.happened:
            reopened |= {each.about.id for each in case.happened if each.kind == _REOPENED}
        if case.journey.surveys and not case.lead["test"] and not case.lead["quiet"]:
            planned += ((case, plan) for plan in _plans(case))
    if reopened:
        _call_back(batch, reopened)
    if planned:
        _plan(batch, planned)


def _plans(case: Case) -> Sequence[Plan]:
    events = {kind for survey in case.journey.surveys.values() for kind in survey.event}
    news = [
        News(each.kind, f"{each.kind} {each.about.id} {each.key}", each.about.kind, each.about.id)
        for each in case.happened
        if each.kind in events
    ]
    if case.heard and (touched := [t for t in case.facts.touchpoints if t.new and not t.ours and t.kind in events]):
        by_people = {touch.id for touch in Seen(case.facts, case.journey).touches}
        news += [News(touch.kind, touch.id, "lead", case.id) for touch in touched if touch.id in by_people]
    entered = f"state {case.id} {case.lead['transitions']}" if case.facts.state in case.came_into else None
    return plans(case.facts, case.journey, case.batch.now, news, entered) if news or entered else ()


def _plan(batch: Batch, wanted: Sequence[tuple[Case, Plan]]) -> None:
    """Write whom to ask what, each occasion once, and when."""
    given = {new_id(): each for each in wanted}
    made = [row(survey_id, case, plan) | {"state": "planned"} for survey_id, (case, plan) in given.items()]
    for survey_id in batch.connection.execute(_PLAN, {"rows": rows.as_json(made)}).scalars():
        case, plan = given[survey_id]
        timers.at(batch, KIND, survey_id, case.id, plan.due_at)


def row(survey_id: str, case: Case, plan: Plan) -> Row:
    """The columns of a survey, but what becomes of it."""
    return {
        "id": survey_id,
        "lead_id": case.id,
        "person_id": case.lead["person_id"],
        "journey_name": case.journey.name,
        "journey": case.journey.version,
        "survey": plan.survey,
        "kind": case.journey.surveys[plan.survey].kind,
        "occasion": plan.occasion,
        "about_kind": plan.about_kind,
        "about_id": plan.about_id,
        "asked_by": "email",
        "planned_at": case.batch.now,
    }


def _call_back(batch: Batch, tickets: set[str]) -> None:
    """Ask nobody about tickets that were opened again, as far as the mail has not gone out."""
    asked = {"ids": uuid_array(sorted(tickets)), "now": batch.now}
    for gone in batch.connection.execute(_CALL_BACK, asked).all():
        timers.at(batch, KIND, gone.id, gone.lead_id, None)
        if gone.lead_id in batch.cases:
            batch.cases[gone.lead_id].tell(SurveyCancelled(gone.id, gone.survey, "reopened"))


# -- what time brings --------------------------------------------------------------------------------------------------


def look(batch: Batch, due: Sequence[RowMapping]) -> None:
    """Ask those whose time has come, and close what nobody answered; their leads are in hand."""
    connection, now = batch.connection, batch.now
    found = connection.execute(_DUE, {"ids": uuid_array(each["id"] for each in due)}).mappings()
    known: list[Row] = [dict(each) for each in found if each["lead_id"] in batch.cases]
    over = [each for each in known if each["state"] == "sent"]
    rows.update(connection, tables.survey, "id", [{"id": each["id"], "state": "expired"} for each in over])
    planned = [each for each in known if each["state"] == "planned"]
    if not planned:
        return
    people = {each["person_id"] for each in planned}
    mine = sends.lock_people(connection, people)  # of two at once one is asked, and the other one sees that
    last = surveys.last_asked(connection, mine)
    tickets = {each["id"]: each for each in batch.tickets.load(each["about_id"] for each in planned)}
    changed: list[Row] = []
    for each in planned:
        case, person = batch.cases[each["lead_id"]], each["person_id"]
        if person not in mine:
            timers.at(batch, KIND, each["id"], case.id, now + surveys.SOON)
            continue
        journey = batch.book.version(connection, each["journey"])
        survey = journey.surveys.get(each["survey"])
        ticket = tickets.get(each["about_id"])
        no = refused(survey, case.facts, journey, now, last_asked=last.get(person), ticket=ticket)
        each |= {"agent": ticket["owner"] if ticket else case.lead["owner"], "reason": no}
        if no is None and survey is not None:
            each |= {"state": "sent", "sent_at": now, "expires_at": now + survey.answer_within}
            last[person] = now
            _ask(case, each, survey.template)
        else:
            each["state"] = "cancelled"
            case.tell(SurveyCancelled(each["id"], each["survey"], no or ""))
        changed.append({name: each[name] for name in ("id", "state", "reason", "agent", "sent_at", "expires_at")})
    rows.update(connection, tables.survey, "id", changed)


def _ask(case: Case, survey: Row, template: str) -> None:
    """Have a survey sent to the lead's person, and closed when its time is over."""
    batch = case.batch
    batch.write(
        tables.send,
        {
            "id": survey["id"],
            "journey_name": survey["journey_name"],
            "journey": survey["journey"],
            "campaign": SURVEY,
            "step": survey["survey"],
            "template": template,
            "person_id": case.lead["person_id"],
            "lead_id": case.id,
            "entry_key": survey["id"],
            "lane": sends.SERVICE,
            "priority": _PRIORITY,
            "data": {},
            "state": "planned",
            "planned_at": batch.now,
            "due_at": batch.now,
        },
    )
    batch.hints["deliver"].append(survey["id"])
    timers.at(batch, KIND, survey["id"], case.id, survey["expires_at"])
    named = (survey["id"], survey["person_id"], survey["survey"], survey["kind"])
    about = (survey["about_kind"], survey["about_id"], survey["agent"])
    case.tell(SurveySent(*named, *about, survey["expires_at"].isoformat()))
    data = {"name": survey["survey"], "kind": survey["kind"]}
    happen(case, "survey.sent", About("survey", survey["id"], survey["agent"]), key=survey["id"], data=data)
