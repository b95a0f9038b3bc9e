"""
The rows behind a figure: which leads, tickets and purchases it counts, with the moment of each; by page.

What was counted by day says on which days there is anything; only those are looked through, by the indexes on time, and
only so many in one page that it stays quick. So a page may be shorter than asked for, even empty, and still go on.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.errors import Permanent
from schema.kpi.figure import PARTS
from schema.store.ids import is_id
from schema.store.kpi_figures import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.store.kpi_figures import Question

LARGEST_PAGE: Final = 500
MOST_RUNS: Final = 31
"""So many statements are made for one page at most."""
MOST_PIECES: Final = 24
ENOUGH: Final = 20_000
"""About so many rows are looked through for one page."""
DIMS: Final = ("source", "channel")
"""The dimensions by which rows can be asked for: those that stand on the lead."""
_LARGEST_NUMBER: Final = 2**31 - 1
_ZERO: Final = "00000000-0000-0000-0000-000000000000"

_LEAD: Final = """
JOIN lead AS l ON l.id = r.lead_id AND NOT l.test AND l.journey_name = :journey
  AND (CAST(:source AS text) IS NULL OR l.source = :source) AND (CAST(:channel AS text) IS NULL OR l.channel = :channel)
"""
_PAGE: Final = f"""
SELECT r.at, r.lead_id, r.number, r.id, r.detail FROM ({{rows}}) AS r {_LEAD}
WHERE (r.at, r.lead_id, r.number) > (:after, CAST(:after_id AS uuid), :after_number)
ORDER BY r.at, r.lead_id, r.number LIMIT :most
"""  # noqa: S608 - our own text
_SPAN: Final = "{at} >= :since AND {at} < :until"
_BEGUN: Final = f"""
SELECT t.occurred_at AS at, t.lead_id, 0 AS number, t.id,
       jsonb_build_object('source', t.source, 'channel', t.channel, 'kind', t.kind) AS detail
FROM touchpoint AS t WHERE {_SPAN.format(at="t.occurred_at")} AND NOT EXISTS (
    SELECT FROM touchpoint AS e
    WHERE e.lead_id = t.lead_id AND (e.occurred_at, e.id) < (t.occurred_at, t.id)
)
"""  # noqa: S608 - our own text
_TOUCHED: Final = f"""
SELECT t.occurred_at AS at, t.lead_id, 0 AS number, t.id,
       jsonb_build_object('kind', t.kind, 'source', t.source, 'channel', t.channel) AS detail
FROM touchpoint AS t WHERE {_SPAN.format(at="t.occurred_at")} AND (CAST(:code AS text) IS NULL OR t.kind = :code)
"""  # noqa: S608 - our own text
_MOVED: Final = f"""
SELECT t.at, t.lead_id, t.number, NULL::uuid AS id, jsonb_build_object(
    'state', t.from_state, 'transition', t.name, 'to', t.to_state, 'actor', t.actor, 'reason', t.reason,
    'version', t.journey) AS detail
FROM transition AS t WHERE {_SPAN.format(at="t.at")} AND t.name <> 'migrate'
  AND (CAST(:states AS text[]) IS NULL OR t.from_state = ANY(CAST(:states AS text[])))
  AND (CAST(:targets AS text[]) IS NULL OR t.to_state = ANY(CAST(:targets AS text[])))
"""  # noqa: S608 - our own text
# Stays that began: by a move, or with the lead itself in the first state; with the move that ended each, if any.
_STAYS: Final = f"""
SELECT b.at, b.lead_id, b.number, NULL::uuid AS id, jsonb_build_object(
    'state', b.state, 'transition', o.name, 'to', o.to_state, 'left_at', o.at,
    'seconds', CAST(extract(epoch FROM o.at - b.at) AS bigint)) AS detail
FROM (
    SELECT t.at, t.lead_id, t.number, t.to_state AS state FROM transition AS t
    WHERE {_SPAN.format(at="t.at")} AND t.name <> 'migrate'
      AND (CAST(:states AS text[]) IS NULL OR t.to_state = ANY(CAST(:states AS text[])))
    UNION ALL
    SELECT first.at, first.lead_id, 0, :initial FROM ({_BEGUN}) AS first
    WHERE CAST(:states AS text[]) IS NULL OR :initial = ANY(CAST(:states AS text[]))
) AS b LEFT JOIN transition AS o ON o.lead_id = b.lead_id AND o.number = b.number + 1
"""  # noqa: S608 - our own text
_PURCHASED: Final = f"""
SELECT p.at, p.lead_id, 0 AS number, p.id, jsonb_build_object(
    'kind', p.kind, 'amount', p.amount::text, 'currency', p.currency, 'source', p.source) AS detail
