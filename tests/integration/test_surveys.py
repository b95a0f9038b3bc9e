"""Surveys: who is asked, what is not asked after all, what an answer leads to, and what answers come to."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from schema.errors import Permanent
from schema.mailing.survey_words import STOP, number_of
from schema.mailing.tokens import make_token
from schema.store import clock, consents, suppression, surveys
from schema.store.surveys import Wanted
from tests.desking import JOURNEY, activate, entries, passes, service, tickets, told, writes
from tests.door import Answer, Door, api_thread
from tests.mailroom import BASE, Mailroom, plain
from tests.spine import PEPPER
from workers.identity.merge import Merger
from workers.moves import move_lead
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.spine import Spine

HOUR: Final = timedelta(hours=1)
ASKING: Final = """\
mail: {sender: Help <help@example.com>}
templates:
  asked:
    subject: 'How was it{% if person.name %}, {{ person.name }}{% endif %}?'
    text: |
      {{ survey.question }}
      {% for answer in survey.answers %}
      - [{{ answer.label }}]({{ answer.url }})
      {% endfor %}
surveys:
  helped:
    kind: csat
    event: ticket.resolved
    when: ticket.priority != "low"
    after: 2h
    cooldown: 7d
    answer_within: 10d
    question: How did we <help> you?
    template: asked
    low: 2
    complaint: complaint
  recommends:
    kind: nps
    state: customer
    after: 90d
    cooldown: 1d
    question: Would you recommend us?
    template: asked
"""
FEEDBACK: Final = JOURNEY.replace(
    "lead: {to: {win: customer}}", "lead: {to: {win: customer, say: told_us}}\n  told_us: {final: true}"
).replace("transitions:\n", "transitions:\n  say: {when: '\"survey.answered\" in touchpoint.kinds'}\n")
BY_ANA: Final[dict[str, Any]] = {"actor": "key:1", "agent": "ana"}
PHONE: Final[dict[str, Any]] = {"channel": "phone", "actor": "key:1"}


def asked(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM survey ORDER BY id")


def resolve(spine: Spine, ticket_id: str) -> None:
    service(spine).status(ticket_id, "resolved", now=spine.now, **BY_ANA)
    spine.run(step="score")


def helped(spine: Spine, number: int = 1) -> dict[str, Any]:
    """Have a customer's question resolved, and return its ticket."""
    writes(spine, number)
    ticket = tickets(spine)[-1]
    service(spine).assign(ticket["id"], "ana", actor="key:1", now=spine.now)
    resolve(spine, ticket["id"])
    return ticket


def answers(spine: Spine) -> Answers:
    return Answers(spine.engine, spine.hints.send)


def test_a_helped_customer_is_asked_once_by_mail_about_the_agent_of_that_moment(spine: Spine, tmp_path: Path) -> None:
    room = Mailroom(spine, tmp_path)
    room.activate(JOURNEY + ASKING)
    ticket = helped(spine)
    [planned] = asked(spine)
    assert (planned["state"], planned["about_id"], planned["agent"]) == ("planned", ticket["id"], None)
    spine.do("UPDATE ticket SET owner = 'ben' WHERE id = :id", id=ticket["id"])
    passes(spine, 2 * HOUR)
    passes(spine, timedelta(0))
    spine.do("UPDATE ticket SET owner = 'cem' WHERE id = :id", id=ticket["id"])
    assert (room.deliver(), room.deliver()) == (1, 0)

    [sent] = asked(spine)
    assert (sent["state"], sent["agent"], sent["expires_at"] - sent["sent_at"]) == ("sent", "ben", timedelta(days=10))
    [mail] = room.mails
    words = plain(mail)
    assert (mail["To"], "How did we <help> you?" in words) == ("c1@kiln.example", True)
    for score, label in ((1, "1 - Very dissatisfied"), (5, "5 - Very satisfied")):
        assert f"{label} ({BASE}/s/{make_token(PEPPER, 'survey', sent['id'], number_of(score))})" in words
    assert str(mail["List-Unsubscribe"]) == f"<{BASE}/s/{make_token(PEPPER, 'survey', sent['id'], STOP)}>"
    assert [event["agent"] for event in told(spine, "survey.sent")] == ["ben"]
    passes(spine, timedelta(days=11))
    assert asked(spine)[0]["state"] == "expired"
    with pytest.raises(Permanent, match="is over"):
        answers(spine).give(sent["id"], score=5, comment=None, now=spine.now, **PHONE)


