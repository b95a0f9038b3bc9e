"""Reading: what became of an arrival, where a lead is, its whole story, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import make_url, text

from schema import journey
from schema.errors import Permanent, Transient
from schema.facts import Facts, Touch
from schema.lifecycle import GuardNotMet, IllegalTransition, ReasonRequired
from schema.store import reading
from schema.store.ids import new_id
from services.api import shapes
from tests.management import NOW, Site, open_site
from tests.servers import drop_database
from workers.decide.advance import next_moves
from workers.decide.qualify import judge
from workers.decide.route import choose
from workers.decide.score import warmth

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection
    from sqlalchemy.sql.elements import TextClause


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


# -- receipts ----------------------------------------------------------------------------------------------------------


def test_a_receipt_says_what_became_of_it_and_what_was_odd(site: Site) -> None:
    person = site.seed.person()
    lead = site.seed.lead(person)
    receipt = site.seed.receipt(status="processed", lead_id=lead, person_id=person)
    issues = [{"pointer": "/email", "code": "email_syntax"}]
    site.seed.touchpoint(lead, person, touch_id=receipt, data={"issues": issues})
    shown = site.get(f"/v1/receipts/{receipt}")
    shapes.Receipt.model_validate(shown)
    assert (shown["status"], shown["lead_id"], shown["person_id"]) == ("processed", lead, person)
    assert (shown["source"], shown["channel"], shown["received_at"]) == ("website", "form", "2026-03-02T09:00:00Z")
    assert shown["issues"] == issues
    assert shown["links"]["lead"] == f"/v1/leads/{lead}"


def test_a_receipt_that_was_refused_says_why(site: Site) -> None:
    receipt = site.seed.receipt(status="quarantined", reason="nothing_recognised")
    shown = site.get(f"/v1/receipts/{receipt}")
    assert (shown["status"], shown["reason"], shown["lead_id"]) == ("quarantined", "nothing_recognised", None)
    assert shown["links"] == {"self": f"/v1/receipts/{receipt}"}


@pytest.mark.parametrize("place", ["receipts/{}", "leads/{}", "leads/{}/timeline", "leads/{}/why", "journeys/{}"])
@pytest.mark.parametrize("name", ["nonsense", "00000000-0000-7000-8000-000000000000", "%00", "%F0%9F"])
def test_what_does_not_exist_is_not_found_and_its_name_not_repeated(site: Site, place: str, name: str) -> None:
    problem = site.get(f"/v1/{place.format(name)}", 404)
    assert problem["status"] == 404
    assert problem["code"].endswith("_not_found")
    assert "nonsense" not in str(problem)


# -- leads -------------------------------------------------------------------------------------------------------------


def test_a_lead_has_the_shape_that_is_relied_on(site: Site) -> None:
    person = site.seed.person("Ana Lopez", "ana@acme.example", "+4930123456")
    lead = site.seed.opportunity(
        person,
        score_total=55,
        score_fit=25,
        score_engagement=30,
        grade="B",
        score_cell="A1",
        predicted=0.31,
        owner="ana",
        pool="dach",
        interests=["crm"],
        attribution={"utm_source": "ads"},
    )
    shown = site.get(f"/v1/leads/{lead}")
    shapes.Lead.model_validate(shown)
    assert (shown["id"], shown["state"], shown["next_step"]) == (lead, "opportunity", None)
    assert shown["score"] == {
        "total": 55,
        "fit": 25,
        "engagement": 30,
        "grade": "B",
        "cell": "A1",
        "predicted": 0.31,
    }
    assert (shown["owner"], shown["pool"], shown["source"], shown["journey"]) == (
        "ana",
        "dach",
        "website",
        site.seed.version,
    )
    assert (shown["person"]["email"], shown["person"]["phone"]) == ("ana@acme.example", "+4930123456")
    assert (shown["interests"], shown["attribution"]) == (["crm"], {"utm_source": "ads"})
    assert shown["created_at"] == shown["updated_at"] == "2026-03-02T09:00:00Z"


def test_leads_are_read_in_pages_newest_first_without_gaps(site: Site) -> None:
    leads = [site.seed.lead() for _ in range(5)]
    told, cursor = [], ""
    while True:
        page = site.get(f"/v1/leads?limit=2{cursor}")
        shapes.Leads.model_validate(page)
        told += [lead["id"] for lead in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert told == leads[::-1]


def test_leads_are_found_by_state_and_owner(site: Site) -> None:
    lead = site.seed.lead()
    mine = site.seed.opportunity(owner="ana")
    theirs = site.seed.opportunity(owner="ben")
    assert _found(site, "state=lead") == [lead]
    assert _found(site, "state=opportunity") == [theirs, mine]
    assert _found(site, "owner=ana") == [mine]
    assert _found(site, "owner=ana&state=lead") == []


def test_a_person_is_found_however_their_address_or_number_is_written(site: Site) -> None:
    ana = site.seed.lead(site.seed.person("Ana Lopez", "ana@acme.example", "+4930901820"))
    site.seed.lead(site.seed.person("Ben Huber", "ben@acme.example"))
    for q in ("ana@acme.example", "Ana <ANA@Acme.example>", "+49 30 901820", "%2B49 (0)30 901820"):
        assert _found(site, f"q={q.replace('+', '%2B')}") == [ana], q
    assert _found(site, "q=nobody@acme.example") == []


def test_a_person_is_found_by_the_beginning_of_their_name(site: Site) -> None:
    ana = site.seed.lead(site.seed.person("Ana Lopez"))
    anna = site.seed.lead(site.seed.person("ANNA Ångström"))
    ben = site.seed.lead(site.seed.person("Ben 100% Huber"))
    assert _found(site, "q=an") == [anna, ana]
    assert _found(site, "q=ana lo") == [ana]
    assert _found(site, "q=anna å") == [anna]
    assert _found(site, "q=ben 100%25 h") == [ben]
    assert _found(site, "q=%25") == []
    assert _found(site, "q=lopez") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=x", "state=%00", "q=%00", "owner=%0a"])
def test_a_question_that_cannot_be_read_is_refused(site: Site, query: str) -> None:
    problem = site.get(f"/v1/leads?{query}", 422)
    assert problem["code"] in {"validation_failed", "cursor_invalid"}
    assert problem["errors"][0]["pointer"] == f"/query/{query.partition('=')[0]}"


def _found(site: Site, query: str) -> list[str]:
    return [lead["id"] for lead in site.get(f"/v1/leads?{query}")["items"]]


# -- plans -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowd(site: Site) -> Iterator[Connection]:
    """Some thousand people, each with a lead, and statistics about them."""
    with site.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO person (id, name, created_at, updated_at) "
                "SELECT gen_random_uuid(), md5(n::text), now(), now() FROM generate_series(1, 8000) AS n"
            )
        )
        connection.execute(
            text(
                "INSERT INTO lead (id, person_id, journey, journey_name, state, open, owner, source, channel,"
                " created_at, updated_at) SELECT gen_random_uuid(), id, :version, 'default', 'lead', true,"
                " 'owner' || left(name, 2), 'website', 'form', now(), now() FROM person"
            ),
            {"version": site.seed.version},
        )
        for table in ("person", "lead"):
            connection.execute(text(f"ANALYZE {table}"))
    with site.engine.connect() as connection:
        yield connection


def _plan(connection: Connection, statement: TextClause, given: Mapping[str, Any]) -> str:
    return "\n".join(connection.execute(text(f"EXPLAIN {statement.text}"), given).scalars())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"cursor": "80000000-0000-7000-8000-000000000000"},
        {"state": "lead"},
        {"state": "lead", "cursor": "80000000-0000-7000-8000-000000000000"},
        {"owner": "ownera0"},
        {"owner": "ownera0", "state": "lead"},
        {"people": "{80000000-0000-7000-8000-000000000000,80000000-0000-7000-8000-000000000001}"},
    ],
    ids=lambda given: "+".join(given) or "all",
)
def test_a_page_of_leads_is_found_by_an_index(crowd: Connection, given: dict[str, Any]) -> None:
    plan = _plan(crowd, reading.page_statement(given), given | {"limit": 51})
    assert "Index" in plan
    assert "Seq Scan" not in plan


def test_a_name_is_found_by_an_index_also_in_a_prepared_statement(crowd: Connection) -> None:
    crowd.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
    given = {"first": "abc", "last": "\U0010ffff", "limit": 500}
    plan = _plan(crowd, reading._BY_NAME, given)  # noqa: SLF001
    assert "ix_person_name" in plan
    assert "Seq Scan" not in plan


# -- the story, and why ------------------------------------------------------------------------------------------------


def test_the_timeline_tells_everything_in_order_of_time(site: Site) -> None:
    person = site.seed.person()
    lead = site.seed.opportunity(person)
    receipt = site.seed.receipt(
        status="processed", lead_id=lead, person_id=person, received_at=NOW - timedelta(minutes=1)
    )
    site.seed.touchpoint(
        lead, person, touch_id=receipt, occurred_at=NOW - timedelta(seconds=30), data={"message": "hi"}
    )
    site.seed.event(lead, 1, "lead.created", {"state": "lead"})
    site.seed.decision(lead, 1, "qualify", "qualified", {})
    story = site.get(f"/v1/leads/{lead}/timeline")
    shapes.Timeline.model_validate(story)
    assert [(item["kind"], item["name"]) for item in story["items"]] == [
        ("receipt", "processed"),
        ("touchpoint", "form"),
        ("transition", "qualify"),
        ("event", "lead.created"),
        ("decision", "qualify"),
    ]
    assert story["items"][1]["data"]["message"] == "hi"
    assert story["items"][2]["data"]["to_state"] == "opportunity"
    assert story["next"] is None


def test_a_long_timeline_comes_in_pages(site: Site) -> None:
    lead = site.seed.lead()
    for sequence in range(1, 6):
        site.seed.event(lead, sequence)
    first = site.get(f"/v1/leads/{lead}/timeline?limit=3")
    second = site.get(f"/v1/leads/{lead}/timeline?limit=3&cursor={first['next']}")
    told = [item["data"]["sequence"] for item in first["items"] + second["items"]]
    assert (told, second["next"]) == ([1, 2, 3, 4, 5], None)
    assert site.get(f"/v1/leads/{lead}/timeline?cursor=-1", 422)["code"] == "cursor_invalid"


def _facts(lead_id: str) -> Facts:
    """Somebody in Germany with an address, whose company's size and need nobody knows."""
    return Facts(
        lead_id=lead_id,
        source="website",
        channel="form",
        state="lead",
        person={"id": new_id(), "email": "ana@acme.example", "country": "DE", "interests": []},
        company={},
        lead={"id": lead_id, "interests": []},
        touchpoints=[Touch("form", NOW, new_id())],
        visited=frozenset(),
    )


