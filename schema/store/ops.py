"""
What operators see and do: queues and dead letters, from the database alone.

Costs grow with what is due, never with what is settled. Looking disturbs nobody: no row is locked to find out whether
another worker has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.messages import QUEUES
from schema.store import rows
from schema.store.campaigns import STANDS_STILL, UNDER_WAY
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

LARGEST_PAGE: Final = 200
MOST_UNCOUNTED: Final = 100_000
"""Events that are not counted yet are told up to here: looking must stay cheap."""

# A row that a worker has taken names the worker's transaction in `xmax`, and that transaction is still running: it is
# among the snapshot's, or younger than all of them. Row headers keep 32 bits of an id that has 64.
_RUNNING: Final = """
WITH running AS MATERIALIZED (
    SELECT (xid::text::numeric % 4294967296)::bigint AS xid FROM pg_snapshot_xip(pg_current_snapshot()) AS xid
), youngest AS MATERIALIZED (
    SELECT (pg_snapshot_xmax(pg_current_snapshot())::text::numeric % 4294967296)::bigint AS xid
)
"""
_TAKEN: Final = """
(xmax::text <> '0' AND (
    xmax::text::bigint IN (SELECT xid FROM running)
    OR (xmax::text::bigint - (SELECT xid FROM youngest) + 4294967296) % 4294967296 < 2147483648
)) AS taken
"""
_DUE: Final = text(f"""
{_RUNNING.replace("WITH", "WITH RECURSIVE", 1).rstrip()}, {UNDER_WAY}
SELECT name, count(*) FILTER (WHERE NOT taken) AS waiting, count(*) FILTER (WHERE taken) AS in_work,
       COALESCE(EXTRACT(EPOCH FROM now() - min(due_since)), 0)::float AS oldest_s,
       array_remove(array_agg(DISTINCT journey), NULL) AS journeys
FROM (
    SELECT 'identify' AS name, due_since, {_TAKEN}, NULL AS journey
    FROM receipt WHERE due_since IS NOT NULL
  UNION ALL
    SELECT next_step, due_since, {_TAKEN}, journey
    FROM lead WHERE due_since IS NOT NULL
  UNION ALL
    SELECT 'nurture', e.due_at, {_TAKEN.replace("xmax", "e.xmax")}, e.journey
    FROM under_way AS c JOIN enrolment AS e
      ON e.journey_name = c.journey_name AND e.campaign = c.campaign AND e.due_at <= now()
    WHERE NOT {STANDS_STILL.format(of="c")}
  UNION ALL
    SELECT 'followup', t.due_at, {_TAKEN.replace("xmax", "t.xmax")}, l.journey
    FROM timer AS t JOIN lead AS l ON l.id = t.lead_id WHERE t.due_at <= now()
  UNION ALL
    SELECT 'deliver', due_at, false, journey FROM send
    WHERE state = 'planned' AND lane = ANY('{{0,1}}') AND due_at <= now()
  UNION ALL
    SELECT 'deliver', claimed_at, true, journey FROM send WHERE state = 'sending'
) AS due GROUP BY name
""")  # noqa: S608 - our own text
# What the worker `kpi` owes is the feed behind its cursor, which stands at the beginning before it ever ran.
_UNCOUNTED: Final = text("""
SELECT count(*) AS events,
       COALESCE(EXTRACT(EPOCH FROM now() - min(time)), 0)::float AS oldest_s
FROM (
    SELECT time FROM event
    WHERE (tx, position) > (
        COALESCE((SELECT tx FROM consumer WHERE name = 'kpi'), '0'::xid8),
        COALESCE((SELECT position FROM consumer WHERE name = 'kpi'), 0)
    ) AND tx < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY tx, position LIMIT :limit
) AS uncounted
""")
_DEAD: Final = text("SELECT step AS name, count(*) AS dead FROM dead_letter WHERE resolved_at IS NULL GROUP BY step")

_LETTER: Final = """
SELECT id, step, subject, subject_id, fingerprint, error, facts, attempts, created_at, resolved_at, resolution
FROM dead_letter
"""
_OPEN_LETTERS: Final = text(f"""
{_LETTER} WHERE resolved_at IS NULL AND (CAST(:step AS text) IS NULL OR step = :step)
  AND (CAST(:fingerprint AS text) IS NULL OR fingerprint = :fingerprint)
  AND (CAST(:cursor AS uuid) IS NULL OR id < CAST(:cursor AS uuid))
