"""
Answers to surveys: one at a time, by whoever was asked on their page, or taken by somebody who asked in person.

The lead is locked, so that of two answers at once one comes after the other. The latest counts until the survey
closes, and all are kept. The first is a touchpoint `survey.answered`; the first low one opens a complaint, and what is
written later goes to it. What people write is kept with the survey and their complaint, and told to nobody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.errors import Permanent, Transient
from schema.events import SurveyAnswered
from schema.journey.fields import instead
from schema.store import rows, surveys
from schema.store.ids import is_id, new_id
from workers import timers
from workers.decide.survey import Plan
from workers.happening import About, happen
from workers.helpdesk import acts as ticket_acts
from workers.helpdesk import tickets
from workers.helpdesk.acts import Opening, Said
from workers.moves import with_lead
from workers.satisfaction.surveys import KIND, row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from workers.batch import Case

    Row = dict[str, Any]

CHANNEL: Final = "survey"
_ATTEMPTS: Final = 5
"""A survey may go on with another lead, because people were merged, in the moment that it is looked up."""
_LEAD: Final = text("SELECT lead_id FROM survey WHERE id = CAST(:id AS uuid)")
_LOCK: Final = text("SELECT * FROM survey WHERE id = CAST(:id AS uuid) FOR UPDATE")
_COUNT: Final = text("SELECT count(*) FROM survey_answer WHERE survey_id = CAST(:id AS uuid)")
_NEXT: Final = text("SELECT next_step FROM lead WHERE id = :id AND due_since IS NOT NULL")


class Answer(NamedTuple):
    """What somebody answered; `actor` is who took it, the person themselves on the page."""

    score: int
    comment: str | None
    channel: str
    actor: str


class Answers:
    """
    Answers to surveys in one database.

    `hint` hears of what became due. Both ways take `now` for a clock that is moved, and return the survey as
    `GET /v1/surveys/{id}` shows it. On a dry run everything is decided and nothing is kept.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run

    def give(
        self,
        survey_id: str,
        *,
        score: int,
        comment: str | None,
        channel: str,
        actor: str,
        now: datetime | None = None,
    ) -> Row:
        """
        Answer a survey, for the first time or another one; one that was only planned is then not sent.

        An answer without a comment leaves an earlier comment as it is; the same answer again changes nothing.

        :raises Permanent: `survey_unknown`; `survey_over`, it was cancelled or its time is over (`status`);
            `score_invalid`, `comment_too_long`
        :raises Transient: `lead_busy`
        """
        answer = Answer(score, comment, channel, actor)

        def act(case: Case) -> Row:
            found = case.batch.connection.execute(_LOCK, {"id": survey_id}).mappings().one()
            _take(case, dict(found), answer)
            return {"id": survey_id}

        for _ in range(_ATTEMPTS):
            lead_id = self._lead(survey_id)
            try:
                return self._done(lead_id, act, now)
            except Permanent as refusal:
                if refusal.code != "lead_merged":
                    raise
                if self._lead(survey_id) == lead_id:  # asked of both leads: it stayed with the one that is parked
                    return self._done(str(refusal.facts["into"]), act, now)
        raise Transient("lead_busy")

    def taken(  # noqa: PLR0913 - what an answer is
        self,
        lead_id: str,
        name: str,
        *,
        score: int,
        comment: str | None,
        channel: str,
        actor: str,
        ticket_id: str | None = None,
        now: datetime | None = None,
    ) -> Row:
        """
        Keep the answer of somebody who was asked in person, as on the telephone, about their ticket or in general.

        :raises Permanent: `lead_unknown`, `lead_merged`; `survey_unknown`, the lead's journey has no such survey;
            `ticket_unknown`, the lead has no such ticket; `score_invalid`, `comment_too_long`
        :raises Transient: `lead_busy`
        """
        answer = Answer(score, comment, channel, actor)

        def act(case: Case) -> Row:
            survey_id = new_id()
            made = _asked_in_person(case, survey_id, name, answer, ticket_id)
            rows.insert(case.batch.connection, tables.survey, [made])
            _take(case, made | {"ticket_id": None, "comment": None, "score": None}, answer)
            return {"id": survey_id}

        if not is_id(lead_id):
            raise Permanent("lead_unknown", "There is no such lead.")
        return self._done(lead_id, act, now)

    def _lead(self, survey_id: str) -> str:
        with self._engine.connect() as connection:
            found = connection.execute(_LEAD, {"id": survey_id}).scalar_one_or_none() if is_id(survey_id) else None
        if found is None:
            raise Permanent("survey_unknown", "There is no such survey.")
        return str(found)

    def _done(self, lead_id: str, act: Callable[[Case], Row], now: datetime | None) -> Row:
        """Do it, let everybody hear of it, and return the survey as it is now."""

        def tried(case: Case) -> Row:
            survey_id = act(case)["id"]
            raise _DryRunError(surveys.one(case.batch.connection, survey_id) or {})

        if self._dry_run:
            try:
                return with_lead(self._engine, lead_id, now, tried)
            except _DryRunError as end:
                return end.survey
        done = with_lead(self._engine, lead_id, now, act)
        with self._engine.connect() as connection:
            shown = surveys.one(connection, done["id"])
            step = connection.execute(_NEXT, {"id": lead_id}).scalar_one_or_none()
        assert shown is not None  # noqa: S101 - nothing removes surveys
        if step:
            self._hint(step, [lead_id])
        for queue in ("followup", "nurture", "deliver"):
            self._hint(queue, ())
        return shown