def _decide(site: Site, lead: str) -> None:
    """Keep what the workers' own decisions say about the lead."""
    rules, facts = journey.default_journey(), _facts(lead)
    qualification = judge(facts, rules, NOW)
    facts.know(qualification=qualification.facts())
    score = warmth(facts, rules, NOW)
    facts.know(score=score.facts())
    routing = choose(facts, rules, {}, NOW)
    facts.know(owner=routing.owner, pool=routing.pool)
    advance = next_moves(facts, rules, NOW)
    arrival = {"receipt": new_id(), "matched_on": ["email"], "issues": ["phone_invalid"]}
    site.seed.decision(lead, 1, "identify", "created", arrival)
    site.seed.decision(lead, 2, "qualify", qualification.outcome, qualification.explain())
    site.seed.decision(lead, 3, "score", "scored", score.explain())
    site.seed.decision(lead, 4, "route", "routed", routing.explain())
    site.seed.decision(lead, 5, "advance", "moved" if advance.moves else "stayed", advance.explain())


def test_why_tells_each_decision_in_words_and_what_did_not_happen(site: Site) -> None:
    lead = site.seed.lead()
    _decide(site, lead)
    told = site.get(f"/v1/leads/{lead}/why")
    shapes.Why.model_validate(told)
    identified, qualified, scored, routed, advanced = told["decisions"]
    assert identified["text"] == "A new lead began."
    assert identified["because"][1] == "The person is known by email."
    assert identified["why_not"] == ["Not usable as it came: phone_invalid."]
    assert qualified["text"] == "Not decided yet: has_need has to be asked for."
    assert any(said.startswith("reachable passed: has(person.email)") for said in qualified["because"])
    assert any(
        "not_a_competitor is unknown: company.domain is not known, which counts as a pass." in said
        for said in qualified["why_not"]
    )
    assert scored["text"] == "Scored 40 of 100, grade C: fit 10, engagement 30."
    assert "+10 for Home market." in scored["because"]
    assert any(said.startswith("+30 for form (touchpoint ") for said in scored["because"])
    assert "No points for Company of 50 or more: company.employees is not known." in scored["why_not"]
    assert routed["text"] == "Goes to ana: turn 1 of pool dach."
    assert "Pool dach: holds." in routed["because"]
    assert any(said.startswith("Not ben (weight 1, 0 turns so far): ") for said in routed["why_not"])
    assert advanced["text"].startswith("Stays where it is")
    assert any(said.startswith("qualify was not made") for said in advanced["why_not"])
    assert advanced["explanation"]["considered"]


