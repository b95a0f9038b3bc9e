"""From the first form to renewal, and to inactivity, by the journey that is shipped: over a year on each broker."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest

from schema.journey import default_text
from schema.store import account, clock, journeys
from tests.history import out_of_order
from tests.mailroom import plain, read
from tests.management import fresh_database
from tests.working import BASE, Working
from workers.followups.by_hand import FollowUps
from workers.helpdesk.by_hand import TicketService
from workers.owners import Owners
from workers.retention.by_hand import Retention
from workers.sales.by_hand import Sales
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

SHIPPED: Final = default_text().replace("sample: 50", "sample: 100")
"""Nobody is left out by lot, so that the story is always the same."""
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


class Business(Working):
    """A business that works by the shipped journey, told as its customers and its people would."""

    def __init__(self, url: str, broker_url: str, folder: Path) -> None:
        super().__init__(url, broker_url, folder)
        with self.engine.begin() as connection:
            journeys.activate(connection, journeys.store(connection, SHIPPED, self.now), self.now)

    def writes(self, name: str, country: str) -> dict[str, Any]:
        """Somebody sends the form; return the lead that they are."""
        said = {"email": f"{name}@{name}.example", "name": name.title(), "employees": 80, "interests": ["crm"]}
        return self.lead_of(self.comes(said | {"country": country}))

    def tells(self, name: str, kind: str, **data: Any) -> None:  # noqa: ANN401 - fields of an event
        """Another system tells of something that somebody did."""
        said = {"email": f"{name}@{name}.example"} | data
        told = {"specversion": "1.0", "id": f"{kind} {self.now}", "source": "/shop", "type": kind, "data": said}
        self.comes(json.dumps(told).encode(), source="product", channel="event")

    def replies(self, mail: EmailMessage, text: str) -> None:
        """Who got a mail answers it."""
        heads = {"From": mail["To"], "To": "sales@example.com", "Subject": f"Re: {mail['Subject']}"}
        heads |= {"In-Reply-To": mail["Message-ID"], "Message-ID": "<answer@customer.example>"}
        raw = "".join(f"{name}: {value}\r\n" for name, value in heads.items()) + f"\r\n{text}\r\n"
        self.comes(raw.encode(), source="inbox", channel="email")

    def by_hand(self, act: Callable[..., dict[str, Any]], *args: Any, actor: str = "key:1", **given: Any) -> None:  # noqa: ANN401
        """Somebody of ours does something, and everything happens that follows from it."""
        act(*args, actor=actor, now=self.now, **given)
        self.settle()

    def youngest(self, table: str) -> dict[str, Any]:
        """Return the latest row of a table."""
        return self.rows(f"SELECT * FROM {table} ORDER BY id DESC LIMIT 1")[0]  # noqa: S608 - our own name

    def state(self, lead: dict[str, Any]) -> str:
        """Where a lead is in its lifecycle."""
        return str(self.rows("SELECT state FROM lead WHERE id = :id", id=lead["id"])[0]["state"])

    def way(self, lead: dict[str, Any]) -> list[str]:
        """The states through which a lead went after the first one."""
        found = self.rows("SELECT to_state FROM transition WHERE lead_id = :id ORDER BY number", id=lead["id"])
        return [row["to_state"] for row in found]

    def clocks(self, ticket: dict[str, Any]) -> dict[str, str]:
        """What the clocks of a ticket say, by metric."""
        query = "SELECT metric, state FROM ticket_clock WHERE ticket_id = :id ORDER BY cycle"
        return {row["metric"]: row["state"] for row in self.rows(query, id=ticket["id"])}

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Read the data of all events of a type."""
        return [
            row["data"] for row in self.rows("SELECT data FROM event WHERE type = :k ORDER BY tx, position", k=kind)
        ]

    def work(self) -> list[dict[str, Any]]:
        """The follow-ups that nobody has done."""
        return self.rows("SELECT * FROM follow_up WHERE outcome IS NULL ORDER BY owner")

    def mails(self) -> list[EmailMessage]:
        """What went out, in the order in which it was planned."""
        return [read(file.read_bytes()) for file in sorted((self.folder / "outbox").glob("*.eml"))]