class _DryRunError(Exception):
    """Ends a transaction of which nothing is kept; `survey` is what it would have come to."""

    def __init__(self, survey: Row) -> None:
        super().__init__()
        self.survey = survey


def _asked_in_person(case: Case, survey_id: str, name: str, answer: Answer, ticket_id: str | None) -> Row:
    """The row of a survey that nobody was sent."""
    names = list(case.journey.surveys)
    if name not in names:
        raise Permanent("survey_unknown", f"The lead's journey has no such survey{instead(name, names)}", known=names)
    about_kind, about_id, agent = "lead", case.id, case.lead["owner"]
    if ticket_id is not None:
        found = case.batch.tickets.load([ticket_id]) if is_id(ticket_id) else []
        if not found or found[0]["lead_id"] != case.id:
            raise Permanent("ticket_unknown", "The lead has no such ticket.")
        about_kind, about_id, agent = "ticket", ticket_id, found[0]["owner"]
    now = case.batch.now
    plan = Plan(name, f"{answer.channel} {survey_id}", about_kind, about_id, now)
    until = now + case.journey.surveys[name].answer_within
    asked = {"agent": agent, "asked_by": answer.channel, "sent_at": now, "expires_at": until, "state": "sent"}
    return row(survey_id, case, plan) | asked


