"""
The history checker: after a fault, what was acknowledged is held against what the database and the feed hold.

It knows nothing of how the system works inside, only its promises: what was acknowledged is there and settled, once;
each lead's decisions, moves and events are counted without gaps; the journey allowed every move; the feed tells each
event once, in the lead's own order; the turns in the ledgers are the turns that were taken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One logical arrival and the receipt its sender was told; `marker` is in its payload and in no other."""

    marker: str
    receipt: str


@dataclass(slots=True)
class Verdict:
    """What was found; all lists are empty when every promise was kept."""

    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.stuck or self.doubled or self.broken)


def check(engine: Engine, acknowledged: Iterable[Acknowledged], feed: Sequence[dict[str, Any]]) -> Verdict:
    """Hold what was acknowledged against the database and the events read from the feed."""
    verdict = Verdict()
    with engine.connect() as connection:
        _arrivals(connection, list(acknowledged), verdict)
        _work(connection, verdict)
        _ways(connection, verdict)
        _ledgers(connection, verdict)
        _feed(connection, feed, verdict)
    return verdict


def _arrivals(connection: Connection, acknowledged: list[Acknowledged], verdict: Verdict) -> None:
    held = {row.id: row for row in connection.execute(text("SELECT id, status, body, lead_id FROM receipt"))}
    bodies = Counter(marker for row in held.values() for marker in _markers(bytes(row.body)))
    touches = Counter(connection.execute(text("SELECT id FROM touchpoint")).scalars())
    for arrival in acknowledged:
        row = held.get(arrival.receipt)
        if row is None:
            verdict.lost.append(f"receipt {arrival.receipt} ({arrival.marker}) is not there")
        elif row.status == "pending":
            verdict.stuck.append(f"receipt {arrival.receipt} ({arrival.marker}) is pending")
        elif row.status in {"processed", "merged"} and touches[arrival.receipt] != 1:
            verdict.lost.append(f"receipt {arrival.receipt} has {touches[arrival.receipt]} touchpoints")
        if bodies[arrival.marker] > 1:
            verdict.doubled.append(f"{arrival.marker} was stored {bodies[arrival.marker]} times")
    emails = Counter(connection.execute(text("SELECT email FROM person WHERE email IS NOT NULL")).scalars())
    verdict.doubled += [f"{count} people with one e-mail address" for count in emails.values() if count > 1]
    several = text("SELECT person_id, count(*) AS n FROM lead GROUP BY person_id HAVING count(*) > 1")
    verdict.doubled += [f"person {row.person_id} has {row.n} leads" for row in connection.execute(several)]
    orphans = text("SELECT id FROM person AS p WHERE NOT EXISTS (SELECT FROM lead WHERE person_id = p.id)")
    verdict.doubled += [f"person {row.id} has no lead" for row in connection.execute(orphans)]


def _markers(body: bytes) -> list[str]:
    """Return the markers `m-<number>` that a payload carries."""
    return [word.decode() for word in body.replace(b'"', b" ").replace(b"@", b" ").split() if word.startswith(b"m-")]


def _work(connection: Connection, verdict: Verdict) -> None:
    for table in ("receipt", "lead"):
        due = connection.execute(text(f"SELECT id FROM {table} WHERE due_since IS NOT NULL")).scalars()  # noqa: S608
        verdict.stuck += [f"{table} {row_id} is still due" for row_id in due]
    unfinished = text("SELECT id, next_step FROM lead WHERE next_step IS NOT NULL")
    verdict.stuck += [f"lead {row.id} stopped before {row.next_step}" for row in connection.execute(unfinished)]
    letters = connection.execute(text("SELECT step, error FROM dead_letter WHERE resolved_at IS NULL"))
    verdict.stuck += [f"dead letter of {row.step}: {row.error}" for row in letters]


def _ways(connection: Connection, verdict: Verdict) -> None:
    leads = {row.id: row for row in connection.execute(text("SELECT * FROM lead"))}
    ways = _by_lead(connection, "SELECT * FROM transition ORDER BY lead_id, number")
    decisions = _by_lead(connection, "SELECT lead_id, number, step FROM decision ORDER BY lead_id, number")
    events = _by_lead(connection, "SELECT lead_id, sequence AS number FROM event ORDER BY lead_id, sequence")
    initial = {
        row.version: row.initial_state for row in connection.execute(text("SELECT version, initial_state FROM journey"))
    }
    for lead_id, lead in leads.items():
        for name, rows, count in (
            ("transitions", ways[lead_id], lead.transitions),
            ("decisions", decisions[lead_id], lead.decisions),
            ("events", events[lead_id], lead.events),
        ):
            if [row.number for row in rows] != list(range(1, count + 1)):
                verdict.broken.append(f"lead {lead_id} counts {count} {name} but has {len(rows)}")
        state = initial[lead.journey]
        for move in ways[lead_id]:
            if move.from_state != state:
                verdict.broken.append(f"lead {lead_id} moved from {move.from_state} while in {state}")
            state = move.to_state
        if state != lead.state:
            verdict.broken.append(f"lead {lead_id} is in {lead.state}, its transitions say {state}")
        touches = sum(row.step == "identify" for row in decisions[lead_id])
        for step, count in Counter(row.step for row in decisions[lead_id]).items():
            if count > touches:
                verdict.doubled.append(f"lead {lead_id} ran {step} {count} times for {touches} touchpoints")


def _by_lead(connection: Connection, query: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(text(query)):
        found[row.lead_id].append(row)
    return found


def _ledgers(connection: Connection, verdict: Verdict) -> None:
    dealt = {row.name: row.turn for row in connection.execute(text("SELECT name, turn FROM pool"))}
    taken = text(
        "SELECT explanation ->> 'pool' AS pool, count(*) AS turns FROM decision WHERE reason = 'turn' GROUP BY 1"
    )
    counted = {row.pool: row.turns for row in connection.execute(taken)}
    for pool, turns in dealt.items():
        if turns != counted.get(pool, 0):
            verdict.broken.append(f"pool {pool} dealt {turns} turns, {counted.get(pool, 0)} were taken")


def _feed(connection: Connection, feed: Sequence[dict[str, Any]], verdict: Verdict) -> None:
    told = Counter(event["id"] for event in feed)
    verdict.doubled += [
        f"event {event_id} stands {count} times in the feed" for event_id, count in told.items() if count > 1
    ]
    rows = connection.execute(text("SELECT lead_id, sequence FROM event"))
    held = {f"{row.lead_id}.{row.sequence}" for row in rows}
    verdict.lost += [f"event {event_id} is not in the feed" for event_id in held - told.keys()]
    verdict.broken += [f"event {event_id} is only in the feed" for event_id in told.keys() - held]
    verdict.broken += out_of_order(feed)


def out_of_order(events: Iterable[dict[str, Any]]) -> list[str]:
    """Return where a lead's events, each heard for the first time, do not come as 1, 2, 3 …"""
    heard: set[str] = set()
    last: dict[str, int] = defaultdict(int)
    wrong = []
    for event in events:
        if event["id"] in heard:
            continue
        heard.add(event["id"])
        if event["sequence"] != last[event["subject"]] + 1:
            wrong.append(f"event {event['id']} comes after number {last[event['subject']]}")
        last[event["subject"]] = event["sequence"]
    return wrong
