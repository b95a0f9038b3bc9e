"""
Migration: leads of one version of a journey follow another one from now on.

    hears   whoever asks, over HTTP or on the command line
    reads   the open leads of the versions to leave (closed ones too if that is asked for)
    writes  the lead's version and, where it has another name there, its state; makes the first step due
    tells   lead.migrated

Batches in order of id, each a short transaction of its own: what a worker has in hand is passed over and come back to,
and a migration that was interrupted goes on when it is asked for again.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.errors import Permanent
from schema.journey.fields import nearest
from schema.store import clock, journeys, rows
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.decide.migrate import follow, likeliest, ways

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.journey import Journey
    from workers.batch import Case

BATCH: Final = 500
PATIENCE: Final = timedelta(seconds=10)
"""How long it waits for leads that workers have in hand, before it says that some are left."""
_PAUSE_S: Final = 0.05

_NAMES: Final = text("SELECT version, name FROM journey WHERE version = ANY(CAST(:versions AS text[]))")
_OTHERS: Final = text("SELECT version FROM journey WHERE name = :name AND version <> :to ORDER BY created_at, version")
# From the moves, not from the document: leads leave a version that this code cannot read, too.
_STATES: Final = text("""
SELECT initial_state AS state FROM journey WHERE version = ANY(CAST(:versions AS text[]))
UNION SELECT from_state FROM journey_move WHERE journey = ANY(CAST(:versions AS text[])) AND name <> 'migrate'
UNION SELECT to_state FROM journey_move WHERE journey = ANY(CAST(:versions AS text[]))
""")
_COUNT_LONG: Final = text("SET LOCAL statement_timeout = '10min'")
_COUNT: Final = """
SELECT journey AS version, state, open, owner, pool, count(*) AS leads FROM lead
WHERE {where} GROUP BY journey, state, open, owner, pool ORDER BY journey, state, open DESC
"""
_PAGE: Final = """
SELECT id FROM lead WHERE {where} AND id > CAST(:after AS uuid) ORDER BY id LIMIT :most FOR UPDATE SKIP LOCKED
"""
_ANY: Final = "SELECT EXISTS (SELECT FROM lead WHERE {where})"
_OPEN: Final = "journey = ANY(CAST(:versions AS text[])) AND open"
_CLOSED: Final = "state = ANY(CAST(:states AS text[])) AND NOT open AND journey = ANY(CAST(:versions AS text[]))"
_OPEN_OF: Final = "journey = :version AND open AND state = ANY(CAST(:states AS text[])) AND id <= CAST(:last AS uuid)"
_CLOSED_OF: Final = "state = :state AND NOT open AND journey = :version AND id <= CAST(:last AS uuid)"
_LAST: Final = text("SELECT id FROM lead ORDER BY id DESC LIMIT 1")
_FIRST: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class _Count:
    """So many leads of a version in a state, with an owner of a pool."""

    version: str
    state: str
    open: bool
    owner: str | None
    pool: str | None
    leads: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a migration would do: from which versions, to which, where each state leads, and which leads there are."""

    journey: Journey
    versions: list[str]
    ways: Mapping[str, str]
    counts: Sequence[_Count]
    closed: bool

    @property
    def leads(self) -> int:
        """How many leads there are to migrate, those that cannot be included."""
        return sum(count.leads for count in self.counts)

    def stuck(self) -> list[dict[str, Any]]:
        """Return the states whose leads have nowhere to go, with `reason`, the `nearest` state and what to `add`."""
        found: Counter[tuple[str, str]] = Counter()
        for count in self.counts:
            if count.state not in self.ways:
                found[count.state, "state_missing"] += count.leads
            elif not count.open and not self.is_final(count.state):
                found[count.state, "would_be_opened"] += count.leads
        return [self._stuck(state, reason, leads) for (state, reason), leads in found.items()]

    def report(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "journey": self.journey.name,
            "to": self.journey.version,
            "leads": self.leads,
            "states": self._states(),
            "stuck": self.stuck(),
            "owners": self._lost("owner", self.journey.people),
            "pools": self._lost("pool", self.journey.route.pools),
        }

    def is_final(self, state: str) -> bool:
        """Tell whether a state leads to a final one."""
        return self.journey.lifecycle[self.ways[state]].final

    def _stuck(self, state: str, reason: str, leads: int) -> dict[str, Any]:
        near = likeliest(state, self.journey) if reason == "state_missing" else None
        there = self.journey.lifecycle.items()
        return {
            "state": state,
            "reason": reason,
            "leads": leads,
            "nearest": near,
            "states": [name for name, each in there if each.final or reason == "state_missing"],
            "add": f"{state}={near or 'STATE'}",
        }

    def _states(self) -> list[dict[str, Any]]:
        found: Counter[tuple[str, str, bool]] = Counter()
        for count in self.counts:
            found[count.version, count.state, count.open] += count.leads
        return [
            {
                "version": version,
                "from": state,
                "to": self.ways.get(state),
                "open": is_open,
                "closes": is_open and state in self.ways and self.is_final(state),
                "leads": leads,
            }
            for (version, state, is_open), leads in found.items()
        ]

    def _lost(self, what: str, known: Mapping[str, object]) -> list[dict[str, Any]]:
        """Return the owners or pools of open leads that the new version does not know."""
        found: Counter[str] = Counter()
        for count in self.counts:
            name = getattr(count, what)
            if count.open and name is not None and name not in known:
                found[name] += count.leads
        return [{what: name, "leads": leads} for name, leads in sorted(found.items())]