def test_nobody_is_asked_about_a_ticket_that_was_opened_again_before_the_mail_went(
    spine: Spine, tmp_path: Path
) -> None:
    room = Mailroom(spine, tmp_path)
    room.activate(JOURNEY + ASKING)
    first, second = helped(spine, 1), helped(spine, 2)
    service(spine).heard(first["id"], "Still broken", "phone", now=spine.now)
    passes(spine, 2 * HOUR)
    service(spine).heard(second["id"], "Still broken", "phone", now=spine.now)  # it is in the ledger, not in the mail
    room.deliver()

    assert [(row["state"], row["reason"]) for row in asked(spine)] == [("cancelled", "reopened")] * 2
    assert (room.mails, spine.rows("SELECT 1 FROM timer WHERE kind = 'survey'")) == ([], [])
    resolve(spine, second["id"])
    passes(spine, 2 * HOUR)
    room.deliver()
    assert [row["state"] for row in asked(spine)] == ["cancelled", "cancelled", "sent"]
    assert len(room.mails) == 1


def test_who_was_asked_lately_or_wants_no_surveys_is_not_asked(spine: Spine, tmp_path: Path) -> None:
    room = Mailroom(spine, tmp_path)
    room.activate(JOURNEY + ASKING)
    helped(spine, 1)
    passes(spine, 2 * HOUR)
    room.deliver()
    helped(spine, 1)
    low = helped(spine, 2)
    service(spine).change(low["id"], actor="key:1", priority="low", now=spine.now)
    held, said_no, back = helped(spine, 3), helped(spine, 4), helped(spine, 5)
    with spine.engine.begin() as connection:
        for number in (3, 5):
            key = suppression.address_key(f"c{number}@kiln.example") or ""
            given: dict[str, Any] = {"covers": "marketing", "purposes": ("surveys",)}
            suppression.suppress(connection, PEPPER, key, "unsubscribed", spine.now, **given)
        for ticket, state, at in ((said_no, "withdrawn", spine.now), (back, "given", spine.now + HOUR)):
            consents.record(connection, ticket["person_id"], "surveys", state, actor="key:1", now=at)
    passes(spine, 2 * HOUR)
    room.deliver()

    assert [(row["state"], row["reason"]) for row in asked(spine)[1:3]] == [
        ("cancelled", "cooldown"),
        ("cancelled", "condition"),
    ]
    sends = spine.rows("SELECT state, reason, person_id FROM send WHERE campaign = 'survey_mail' ORDER BY id")
    fates = {row["person_id"]: (row["state"], row["reason"]) for row in sends[1:]}
    assert fates == {
        held["person_id"]: ("skipped", "unsubscribed"),
        said_no["person_id"]: ("skipped", "withdrawn"),
        back["person_id"]: ("sent", None),
    }
    with spine.engine.connect() as connection:
        last = surveys.last_asked(connection, {held["person_id"], back["person_id"]})
        [result] = surveys.results(connection, spine.now - 9 * HOUR, spine.now + HOUR)
    assert last.keys() == {back["person_id"]}
    assert (result["sent"], result["answered"], result["response_rate"], result["csat"]) == (2, 0, 0.0, None)


def test_a_customer_with_two_tickets_resolved_at_once_is_asked_about_one(spine: Spine) -> None:
    activate(spine, ASKING)
    lead = helped(spine)["lead_id"]
    wanted = {"kind": "question", "source": "by_hand", "channel": "phone"}
    other = service(spine).open(lead, wanted, "And this?", actor="key:1", now=spine.now)
    resolve(spine, other["id"])
    passes(spine, 2 * HOUR)
    assert sorted((row["state"], row["reason"]) for row in asked(spine)) == [
        ("cancelled", "cooldown"),
        ("sent", None),
    ]


def test_customers_are_asked_ninety_days_after_they_became_some(spine: Spine) -> None:
    activate(spine, ASKING)
    receipt = writes(spine)
    lead = spine.lead_of(receipt)
    move_lead(spine.engine, lead["id"], "win", reason=None, actor="key:1", now=spine.now)
    spine.run(step="advance")
    passes(spine, timedelta(days=89))
    assert [row["state"] for row in asked(spine)] == ["planned"]
    passes(spine, timedelta(days=1))
    [row] = asked(spine)
    assert (row["survey"], row["kind"], row["state"], row["about_kind"]) == ("recommends", "nps", "sent", "lead")


