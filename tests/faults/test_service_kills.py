"""SIGKILL around every effect of sales and service: what dies and is done again comes to what it would have anyway."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from schema.failpoints import NAMES
from schema.journey import default_text
from schema.store import journeys
from tests.management import fresh_database
from tests.mortal import DELIVER, Mortal
from tests.spine import Spine
from workers.followups.by_hand import FollowUps
from workers.helpdesk.by_hand import TicketService
from workers.owners import Owners
from workers.satisfaction.answers import Answers

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED: Final = default_text().replace("sample: 50", "sample: 100")
"""Nobody is left out by lot."""
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
WORKER: Final = tuple(name for name in NAMES if name.startswith("worker."))
SENDING: Final = ("deliver.after_claim", "deliver.before_settle")


class Story:
    """Three customers in one database, told twice: once with a worker that dies before it does anything."""

    def __init__(self, spine: Spine, worker: Mortal, *, deadly: bool) -> None:
        self.spine = spine
        self.worker = worker
        self.deadly = deadly
        self.desk = TicketService(spine.engine, spine.hints.send)
        self.follow_ups = FollowUps(spine.engine, spine.hints.send)
        with spine.engine.begin() as connection:
            journeys.activate(connection, journeys.store(connection, SHIPPED, spine.now), spine.now)

    # -- how it is told ------------------------------------------------------------------------------------------------

    def work(self, step: str = "identify") -> None:
        """Have what is due be done, after a death at each point of the way."""
        self.worker.work(self.spine, step, WORKER if self.deadly else ())
        for row in self.spine.rows("SELECT DISTINCT next_step FROM lead WHERE due_since IS NOT NULL"):
            self.worker.work(self.spine, row["next_step"])  # its hint died with whoever had it: the sweep's would come

    def comes(self, number: int, kind: str = "", **data: Any) -> None:  # noqa: ANN401 - fields of an event
        """Somebody sends the form, or another system tells of them."""
        said = {"email": f"c{number}@c{number}.example"} | data
        if not kind:
            self.spine.arrives(said | {"name": "Somebody", "country": "DE", "employees": 80, "interests": ["crm"]})
            return
        told = {"specversion": "1.0", "id": f"{kind} {number}", "source": "/shop", "type": kind, "data": said}
        self.spine.arrives(json.dumps(told).encode(), source="product", channel="event")

    def until(self, end: datetime) -> None:
        """Let time pass; at each moment for which a timer is set, the worker dies and another one goes on."""
        while (at := self.spine.rows("SELECT min(due_at) AS at FROM timer")[0]["at"]) is not None and at <= end:
            self.spine.now = at
            self.work("followup")
        self.spine.now = end

    def mails(self) -> None:
        """Have what is planned be sent, by workers that die with it in hand; each time somebody looks later."""
        for point in SENDING:
            if self.deadly:
                self.worker.dies(self.spine, DELIVER, point)
            self.spine.passes(HOUR)
        self.worker.work(self.spine, DELIVER)

    def done(self, outcome: str) -> None:
        """Have people do all that is open."""
        for row in self.spine.rows("SELECT id FROM follow_up WHERE outcome IS NULL ORDER BY lead_id"):
            self.follow_ups.done(row["id"], outcome, actor="key:1", now=self.spine.now)
        self.spine.run(step="score")

    def resolved(self) -> None:
        """Have agents resolve all tickets."""
        for row in self.spine.rows("SELECT id, kind, owner FROM ticket WHERE status IN ('new', 'open') ORDER BY id"):
            cause = "delivery" if row["kind"] == "complaint" else None
            by = {"actor": "key:1", "agent": row["owner"], "root_cause": cause}
            self.desk.status(row["id"], "resolved", now=self.spine.now, **by)
        self.spine.run(step="score")

    # -- what happens --------------------------------------------------------------------------------------------------

    def tell(self) -> None:
        spine, owners = self.spine, Owners(self.spine.engine, self.spine.hints.send)
        for number in range(3):
            self.comes(number)
        self.work()
        for lead in spine.rows("SELECT id, owner FROM lead ORDER BY id"):
            owners.accept(lead["id"], lead["owner"], actor="key:1", now=spine.now)
        self.until(spine.now + 9 * DAY)  # opportunities are quiet, and nobody calls
        self.done("done")
        for number in range(3):
            contract = {"id": f"C-{number}", "period": "P12M", "auto_renew": not number}
            self.comes(number, "purchase", total="99.50", currency="EUR", order_id=f"O-{number}", contract=contract)
        self.work()
        for number, kind in enumerate(("service.requested", "service.requested", "complaint")):
            self.comes(number, kind, message="It does not work.")
        self.work()
        self.until(spine.now + 8 * DAY)  # nobody answers
        self.resolved()
        self.until(spine.now + 3 * HOUR)
        self.mails()
        answers = Answers(spine.engine, spine.hints.send)
        asked = spine.rows("SELECT id FROM survey WHERE state = 'sent' ORDER BY lead_id")
        for survey, score in zip(asked, (1, 5), strict=True):
            by = {"channel": "survey", "actor": "customer"}
            answers.give(survey["id"], score=score, comment=None, now=spine.now, **by)
        self.resolved()
        [row] = spine.rows("SELECT DISTINCT ends_on FROM contract")
        end = datetime.combine(row["ends_on"], time(12), UTC)
        self.until(end - 89 * DAY)
        for days in (60, 30, 7):
            self.done("thinking")
            self.until(end - (days - 1) * DAY)
        self.until(end + DAY)
        self.comes(2, "contract.renewed", contract={"id": "C-2"}, total="99.50", currency="EUR", order_id="O-3")
        self.work()
        self.done("not_reached")
        self.until(end + 20 * DAY)


ONCE: Final = {
    "opportunity.opened": 3, "opportunity.quiet": 3, "opportunity.won": 3, "contract.started": 3,
    "ticket.opened": 4, "ticket.assigned": 4, "ticket.at_risk": 6, "ticket.breached": 6, "ticket.escalated": 4,
    "ticket.closed": 4, "survey.sent": 3, "survey.answered": 2, "contract.renewal_due": 8, "contract.renewed": 2,
    "contract.ended": 1, "follow_up.created": 11, "follow_up.reminded": 8, "follow_up.late": 5,
    "follow_up.escalated": 2, "lead.transitioned": 13,
}  # fmt: skip
"""What is told in the story: of three tickets two clocks each, of two contracts four moments each."""
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KEPT: Final = {
    "event": "sequence, type, time, data",
    "touchpoint": "kind, occurred_at, data",
    "transition": "number, name, to_state, at",
    "opportunity": "stage, outcome, changes, quiet_since",
    "ticket": "kind, status, owner, sla, reopened, closed_at",
    "follow_up": "rule, owner, due_at, reminded_at, late_at, escalated_at, escalated_to, outcome",
    "survey": "survey, kind, state, reason, sent_at, score",
    "contract": "external_id, starts_on, ends_on, status, told",
    "send": "campaign, step, state",
    "timer": "kind, due_at",
    "handover": "number, what, from_department, to_department, at, taken_at, ended_at",
}


def kept(spine: Spine) -> dict[str, list[str]]:
    """What a database says in the end of each lead, but for ids."""
    leads = {row["id"]: str(number) for number, row in enumerate(spine.rows("SELECT id FROM lead ORDER BY id"))}
    found = {}
    for table, columns in _KEPT.items():
        rows = spine.rows(f"SELECT lead_id, {columns} FROM {table}")  # noqa: S608 - our own names
        said = [f"{leads[row.pop('lead_id')]} {sorted(row.items(), key=str)}" for row in rows]
        found[table] = sorted(_ID.sub("an id", each) for each in said)
    clocks = spine.rows("SELECT metric, cycle, state, told, due_at, worked_s FROM ticket_clock")
    return found | {"ticket_clock": sorted(map(str, clocks))}


def test_whatever_dies_in_sales_and_service_nothing_is_lost_and_nothing_is_twice(
    postgres_server: str, tmp_path: Path
) -> None:
    told = []
    with Mortal(tmp_path) as worker:
        for deadly in (False, True):
            with fresh_database(postgres_server) as url, closing(Spine(url)) as spine:
                Story(spine, worker, deadly=deadly).tell()
                assert not spine.rows("SELECT FROM dead_letter")
                told.append(kept(spine))
                counts = spine.rows("SELECT type, count(*) AS n FROM event GROUP BY type")
    undisturbed, shaken = told

    assert worker.deaths > 90
    assert shaken == undisturbed
    counted = {row["type"]: row["n"] for row in counts}
    assert {kind: counted[kind] for kind in ONCE} == ONCE