FROM purchase AS p WHERE {_SPAN.format(at="p.at")}
"""  # noqa: S608 - our own text
# A lead is won by its first purchase or by the first opportunity that is won, whichever is earlier.
_WINS: Final = f"""
SELECT p.at, p.lead_id, 0 AS number, p.id, jsonb_build_object(
    'by', 'purchase', 'amount', p.amount::text, 'currency', p.currency) AS detail
FROM purchase AS p WHERE {_SPAN.format(at="p.at")} AND p.kind <> 'refund' AND NOT EXISTS (
    SELECT FROM purchase AS e WHERE e.person_id = p.person_id AND e.lead_id = p.lead_id AND e.kind <> 'refund'
      AND (e.at, e.id) < (p.at, p.id)
) AND NOT EXISTS (
    SELECT FROM opportunity AS o WHERE o.lead_id = p.lead_id AND o.outcome = 'won' AND o.closed_at <= p.at
)
UNION ALL
SELECT o.closed_at, o.lead_id, 1, o.id, jsonb_build_object(
    'by', 'opportunity', 'amount', o.amount::text, 'currency', o.currency)
FROM opportunity AS o
WHERE o.journey_name = :journey AND o.pipeline = ANY(CAST(:pipelines AS text[])) AND o.outcome = 'won'
  AND {_SPAN.format(at="o.closed_at")} AND NOT EXISTS (
    SELECT FROM purchase AS e WHERE e.person_id = o.person_id AND e.lead_id = o.lead_id AND e.kind <> 'refund'
      AND e.at < o.closed_at
) AND NOT EXISTS (
    SELECT FROM opportunity AS e WHERE e.lead_id = o.lead_id AND e.outcome = 'won'
      AND (e.closed_at, e.id) < (o.closed_at, o.id)
)
"""  # noqa: S608 - our own text
_TICKETS: Final = f"""
SELECT t.opened_at AS at, t.lead_id, 0 AS number, t.id, jsonb_build_object(
    'number', t.number, 'kind', t.kind, 'status', t.status, 'resolved_at', t.resolved_at) AS detail
FROM ticket AS t WHERE {_SPAN.format(at="t.opened_at")} AND (CAST(:code AS text) IS NULL OR t.kind = :code)
"""  # noqa: S608 - our own text
_TOLD: Final = f"""
SELECT e.time AS at, e.lead_id, e.sequence AS number, NULL::uuid AS id, e.data || jsonb_build_object('event', e.type)
AS detail FROM event AS e WHERE {_SPAN.format(at="e.time")} AND e.type = ANY(CAST(:types AS text[]))
  AND (CAST(:field AS text) IS NULL OR e.data ->> :field = :code)
"""  # noqa: S608 - our own text
_DAYS: Final = text("""
SELECT day, CAST(COALESCE(sum(n) FILTER (WHERE measure = ANY(CAST(:measures AS text[]))
       AND (CAST(:firsts AS text[]) IS NULL OR split_part(item, '>', 1) = ANY(CAST(:firsts AS text[])))), 0) AS bigint)
       AS wanted, CAST(sum(n) FILTER (WHERE measure = ANY(CAST(:all AS text[]))) AS bigint) AS weight
FROM kpi_bucket WHERE journey_name = :journey AND measure = ANY(CAST(:read AS text[])) AND dim = ''
  AND day >= :since AND day < :until
