"""
History: the recorded leads that something came in about within a window of time, in the order in which it did.

Read in chunks through a server-side cursor, from the snapshot of the connection's own transaction. Persons, companies
and what leads say of themselves are as they are today; states, owners and touchpoints are as they were at each moment.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import text

from schema.facts import Touch
from schema.store.ids import uuid_array
from workers.batch import known, lead_facts, person_facts
from workers.decide.staff import Absence, Staff, roster

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from schema.journey import Journey

CHUNK: Final = 1_000
"""Leads that are read at once."""

# Sequential reading of one session: the planner may take whatever is quickest for a whole window.
FIRST: Final = text("""
SELECT lead_id, min(recorded_at) AS first FROM touchpoint
WHERE recorded_at >= :since AND recorded_at < :until
GROUP BY lead_id ORDER BY min(recorded_at), lead_id LIMIT :most
""")
_COUNT: Final = text("""
SELECT count(DISTINCT lead_id) FROM touchpoint WHERE recorded_at >= :since AND recorded_at < :until
""")
_LEADS: Final = text("""
SELECT l.id, l.person_id, l.journey, l.journey_name, l.source, l.channel, l.interests, l.attribution, l.message,
       l.created_at, l.updated_at, l.owner, l.grade, l.due_since, l.qualification ->> 'outcome' AS outcome,
       j.initial_state,
       p.name AS person_name, p.email, p.phone, p.country, p.language, p.interests AS person_interests,
       p.preferences, p.custom,
       COALESCE(c.name, p.company_name) AS c_name, c.domain AS c_domain,
       COALESCE(c.employees, p.company_employees) AS c_employees
FROM lead AS l JOIN person AS p ON p.id = l.person_id JOIN journey AS j ON j.version = l.journey
LEFT JOIN company AS c ON c.id = p.company_id
WHERE l.id = ANY(CAST(:ids AS uuid[])) AND l.journey_name = :journey
""")
_TOUCHES: Final = text("""
SELECT t.lead_id, t.id, t.kind, t.occurred_at, t.recorded_at, t.machine
FROM unnest(CAST(:ids AS uuid[])) AS wanted(id)
CROSS JOIN LATERAL (
    SELECT lead_id, id, kind, occurred_at, recorded_at, data ? 'machine' AS machine FROM touchpoint
    WHERE lead_id = wanted.id AND recorded_at < :until ORDER BY occurred_at DESC LIMIT 500
) AS t ORDER BY t.recorded_at, t.id
""")
_MOVES: Final = text("""
SELECT lead_id, name, to_state, at, actor, reason FROM transition
WHERE lead_id = ANY(CAST(:ids AS uuid[])) AND at < :until ORDER BY lead_id, number
""")
_BEFORE: Final = text("""
SELECT DISTINCT ON (lead_id, step) lead_id, step, outcome, reason, explanation ->> 'pool' AS pool,
       explanation ->> 'owner' AS owner
FROM decision
WHERE lead_id = ANY(CAST(:ids AS uuid[])) AND step IN ('qualify', 'route') AND at < :since
ORDER BY lead_id, step, number DESC
""")
_HANDLED: Final = text("""
SELECT lead_id, at, outcome, reason, explanation ->> 'owner' AS owner, explanation ->> 'asked_by' AS actor
FROM decision
WHERE lead_id = ANY(CAST(:ids AS uuid[])) AND step = 'route' AND outcome IN ('accepted', 'declined', 'assigned')
  AND at >= :since AND at < :until
""")
_OPEN: Final = text("SELECT owner, count(*) AS leads FROM lead WHERE open AND owner IS NOT NULL GROUP BY owner")
_OPEN_WITHIN: Final = text("""
SELECT l.owner, count(DISTINCT l.id) AS leads FROM touchpoint AS t JOIN lead AS l ON l.id = t.lead_id
WHERE t.recorded_at >= :since AND (t.recorded_at < :until OR l.created_at >= :until)
  AND l.open AND l.owner IS NOT NULL GROUP BY l.owner