@pytest.fixture(params=["the database", "RabbitMQ", "Redis"])
def business(request: pytest.FixtureRequest, postgres_server: str, tmp_path: Path) -> Iterator[Business]:
    """A business at work; each broker in turn."""
    fixture = {"the database": None, "RabbitMQ": "rabbitmq_server", "Redis": "redis_server"}[request.param]
    broker = request.getfixturevalue(fixture) if fixture else ""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(postgres_server))
        yield stack.enter_context(Business(url, broker, tmp_path))


def test_a_lead_goes_from_its_first_form_to_renewal_and_another_one_lapses(business: Business) -> None:
    ann, bea = business.writes("ann", "DE"), business.writes("bea", "FR")
    assert [business.state(lead) for lead in (ann, bea)] == ["opportunity", "opportunity"]
    owners = Owners(business.engine, business.hint)
    for lead in (ann, bea):
        business.by_hand(owners.accept, lead["id"], lead["owner"])

    both_are_won(business)
    offers_wait_while_they_complain(business, bea)
    help_is_given_within_its_time(business, ann)
    a_low_answer_is_a_complaint_that_breaks_its_promise(business, ann)
    more_help_and_a_better_answer(business, ann)
    would_they_recommend_us(business)
    renewals_are_talked_about(business)
    business.tells("ann", "contract.renewed", contract={"id": "C-1"}, total="2400.50", currency="EUR", order_id="O-3")
    assert business.state(ann) == "renewed"
    business.waits(berlin(2027, 12, 21) - SECOND)
    assert business.state(bea) == "customer"
    business.waits(berlin(2027, 12, 21))
    assert business.state(bea) == "inactive"

    business.waits(30 * DAY)
    served = ["serviced", "feedback_provided", "additional_service", "feedback_provided"]
    assert business.way(ann) == ["opportunity", "customer", *served, "renewed"]
    assert business.way(bea) == ["opportunity", "customer", "inactive"]
    all_of_it_adds_up(business, ann, bea)


