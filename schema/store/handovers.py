"""
Hand-overs as people read them: a list, the latest first; one of them; and what each pair of departments comes to.

Every list is a range of an index for each department that receives; there are few of those, and they are found by
skipping from one to the next.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema.errors import Permanent
from schema.store.ids import is_id, uuid_array
from schema.tables.handover import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, RowMapping

LARGEST_PAGE: Final = 200
_FIELDS: Final = (
    "lead_id", "journey", "at", "what", "from_department", "to_department", "actor", "from_owner", "to_owner",
    "system", "to_system", "taken_at", "taken_by", "ended_at",
)  # fmt: skip
_LONGEST_NUMBER: Final = 9
_DEPARTMENTS: Final = text("""
WITH RECURSIVE known AS (
    (SELECT to_department FROM handover ORDER BY to_department LIMIT 1)
  UNION ALL
    SELECT (SELECT to_department FROM handover WHERE to_department > known.to_department
            ORDER BY to_department LIMIT 1)
    FROM known WHERE known.to_department IS NOT NULL
)
SELECT to_department FROM known WHERE to_department IS NOT NULL
""")
_WHERE: Final = {
    "since": "at >= :since",
    "until": "at < :until",
    "cursor": "(at, about_id, number) < (CAST(:place AS timestamptz), CAST(:about AS uuid), CAST(:number AS integer))",
}
_ORDER: Final = "ORDER BY at DESC, about_id DESC, number DESC LIMIT :most"
_OF_DEPARTMENTS: Final = """
SELECT h.* FROM unnest(CAST(:departments AS text[])) AS d(department) CROSS JOIN LATERAL (
    SELECT * FROM handover WHERE to_department = d.department AND {where} {order}
) AS h {order}
"""
_OF_LEAD: Final = """
SELECT * FROM (
    SELECT * FROM handover WHERE about_id = CAST(:lead AS uuid)
  UNION ALL
    SELECT * FROM handover WHERE lead_id = CAST(:lead AS uuid) AND about_id <> lead_id
) AS h WHERE {where} {order}
"""
_ONE: Final = text("SELECT * FROM handover WHERE about_id = CAST(:about AS uuid) AND number = :number")
_PAIRS: Final = text(f"""
WITH found AS MATERIALIZED (
    SELECT h.from_department, h.to_department, h.about_kind, h.system, h.taken_at, {OPEN} AS open,
           EXTRACT(EPOCH FROM CASE WHEN {OPEN} THEN GREATEST(:now - h.at, '0') ELSE h.taken_at - h.at END) AS waited
    FROM unnest(CAST(:departments AS text[])) AS d(department)
    JOIN handover AS h ON h.to_department = d.department AND h.at >= :since AND h.at < :until
)
SELECT from_department, to_department, count(*) AS handovers, count(*) FILTER (WHERE open) AS open,
       count(taken_at) AS taken,
       percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY waited) AS waited,
       max(waited) FILTER (WHERE open) AS longest,
       (SELECT jsonb_object_agg(about_kind, n) FROM (
            SELECT about_kind, count(*) AS n FROM found AS f
            WHERE (f.from_department, f.to_department) = (found.from_department, found.to_department) GROUP BY 1
        ) AS kinds) AS about,
       (SELECT jsonb_object_agg(system, n) FROM (
            SELECT system, count(*) AS n FROM found AS f
            WHERE (f.from_department, f.to_department) = (found.from_department, found.to_department)
              AND system IS NOT NULL GROUP BY 1
        ) AS used) AS systems