def _take(case: Case, survey: Row, answer: Answer) -> None:
    """Keep an answer, and have happen what follows from it."""
    batch, connection, now = case.batch, case.batch.connection, case.batch.now
    _checked(survey, answer, now)
    comment = answer.comment or None
    if survey["state"] == "answered" and survey["score"] == answer.score and comment in {None, survey["comment"]}:
        return
    number = connection.execute(_COUNT, {"id": survey["id"]}).scalar_one() + 1
    kept = {"survey_id": survey["id"], "number": number, "at": now, "comment": comment}
    kept |= {"score": answer.score, "channel": answer.channel, "actor": answer.actor}
    rows.insert(connection, tables.survey_answer, [kept])
    ticket_id = _complaint(case, survey, answer)
    rule = batch.book.version(connection, survey["journey"]).surveys.get(survey["survey"])
    if survey["state"] == "planned":  # somebody asked before the mail did
        survey |= {"sent_at": now, "asked_by": answer.channel, "expires_at": now + rule.answer_within if rule else None}
        survey["agent"] = _agent(case, survey)
    written = {name: survey[name] for name in ("id", "sent_at", "asked_by", "expires_at", "agent")}
    written |= {"state": "answered", "answered_at": now, "score": answer.score, "ticket_id": ticket_id}
    rows.update(connection, tables.survey, "id", [written | {"comment": comment or survey["comment"]}])
    timers.at(batch, KIND, survey["id"], case.id, None)
    about = (survey["about_kind"], survey["about_id"])
    named = (survey["id"], survey["person_id"], survey["survey"], survey["kind"], answer.score)
    case.tell(SurveyAnswered(*named, number, *about, survey["agent"], answer.channel, ticket_id))
    _known(case, survey["kind"], answer.score)
    if number == 1:
        data = {"name": survey["survey"], "kind": survey["kind"], "score": answer.score}
        data |= {about[0]: about[1]} if about[0] != "lead" else {}
        subject = About("survey", survey["id"], survey["agent"])
        happen(case, "survey.answered", subject, key=survey["id"], data=data, channel=CHANNEL)


def _checked(survey: Row, answer: Answer, now: datetime) -> None:
    least, most = surveys.SCALES[survey["kind"]]
    if not least <= answer.score <= most:
        raise Permanent("score_invalid", f"The answer is a whole number from {least} to {most}.")
    if answer.comment and len(answer.comment) > surveys.LONGEST_COMMENT:
        raise Permanent("comment_too_long", f"A comment has at most {surveys.LONGEST_COMMENT:,} characters.")
    if survey["state"] == "cancelled":
        raise Permanent(
            "survey_over", "This was not asked after all; keep the answer as a new one.", status="cancelled"
        )
    if survey["state"] == "expired" or (survey["expires_at"] and survey["expires_at"] <= now):
        raise Permanent("survey_over", "The time to answer this is over.", status="expired")


def _agent(case: Case, survey: Row) -> str | None:
    """Whose work a survey is about now."""
    if survey["about_kind"] != "ticket":
        return str(case.lead["owner"]) if case.lead["owner"] else None
    found = case.batch.tickets.load([survey["about_id"]])
    return found[0]["owner"] if found else None


def _complaint(case: Case, survey: Row, answer: Answer) -> str | None:
    """The complaint that a low answer opens, once for each survey; what was written since goes to it."""
    batch = case.batch
    if survey["ticket_id"] is not None:
        if answer.comment and answer.comment != survey["comment"]:
            found = batch.tickets.load([survey["ticket_id"]])
            if found and found[0]["lead_id"] == case.id and found[0]["status"] != "closed":
                ticket_acts.heard(case, found[0], Said(answer.comment, CHANNEL))
                tickets.settle(batch)
        return str(survey["ticket_id"])
    rule = batch.book.version(batch.connection, survey["journey"]).surveys.get(survey["survey"])
    if rule is None or rule.complaint is None or rule.low is None or answer.score > rule.low or case.lead["test"]:
        return None
    service = case.newest().service
    if service is None or rule.complaint not in service.kinds:
        return None  # the active version knows no such ticket: whoever reads answers sees this one
    about = survey["about_id"] if survey["about_kind"] == "ticket" else None
    wanted = Opening(rule.complaint, CHANNEL, CHANNEL, external_id=survey["id"], refers_to=about,
                     subject=f"{rule.label or rule.question}: {answer.score}")  # fmt: skip
    said = Said(answer.comment, CHANNEL) if answer.comment else None
    return str(tickets.open_for(case, wanted, said, actor="journey")["id"])


def _known(case: Case, kind: str, score: int) -> None:
    """Have rules see the answer at once, where any asks for it."""
    person = case.facts.person
    if "satisfaction" in person:
        case.facts.know(person={**person, "satisfaction": {**person["satisfaction"], kind: score}})