def migrate_leads(  # noqa: PLR0913 - what may be asked for
    engine: Engine,
    to: str,
    versions: Sequence[str],
    names: Mapping[str, str],
    *,
    actor: str,
    closed: bool = False,
    dry_run: bool = False,
    most: int | None = None,
    now: datetime | None = None,
    patience: timedelta = PATIENCE,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, Any]:
    """
    Have the leads of `versions` (none: of every other version of the journey) follow the version `to`.

    `names` gives the new name of a state that has another one there. At most about `most` leads are migrated; `tell`
    hears how many are done, of how many. Returns the plan's report with `dry_run`, `migrated` and `left`.

    :raises Permanent: `journey_unknown`; `other_journey`; `state_unknown`, in `names`; `leads_stuck`, unless `dry_run`
    :raises schema.journey.JourneyInvalid: the version is not in order for this code
    """
    with engine.begin() as connection:
        plan = make_plan(connection, to, versions, names, closed=closed)
    if dry_run:
        return plan.report() | {"dry_run": True, "migrated": 0, "left": plan.leads}
    if stuck := plan.stuck():
        raise Permanent("leads_stuck", "\n".join(map(stuck_in_words, stuck)), stuck=stuck)
    migrated = _run(engine, plan, actor, most, now, patience.total_seconds(), tell)
    with engine.begin() as connection:
        left = sum(count.leads for count in _counts(connection, plan.versions, plan.ways, closed=closed))
    return plan.report() | {"dry_run": False, "migrated": migrated, "left": left}


def stuck_in_words(stuck: Mapping[str, Any]) -> str:
    """Say why leads of a state have nowhere to go, and what to add."""
    if stuck["reason"] == "would_be_opened":
        closed = f"{stuck['leads']} closed lead{'s' * (stuck['leads'] != 1)}"
        words = f"{closed} in {stuck['state']} would be opened; closed are {', '.join(stuck['states'])}"
    else:
        are = "1 lead is" if stuck["leads"] == 1 else f"{stuck['leads']} leads are"
        words = f"The new version has no state {stuck['state']}, where {are}; it has {', '.join(stuck['states'])}"
    return f"{words}. Add: --map {stuck['add']}"


def make_plan(
    connection: Connection, to: str, versions: Sequence[str], names: Mapping[str, str], *, closed: bool
) -> Plan:
    """Look at what there is to migrate. Raises as `migrate_leads`, but for `leads_stuck`."""
    journey = journeys.stored(connection, to)
    leave = _leave(connection, journey, versions)
    states = set(connection.execute(_STATES, {"versions": leave}).scalars())
    for state, target in names.items():
        if leave and state not in states:
            words = f"No version to leave has a state {state}{nearest(state, sorted(states))}"
            raise Permanent("state_unknown", f"{words}.")
        if target not in journey.lifecycle:
            words = f"{journey.name} {to} has no state {target}{nearest(target, list(journey.lifecycle))}"
            raise Permanent("state_unknown", f"{words}; there are {', '.join(journey.lifecycle)}.")
    found = ways(states, journey, names)
    connection.execute(_COUNT_LONG)
    return Plan(journey, leave, found, _counts(connection, leave, found, closed=closed), closed)


def _leave(connection: Connection, journey: Journey, versions: Sequence[str]) -> list[str]:
    if not versions:
        return list(connection.execute(_OTHERS, {"name": journey.name, "to": journey.version}).scalars())
    known = {row.version: row.name for row in connection.execute(_NAMES, {"versions": list(versions)})}
    for version in versions:
        if version not in known:
            raise Permanent("journey_unknown", f"There is no version {version}.")
        if known[version] != journey.name:
            words = f"{version} is a version of {known[version]}, {journey.version} one of {journey.name}"
            raise Permanent("other_journey", f"{words}: a lead stays on its journey.")
    return [version for version in dict.fromkeys(versions) if version != journey.version]