GROUP BY day ORDER BY day
""")


@dataclass(frozen=True, slots=True)
class _Source:
    """
    Where rows stand: a statement, and the measures that say on which days there are any.

    `looked_through` are the measures that say how many rows a day has to be looked through. `types` are those of
    events, and `field` names in them what is asked of.
    """

    rows: str
    measures: tuple[str, ...]
    looked_through: tuple[str, ...]
    types: tuple[str, ...] = ()
    field: str | None = None


_EVENTS_OF_A_DAY: Final = ("created", "touched", "moved", "assigned", "message.sent", "ticket.opened")
_BEGUN_BY: Final = _Source(_BEGUN, ("created",), ("touched",))
_STAYS_IN: Final = _Source(_STAYS, ("entered",), ("touched", "moved"))
_MOVES_OF: Final = _Source(_MOVED, ("moved",), ("moved",))
_BOUGHT: Final = _Source(_PURCHASED, ("purchased",), ("purchased",))


def _told(measures: tuple[str, ...], *types: str, field: str | None = None) -> _Source:
    return _Source(_TOLD, measures, _EVENTS_OF_A_DAY, types, field)


_ANSWERS: Final = _told(("survey.answered",), "survey.answered", field="survey")
_CLOSED: Final = _told(("opportunity.won", "opportunity.lost"), "opportunity.won", "opportunity.lost", field="pipeline")
_WON: Final = _told(("opportunity.won",), "opportunity.won", field="pipeline")
_TERMS: Final = _told(("contract.renewed", "contract.ended"), "contract.renewed", "contract.ended")
_JUDGED: Final = _told(("qualification",), "lead.qualified", "lead.disqualified", "lead.undecided")
SOURCES: Final[dict[str, _Source]] = {
    "arrivals": _BEGUN_BY,
    "touchpoints": _Source(_TOUCHED, ("touched",), ("touched",)),
    "qualification_rate": _JUDGED,
    "disqualified": _told(("qualification",), "lead.disqualified"),
    "conversion": _STAYS_IN,
    "drop_off": _STAYS_IN,
    "time_in_state": _STAYS_IN,
    "conversion_snapshot": _MOVES_OF,
    "drop_off_snapshot": _MOVES_OF,
    "time_to_move": _MOVES_OF,
    "win_rate": _MOVES_OF,
    "overdue": _told(("overdue",), "lead.overdue", field="state"),
    "assignment_time": _told(("assigned",), "lead.routed"),
    "assigned": _told(("assigned",), "lead.routed"),
    "time_to_accept": _told(("accepted",), "lead.accepted"),
    "handed_on": _told(("handed_on",), "lead.handed_on"),
    "wins": _Source(_WINS, ("won",), ("purchased", "opportunity.won")),
    "time_to_win": _Source(_WINS, ("won",), ("purchased", "opportunity.won")),
    "value": _BOUGHT,
    "average_sale": _BOUGHT,
    "upsell_rate": _BOUGHT,
    "upsell_value": _BOUGHT,
    "opportunity_win_rate": _CLOSED,
    "lost_reasons": _told(("opportunity.lost",), "opportunity.lost", field="pipeline"),
    "sales_cycle": _WON,
    "won_amount": _WON,
    "velocity": _CLOSED,
    "renewal_rate": _TERMS,
    "churn_rate": _told(("contract.ended",), "contract.ended"),
    "tickets_opened": _Source(_TICKETS, ("ticket.opened",), ("ticket.opened",)),
    "tickets_resolved": _told(("ticket.resolved",), "ticket.resolved", field="kind"),
    "resolution_time": _told(("ticket.resolved",), "ticket.resolved", field="kind"),
    "reopen_rate": _told(("ticket.reopened",), "ticket.reopened", field="kind"),
    "ticket_first_response": _told(("first_response",), "ticket.replied"),
    "sla_hit_rate": _told(("sla.missed",), "ticket.breached", field="metric"),
    "csat": _ANSWERS,
    "nps": _ANSWERS,
    "satisfaction": _ANSWERS,
    "response_rate": _told(("survey.sent",), "survey.sent", field="survey"),
    "follow_up_late_rate": _told(("follow_up.late",), "follow_up.late"),
    "campaign_entered": _told(("campaign.entered",), "campaign.entered", field="campaign"),
    "campaign_goal_rate": _told(("campaign.exited",), "campaign.exited", field="campaign"),
    "messages_sent": _told(("message.sent",), "message.sent", field="campaign"),
}
"""Where the rows of each KPI stand; the others have none of their own."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place among the rows: behind the one at a moment, of a lead, with a number."""

    at: datetime
    lead_id: str = _ZERO
    number: int = -1

    def encode(self) -> str:
        """Return the cursor as readers keep it."""
        told = f"{self.at.astimezone(UTC).isoformat()}|{self.lead_id}|{self.number}"
        return base64.urlsafe_b64encode(told.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, value: str) -> Cursor:
        """Read what `encode` wrote. Raises `Permanent` (`cursor_invalid`)."""
        try:
            told = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
            at, lead_id, number = told.split("|")
            moment = datetime.fromisoformat(at)
            place = cls(moment.astimezone(UTC), lead_id, int(number))
        except (binascii.Error, ValueError, OverflowError) as error:
            raise Permanent("cursor_invalid", "This is not a cursor of this list.") from error
        if moment.tzinfo is None or not is_id(lead_id) or abs(place.number) > _LARGEST_NUMBER:
            raise Permanent("cursor_invalid", "This is not a cursor of this list.")
        return place