ORDER BY id DESC LIMIT :limit
""")
_ONE_LETTER: Final = text(f"{_LETTER} WHERE id = CAST(:id AS uuid)")
_GROUPS: Final = text("""
SELECT fingerprint, step, error, count(*) AS letters, min(created_at) AS first_at, max(created_at) AS last_at,
       (array_agg(id ORDER BY id DESC))[1] AS latest_id
FROM dead_letter WHERE resolved_at IS NULL
GROUP BY fingerprint, step, error ORDER BY letters DESC, fingerprint, error LIMIT :limit
""")
_RESOLVE: Final = text("""
UPDATE dead_letter SET resolved_at = :now, resolution = :resolution
WHERE id = CAST(:id AS uuid) AND resolved_at IS NULL RETURNING id, step, subject, subject_id
""")
_AGAIN: Final = {
    "receipt": text("""
        UPDATE receipt SET due_since = :now, attempts = 0
        WHERE id = :subject AND status = 'pending' AND due_since IS NULL
        """),
    "lead": text("""
        UPDATE lead SET due_since = :now, attempts = 0
        WHERE id = :subject AND next_step IS NOT NULL AND due_since IS NULL
        """),
    "enrolment": text("""
        UPDATE enrolment SET due_at = :now, attempts = 0
        WHERE id = :subject AND outcome IS NULL AND due_at IS NULL
        """),
    "timer": text("UPDATE timer SET due_at = :now, attempts = 0 WHERE id = :subject AND due_at IS NULL"),
}
_REJECT: Final = text("""
UPDATE receipt SET status = 'rejected', reason = :reason
WHERE id = :subject AND status = 'pending' AND due_since IS NULL
""")
_CANCEL: Final = text("""
UPDATE enrolment SET outcome = 'cancelled', reason = :reason, step = NULL, ended_at = :now
WHERE id = :subject AND outcome IS NULL AND due_at IS NULL
""")
_STOP: Final = text("DELETE FROM timer WHERE id = :subject AND due_at IS NULL")
_SETTLE: Final = text("""
UPDATE lead SET next_step = NULL, attempts = 0, decisions = decisions + 1, updated_at = :now
WHERE id = :subject AND next_step IS NOT NULL AND due_since IS NULL RETURNING decisions, journey
""")


@dataclass(frozen=True, slots=True)
class Resolved:
    """
    A dead letter after somebody decided about it.

    `letter` is the row as it is now. `hint` is (step, subject id) where work became due again: tell its workers.
    `changed` is False when it had been resolved before: asking twice is harmless.
    """

    letter: dict[str, Any]
    changed: bool
    hint: tuple[str, str] | None = None


def queues(connection: Connection) -> list[dict[str, Any]]:
    """
    Return every queue: rows `waiting`, rows `in_work` at this moment, age of the oldest of both in seconds, `dead`.

    For `kpi` events wait that are not in the figures yet; they are told up to `MOST_UNCOUNTED`.

    `dead` are open dead letters of the step. `unreadable` are the journey versions that rows wait for because this
    code cannot read them; `identify` waits for active ones.
    """
    due: dict[str, Mapping[str, Any]] = {row.name: row._asdict() for row in connection.execute(_DUE)}
    dead = {row.name: row.dead for row in connection.execute(_DEAD)}
    events = uncounted(connection)
    due["kpi"] = {"waiting": events.events, "in_work": 0, "oldest_s": events.oldest_s, "journeys": ()}
    found = [_queue(name, due.get(name, _EMPTY), dead.get(name, 0)) for name in QUEUES]
    book = JourneyBook()
    for queue in found:
        active = book.active_versions(connection) if queue["name"] == "identify" and queue["name"] in due else []
        followed = [*due.get(queue["name"], _EMPTY)["journeys"], *active]
        queue["unreadable"] = sorted(version for version in followed if not book.readable(connection, version))
    return found


class Uncounted(NamedTuple):
    """Events that are not in the figures yet: how many, up to `MOST_UNCOUNTED`, and how old the oldest is."""

    events: int
    oldest_s: float


def uncounted(connection: Connection) -> Uncounted:
    """Return what the worker `kpi` has not counted yet."""
    found = connection.execute(_UNCOUNTED, {"limit": MOST_UNCOUNTED}).one()
    return Uncounted(found.events, max(0.0, found.oldest_s))


_EMPTY: Final[Mapping[str, Any]] = {"waiting": 0, "in_work": 0, "oldest_s": 0.0, "journeys": ()}


def _queue(name: str, due: Mapping[str, Any], dead: int) -> dict[str, Any]:
    return {
        "name": name,
        "waiting": due["waiting"],
        "in_work": due["in_work"],
        "oldest_s": round(max(0.0, due["oldest_s"]), 3),
        "dead": dead,
    }


def dead_letters(
    connection: Connection,
    *,
    step: str | None = None,
    fingerprint: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> tuple[list[dict[str, Any]], str | None]:
    """Return open dead letters, the newest first, and the cursor of the next page (None: there is none)."""
    wanted = {"step": step, "fingerprint": fingerprint, "cursor": cursor, "limit": limit + 1}
    found = [dict(row) for row in connection.execute(_OPEN_LETTERS, wanted).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def dead_letter_groups(connection: Connection, limit: int = LARGEST_PAGE) -> list[dict[str, Any]]:
    """Return open dead letters by kind of failure, the most frequent first."""
    return [dict(row) for row in connection.execute(_GROUPS, {"limit": limit}).mappings()]


def dead_letter(connection: Connection, letter_id: str) -> dict[str, Any] | None:
    """Return one dead letter; None if there is none."""
    if not is_id(letter_id):
        return None
    row = connection.execute(_ONE_LETTER, {"id": letter_id}).mappings().one_or_none()
    return dict(row) if row else None


def retry(connection: Connection, letter_id: str, now: datetime) -> Resolved | None:
    """Make a dead letter's work due again, with all its attempts; None if there is no such letter."""
    resolved = _resolve(connection, letter_id, "retried", now)
    if resolved is None or not resolved.changed:
        return resolved
    letter = resolved.letter
    made_due = connection.execute(_AGAIN[letter["subject"]], {"subject": letter["subject_id"], "now": now}).rowcount
    return Resolved(letter, changed=True, hint=(letter["step"], letter["subject_id"]) if made_due else None)