def _counts(connection: Connection, versions: list[str], states: Mapping[str, str], *, closed: bool) -> list[_Count]:
    given: dict[str, Any] = {"versions": versions}
    found = list(connection.execute(text(_COUNT.format(where=_OPEN)), given))
    if closed:
        given["states"] = list(states)
        found += connection.execute(text(_COUNT.format(where=_CLOSED)), given)
    return [_Count(**row._asdict()) for row in found]


def _run(
    engine: Engine,
    plan: Plan,
    actor: str,
    most: int | None,
    now: datetime | None,
    patience_s: float,
    tell: Callable[[int, int], None],
) -> int:
    """Migrate; return how many leads were. Ends when none is left, `most` are done, or those left stay in work."""
    with engine.begin() as connection:
        _allow(connection, plan)
        last = connection.execute(_LAST).scalar_one_or_none() or _FIRST
    book = JourneyBook()
    done = 0
    for where, given in _portions(plan, last):
        after, waited_since = _FIRST, time.monotonic()
        while most is None or done < most:
            with engine.begin() as connection:
                batch = Batch(connection, book, now or clock.now(), "migrate")
                wanted = given | {"after": after, "most": BATCH}
                ids = list(connection.execute(text(_PAGE.format(where=where)), wanted).scalars())
                younger = batch.load(ids, follow=plan.journey) if ids else []
                for case in batch.cases.values():
                    _migrate(case, plan, actor)
                batch.record()
            migrated = len(ids) - len(younger)
            done += migrated
            tell(done, plan.leads)
            waited_since = time.monotonic() if migrated else waited_since
            if ids:
                after = ids[-1]
                continue
            # At the end: come back to those that a worker had in hand, or whose events were younger than ours.
            if not _any(engine, where, given) or time.monotonic() - waited_since >= patience_s:
                break
            after = _FIRST
            time.sleep(_PAUSE_S)
    return done


def _allow(connection: Connection, plan: Plan) -> None:
    """Make the moves lawful by which leads come into the new version; the law itself stays as it is."""
    moves = [
        {"journey": plan.journey.version, "from_state": state, "name": "migrate", "to_state": target}
        for state, target in sorted(plan.ways.items())
    ]
    rows.insert(connection, tables.journey_move, moves, "ON CONFLICT DO NOTHING")


def _portions(plan: Plan, last: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield which leads to take, one version after the other; not those that arrive while it runs."""
    for version in plan.versions:
        yield _OPEN_OF, {"version": version, "states": list(plan.ways), "last": last}
        final = [state for state in plan.ways if plan.is_final(state)]
        for state in final if plan.closed else ():
            yield _CLOSED_OF, {"version": version, "state": state, "last": last}


def _any(engine: Engine, where: str, given: dict[str, Any]) -> bool:
    with engine.begin() as connection:
        return bool(connection.execute(text(_ANY.format(where=where)), given).scalar_one())


def _migrate(case: Case, plan: Plan, actor: str) -> None:
    lead, from_version = case.lead, case.lead["journey"]
    was_open, set_aside = lead["open"], lead["next_step"] is not None and lead["due_since"] is None
    found = follow(lead, plan.journey, plan.ways[lead["state"]])
    case.migrate(found.state, from_version=from_version, actor=actor)
    case.decided("migrated", None, found.explain(from_version) | {"actor": actor})
    if not was_open:
        lead["next_step"] = found.next_step
        return
    if _sla(case.batch, from_version, found.from_state) != plan.journey.lifecycle[found.state].sla:
        lead["overdue"] = False
    lead |= {"open": found.open, "owner": found.owner, "pool": found.pool, "waits": {}}
    if found.owner is None:
        lead["assignment"] = None
    if found.owner is not None or found.pool is None:
        lead["waiting_since"] = None
    if set_aside:
        # It is due again when somebody retries the dead letter, not before.
        lead["next_step"] = found.next_step
    else:
        case.go(found.next_step)


def _sla(batch: Batch, version: str, state: str) -> timedelta | None:
    """Return how long a lead was to be in its state; None too where this code cannot read the version."""
    if not batch.book.readable(batch.connection, version):
        return None
    return batch.book.version(batch.connection, version).lifecycle[state].sla