FROM found GROUP BY from_department, to_department ORDER BY count(*) DESC, from_department, to_department
""")  # noqa: S608 - made of texts of ours


# Where the server knows nothing about the table yet, OFFSET keeps it from reading all that is open.
ENDED: Final = text(f"""
UPDATE handover AS t SET ended_at = GREATEST(t.at, :now)
FROM (
    SELECT h.about_id, h.number FROM unnest(CAST(:ids AS uuid[])) AS r(id)
    CROSS JOIN LATERAL (SELECT * FROM handover WHERE about_id = r.id OFFSET 0) AS h WHERE {OPEN}
) AS o
WHERE t.about_id = o.about_id AND t.number = o.number
""")  # noqa: S608 - made of texts of ours


class Wanted(NamedTuple):
    """
    Which hand-overs are to be listed; None: any.

    `department` is the one that it was handed over to; `open` are those that nobody there has taken yet.
    """

    department: str | None = None
    lead: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    open: bool = False


def end(connection: Connection, about: Iterable[str], now: datetime) -> None:
    """Nobody is to take up these things any more; whoever calls has their leads locked."""
    connection.execute(ENDED, {"ids": uuid_array(about), "now": now})


def listed(
    connection: Connection, wanted: Wanted, now: datetime, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """
    Return one page of hand-overs, the latest first, and the cursor of the next.

    :raises Permanent: `cursor_invalid`
    """
    departments = [wanted.department] if wanted.department or wanted.lead else _departments(connection)
    asked, parameters = statement(wanted, departments, cursor, limit + 1)
    found = list(connection.execute(text(asked), parameters).mappings())
    following = found[limit - 1] if len(found) > limit else None
    return [shown(row, now) for row in found[:limit]], _cursor(following) if following else None


def statement(
    wanted: Wanted, departments: list[str | None], cursor: str | None, most: int
) -> tuple[str, dict[str, Any]]:
    """
    The statement that lists hand-overs, and its parameters: written for what is asked, so that it finds its index.

    :raises Permanent: `cursor_invalid`
    """
    given: dict[str, Any] = {"since": wanted.since, "until": wanted.until, "cursor": cursor}
    where = [condition for name, condition in _WHERE.items() if given.pop(name) is not None]
    where += [OPEN] if wanted.open else []
    parameters: dict[str, Any] = {"since": wanted.since, "until": wanted.until, "most": most}
    parameters = {name: value for name, value in parameters.items() if value is not None}
    if cursor is not None:
        parameters |= _place(cursor)
    if wanted.lead:
        where += ["to_department = :department"] if wanted.department else []
        parameters |= {"lead": wanted.lead} | ({"department": wanted.department} if wanted.department else {})
    else:
        parameters["departments"] = departments
    pattern = _OF_LEAD if wanted.lead else _OF_DEPARTMENTS
    return pattern.format(where=" AND ".join(where) or "true", order=_ORDER), parameters


def one(connection: Connection, handover_id: str, now: datetime) -> dict[str, Any] | None:
    """Return a hand-over by its id, as in `0197….3`; None if there is none."""
    about, _, number = handover_id.partition(".")
    if not is_id(about) or not _is_number(number):
        return None
    row = connection.execute(_ONE, {"about": about, "number": int(number)}).mappings().one_or_none()
    return shown(row, now) if row else None


def summary(connection: Connection, since: datetime, until: datetime, now: datetime) -> list[dict[str, Any]]:
    """
    Return what was handed over from `since` until before `until`, by pair of departments, the most frequent first.

    Each has `handovers`, of which `open` still wait, `taken` were and `ended` went on or were over before; `waiting`:
    seconds until somebody took them, `p50_s` and `p90_s`, where those that are open count until `now`, and
    `longest_open_s`; `about` and `systems`: how many of what, and in which system.
    """
    given = {"departments": _departments(connection), "since": since, "until": until, "now": now}
    return [_pair(row) for row in connection.execute(_PAIRS, given).mappings()]


def shown(row: RowMapping, now: datetime) -> dict[str, Any]:
    """A hand-over as it is shown; `waited_s` of one that is open counts until `now`, of one that ended it is None."""
    is_open = row["taken_at"] is None and row["ended_at"] is None
    until = now if is_open else row["taken_at"]
    return (
        {"id": f"{row['about_id']}.{row['number']}", "about": {"kind": row["about_kind"], "id": row["about_id"]}}
        | {name: row[name] for name in _FIELDS}
        | {
            "status": "open" if is_open else "taken" if row["taken_at"] else "ended",
            "waited_s": max(0, int((until - row["at"]).total_seconds())) if until else None,
        }
    )


def _pair(row: RowMapping) -> dict[str, Any]:
    p50, p90 = row["waited"] or (None, None)
    return {
        "from_department": row["from_department"],
        "to_department": row["to_department"],
        "handovers": row["handovers"],
        "open": row["open"],
        "taken": row["taken"],
        "ended": row["handovers"] - row["open"] - row["taken"],
        "waiting": {"p50_s": _seconds(p50), "p90_s": _seconds(p90), "longest_open_s": _seconds(row["longest"])},
        "about": row["about"],
        "systems": row["systems"] or {},
    }


def _seconds(value: float | None) -> int | None:
    return None if value is None else round(value)


def _departments(connection: Connection) -> list[str | None]:
    return list(connection.execute(_DEPARTMENTS).scalars())


def _cursor(row: RowMapping) -> str:
    at = row["at"].astimezone(UTC).isoformat().replace("+00:00", "Z")
    return f"{at}~{row['about_id']}.{row['number']}"


def _place(cursor: str) -> dict[str, Any]:
    at, _, last = cursor.partition("~")
    about, _, number = last.partition(".")
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not is_id(about) or not _is_number(number):
        raise Permanent("cursor_invalid", "This is not a cursor of this list.")
    return {"place": moment, "about": about, "number": int(number)}


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _LONGEST_NUMBER
