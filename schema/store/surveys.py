"""
Surveys as people read them: a list, one with all its answers, results; and what others ask of them.

What was sent is a survey whose send was not stopped, refused or given up: the send of the same id says so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema.journey.survey import SCALES
from schema.satisfaction import csat, nps
from schema.store.ids import is_id, uuid_array

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping

__all__ = ["LONGEST_COMMENT", "SCALES", "SOON"]

LARGEST_PAGE: Final = 200
LONGEST_COMMENT: Final = 2_000
"""Characters."""
SOON: Final = timedelta(minutes=1)
"""When somebody is looked at again about whom another process decides at this moment."""
_NOT_SENT: Final = "('skipped', 'failed')"

_LAST: Final = text(f"""
SELECT v.person_id, max(v.sent_at) AS at FROM survey AS v
WHERE v.person_id = ANY(CAST(:people AS uuid[])) AND v.sent_at IS NOT NULL AND v.state <> 'cancelled'
  AND NOT EXISTS (SELECT FROM send AS s WHERE s.id = v.id AND s.state IN {_NOT_SENT})
GROUP BY v.person_id
""")  # noqa: S608 - our own text
_KNOWN: Final = text("""
SELECT DISTINCT ON (person_id, kind) person_id, kind, score FROM survey
WHERE person_id = ANY(CAST(:people AS uuid[])) AND state = 'answered'
ORDER BY person_id, kind, answered_at DESC, id DESC
""")
_FIELDS: Final = (
    "id", "lead_id", "person_id", "journey_name", "journey", "survey", "kind", "about_kind", "about_id", "agent",
    "state", "reason", "asked_by", "planned_at", "sent_at", "expires_at", "answered_at", "score", "comment",
    "ticket_id",
)  # fmt: skip
_SHOWN: Final = f"""
SELECT {", ".join(f"v.{name}" for name in _FIELDS)}, s.state AS mail, s.reason AS mail_reason, t.due_at AS due_at,
       p.name AS person_name, p.email AS person_email
FROM ({{}}) AS v LEFT JOIN send AS s ON s.id = v.id LEFT JOIN person AS p ON p.id = v.person_id
     LEFT JOIN timer AS t ON t.id = v.id AND v.state = 'planned'
"""  # noqa: S608 - our own text
_ONE: Final = text(_SHOWN.format("SELECT * FROM survey WHERE id = CAST(:id AS uuid)"))
_ANSWERS: Final = text("""
SELECT number, at, score, comment, channel, actor FROM survey_answer WHERE survey_id = CAST(:id AS uuid) ORDER BY number
""")
_WHERE: Final = {
    "survey": "survey = :survey",
    "agent": "agent = :agent",
    "lead": "lead_id = CAST(:lead AS uuid)",
    "about": "about_id = CAST(:about AS uuid)",
    "status": "state = :status",
}
_ASKED: Final = text("""
SELECT v.id, v.kind, v.state, v.score, v.expires_at, v.person_id, v.survey, v.journey, v.journey_name,
       p.language, p.email, v.expires_at <= :now AS late
FROM survey AS v LEFT JOIN person AS p ON p.id = v.person_id WHERE v.id = CAST(:id AS uuid)
""")
RESULTS: Final = f"""
SELECT v.journey_name, v.survey, v.kind, v.agent, v.asked_by = 'email' AS mailed, v.score, count(*) AS number
FROM survey AS v LEFT JOIN send AS s ON s.id = v.id
WHERE v.sent_at >= :since AND v.sent_at < :until AND v.state IN ('sent', 'answered', 'expired')
  AND (v.state = 'answered' OR s.state IS NULL OR s.state NOT IN {_NOT_SENT}){{}}
GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608 - our own text


class Wanted(NamedTuple):
    """Which surveys are to be listed; None: any. `about` is the id of what they are about."""

    survey: str | None = None
    agent: str | None = None
    lead: str | None = None
    about: str | None = None
    status: str | None = None


# -- what others ask ---------------------------------------------------------------------------------------------------


def last_asked(connection: Connection, people: Collection[str]) -> dict[str, datetime]:
    """Return when each of these people was last asked anything, as far as they were."""
    if not people:
        return {}
    found = connection.execute(_LAST, {"people": uuid_array(sorted(people))})
    return {row.person_id: row.at for row in found}