def test_why_of_a_decision_that_no_words_are_known_for_is_still_told(site: Site) -> None:
    lead = site.seed.lead()
    site.seed.decision(lead, 1, "nurture", "not_enrolled", {"reason": "no_consent"})
    (decision,) = site.get(f"/v1/leads/{lead}/why")["decisions"]
    assert decision["text"] == "Nurture: not enrolled: no_consent."


# -- moves -------------------------------------------------------------------------------------------------------------


def test_a_lead_is_moved_by_the_write_path_with_who_asked_for_it(site: Site) -> None:
    lead = site.seed.lead()
    answer = site.post(f"/v1/leads/{lead}/transitions", {"name": "qualify", "reason": "good call"})
    assert answer["state"] == "opportunity"
    ((moved, name, reason, actor),) = site.moved
    assert (moved, name, reason) == (lead, "qualify", "good call")
    assert actor.startswith("key:")


def test_an_illegal_transition_names_what_is_possible(site: Site) -> None:
    lead = site.seed.lead()
    site.refuse_move.append(IllegalTransition("lead", "win", ["disqualify", "qualify"]))
    problem = site.post(f"/v1/leads/{lead}/transitions", {"name": "win"}, 409)
    assert (problem["code"], problem["possible"]) == ("illegal_transition", ["disqualify", "qualify"])


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ReasonRequired("lose", ["price", "timing"]), 422, "reason_required"),
        (GuardNotMet("lead", "lose", "company.employees >= 100", ["company.employees"]), 409, "guard_not_met"),
        (Permanent("lead_unknown"), 404, "lead_not_found"),
        (Transient("lead_busy"), 503, "lead_busy"),
        (RuntimeError("ana@acme.example"), 500, "internal"),
    ],
)
def test_a_move_that_fails_says_what_to_do_next(site: Site, error: Exception, status: int, code: str) -> None:
    lead = site.seed.lead()
    site.refuse_move.append(error)
    problem = site.post(f"/v1/leads/{lead}/transitions", {"name": "lose"}, status)
    assert problem["code"] == code
    assert "acme" not in str(problem)