def page(
    connection: Connection,
    journey: Journey,
    asked: Question,
    *,
    cursor: str | None = None,
    limit: int = 100,
    **only: str | None,
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return rows behind a figure, in the order of time, and the cursor of what follows; None at the end.

    `only` may be `source` and `channel`. Raises `Permanent` (`rows_unknown`, `cursor_invalid`).
    """
    source = SOURCES.get(asked.kpi.name)
    if asked.kpi.name == "arrivals" and asked.of is not None:
        source = _STAYS_IN
    if source is None:
        raise Permanent("rows_unknown", f"{asked.kpi.name} is not made of rows. These are: {', '.join(SOURCES)}.")
    zone = ZoneInfo(journey.kpis.tz)
    after = Cursor.decode(cursor) if cursor else Cursor(_midnight(asked.since, zone))
    given = _parameters(journey, asked, source) | {name: only.get(name) for name in DIMS}
    statement = text(_PAGE.format(rows=source.rows))
    found: list[dict[str, Any]] = []
    for begin, end in _runs(connection, journey, asked, source, after.at, limit):
        if end is None:
            return found, Cursor(begin).encode()
        place = {"after": after.at, "after_id": after.lead_id, "after_number": after.number}
        most = limit - len(found) + 1
        span = {"since": max(begin, after.at), "until": end, "most": most}
        rows = connection.execute(statement, given | span | place).all()
        found += [_shown(row) for row in rows[: most - 1]]
        if len(rows) == most:
            last = rows[most - 2] if most > 1 else None
            return found, (Cursor(last.at, last.lead_id, last.number) if last else Cursor(begin)).encode()
    return found, None


def _runs(
    connection: Connection, journey: Journey, asked: Question, source: _Source, after: datetime, limit: int
) -> Iterator[tuple[datetime, datetime | None]]:
    """
    Spans of time in which there are rows, as many as one page takes; at last, if more follow, (where, None).

    Days with few of them are taken together, and one with many in pieces.
    """
    zone = ZoneInfo(journey.kpis.tz)
    given = {
        "journey": journey.name,
        "measures": list(source.measures),
        "all": list(source.looked_through),
        "read": sorted({*source.measures, *source.looked_through}),
        "firsts": _firsts(journey, asked, source),
        "since": max(asked.since, after.astimezone(zone).date()),
        "until": asked.until,
    }
    days = [(row.day, row.wanted, row.weight or row.wanted) for row in connection.execute(_DAYS, given) if row.wanted]
    looked, made, at = 0, 0, 0
    while at < len(days):
        first, wanted, weight = days[at]
        end, at = first + timedelta(days=1), at + 1
        while at < len(days) and days[at][0] == end and wanted + days[at][1] <= limit and weight <= ENOUGH:
            end, wanted, weight, at = end + timedelta(days=1), wanted + days[at][1], weight + days[at][2], at + 1
        pieces = min(max(wanted // limit, 1), MOST_PIECES)
        for begin, stop in _cut(_midnight(first, zone), _midnight(end, zone), pieces):
            if stop <= after:
                continue
            if made >= MOST_RUNS or (made and looked + weight // pieces > ENOUGH):
                yield begin, None
                return
            looked, made = looked + weight // pieces, made + 1
            yield begin, stop


def _cut(begin: datetime, end: datetime, pieces: int) -> Iterator[tuple[datetime, datetime]]:
    """A span of time in pieces of equal length."""
    length = (end - begin) / pieces
    marks = [begin + number * length for number in range(pieces)] + [end]
    yield from pairwise(marks)


def _firsts(journey: Journey, asked: Question, source: _Source) -> list[str] | None:
    """What the items of the measures begin with that are asked of; None: whatever."""
    if asked.of is None:
        return None
    if asked.of.kind == "transition":
        return sorted(shape_of(journey).ways.get(asked.of.code, ())) or None
    starts = {PARTS.get(measure, ("",))[0] for measure in source.measures}
    return [asked.of.code] if starts == {asked.of.kind} else None


def _parameters(journey: Journey, asked: Question, source: _Source) -> dict[str, Any]:
    """What the statements are given beside the span; those that one does not name do no harm."""
    of, shape = asked.of, shape_of(journey)
    states: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    if of is not None and of.kind == "state":
        states = [of.code]
    elif of is not None and of.kind == "transition":
        states = sorted(shape.ways.get(of.code, ()))
    if asked.kpi.name == "win_rate":
        targets = sorted(shape.won | shape.lost)
    given: dict[str, Any] = {"journey": journey.name}
    named = {
        "code": of.code if of else None,
        "states": states,
        "targets": targets,
        "initial": journey.initial,
        "pipelines": list(journey.pipelines),
        "types": list(source.types),
        "field": source.field if of else None,
    }
    return given | {name: value for name, value in named.items() if f":{name}" in source.rows}


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _shown(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a row of a statement
    return {"at": row.at, "lead_id": row.lead_id, "id": row.id, "detail": row.detail}