def test_a_low_answer_is_a_complaint_the_latest_counts_and_all_are_kept(spine: Spine) -> None:
    activate(spine, ASKING, text=FEEDBACK)
    ticket = helped(spine)
    passes(spine, 2 * HOUR)
    [survey] = asked(spine)
    desk = answers(spine)
    with pytest.raises(Permanent, match="from 1 to 5"):
        desk.give(survey["id"], score=0, comment=None, now=spine.now, **PHONE)
    desk.give(survey["id"], score=4, comment=None, now=spine.now, **PHONE)
    desk.give(survey["id"], score=1, comment="My *secret* grief", now=spine.now, **PHONE)
    desk.give(survey["id"], score=1, comment="My *secret* grief", now=spine.now, **PHONE)
    shown = desk.give(survey["id"], score=2, comment=None, now=spine.now, **PHONE)

    assert (shown["score"], shown["comment"], shown["status"]) == (2, "My *secret* grief", "answered")
    assert [(given["number"], given["score"]) for given in shown["answers"]] == [(1, 4), (2, 1), (3, 2)]
    complaint = tickets(spine)[-1]
    assert (complaint["id"], complaint["refers_to"]) == (shown["ticket_id"], ticket["id"])
    assert (complaint["kind"], complaint["priority"], complaint["owner"]) == ("complaint", "high", "ana")
    assert ("message_in", "customer") in entries(spine, complaint["id"])
    [touch] = spine.rows("SELECT * FROM touchpoint WHERE kind = 'survey.answered'")
    assert touch["data"] == {
        "name": "helped", "kind": "csat", "score": 4, "ticket": ticket["id"], "survey": survey["id"],
    }  # fmt: skip
    assert touch["channel"] == "survey"
    outside = spine.rows("SELECT string_agg(data::text, '') AS said FROM event")[0]["said"]
    assert "secret" not in outside
    assert [event["score"] for event in told(spine, "survey.answered")] == [4, 1, 2]
    desk.give(survey["id"], score=2, comment="And another thing", now=spine.now, **PHONE)
    assert entries(spine, complaint["id"])[-1] == ("message_in", "customer")
    assert len(tickets(spine)) == 2


def test_feedback_moves_the_lead_and_is_taken_by_phone_unasked(spine: Spine) -> None:
    activate(spine, ASKING, text=FEEDBACK)
    receipt = writes(spine)
    lead = spine.lead_of(receipt)
    desk = answers(spine)
    taken: dict[str, Any] = {"comment": None, "now": spine.now, **PHONE}
    with pytest.raises(Permanent, match="did you mean helped") as no:
        desk.taken(lead["id"], "helpd", score=5, **taken)
    assert no.value.facts["known"] == ["helped", "recommends"]
    desk.taken(lead["id"], "recommends", score=10, **taken)
    spine.run(step="score")
    assert spine.lead_of(receipt)["state"] == "told_us"
    desk.taken(lead["id"], "helped", score=3, ticket_id=tickets(spine)[0]["id"], **taken)
    tried = Answers(spine.engine, spine.hints.send, dry_run=True)
    assert tried.taken(lead["id"], "helped", score=1, **taken)["ticket_id"]

    with spine.engine.connect() as connection:
        results = surveys.results(connection, spine.now - HOUR, spine.now + HOUR)
        assert surveys.known(connection, [lead["person_id"]]) == {lead["person_id"]: {"csat": 3, "nps": 10}}
        [row] = surveys.listed(connection, Wanted(survey="helped"))[0]
    assert [(each["survey"], each["sent"], each["in_person"]) for each in results] == [
        ("helped", 0, 1),
        ("recommends", 0, 1),
    ]
    assert (row["asked_by"], row["agent"], len(tickets(spine))) == ("phone", "ana", 1)


def test_the_survey_of_a_lead_that_goes_on_in_another_can_be_answered(spine: Spine) -> None:
    activate(spine, ASKING)
    first, second = helped(spine, 1), helped(spine, 2)
    passes(spine, 2 * HOUR)
    for row in asked(spine):  # as if both had been asked on the same occasion
        spine.do("UPDATE survey SET occasion = 'the same' WHERE id = :id", id=row["id"])
    Merger(spine.engine, spine.hints.send).merge(
        first["person_id"], second["person_id"], reason=None, actor="key:1", now=spine.now
    )
    given = [
        answers(spine).give(row["id"], score=2, comment="Hm", now=spine.now, **PHONE)["ticket_id"]
        for row in asked(spine)
    ]
    assert len({ticket["lead_id"] for ticket in tickets(spine) if ticket["id"] in given}) == 1