""")
_AWAY: Final = text("""
SELECT person, from_at, until_at FROM absence
WHERE from_at < :until AND until_at > :since
UNION ALL SELECT person, from_at, until_at FROM absence WHERE until_at IS NULL AND from_at < :until
""")
_RECENT: Final = text("""
SELECT person, at FROM assignment WHERE person = ANY(:people) AND at >= :earliest AND at < :since ORDER BY at
""")


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A touchpoint and when it was recorded: the moment at which the steps saw it."""

    at: datetime
    touch: Touch


class ByHand(msgspec.Struct, frozen=True, gc=False):
    """
    What somebody did, a person or a program: a move of that name, or what an owner does about a lead.

    `did` is `moved`, `accepted`, `declined` or `assigned`; `owner` who declined it or was given it.
    """

    at: datetime
    name: str
    reason: str
    actor: str
    did: str = "moved"
    owner: str = ""


class Carried(msgspec.Struct, frozen=True):
    """How a lead stood when the window began that is older than it."""

    state: str
    entered_at: datetime
    qualification: dict[str, Any] | None
    owner: str | None
    pool: str | None


class Found(msgspec.Struct, frozen=True):
    """
    What was recorded: `state` as it was at the end of the window, the rest as it is today.

    `settled`: today is as it was then, since nothing happened to the lead after the window.
    """

    state: str
    outcome: str | None
    grade: str | None
    owner: str | None
    settled: bool


class Recorded(msgspec.Struct, frozen=True):
    """
    One lead of history.

    `touches` came before the window, `arrivals` within it, in order of time, as did the moves `by_hand`. `carried` is
    None for a lead that began within the window.
    """

    id: str
    person_id: str
    source: str
    channel: str
    created_at: datetime
    person: dict[str, Any]
    company: dict[str, Any]
    lead: dict[str, Any]
    touches: tuple[Touch, ...]
    arrivals: tuple[Arrival, ...]
    by_hand: tuple[ByHand, ...]
    carried: Carried | None
    found: Found


class Window(msgspec.Struct, frozen=True):
    """From `since` (included) to `until` (not), both with a time zone; at most `most` leads, the first of it."""

    since: datetime
    until: datetime
    most: int | None = None


def count(connection: Connection, window: Window) -> int:
    """Return how many leads something came in about, of whatever journey."""
    found = connection.execute(_COUNT, {"since": window.since, "until": window.until}).scalar_one()
    return min(found, window.most) if window.most else int(found)


def open_before(connection: Connection, window: Window) -> dict[str, int]:
    """Return by owner the open leads that nothing came in about: work that is there all the time."""
    bounds = {"since": window.since, "until": window.until}
    within = {row.owner: row.leads for row in connection.execute(_OPEN_WITHIN, bounds)}
    everywhere = {row.owner: row.leads for row in connection.execute(_OPEN)}
    return {owner: left for owner, leads in everywhere.items() if (left := leads - within.get(owner, 0)) > 0}


def staff(connection: Connection, journey: Journey, window: Window) -> Staff:
    """Return who is away when, as far as that is still known, and what people were given just before the window."""
    people = Staff()
    for row in connection.execute(_AWAY, {"since": window.since, "until": window.until}):
        people.away.setdefault(row.person, []).append(Absence(row.from_at, row.until_at))
    limited = {name: seat for name, seat in roster(journey).people.items() if seat.most is not None}
    if limited:
        longest = max(seat.per for seat in limited.values())
        wanted = {"people": list(limited), "earliest": window.since - longest, "since": window.since}
        for row in connection.execute(_RECENT, wanted):
            people.recent.setdefault(row.person, []).append(row.at)
    return people


def chunks(connection: Connection, journey: str, window: Window) -> Iterator[list[Recorded]]:
    """
    Yield the leads of the journey named, in the order of their first arrivals in the window.

    :param connection: in a transaction whose snapshot stays
    """
    parameters = {"since": window.since, "until": window.until, "most": window.most}
    options = {"stream_results": True, "yield_per": CHUNK}
    with connection.execute(FIRST, parameters, execution_options=options) as firsts:
        for part in firsts.scalars().partitions(CHUNK):
            yield _read(connection, journey, window, part)


