"""People: what arrivals add to a person, whatever the order, and how it is shown with who said it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from schema import tables
from schema.journey import default_text
from schema.opt_in import Confirmation
from schema.store import consents, people, rows
from schema.store.ids import new_id
from schema.store.purchases import told_before
from services.api.people import WholePerson
from tests.management import Site, open_site
from tests.servers import create_database, drop_database
from tests.spine import NOON, Spine, prepare

if TYPE_CHECKING:
    from collections.abc import Iterator

ANA = {"email": "ana@kiln.example", "name": "Ana Pons"}
COMPLAINT = """From: feedback@isp.example
To: sales@example.com
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: message/feedback-report

Feedback-Type: abuse

--b
Content-Type: message/rfc822

Message-ID: <out-1@example.com>
Subject: News

News.
--b--
"""
CRITERIA = """
  - {name: may_write, require: person.consent.marketing == true, reason: refused}
  - {name: has_bought, require: person.purchases.total.EUR > 5.0, unknown: ask}
"""
JOURNEY = default_text().replace(
    "sources:\n",
    "sources:\n"
    "  news: {kind: form, double_opt_in: true, consent: {text: Send me news, version: '7'}}\n"
    "  shop: {kind: api, map: {what: kind}}\n",
    1,
)


@pytest.fixture(scope="module")
def shop_template(postgres_server: str) -> Iterator[str]:
    """Name of a database whose journey has a form with double opt-in and a shop."""
    name = f"people_{new_id()[-12:]}"
    prepare(create_database(postgres_server, name), JOURNEY)
    yield name
    drop_database(postgres_server, name)


@pytest.fixture
def spine(postgres_server: str, shop_template: str) -> Iterator[Spine]:
    name = f"people_{new_id()[-12:]}"
    made = Spine(create_database(postgres_server, name, shop_template))
    yield made
    made.close()
    drop_database(postgres_server, name)


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def person(spine: Spine) -> dict[str, Any]:
    """The only person there is, as they are shown."""
    [row] = spine.rows("SELECT id FROM person")
    with spine.engine.connect() as connection:
        shown = people.person(connection, row["id"])
    assert shown is not None
    return shown


def _ran(spine: Spine, receipt: str) -> str:
    spine.run()
    return receipt


def buys(spine: Spine, what: str = "purchase", **order: object) -> str:
    said = {"email": "ana@kiln.example", "what": what, "currency": "EUR"} | order
    return spine.arrives(said, source="shop", channel="api")


# -- who said what -----------------------------------------------------------------------------------------------------


def test_what_somebody_corrects_in_a_form_replaces_it_and_the_older_value_is_shown_with_who_said_it(
    spine: Spine,
) -> None:
    first = spine.arrives(ANA | {"phone": "+49 30 1234567"})
    spine.run()
    spine.passes(timedelta(days=1))
    second = spine.arrives(ANA | {"name": "Ana Pons-Roig", "country": "DE"})

    spine.run()

    found = person(spine)
    known = found["known"]
    assert (found["name"], found["country"], found["phone"]) == ("Ana Pons-Roig", "DE", "+49301234567")
    assert (known["name"]["receipt"], known["phone"]["receipt"]) == (second, first)
    assert [(other["value"], other["receipt"]) for other in known["name"]["others"]] == [("Ana Pons", first)]
    assert known["name"]["by_themselves"]
    assert known["name"]["source"] == "website"


def test_a_form_that_comes_late_does_not_undo_what_was_said_after_it(spine: Spine) -> None:
    spine.arrives(ANA | {"budget": "20000"})
    spine.run()
    before = (spine.now - timedelta(days=30)).isoformat()
    spine.arrives({"email": "ana@kiln.example", "name": "Ana P.", "budget": "none", "occurred_at": before})

    spine.run()

    found = person(spine)
    assert (found["name"], found["custom"]["budget"]) == ("Ana Pons", "20000")
    assert [other["value"] for other in found["known"]["name"]["others"]] == ["Ana P."]


def test_a_person_is_the_same_in_whatever_order_and_batches_their_arrivals_are_taken(spine: Spine) -> None:
    said: list[tuple[dict[str, Any], str]] = [
        (
            {"name": "Ana", "interests": "crm", "budget": "1", "company": "Kiln", "website": "kiln-group.example"},
            "website",
        ),
        ({"name": "ANA PONS", "interests": "mail,crm", "budget": "2", "country": "AT", "company": "KILN Ltd"}, "api"),
        ({"name": "Ana Pons", "interests": "mail", "seats": 3}, "website"),
    ]
    seen = []
    for number, order in enumerate(permutations(enumerate(said))):
        for at, (values, source) in order:
            moment = (NOON - timedelta(days=9 - at)).isoformat()
            payload = values | {"email": f"ana{number}@kiln.example", "occurred_at": moment}
            spine.arrives(payload, source=source, channel="form" if source == "website" else "api")
            if number % 2:
                spine.run()
        spine.run()
        [row] = spine.rows(
            "SELECT p.name, p.country, p.interests, p.custom, p.company_name, c.domain FROM person AS p "
            "JOIN person_key AS k ON k.person_id = p.id LEFT JOIN company AS c ON c.id = p.company_id "
            "WHERE k.value = :value",
            value=f"ana{number}@kiln.example",
        )
        seen.append(row)

    assert seen[0]["name"] == "Ana Pons"
    assert seen[0]["domain"] == "kiln-group.example"
    assert seen == [seen[0]] * 6


def test_the_same_form_again_leaves_the_person_as_they_are_but_for_when_it_was_last_said(spine: Spine) -> None:
    spine.arrives(ANA)
    spine.run()
    before = person(spine)
    spine.passes(timedelta(days=1))
    again = spine.arrives(ANA | {"message": "Any news?"})

    spine.run()

    after = person(spine)
    assert after["updated_at"] == before["updated_at"]
    assert after["known"]["name"]["receipt"] == again
    assert after["known"]["name"]["others"] == []


# -- consent -----------------------------------------------------------------------------------------------------------


def standing(spine: Spine, purpose: str = "marketing") -> str | None:
    [row] = spine.rows("SELECT id FROM person")
    with spine.engine.connect() as connection:
        found = consents.standing(connection, [row["id"]], purpose)
    return found[row["id"]]["state"] if found else None


def test_consent_is_given_withdrawn_and_never_assumed(spine: Spine) -> None:
    spine.arrives(ANA)
    spine.run()
    assert standing(spine) is None

    spine.arrives(ANA | {"newsletter": "yes"})
    spine.run()
    assert standing(spine) == "given"

    spine.passes(timedelta(days=1))
    spine.arrives(ANA | {"newsletter": "no"})
    spine.run()
    assert standing(spine) == "withdrawn"
    assert standing(spine, "terms") is None


def test_an_answer_that_arrives_late_does_not_overturn_a_newer_one(spine: Spine) -> None:
    spine.arrives(ANA | {"newsletter": "no"})
    spine.run()
    spine.arrives(ANA | {"newsletter": "yes", "occurred_at": (spine.now - timedelta(days=1)).isoformat()})

    spine.run()

    assert standing(spine) == "withdrawn"
    assert [row["state"] for row in spine.rows("SELECT state FROM consent ORDER BY at")] == ["given", "withdrawn"]


def test_an_answer_from_the_future_counts_as_of_when_it_was_received(spine: Spine) -> None:
    spine.arrives(ANA | {"newsletter": "yes", "occurred_at": (spine.now + timedelta(days=400)).isoformat()})
    spine.run()
    spine.passes(timedelta(days=1))
    spine.arrives(ANA | {"newsletter": "no"})
    spine.run()

    assert standing(spine) == "withdrawn"


def test_consent_that_waits_for_its_confirmation_counts_for_nothing_until_it_is_confirmed(spine: Spine) -> None:
    ticked = spine.arrives(ANA | {"newsletter": "yes", "_consent": "7"}, source="news")
    spine.run()
    assert standing(spine) == "pending"

    spine.passes(timedelta(hours=1))
    evidence = {"text": "Send me news", "version": "7"}
    said = Confirmation(ticked, str(spine.lead_of(ticked)["id"]), ["marketing"], evidence)
    confirmed = spine.arrives(msgspec.json.encode(said), source="news", channel="opt_in")
    spine.run()
    assert standing(spine) == "given"

    spine.passes(timedelta(hours=1))
    spine.arrives(ANA | {"newsletter": "yes"}, source="news")
    spine.run()
    assert standing(spine) == "given"  # another tick that waits takes nothing away
    [shown] = person(spine)["consents"]
    assert (shown["basis"], shown["receipt_id"], shown["text"]) == ("double_opt_in", confirmed, "Send me news")
    assert (shown["text_version"], shown["evidence"]["confirms"]) == ("7", ticked)


@pytest.mark.parametrize(("kind", "basis"), [("email.unsubscribe", "unsubscribe"), ("email.complaint", "complaint")])
def test_who_unsubscribes_or_calls_our_mail_spam_has_withdrawn(spine: Spine, kind: str, basis: str) -> None:
    spine.arrives(ANA | {"newsletter": "yes"})
    spine.run()
    spine.passes(timedelta(days=1))

    spine.arrives({"email": "ana@kiln.example", "type": kind}, source="product", channel="event")
    spine.run()

    assert standing(spine) == "withdrawn"
    assert person(spine)["consents"][0]["basis"] == basis


def test_a_complaint_about_a_mail_of_ours_withdraws_for_whom_it_was_sent_to(spine: Spine) -> None:
    lead = spine.lead_of(_ran(spine, spine.arrives(ANA | {"newsletter": "yes"})))
    sent = {"message_id": "out-1@example.com", "lead_id": lead["id"], "direction": "out", "at": spine.now}
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.message, [sent])
    spine.passes(timedelta(days=1))

    complaint = spine.arrives(COMPLAINT.replace("\n", "\r\n").encode(), source="inbox", channel="email")
    spine.run()

    [stands] = person(spine)["consents"]
    assert (stands["state"], stands["basis"], stands["receipt_id"]) == ("withdrawn", "complaint", complaint)


def test_who_has_left_a_list_is_out_from_the_day_it_was_loaded(spine: Spine) -> None:
    spine.arrives(ANA | {"newsletter": "yes", "occurred_at": (spine.now - timedelta(days=5)).isoformat()})
    spine.run()
    row = {"email": "ana@kiln.example", "unsubscribed": "yes", "created_at": "2019-01-01"}
    spine.arrives(row, source="files", channel="import")

    spine.run()

    assert standing(spine) == "withdrawn"


def test_an_answer_is_never_changed_and_only_an_erasure_takes_it_away(spine: Spine) -> None:
    spine.arrives(ANA | {"newsletter": "yes"})
    spine.run()

    for statement in ("UPDATE consent SET state = 'withdrawn'", "DELETE FROM consent"):
        with pytest.raises(DBAPIError, match="is kept as it was said"):
            spine.do(statement)
    other = new_id()
    with spine.engine.begin() as connection:
        rows.insert(connection, tables.person, [{"id": other, "created_at": NOON, "updated_at": NOON}])
        connection.execute(text("UPDATE consent SET person_id = :id"), {"id": other})
    with spine.engine.begin() as connection:
        connection.execute(text("SET LOCAL throughline.erasing = 'on'"))
        connection.execute(text("DELETE FROM consent"))

    assert spine.rows("SELECT count(*) AS n FROM consent") == [{"n": 0}]


def test_arrivals_that_say_nothing_about_consent_or_money_cost_no_statement_for_it(spine: Spine) -> None:
    runtime = spine.runtime()
    asked: list[str] = []
    event.listen(Engine, "before_cursor_execute", note := lambda *call: asked.append(call[2]))
    for number in range(5):
        spine.arrives(ANA | {"message": str(number)})
    spine.run(runtime)
    plain = [statement for statement in asked if "touchpoint" in statement]

    spine.arrives(ANA | {"newsletter": "yes"})
    spine.run(runtime)
    event.remove(Engine, "before_cursor_execute", note)

    assert plain
    assert not any("consent" in statement or '"purchase"' in statement for statement in plain)
    assert any('"consent"' in statement for statement in asked)


def test_rules_see_what_somebody_allows_and_bought_from_the_arrival_on_that_says_so(postgres_server: str) -> None:
    name = f"people_{new_id()[-12:]}"
    document = JOURNEY.replace("qualify:\n", f"qualify:\n{CRITERIA}", 1)
    url = create_database(postgres_server, name)
    prepare(url, document)
    spine = Spine(url)
    try:
        silent = spine.arrives(ANA | {"interests": "crm"})
        no = spine.arrives({"email": "ben@oven.example", "interests": "crm", "newsletter": "no"})
        yes = spine.arrives({"email": "eve@oven.example", "interests": "crm", "newsletter": "yes"})
        spine.run()
        found = [spine.lead_of(each)["qualification"] for each in (silent, no, yes)]
        asked = [[ask["criterion"] for ask in each.get("ask", ())] for each in found]
        assert asked == [["may_write", "has_bought"], [], ["has_bought"]]
        assert found[1]["reason"] == "refused"

        again = {"email": "eve@oven.example", "what": "purchase", "currency": "EUR", "total": "9.50", "order_id": "E-1"}
        spine.arrives(again, source="shop", channel="api")
        spine.run()
        assert spine.lead_of(yes)["qualification"]["passed"]
    finally:
        spine.close()
        drop_database(postgres_server, name)


# -- purchases ---------------------------------------------------------------------------------------------------------


def test_an_order_that_is_told_three_times_is_one_purchase_whatever_the_order(spine: Spine) -> None:
    told: list[tuple[datetime, dict[str, Any]]] = [
        (NOON - timedelta(days=3), {"total": "90.00", "line_items": [{"name": "Kiln"}]}),
        (NOON - timedelta(days=2), {"total": "99.90", "line_items": [{"name": "Kiln"}, {"name": "Clay"}]}),
        (NOON - timedelta(days=1), {}),
    ]
    for number, order in enumerate(permutations(told)):
        for at, values in order:
            buys(spine, order_id=f"A-{number}", occurred_at=at.isoformat(), **values)
            if number % 2:
                spine.run()
        spine.run()

    kept = spine.rows("SELECT DISTINCT at, amount::text, currency, told_at, products, kind FROM purchase")
    assert len(spine.rows("SELECT id FROM purchase")) == 6
    [one] = kept
    assert (one["at"], one["amount"], one["currency"], one["kind"]) == (told[0][0], "99.90", "EUR", "purchase")
    assert [product["name"] for product in one["products"]] == ["Kiln", "Clay"]
    assert_events_tell_of_purchases(spine)


def test_purchases_are_counted_and_refunds_are_taken_off_by_currency(spine: Spine) -> None:
    spine.arrives(ANA)
    buys(spine, order_id="A-1", total=19.99)
    buys(spine, order_id="A-2", total="0.01")
    buys(spine, "refund", order_id="A-1", total="5.00")
    buys(spine, "renewal", order_id="B-1", total="7", currency="Doubloons")

    spine.run()

    bought = person(spine)["purchases"]
    assert (bought["count"], bought["total"]) == (3, {"EUR": "15.00", "Doubloons": "7"})
    refund = next(item for item in bought["items"] if item["kind"] == "refund")
    assert (refund["order_id"], refund["external_id"], refund["amount"]) == ("A-1", None, "5.00")
    [strange] = [item for item in bought["items"] if item["issues"]]
    assert (strange["kind"], strange["issues"]) == ("renewal", ["currency_unknown"])


def test_a_payment_that_a_provider_tells_is_a_purchase_in_whole_money(spine: Spine) -> None:
    invoice = {
        "id": "in_1",
        "object": "invoice",
        "customer": "cus_9",
        "customer_email": "ana@kiln.example",
        "amount_paid": 4900,
        "currency": "eur",
        "billing_reason": "subscription_create",
        "lines": {"data": [{"description": "Team plan", "quantity": 2, "amount": 4900, "currency": "eur"}]},
    }
    refund = {
        "id": "ch_1",
        "object": "charge",
        "customer": "cus_9",
        "billing_details": {"email": "ana@kiln.example"},
        "invoice": "in_1",
        "amount_refunded": 900,
        "currency": "eur",
    }
    for number, (type_, thing) in enumerate([("invoice.paid", invoice), ("charge.refunded", refund)]):
        told = {"id": f"evt_{number}", "object": "event", "created": 1790000000, "livemode": True, "type": type_}
        spine.arrives(told | {"data": {"object": thing}}, source="shop", channel="hook")

    spine.run()

    bought = person(spine)["purchases"]
    assert (bought["count"], bought["total"]) == (1, {"EUR": "40.00"})
    [sale] = [item for item in bought["items"] if item["kind"] == "purchase"]
    assert (sale["external_id"], sale["products"]) == (
        "in_1",
        [{"name": "Team plan", "quantity": "2", "price": "49.00"}],
    )


def test_four_workers_that_hear_of_one_order_at_once_keep_one_purchase(spine: Spine) -> None:
    for number in range(40):
        buys(spine, order_id=f"A-{number % 4}", total=str(number), occurred_at=(NOON - timedelta(1)).isoformat())
    runtimes = [spine.runtime(batch_size=5) for _ in range(4)]

    with ThreadPoolExecutor(4) as workers:
        for _ in range(4):
            list(workers.map(lambda runtime: runtime.hear("identify", now=spine.now), runtimes))
    spine.run()

    kept = spine.rows("SELECT external_id, amount::int AS amount FROM purchase ORDER BY external_id")
    assert [row["external_id"] for row in kept] == ["A-0", "A-1", "A-2", "A-3"]
    assert [row["amount"] for row in kept] == [36, 37, 38, 39]  # the latest receipts
    assert_events_tell_of_purchases(spine)


def test_while_an_order_is_told_by_one_nobody_else_tells_of_it(spine: Spine) -> None:
    """The same order may come by two people at once: who comes second has to see what the first has written."""
    with spine.engine.begin() as first, spine.engine.begin() as second:
        assert told_before(first, [("shop", "A-1"), ("shop", "A-2")]) == {}
        second.execute(text("SET LOCAL lock_timeout = '20ms'"))
        assert told_before(second, [("shop", "A-3"), ("store", "A-1")]) == {}
        with pytest.raises(DBAPIError, match="lock timeout"):
            told_before(second, [("shop", "A-2")])


def assert_events_tell_of_purchases(spine: Spine) -> None:
    """What events tell of purchases, each in the place of what it says it `was`, is what is kept of them."""
    told: dict[str, dict[str, Any]] = {}
    for row in spine.rows("SELECT data FROM event WHERE type = 'purchase.recorded' ORDER BY tx, position"):
        said = row["data"]
        now = {name: said[name] for name in ("kind", "amount", "currency")} | {"at": moment(said["at"])}
        was = said.get("was")
        before = was and {**was, "at": moment(was["at"])}
        assert (before, before == now) == (told.get(said["purchase_id"]), False)
        told[said["purchase_id"]] = now
    kept = spine.rows("SELECT id, kind, amount::text AS amount, currency, at FROM purchase")
    assert told == {row.pop("id"): row for row in kept}


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


# -- among many people -------------------------------------------------------------------------------------------------


@pytest.fixture
def crowd(spine: Spine) -> Spine:
    """Four thousand people with keys, answers, purchases and leads, beside one."""
    first = buys(spine, order_id="A-1", total="5", newsletter="yes")
    spine.run()
    spine.do(
        """
        WITH made AS (
            INSERT INTO person (id, created_at, updated_at)
            SELECT gen_random_uuid(), now(), now() FROM generate_series(1, 4000) RETURNING id
        ), known AS (
            INSERT INTO person_key (kind, value, person_id) SELECT 'email', id::text, id FROM made
        ), answered AS (
            INSERT INTO consent (id, person_id, purpose, state, basis, channel, actor, at, recorded_at)
            SELECT gen_random_uuid(), id, 'marketing', 'given', 'opt_in', 'form', 'x', now(), now() FROM made
        ), bought AS (
            INSERT INTO purchase (id, person_id, lead_id, source, external_id, kind, receipt_id, at, told_at,
                                  recorded_at)
            SELECT gen_random_uuid(), id, id, 'shop', id::text, 'purchase', id, now(), now(), now() FROM made
        )
        INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at)
        SELECT gen_random_uuid(), made.id, journey, journey_name, 'lead', false, source, channel, now(), now()
        FROM made, lead WHERE lead.id = :id
        """,
        id=spine.lead_of(first)["id"],
    )
    return spine


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_nothing_that_is_read_or_written_about_a_person_looks_at_everybody(crowd: Spine, *, analysed: bool) -> None:
    if analysed:
        crowd.do("ANALYZE")
    [row] = crowd.rows("SELECT person_id AS id FROM purchase WHERE external_id = 'A-1'")
    asked: dict[str, Any] = {}

    def note(_c: object, _u: object, statement: str, parameters: object, *_: object) -> None:
        asked.setdefault(statement, parameters)

    runtime = crowd.runtime()
    for engine in (crowd.engine, runtime.engine):
        event.listen(engine, "before_cursor_execute", note)
    with crowd.engine.begin() as connection:
        consents.standing(connection, [row["id"]], "marketing")
        consents.known(connection, [row["id"]])
        consents.ledger(connection, row["id"], cursor=new_id(), limit=1)
        consents.record(connection, row["id"], "terms", "given", actor="x", now=NOON)
        people.bought(connection, [row["id"]])
        people.purchases(connection, row["id"], cursor=new_id())
        people.find(connection, email="ana@kiln.example")
        assert people.person(connection, row["id"])
    buys(crowd, order_id="A-1", total="6", newsletter="no")
    crowd.run(runtime)
    plans = []
    with runtime.engine.begin() as connection:
        for statement, parameters in list(asked.items()):
            plans.append("\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars()))

    assert len(plans) > 20
    whole = [plan for plan in plans if re.search(r"Seq Scan on (person|person_key|consent|purchase|lead)\b", plan)]
    assert not whole, "\n\n".join(whole)
    assert not [plan for plan in plans if re.search(r"pk_consent on", plan)]


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_a_person_is_found_by_any_key_however_it_is_written(site: Site) -> None:
    ana = site.seed.person("Ana Lopez", "ana.found@acme.example", "+49301234567")
    site.seed.insert(tables.person_key, kind="external:shop", value="c-1", person_id=ana)

    for query in (
        "email=ANA.Found@acme.example",
        "phone=%2B49%2030%201234567",
        "external_id=c-1&source=shop",
    ):
        [found] = site.get(f"/v1/people?{query}")["items"]
        assert found["id"] == ana
    assert site.get("/v1/people?email=nobody@acme.example") == {"items": [], "next": None}
    assert site.get("/v1/people?external_id=c-1&source=other")["items"] == []


@pytest.mark.parametrize(
    "query", ["", "?email=a@b.example&phone=%2B4930", "?external_id=1", "?email=a@b.example&source=x"]
)
def test_a_search_for_people_needs_exactly_one_key(site: Site, query: str) -> None:
    assert site.get(f"/v1/people{query}", 422)["code"] == "filter_missing"


def test_a_person_is_shown_whole_and_unchanged_costs_nothing_to_ask_again(site: Site) -> None:
    ana = site.seed.person("Ana Lopez", "ana.whole@acme.example")
    lead = site.seed.lead(ana)

    response = site.client.get(f"/v1/people/{ana}")

    WholePerson.model_validate(response.json())
    assert [each["id"] for each in response.json()["leads"]] == [lead]
    tag = response.headers["etag"]
    assert site.client.get(f"/v1/people/{ana}", headers={"If-None-Match": tag}).status_code == 304
    site.post(f"/v1/people/{ana}/consents", {"purpose": "marketing", "state": "given"}, 201)
    assert site.client.get(f"/v1/people/{ana}", headers={"If-None-Match": tag}).status_code == 200


def test_consent_taken_by_hand_stands_from_when_it_was_given_and_says_who_recorded_it(site: Site) -> None:
    ana = site.seed.person("Ana Lopez", "ana.hand@acme.example")

    given = site.post(f"/v1/people/{ana}/consents", {"purpose": "marketing", "state": "given", "note": "fair"}, 201)
    late = {"purpose": "marketing", "state": "withdrawn", "at": "2020-01-01T00:00:00"}
    site.post(f"/v1/people/{ana}/consents", late, 201)

    [stands] = site.get(f"/v1/people/{ana}")["consents"]
    assert (stands["id"], stands["state"], stands["basis"]) == (given["id"], "given", "by_hand")
    assert stands["actor"].startswith("key:")
    assert stands["evidence"] == {"note": "fair"}
    page = site.get(f"/v1/people/{ana}/consents?limit=1")
    rest = site.get(f"/v1/people/{ana}/consents?limit=1&cursor={page['next']}")
    assert [item["state"] for item in page["items"] + rest["items"]] == ["withdrawn", "given"]
    assert rest["next"] is None


def test_purchases_are_read_in_pages_the_newest_first(site: Site) -> None:
    ana = site.seed.person("Ana Lopez", "ana.buys@acme.example")
    lead = site.seed.lead(ana)
    for day in range(3):
        site.seed.insert(
            tables.purchase,
            id=new_id(),
            person_id=ana,
            lead_id=lead,
            source="shop",
            external_id=f"buys-{day}",
            kind="purchase",
            amount=f"{day}.50",
            currency="EUR",
            receipt_id=new_id(),
            at=NOON - timedelta(days=day % 2),
            told_at=NOON,
            recorded_at=NOON,
        )

    items, path = [], f"/v1/people/{ana}/purchases?limit=1"
    while path:
        page = site.get(path)
        items += page["items"]
        path = page["next"] and f"/v1/people/{ana}/purchases?limit=1&cursor={page['next']}"

    assert [item["external_id"] for item in items] == ["buys-2", "buys-0", "buys-1"]
    assert items[0]["amount"] == "2.50"


@pytest.mark.parametrize("place", ["", "/consents", "/purchases"])
def test_nobody_is_shown_for_an_id_that_is_nobodys(site: Site, place: str) -> None:
    for unknown in (new_id(), "nobody"):
        assert site.get(f"/v1/people/{unknown}{place}", 404)["code"] == "person_not_found"
    body = {"purpose": "marketing", "state": "given"}
    assert site.post(f"/v1/people/{new_id()}/consents", body, 404)["code"] == "person_not_found"


@pytest.mark.parametrize(
    "body",
    [
        {"purpose": " ", "state": "given"},
        {"purpose": "", "state": "given"},
        {"purpose": "marketing", "state": "pending"},
        {"purpose": "marketing", "state": "given", "note": "a\x00b"},
        {"purpose": "marketing", "state": "given", "basis": "Because!"},
    ],
)
def test_an_answer_that_cannot_be_kept_is_refused(site: Site, body: dict[str, str]) -> None:
    ana = site.seed.person("Ana Lopez")
    assert site.post(f"/v1/people/{ana}/consents", body, 422)["code"] == "validation_failed"


def test_people_are_only_shown_and_answers_only_kept_for_a_key_that_may(site: Site) -> None:
    ana = site.seed.person("Ana Lopez")
    for scope, reading, writing in (("leads:read", 200, 403), ("leads:write", 403, 201), ("ops:read", 403, 403)):
        headers = site.key(scope)
        assert site.client.get(f"/v1/people/{ana}", headers=headers).status_code == reading
        answer = site.client.post(
            f"/v1/people/{ana}/consents", json={"purpose": "terms", "state": "given"}, headers=headers
        )
        assert answer.status_code == writing
