"""
Count: a portion of the event feed, added to the figures in one transaction.

    reads   event, behind the cursor; kpi_lead of the leads it is about; the bins that are added to
    writes  kpi_bucket, kpi_lead, kpi_restated, and the cursor (`consumer`, name `kpi`)

One worker counts at a time (an advisory lock). The cursor moves in the transaction that counts, so an event counts once
wherever a worker is killed. Everything is read and folded before the first row is written: only a transaction that
writes holds back the feed, and this one does so for the last part of its short life.

`Books` names the tables that are written: a recount fills others by the same statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import structlog
from sqlalchemy import TextClause, text

from schema.store import feed, rows
from schema.store.feed import Cursor
from schema.store.ids import uuid_array
from schema.store.kpis import CONSUMER
from workers.figures import memory
from workers.figures.fold import ACTS, Fact, Told, fold, named
from workers.figures.rules import Rulebook
from workers.figures.tally import Tally, restated_row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Engine

    from schema.store.journeys import JourneyBook
    from workers.figures.memory import Lead

log = structlog.get_logger()

PORTION: Final = 10_000
"""Events of one transaction: buckets that many of them add to are written once for all."""
LOCK: Final = 0x7468726F75676805

_ALONE: Final = text("SELECT pg_try_advisory_xact_lock(:lock)")
_BEGIN: Final = text("INSERT INTO consumer (name, updated_at) VALUES (:name, now()) ON CONFLICT DO NOTHING")
_CURSOR: Final = text("SELECT tx::text AS tx, position FROM consumer WHERE name = :name")
_EVENTS: Final = """
SELECT tx::text, position, lead_id, sequence, type, floor(extract(epoch FROM time) * 1000)::bigint,
       CASE WHEN type = ANY(CAST(:types AS text[])) THEN data::text END