def _read(connection: Connection, journey: str, window: Window, ids: Sequence[str]) -> list[Recorded]:
    wanted = {"ids": uuid_array(ids), "since": window.since, "until": window.until, "journey": journey}

    def rows(statement: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's own
        return connection.execute(statement, {name: wanted[name] for name in statement.compile().params})

    leads = {row.id: row for row in rows(_LEADS)}
    touches, moves = defaultdict(list), defaultdict(list)
    handled: dict[str, list[ByHand]] = defaultdict(list)
    for touch in rows(_TOUCHES):
        touches[touch.lead_id].append(touch)
    for lead_id, made in groupby(rows(_MOVES), attrgetter("lead_id")):
        moves[lead_id] = list(made)
    for row in rows(_HANDLED):
        handled[row.lead_id].append(ByHand(row.at, "", row.reason or "", row.actor or "", row.outcome, row.owner or ""))
    older = {row.id for row in leads.values() if _known_since(row, touches[row.id]) < window.since}
    before: dict[str, dict[str, Row[Any]]] = defaultdict(dict)
    if older:
        for row in connection.execute(_BEFORE, {"ids": uuid_array(sorted(older)), "since": window.since}):
            before[row.lead_id][row.step] = row
    return [
        _recorded(
            leads[lead_id],
            touches[lead_id],
            moves[lead_id],
            handled[lead_id],
            before.get(lead_id, {}) if lead_id in older else None,
            window,
        )
        for lead_id in ids
        if lead_id in leads
    ]


def _known_since(row: Row[Any], touches: Sequence[Row[Any]]) -> datetime:
    """Since when a lead is known here, which may be long after it began: files tell of it later."""
    known: datetime = row.created_at
    return min((touch.recorded_at for touch in touches), default=known)


def _recorded(
    row: Row[Any],
    touches: Sequence[Row[Any]],
    moves: Sequence[Row[Any]],
    handled: Sequence[ByHand],
    before: dict[str, Row[Any]] | None,
    window: Window,
) -> Recorded:
    fields = row._asdict()
    arrivals = [
        Arrival(touch.recorded_at, Touch(touch.kind, touch.occurred_at, touch.id, machine=touch.machine))
        for touch in touches
        if touch.recorded_at >= window.since
    ]
    earlier = [
        Touch(touch.kind, touch.occurred_at, touch.id, new=False, machine=touch.machine)
        for touch in touches
        if touch.recorded_at < window.since
    ]
    by_hand = [
        ByHand(move.at, move.name, move.reason or "", move.actor)
        for move in moves
        if move.actor != "journey" and move.name != "migrate" and move.at >= window.since
    ]
    company = {"name": row.c_name, "domain": row.c_domain, "employees": row.c_employees}
    return Recorded(
        id=row.id,
        person_id=row.person_id,
        source=row.source,
        channel=row.channel,
        created_at=row.created_at,
        person=person_facts(row.person_id, fields, name="person_name", interests="person_interests"),
        company=known(company),
        lead=lead_facts(fields),
        touches=tuple(earlier),
        arrivals=tuple(arrivals),
        by_hand=(*by_hand, *handled),
        carried=_carried(row, moves, before, window) if before is not None else None,
        found=_found(row, moves, window),
    )


def _carried(row: Row[Any], moves: Sequence[Row[Any]], before: dict[str, Row[Any]], window: Window) -> Carried:
    earlier = [move for move in moves if move.at < window.since]
    judged, routed = before.get("qualify"), before.get("route")
    qualification = None
    if judged:
        passed = judged.outcome == "qualified"
        qualification = {"outcome": judged.outcome, "passed": passed, "reason": judged.reason or ""}
    return Carried(
        state=earlier[-1].to_state if earlier else row.initial_state,
        entered_at=earlier[-1].at if earlier else row.created_at,
        qualification=qualification,
        owner=routed.owner if routed else None,
        pool=routed.pool if routed else None,
    )


def _found(row: Row[Any], moves: Sequence[Row[Any]], window: Window) -> Found:
    settled = row.due_since is None and row.updated_at < window.until
    return Found(
        state=moves[-1].to_state if moves else row.initial_state,
        outcome=row.outcome,
        grade=row.grade,
        owner=row.owner,
        settled=settled,
    )