def test_a_move_of_nobody_or_without_a_name_is_refused(site: Site) -> None:
    assert site.post(f"/v1/leads/{new_id()}/transitions", {"name": "win"}, 404)["code"] == "lead_not_found"
    lead = site.seed.lead()
    for body in ("", "{", "[]", "{}", '{"name": ""}', '{"name": "win", "secret": 1}', '{"name": "\\ud800"}'):
        answer = site.client.post(f"/v1/leads/{lead}/transitions", content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), body
        assert "secret" not in answer.text
    assert site.moved == []


# -- journeys ----------------------------------------------------------------------------------------------------------


def test_journey_versions_are_shown_as_they_were_written(site: Site) -> None:
    listed = site.get("/v1/journeys")
    shapes.Journeys.model_validate(listed)
    (version,) = listed["items"]
    assert (version["version"], version["name"], version["active"]) == (site.seed.version, "default", True)
    shown = site.get(f"/v1/journeys/{site.seed.version}")
    shapes.JourneyDocument.model_validate(shown)
    assert shown["document"] == journey.default_text()
    plain = site.client.get(f"/v1/journeys/{site.seed.version}", headers={"Accept": "application/yaml"})
    assert plain.text == journey.default_text()


# -- the edge ----------------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers_that_keep_browsers_careful(site: Site) -> None:
    for path in ("/v1/leads", "/v1/leads/none", "/healthz", "/nowhere", "/docs"):
        headers = site.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers
        assert headers.get("cache-control") == ("no-store" if path.startswith("/v1/") else None)