def discard(connection: Connection, letter_id: str, reason: str, actor: str, now: datetime) -> Resolved | None:
    """
    Give up a dead letter's work; None if there is no such letter.

    A receipt becomes `rejected`, a lead is settled, somebody's way through a campaign is cancelled,
    a timer is taken away.

    What has become due again since then goes on; only the letter is closed.
    """
    resolved = _resolve(connection, letter_id, "discarded", now)
    if resolved is None or not resolved.changed:
        return resolved
    letter = resolved.letter
    if letter["subject"] == "receipt":
        connection.execute(_REJECT, {"subject": letter["subject_id"], "reason": reason})
    elif letter["subject"] == "enrolment":
        connection.execute(_CANCEL, {"subject": letter["subject_id"], "reason": reason, "now": now})
    elif letter["subject"] == "timer":
        connection.execute(_STOP, {"subject": letter["subject_id"]})
    else:
        _settle(connection, letter, reason, actor, now)
    return resolved


def revision(connection: Connection) -> str | None:
    """Return the migration that the database is at; None where none ever ran."""
    if connection.execute(text("SELECT to_regclass('alembic_version') IS NULL")).scalar_one():
        return None
    return connection.execute(text("SELECT max(version_num) FROM alembic_version")).scalar_one_or_none()


def has_active_journey(connection: Connection) -> bool:
    """Tell whether there is a journey that new leads enter."""
    return bool(connection.execute(text("SELECT EXISTS (SELECT FROM journey_active)")).scalar_one())


def first_id(moment: datetime) -> str:
    """Return the smallest id (UUIDv7) that can have been made at `moment` or later: ids serve as an index of time."""
    milliseconds = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-0000-0000-000000000000"


def _resolve(connection: Connection, letter_id: str, resolution: str, now: datetime) -> Resolved | None:
    if not is_id(letter_id):
        return None
    parameters = {"id": letter_id, "resolution": resolution, "now": now}
    changed = connection.execute(_RESOLVE, parameters).one_or_none() is not None
    letter = dead_letter(connection, letter_id)
    return Resolved(letter, changed=changed) if letter else None


def _settle(connection: Connection, letter: Mapping[str, Any], reason: str, actor: str, now: datetime) -> None:
    """Settle a lead and keep, among its decisions, who gave its work up."""
    parameters = {"subject": letter["subject_id"], "now": now}
    settled = connection.execute(_SETTLE, parameters).one_or_none()
    if settled is None:
        return
    decision = {
        "lead_id": letter["subject_id"],
        "number": settled.decisions,
        "step": letter["step"],
        "at": now,
        "journey": settled.journey,
        "outcome": "discarded",
        "reason": reason,
        "explanation": {"dead_letter": letter["id"], "actor": actor},
    }
    rows.insert(connection, tables.decision, [decision])