FROM event
WHERE (tx, position) > (CAST(:tx AS xid8), CAST(:position AS bigint)) AND {until}
ORDER BY event.tx, position LIMIT :limit
"""
_SETTLED: Final = text(_EVENTS.format(until="tx < pg_snapshot_xmin(pg_current_snapshot())"))
_UP_TO: Final = text(_EVENTS.format(until="(tx, position) <= (CAST(:last_tx AS xid8), CAST(:last_position AS bigint))"))
_DATA: Final = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True)
class Books:
    """The tables that are counted into: `bucket`, `lead`, and `restated` where that is to be noted."""

    bucket: str = "kpi_bucket"
    lead: str = "kpi_lead"
    restated: str | None = "kpi_restated"

    @cached_property
    def remembered(self) -> TextClause:
        """What is remembered of leads."""
        return text(f"SELECT lead_id, state::text AS state FROM {self.lead} WHERE lead_id = ANY(CAST(:ids AS uuid[]))")  # noqa: S608 - our own names

    @cached_property
    def add(self) -> TextClause:
        """Adds to buckets."""
        return text(f"""
            INSERT INTO {self.bucket} AS b (journey_name, measure, item, dim, value, day, n, total, bins)
            SELECT journey_name, measure, item, part ->> 0, part ->> 1, day, CAST(part ->> 2 AS bigint),
                   CAST(part ->> 3 AS numeric), part -> 4
            FROM jsonb_to_recordset(CAST(:groups AS jsonb))
              AS r(journey_name text, measure text, day date, item text, parts jsonb)
            CROSS JOIN LATERAL jsonb_array_elements(parts) AS part
            ON CONFLICT (journey_name, measure, dim, day, item, value) DO UPDATE
            SET n = b.n + EXCLUDED.n, total = b.total + EXCLUDED.total, bins = CASE
                WHEN EXCLUDED.bins = '{{}}' THEN b.bins
                WHEN b.bins = '{{}}' THEN EXCLUDED.bins
                ELSE (
                    SELECT COALESCE(jsonb_object_agg(bin, held), '{{}}') FROM (
                        SELECT key AS bin, sum(CAST(value AS bigint)) AS held FROM (
                            SELECT * FROM jsonb_each_text(b.bins) UNION ALL SELECT * FROM jsonb_each_text(EXCLUDED.bins)
                        ) AS each GROUP BY key
                    ) AS added WHERE held <> 0
                ) END
        """)  # noqa: S608 - our own names

    @cached_property
    def remember(self) -> TextClause:
        """Keeps what is to be known of leads."""
        return text(f"""
            INSERT INTO {self.lead} AS k (lead_id, sequence, state)
            SELECT lead_id, sequence, state
            FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(lead_id uuid, sequence integer, state jsonb)
            ON CONFLICT (lead_id) DO UPDATE
            SET sequence = GREATEST(k.sequence, EXCLUDED.sequence), state = EXCLUDED.state
        """)  # noqa: S608 - our own names

    @cached_property
    def note(self) -> TextClause:
        """Keeps what was added to days that were over."""
        return text(f"""
            INSERT INTO {self.restated} (noted_at, journey_name, measure, item, day, n, total)
            SELECT noted_at, journey_name, measure, item, day, n, total
            FROM jsonb_to_recordset(CAST(:rows AS jsonb))
              AS r(noted_at timestamptz, journey_name text, measure text, item text, day date, n bigint, total numeric)
        """)  # noqa: S608 - our own names


class Portion(NamedTuple):
    """A portion that was counted: how many events it looked at, where it ended, and since when types are told in it."""

    events: int
    cursor: Cursor
    since: Mapping[str, int]


class Gathered(NamedTuple):
    """A portion that was folded: what is to be added, and what is remembered of its leads from now on."""

    portion: Portion
    tally: Tally
    leads: dict[str, Lead]
    sequences: dict[str, int]


class Counting:
    """Counts into `books`; keeps what it learnt of journeys from portion to portion."""

    def __init__(self, book: JourneyBook, books: Books | None = None) -> None:
        self.books = books or Books()
        self._rules = Rulebook(book)

    def portion(
        self, connection: Connection, after: Cursor, *, limit: int = PORTION, until: Cursor | None = None
    ) -> Portion:
        """
        Count the next events behind a cursor: those that are settled, or all `until` another cursor.

        Writes within the caller's transaction and leaves the consumer's cursor to them.

        :raises Unreadable: an event is of a journey version that this code cannot read; another worker may
        """
        found = self.gather(connection, after, limit=limit, until=until)
        self._write(connection, found)
        return found.portion

    def gather(
        self, connection: Connection, after: Cursor, *, limit: int = PORTION, until: Cursor | None = None
    ) -> Gathered:
        """Fold the next events as `portion` does, and write nothing."""
        wanted: dict[str, Any] = {"tx": after.tx, "position": after.position, "limit": limit, "types": _TYPES}
        if until is None:
            found = connection.execute(_SETTLED, wanted).all()
        else:
            found = connection.execute(_UP_TO, wanted | {"last_tx": until.tx, "last_position": until.position}).all()
        told: list[Told] = []
        sequences: dict[str, int] = {}
        since: dict[str, int] = {}
        for _, _, lead_id, sequence, kind, time, data in found:
            if data is not None:
                told.append(Told(lead_id, kind, time, _DATA.decode(data)))
                sequences[lead_id] = sequence
                if kind not in since:
                    since[kind] = time
        leads = self._remembered(connection, told)
        self._rules.connection = connection
        tally = Tally(self._rules)
        facts: list[Fact] = []
        for each in told:
            fold(leads, each, self._rules, facts)
            tally.add(facts, each.time)
            facts.clear()
        ended = Cursor(found[-1][0], found[-1][1]) if found else after
        return Gathered(Portion(len(found), ended, since), tally, leads, sequences)

    def _remembered(self, connection: Connection, told: Sequence[Told]) -> dict[str, Lead]:
        wanted = {lead_id for each in told for lead_id in named(each)}
        leads: dict[str, Lead] = {}
        while wanted:
            found = connection.execute(self.books.remembered, {"ids": uuid_array(sorted(wanted))})
            new = {row.lead_id: memory.read(row.state) for row in found}
            leads |= new
            # Of those that rest, the ones they go on in: a merge that is taken back needs both.
            wanted = {lead.parked_in for lead in new.values() if lead.parked_in} - leads.keys()
        return leads

    def _write(self, connection: Connection, found: Gathered) -> None:
        if added := found.tally.groups():
            connection.execute(self.books.add, {"groups": rows.as_json(added)})
        if found.leads:
            kept = [
                {"lead_id": lead_id, "sequence": found.sequences.get(lead_id, 0), "state": lead}
                for lead_id, lead in sorted(found.leads.items())
            ]
            connection.execute(self.books.remember, {"rows": rows.as_json(kept)})
        changed = sorted((key, each) for key, each in found.tally.restated.items() if each.n or each.total)
        if self.books.restated and changed:
            connection.execute(self.books.note, {"rows": rows.as_json([restated_row(*each) for each in changed])})


_TYPES: Final = sorted(ACTS)


def count(engine: Engine, counting: Counting, *, limit: int = PORTION) -> int | None:
    """Count the next portion of the feed; return how many events it had, None while another worker counts."""
    with engine.begin() as connection:
        if not connection.execute(_ALONE, {"lock": LOCK}).scalar_one():
            return None
        cursor = place(connection)
        done = counting.portion(connection, cursor or Cursor(), limit=limit)
        if cursor is None:
            connection.execute(_BEGIN, {"name": CONSUMER})
        if done.events:
            feed.remember(connection, CONSUMER, done.cursor)
    return done.events


def place(connection: Connection) -> Cursor | None:
    """Return how far the figures are counted; None: counting never began."""
    found = connection.execute(_CURSOR, {"name": CONSUMER}).one_or_none()
    return None if found is None else Cursor(found.tx, found.position)


def owes(connection: Connection) -> bool:
    """Whether there are events that are not counted."""
    cursor = place(connection) or Cursor()
    return bool(connection.execute(_ANY, {"tx": cursor.tx, "position": cursor.position}).scalar_one())


# In the order of the index, so that no plan looks at all there is.
_ANY: Final = text("""
SELECT EXISTS (SELECT FROM (
    SELECT FROM event WHERE (tx, position) > (CAST(:tx AS xid8), CAST(:position AS bigint))
      AND tx < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY tx, position LIMIT 1
) AS next)
""")