def test_two_low_answers_at_once_open_one_complaint(spine: Spine) -> None:
    activate(spine, ASKING)
    helped(spine)
    passes(spine, 2 * HOUR)
    [survey] = asked(spine)
    with ThreadPoolExecutor(4) as pool:
        given = [
            pool.submit(answers(spine).give, survey["id"], score=1, comment=f"{number}", now=spine.now, **PHONE)
            for number in range(4)
        ]
        assert len({each.result()["ticket_id"] for each in given}) == 1
    assert [row["number"] for row in spine.rows("SELECT number FROM survey_answer ORDER BY 1")] == [1, 2, 3, 4]
    assert len(spine.rows("SELECT 1 FROM touchpoint WHERE kind = 'survey.answered'")) == 1
    complaint = tickets(spine)[-1]["id"]
    assert entries(spine, complaint).count(("message_in", "customer")) == 4


def test_results_and_lists_are_ranges_of_an_index(spine: Spine) -> None:
    with spine.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        for wanted, index in ((Wanted(survey="a"), "ix_survey_named"), (Wanted(agent="ana"), "ix_survey_agent")):
            statement, given = surveys.listing(wanted, None, 50)
            plan = "\n".join(connection.execute(text(f"EXPLAIN {statement}"), given).scalars())
            assert index in plan
        question = surveys.RESULTS.format("")
        plan = "\n".join(
            connection.execute(text(f"EXPLAIN {question}"), {"since": spine.now - HOUR, "until": spine.now}).scalars()
        )
        assert "ix_survey_sent" in plan


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def api(database_url: str) -> Iterator[Door]:
    with api_thread(database_url) as door:
        yield door


def test_only_sending_the_page_answers_and_every_dead_end_is_a_page(api: Door) -> None:
    spine = api.spine
    spine.now = clock.now() - 3 * HOUR
    activate(spine, ASKING)
    helped(spine)
    passes(spine, 2 * HOUR)
    [survey] = asked(spine)
    spine.do("UPDATE person SET language = 'de'")

    def path(number: int = 0) -> str:
        return f"/s/{make_token(PEPPER, 'survey', survey['id'], number)}"

    def post(said: dict[str, Any], where: str = "") -> Answer:
        body = urlencode(said).encode()
        return api.send("POST", where or path(), body, content_type="application/x-www-form-urlencoded")

    page = api.send("GET", path(number_of(4)))
    words = page.body.decode()
    assert (page.status, page.headers["Set-Cookie"], page.headers["Cache-Control"]) == (200, None, "no-store")
    assert re.findall(r'value="(\d+)" required checked', words) == ["4"]
    assert "How did we &lt;help&gt; you?" in words
    assert 'lang="de"' in words
    assert [row["state"] for row in asked(spine)] == ["sent"]
    assert [post(said).status for said in ({}, {"score": "9"}, {"score": "x"})] == [422] * 3
    long = post({"score": "5", "comment": "<b>" + "x" * 2_000})
    assert (long.status, "&lt;b&gt;xxx" in long.body.decode()) == (422, True)
    done = post({"score": "5", "comment": "Gut\x00!\r\n<i>"}, path(number_of(1)))
    assert (done.status, "5 - Sehr zufrieden" in done.body.decode()) == (200, True)
    [answered] = asked(spine)
    assert (answered["score"], answered["comment"]) == (5, "Gut!\n<i>")
    assert "Gut!" not in api.send("GET", path()).body.decode()

    assert b"Nicht mehr fragen" in api.send("GET", path(STOP)).body
    assert post({"List-Unsubscribe": "One-Click"}, path(STOP)).status == 200
    [no] = spine.rows("SELECT purpose, state FROM consent WHERE purpose = 'surveys'")
    assert no["state"] == "withdrawn"
    assert api.send("GET", "/s/" + "A" * 43).status == 404
    unsubscribing = make_token(PEPPER, "unsubscribe", survey["id"])
    assert api.send("GET", f"/s/{unsubscribing}").status == 404
    spine.do("UPDATE survey SET expires_at = :now", now=spine.now)
    assert [api.send("GET", path()).status, post({"score": "1"}).status] == [410, 410]
    assert asked(spine)[0]["score"] == 5