def berlin(year: int, month: int, day: int) -> datetime:
    """The beginning of a day in Berlin, where contracts count theirs."""
    return datetime(year, month, day, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def both_are_won(business: Business) -> None:
    sales, work = Sales(business.engine, business.hint), FollowUps(business.engine, business.hint)
    first, second = business.rows("SELECT id FROM opportunity ORDER BY id")
    business.by_hand(sales.change, first["id"], {"stage": "need", "next_action": "Send an offer"})
    business.waits(DAY)
    offer = {"stage": "offer", "amount": "2400.50", "currency": "EUR", "expected_close": "2026-12-31"}
    products = [{"name": "Oven", "quantity": 1, "price": "2400.50"}]
    business.by_hand(sales.change, first["id"], offer | {"products": products})
    business.by_hand(sales.win, second["id"], {"amount": "99", "currency": "EUR"})

    business.waits(14 * DAY)
    [todo] = business.work()
    assert (todo["rule"], todo["owner"], todo["about_id"]) == ("gone_quiet", "ana", first["id"])
    business.by_hand(work.done, todo["id"], "done", channel="phone")
    business.by_hand(sales.change, first["id"], {"stage": "decision"})
    business.waits(berlin(2026, 12, 7) + 13 * HOUR)
    bought = {"total": "2400.50", "currency": "EUR", "order_id": "O-1", "items": [{"name": "Oven"}]}
    business.tells("ann", "purchase", **bought, contract={"id": "C-1", "period": "P12M"})

    decided = business.rows("SELECT stage, outcome, amount FROM opportunity ORDER BY id")
    assert [(row["stage"], row["outcome"], row["amount"]) for row in decided] == [
        ("decision", "won", Decimal("2400.50")),
        ("first_talk", "won", Decimal(99)),
    ]
    [contract] = business.rows("SELECT ends_on, status FROM contract")
    assert (contract["ends_on"].isoformat(), contract["status"]) == ("2027-12-06", "active")


def offers_wait_while_they_complain(business: Business, bea: dict[str, Any]) -> None:
    desk, retention = TicketService(business.engine, business.hint), Retention(business.engine, business.hint)

    def offered() -> tuple[list[str], str | None]:
        found = retention.offers(bea["person_id"], business.now)
        return [each["name"] for each in found["items"]], found["held_back"]

    assert offered() == (["care"], None)
    business.tells("bea", "complaint", message="It came broken.")
    complaint = business.youngest("ticket")
    assert (complaint["kind"], complaint["priority"], complaint["owner"]) == ("complaint", "high", "eva")
    assert offered() == ([], "complaint_open")
    business.by_hand(desk.answer, complaint["id"], "A new one is on its way.", "email", agent="eva", send=True)
    business.by_hand(desk.status, complaint["id"], "resolved", agent="eva", root_cause="delivery")
    assert offered() == (["care"], None)
    bought = {"total": "120", "currency": "EUR", "order_id": "O-2", "items": [{"name": "Care plan"}]}
    business.tells("bea", "purchase", **bought, contract={"id": "C-2", "period": "P12M"})
    assert offered() == ([], None)


def help_is_given_within_its_time(business: Business, ann: dict[str, Any]) -> None:
    desk = TicketService(business.engine, business.hint)
    business.waits(10 * DAY)
    business.tells("ann", "service.requested", message="Please set it up.")
    ticket = business.youngest("ticket")
    assert (ticket["kind"], ticket["status"], ticket["owner"]) == ("request", "new", "dee")
    business.waits(HOUR)
    asked: dict[str, Any] = {"agent": "dee", "status": "waiting", "send": True}
    business.by_hand(desk.answer, ticket["id"], "When does it suit you?", "email", **asked)
    mail = business.mails()[-1]
    assert (mail["To"], plain(mail).strip()) == ("ann@ann.example", "When does it suit you?")
    business.waits(8 * DAY)  # longer than it may take, and it is not we who are waited for
    business.replies(mail, "On Monday.")
    assert business.clocks(ticket) == {"first_response": "hit", "next_response": "active", "resolution": "active"}
    business.waits(DAY)
    business.by_hand(desk.status, ticket["id"], "resolved", agent="dee")

    said = business.rows("SELECT kind, body FROM ticket_entry WHERE kind LIKE 'message%' ORDER BY ticket_id, number")
    assert [row["body"] for row in said][-2:] == ["When does it suit you?", "On Monday."]
    assert business.clocks(ticket) == {"first_response": "hit", "next_response": "cancelled", "resolution": "hit"}
    assert business.state(ann) == "serviced"


def a_low_answer_is_a_complaint_that_breaks_its_promise(business: Business, ann: dict[str, Any]) -> None:
    desk = TicketService(business.engine, business.hint)
    business.waits(2 * HOUR)
    survey, mail = business.youngest("survey"), business.mails()[-1]
    assert (survey["survey"], survey["state"], survey["agent"]) == ("after_help", "sent", "dee")
    assert (mail["Subject"], f"{BASE}/s/" in plain(mail)) == ("How did we do?", True)
    answer(business, survey, 2, "It took nine days.")
    complaint = business.youngest("ticket")
    assert business.state(ann) == "feedback_provided"
    assert (complaint["kind"], complaint["refers_to"], complaint["owner"]) == ("complaint", survey["about_id"], "eva")
    held_back = Retention(business.engine, business.hint).offers(ann["person_id"], business.now)["held_back"]
    assert held_back == "complaint_open"

    business.waits(4 * HOUR)  # nobody does anything
    assert business.clocks(complaint) == {"first_response": "breached", "resolution": "active"}
    business.waits(HOUR)
    business.by_hand(desk.answer, complaint["id"], "You are right.", "email", agent="eva", send=True)
    business.by_hand(desk.status, complaint["id"], "resolved", agent="eva", root_cause="our_mistake")
    assert business.clocks(complaint) == {"first_response": "missed", "resolution": "hit"}


def more_help_and_a_better_answer(business: Business, ann: dict[str, Any]) -> None:
    desk = TicketService(business.engine, business.hint)
    business.waits(20 * DAY)
    business.tells("ann", "service.requested", message="And one for the other shop.")
    assert business.state(ann) == "additional_service"
    ticket = business.youngest("ticket")
    business.by_hand(desk.answer, ticket["id"], "It is there.", "phone", agent=ticket["owner"], status="resolved")
    business.waits(2 * HOUR)
    answer(business, business.youngest("survey"), 5)
    assert business.state(ann) == "feedback_provided"


def would_they_recommend_us(business: Business) -> None:
    business.waits(berlin(2027, 3, 9))
    [bea, ann] = business.rows("SELECT * FROM survey WHERE kind = 'nps' ORDER BY id")
    assert (bea["state"], ann["state"], ann["reason"]) == ("sent", "cancelled", "cooldown")
    answer(business, bea, 9)


def answer(business: Business, survey: dict[str, Any], score: int, comment: str | None = None) -> None:
    """A customer answers on the page of a survey."""
    give = partial(Answers(business.engine, business.hint).give, score=score, comment=comment, channel="survey")
    business.by_hand(give, survey["id"], actor="customer")


def renewals_are_talked_about(business: Business) -> None:
    """Before the ends of both contracts; Ann's first talk is forgotten until somebody is told."""
    work = FollowUps(business.engine, business.hint)
    for days in (90, 60, 30, 7):
        begins = date(2027, 12, 7) - days * DAY
        moment = berlin(begins.year, begins.month, begins.day)
        business.waits(moment - SECOND)
        assert business.work() == []
        business.waits(moment)
        ann, bea = business.work()
        assert {(each["rule"], each["about_kind"]) for each in (ann, bea)} == {("renewal_talk", "contract")}
        business.by_hand(work.done, bea["id"], "leaving", channel="phone")
        if days == 90:
            for late in (-2 * HOUR, timedelta(), 8 * HOUR):
                business.waits(ann["due_at"] + late)
            [ann] = business.work()
            assert (ann["owner"], ann["escalated_to"], ann["late_at"] - ann["due_at"] < MINUTE) == ("ana", "eva", True)
        business.by_hand(work.done, ann["id"], "renewing" if days == 7 else "thinking", channel="phone")


def all_of_it_adds_up(business: Business, ann: dict[str, Any], bea: dict[str, Any]) -> None:
    assert business.due() == []
    assert business.work() == business.rows("SELECT step, error FROM dead_letter") == []
    events = business.feed()
    assert out_of_order(events) == []
    assert (
        len({event["id"] for event in events}) == len(events) == business.rows("SELECT count(*) FROM event")[0]["count"]
    )
    with business.engine.begin() as connection:
        told = account.account(connection, clock.now())
    assert (told["unaccounted"], told["found"], told["late_timers"]) == (0, [], 0)

    counted = Counter(event["type"].removeprefix("throughline.").removesuffix(".v1") for event in events)
    once = {
        "contract.renewed": 1,
        "contract.ended": 1,
        "ticket.breached": 1,
        "opportunity.quiet": 1,
        "follow_up.late": 1,
    }
    twice = dict.fromkeys(("opportunity.opened", "opportunity.won", "contract.started", "ticket.escalated"), 2)
    each_ticket = dict.fromkeys(("ticket.opened", "ticket.resolved", "ticket.closed"), 4)
    surveys = {"survey.sent": 3, "survey.answered": 3}
    work = dict.fromkeys(("follow_up.created", "follow_up.done"), 9) | {"contract.renewal_due": 8}
    expected = once | twice | each_ticket | surveys | work | {"lead.transitioned": 10, "message.sent": 6}
    assert {kind: counted[kind] for kind in expected} == expected
    due = Counter((each["contract_id"], each["before_s"] // 86_400) for each in business.told("contract.renewal_due"))
    assert sorted(days for _, days in due) == [7, 7, 30, 30, 60, 60, 90, 90]
    assert {each["percent"] for each in business.told("ticket.escalated")} == {80, 100}
    sold = business.rows("SELECT person_id, currency, sum(amount) AS value, count(*) AS n FROM purchase GROUP BY 1, 2")
    assert {(row["person_id"], row["currency"]): (row["value"], row["n"]) for row in sold} == {
        (ann["person_id"], "EUR"): (Decimal("4801.00"), 2),
        (bea["person_id"], "EUR"): (Decimal(120), 1),
    }