def known(connection: Connection, person_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return the latest answer of each person by kind, as rules see it: `{"csat": 4, "nps": 9}`."""
    answers: dict[str, dict[str, int]] = {}
    for row in connection.execute(_KNOWN, {"people": uuid_array(person_ids)}):
        answers.setdefault(row.person_id, {})[row.kind] = row.score
    return answers


def asked(connection: Connection, survey_id: str, now: datetime) -> RowMapping | None:
    """Return what the page of a survey has to know of it and its person."""
    return connection.execute(_ASKED, {"id": survey_id, "now": now}).mappings().one_or_none()


# -- what people read --------------------------------------------------------------------------------------------------


def listed(
    connection: Connection, wanted: Wanted, *, cursor: str | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], str | None]:
    """Return one page of surveys, the one that was planned last first, and the cursor of the next."""
    statement, parameters = listing(wanted, cursor, limit + 1)
    found = [shown(row) for row in connection.execute(text(statement), parameters).mappings()]
    return found[:limit], found[limit - 1]["id"] if len(found) > limit else None


def listing(wanted: Wanted, cursor: str | None, most: int) -> tuple[str, dict[str, Any]]:
    """The statement that lists surveys, and its parameters: written for what is asked, so that it finds its index."""
    given = {name: value for name, value in wanted._asdict().items() if value is not None}
    where = [_WHERE[name] for name in given]
    if cursor is not None:
        where.append("id < CAST(:cursor AS uuid)")
    inner = f"SELECT * FROM survey WHERE {' AND '.join(where) or 'true'} ORDER BY id DESC LIMIT :most"  # noqa: S608
    return f"{_SHOWN.format(inner)} ORDER BY v.id DESC", given | {"most": most} | ({"cursor": cursor} if cursor else {})


def one(connection: Connection, survey_id: str) -> dict[str, Any] | None:
    """Return a survey with every answer that was given to it."""
    if not is_id(survey_id):
        return None
    found = connection.execute(_ONE, {"id": survey_id}).mappings().one_or_none()
    if found is None:
        return None
    answers = [dict(row) for row in connection.execute(_ANSWERS, {"id": survey_id}).mappings()]
    return shown(found) | {"answers": answers}


def shown(row: RowMapping) -> dict[str, Any]:
    """A survey as it is shown."""
    shown_row = {name: row[name] for name in _FIELDS if name not in {"person_id", "journey_name"}}
    shown_row |= {"journey_name": row["journey_name"], "journey": row["journey"], "due_at": row["due_at"]}
    shown_row["status"] = shown_row.pop("state")
    shown_row["about"] = {"kind": shown_row.pop("about_kind"), "id": shown_row.pop("about_id")}
    shown_row["person"] = {"id": row["person_id"], "name": row["person_name"], "email": row["person_email"]}
    shown_row["mail"] = {"state": row["mail"], "reason": row["mail_reason"]} if row["mail"] else None
    return shown_row


def results(
    connection: Connection, since: datetime, until: datetime, *, survey: str | None = None, agent: str | None = None
) -> list[dict[str, Any]]:
    """
    Return what answers came to, by survey: of those who were asked from `since` until before `until`.

    Each has `sent` (mails), `answered` and `response_rate` of these, `in_person` (answers taken in person), `scores`,
    `mean`, its measure (`csat`, 0 to 1, or `nps`, -100 to 100), and the same by agent; with an `agent`, only what is
    about their work.
    """
    where = (" AND v.survey = :survey" if survey else "") + (" AND v.agent = :agent" if agent else "")
    given = {"since": since, "until": until} | {"survey": survey, "agent": agent}
    found = [dict(row) for row in connection.execute(text(RESULTS.format(where)), given).mappings()]
    together: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in found:
        together.setdefault((row["journey_name"], row["survey"], row["kind"]), []).append(row)
    answer = []
    for (journey, name, kind), counted in sorted(together.items()):
        agents = sorted({row["agent"] for row in counted if row["agent"]})
        by_agent = [{"agent": who} | tally(kind, [row for row in counted if row["agent"] == who]) for who in agents]
        answer.append({"journey": journey, "survey": name, "kind": kind} | tally(kind, counted) | {"agents": by_agent})
    return answer


def tally(kind: str, counted: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What counts by way and score come to; a score of None was not answered."""
    least, most = SCALES[kind]
    scores = dict.fromkeys(range(least, most + 1), 0)
    sent = mailed = in_person = 0
    for row in counted:
        sent += row["number"] * row["mailed"]
        if row["score"] is not None:
            scores[row["score"]] += row["number"]
            mailed += row["number"] * row["mailed"]
            in_person += row["number"] * (not row["mailed"])
    measure = (csat if kind == "csat" else nps)(scores)
    return {
        "sent": sent,
        "answered": mailed,
        "response_rate": mailed / sent if sent else None,
        "in_person": in_person,
        "scores": {str(score): number for score, number in scores.items()},
        "mean": sum(score * number for score, number in scores.items()) / (mailed + in_person) if measure else None,
        kind: measure._asdict() if measure else None,
    }
