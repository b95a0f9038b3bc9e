"""Counting: a small life through the steps, in figures that equal what the tables say and any recount."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import event

from schema.journey import default_text
from schema.store import kpis, ops
from schema.store.journeys import JourneyBook
from tests.desking import activate, service, tickets
from tests.management import settle
from workers.figures import recount
from workers.figures.count import LOCK, Counting, count, owes
from workers.identity.merge import Merger
from workers.kpi import Kpi
from workers.sales.by_hand import Sales
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Row

    from tests.spine import Spine

JOURNEY: Final = default_text().replace("sources:\n", "sources:\n  shop: {kind: api, map: {what: kind}}\n", 1)
WHO: Final[dict[str, Any]] = {"interests": "crm", "employees": 600, "country": "DE"}
HOUR: Final = timedelta(hours=1)


def lives(spine: Spine) -> None:
    """Leads that come, move, are won and lost, ask for help, answer, buy and turn out to be one."""
    activate(spine, text=JOURNEY)
    arrived = [spine.arrives({"email": f"c{number}@kiln.example", **WHO}) for number in range(4)]
    arrived.append(spine.arrives({"email": "x@rival.example", "company_domain": "rival.example"}))
    arrived.append(spine.arrives({"email": "tester@kiln.example", **WHO}))
    spine.do("UPDATE receipt SET test = true WHERE id = :id", id=arrived[-1])
    spine.run()
    spine.passes(30 * HOUR)
    leads = [spine.lead_of(receipt) for receipt in arrived]
    first, second = spine.rows("SELECT id, lead_id FROM opportunity ORDER BY id LIMIT 2")
    sales = Sales(spine.engine, spine.hints.send)
    sales.change(first["id"], {"stage": "need", "next_action": "call"}, actor="key:1", now=spine.now)
    sales.win(first["id"], {"amount": "900.50"}, actor="key:1", now=spine.now)
    sales.lose(second["id"], "price", actor="key:1", now=spine.now)
    spine.run()
    said = {"email": "c2@kiln.example", "what": "purchase", "currency": "EUR", "order_id": "A-1", "total": "99.90"}
    spine.arrives(said, source="shop", channel="api")
    spine.run()
    spine.arrives(
        said | {"total": "89.90", "occurred_at": (spine.now + HOUR).isoformat()}, source="shop", channel="api"
    )
    spine.passes(26 * HOUR)
    spine.run()
    helped = service(spine)
    asked = {"kind": "question", "source": "by_hand", "channel": "phone"}
    ticket = helped.open(first["lead_id"], asked, "How does it work?", actor="key:1", now=spine.now)
    spine.passes(HOUR)
    helped.answer(ticket["id"], "So.", "phone", actor="key:1", agent="eva", now=spine.now)
    helped.status(ticket["id"], "resolved", actor="key:1", agent="eva", now=spine.now)
    answers = Answers(spine.engine, spine.hints.send)
    for score in (5, 2):
        answers.taken(
            first["lead_id"], "after_help", score=score, comment=None, channel="phone", actor="key:1", now=spine.now
        )
        spine.passes(timedelta(days=40))
    people = [lead["person_id"] for lead in leads]
    merger = Merger(spine.engine, spine.hints.send)
    merger.merge(people[3], people[2], actor="ops", now=spine.now)
    spine.run()
    merger.unmerge(people[2], actor="ops", now=spine.now)
    spine.run()


def counted(spine: Spine, limit: int = 5000) -> None:
    settle(spine.engine)
    counting = Counting(JourneyBook())
    while count(spine.engine, counting, limit=limit):
        pass


def buckets(spine: Spine, where: str = "true") -> list[dict[str, Any]]:
    return spine.rows(f"""
        SELECT journey_name, measure, item, dim, value, day, n, total, bins FROM kpi_bucket
        WHERE (n, total, bins) <> (0, 0, '{{}}') AND {where}
        ORDER BY journey_name, measure, dim, day, item, value
    """)  # noqa: S608 - our own


def sums(spine: Spine, measure: str) -> dict[str, int]:
    found = spine.rows(
        "SELECT item, sum(n)::int AS n FROM kpi_bucket WHERE dim = '' AND measure = :measure GROUP BY item",
        measure=measure,
    )
    return {row["item"]: row["n"] for row in found}


def test_figures_of_a_small_life_equal_the_tables_and_any_recount(spine: Spine) -> None:
    lives(spine)
    counted(spine, limit=7)
    assert sums(spine, "created") == {"": len(spine.rows("SELECT id FROM lead WHERE NOT test"))}
    assert sums(spine, "won") == {"": 2}
    assert sums(spine, "opportunity.lost") == {"sales>price": 1}
    assert sums(spine, "ticket.resolved") == {tickets(spine)[0]["kind"]: 1}
    assert sums(spine, "parked").get("opportunity", 0) == 0, "it was taken back"
    found = recount.verify(spine.engine, portion=20)
    assert [each for each in found.tables if not each.equal] == []
    assert found.equal, found.named
    assert found.events == len(spine.rows("SELECT FROM event"))
    compared = {each.what for each in found.tables if each.n}
    assert compared == {
        "leads", "moves", "touchpoints", "opportunities", "tickets", "promises kept and broken", "purchases",
        "answered surveys",
    }  # fmt: skip


@pytest.mark.parametrize("dim", ["", "owner"])
def test_whole_months_are_read_at_once_and_come_to_the_same_as_their_days(spine: Spine, dim: str) -> None:
    lives(spine)
    counted(spine)
    measures = sorted({row["measure"] for row in buckets(spine)})
    begins, ends = (spine.rows(f"SELECT {end}(day) AS day FROM kpi_bucket")[0]["day"] for end in ("min", "max"))  # noqa: S608 - our own
    with spine.engine.begin() as connection:
        for since, until in product((begins, begins.replace(day=1)), (ends, ends + timedelta(days=1))):
            asked = (connection, "default", measures, since, until)
            by_day, by_month = kpis.stored(*asked, dim=dim), kpis.stored_by_month(*asked, dim=dim)
            assert added(by_day) == added(by_month)
            assert days(by_day, "left") == days(by_month, "left")
    assert {row.day for row in by_month if row.bins} < {row.day for row in (*by_day, *by_month)}


def added(rows: Sequence[Row[Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = defaultdict(lambda: [0, 0, Counter()])
    for row in rows:
        into = found[row.measure, row.item, row.value]
        into[0] += row.n
        into[1] += row.total
        into[2].update(kpis.sizes(row.bins) if row.bins else {})
    return found


def days(rows: Sequence[Row[Any]], measure: str) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for row in rows:
        if row.measure == measure and row.n:
            found[row.item, row.value, row.day] += row.n
    return found


def test_a_number_that_is_wrong_is_named_and_put_right(spine: Spine) -> None:
    lives(spine)
    counted(spine)
    right = buckets(spine)
    spine.do("UPDATE kpi_bucket SET n = n + 1 WHERE measure = 'created' AND dim = ''")
    spine.do("DELETE FROM kpi_bucket WHERE measure = 'opportunity.lost' AND dim = 'owner'")
    spine.do("DELETE FROM transition WHERE name = 'lose'")
    spine.arrives({"email": "later@kiln.example"})
    spine.run()
    found = recount.verify(spine.engine)
    named = {(each.measure, each.dim, each.n - each.recounted_n) for each in found.named}
    assert named == {("created", "", 1), ("opportunity.lost", "owner", -1)}
    assert [(each.what, each.n - each.table_n) for each in found.tables if not each.equal] == [
        ("leads", 1),
        ("moves", 1),
    ]
    assert not recount.rebuild(spine.engine, spine.now, dry_run=True).equal
    assert buckets(spine) != right
    recount.rebuild(spine.engine, spine.now)
    assert buckets(spine) == right
    noted = spine.rows("SELECT n::int AS n FROM kpi_restated WHERE measure = 'created' ORDER BY id DESC LIMIT 1")
    assert noted == [{"n": -1}]


def test_portions_and_deaths_between_statements_change_nothing(spine: Spine) -> None:
    lives(spine)
    counted(spine)
    whole, remembered = buckets(spine), spine.rows("SELECT * FROM kpi_lead ORDER BY lead_id")
    restated = "SELECT measure, item, day, sum(n) n, sum(total) total FROM kpi_restated GROUP BY 1, 2, 3 ORDER BY 1, 3"
    noted = spine.rows(restated)
    assert noted, "the order was told of once more when its day was over"
    spine.do("TRUNCATE kpi_bucket, kpi_lead, kpi_restated")
    spine.do("DELETE FROM consumer WHERE name = 'kpi'")
    counting = Counting(JourneyBook())
    statements = 0

    def dies(*_: object) -> None:
        nonlocal statements
        statements += 1
        if statements % 9 == 0:
            raise ConnectionAbortedError

    event.listen(spine.engine, "before_cursor_execute", dies)
    deaths = 0
    while True:
        try:
            if not count(spine.engine, counting, limit=11):
                break
        except ConnectionAbortedError:
            deaths += 1
    event.remove(spine.engine, "before_cursor_execute", dies)
    assert deaths > 5
    assert buckets(spine) == whole
    assert spine.rows("SELECT * FROM kpi_lead ORDER BY lead_id") == remembered
    assert spine.rows(restated) == noted


def test_one_counts_at_a_time_and_what_waits_is_shown(spine: Spine) -> None:
    spine.arrives({"email": "ana@kiln.example", **WHO})
    spine.run()
    settle(spine.engine)
    with spine.engine.connect() as connection:
        waiting = ops.uncounted(connection).events
        assert waiting == len(spine.rows("SELECT FROM event"))
        assert owes(connection)
        assert [each["waiting"] for each in ops.queues(connection) if each["name"] == "kpi"] == [waiting]
    kpi = Kpi(spine.engine, spine.hints, portion=2, turn_s=0)
    spine.hints.hints.clear()
    kpi.hear()
    assert spine.hints.hints.popleft() == ("kpi", ()), "its turn was over, and more is left"
    with spine.engine.connect() as connection:
        assert ops.uncounted(connection).events == waiting - 2
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        assert count(spine.engine, Counting(JourneyBook())) is None, "another one counts"
    kpi.stop()
    assert not kpi.count()
    counted(spine)
    with spine.engine.connect() as connection:
        assert not owes(connection)
        assert ops.uncounted(connection) == (0, 0.0)


def test_counting_reads_by_indexes_alone_however_much_there_is(spine: Spine) -> None:
    lives(spine)
    engine = spine.runtime().engine  # as a worker's
    statements: dict[str, Any] = {}
    event.listen(
        engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: statements.setdefault(statement, parameters),
    )
    assert count(engine, Counting(JourneyBook()), limit=40)
    with engine.begin() as connection:
        plans = [
            "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in list(statements.items())
        ]
    assert len(plans) > 5
    whole = [plan for plan in plans if re.search(r"Seq Scan on (event|kpi_|lead)", plan)]
    assert not whole, "\n\n".join(whole)