def test_errors_of_the_framework_are_problems_too(site: Site) -> None:
    assert site.get("/nowhere", 404)["code"] == "not_found"
    answer = site.client.delete("/v1/journeys")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "GET"
    lead = site.seed.lead()
    big = site.client.post(f"/v1/leads/{lead}/transitions", content=b'{"name":"' + b"x" * 70_000 + b'"}')
    assert (big.status_code, big.json()["code"]) == (413, "body_too_large")


def test_head_is_get_without_the_body(site: Site) -> None:
    answer = site.client.head(f"/v1/leads/{site.seed.lead()}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert site.client.head("/v1/leads/none").status_code == 404


def test_reading_needs_its_scope(site: Site) -> None:
    lead = site.seed.lead()
    other = site.key("events:read")
    for path in (f"/v1/receipts/{new_id()}", "/v1/leads", f"/v1/leads/{lead}", f"/v1/leads/{lead}/why", "/v1/journeys"):
        assert site.client.get(path, headers=other).json()["code"] == "scope_missing"
        answer = site.client.get(path, headers={"Authorization": ""})
        assert (answer.json()["code"], answer.headers["www-authenticate"]) == ("key_invalid", "Bearer")
    moving = site.client.post(f"/v1/leads/{lead}/transitions", json={"name": "win"}, headers=site.key("leads:read"))
    assert moving.status_code == 403


def test_a_host_that_is_made_up_is_not_repeated(site: Site) -> None:
    for path in ("/docs", "/openapi.json", "/v1/leads/", "/v1/nowhere"):
        answer = site.client.get(path, headers={"Host": "evil.example"})
        assert "evil.example" not in answer.text + str(answer.headers)


def test_a_database_that_is_away_is_said_so(postgres_server: str) -> None:
    with open_site(postgres_server) as site:
        site.get("/v1/journeys")
        site.engine.dispose()
        drop_database(postgres_server, make_url(site.url).database or "")
        problem = site.get("/v1/journeys", 503)
        assert problem["code"] == "database_unavailable"
        assert site.get("/readyz", 503)["checks"][0]["reason"] == "database_unreachable"
        assert site.get("/healthz") == {"status": "alive"}
