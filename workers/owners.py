"""
Owners: what people do about the leads they are given, and when they are there.

Not steps: somebody asks, and is answered at once. A lead is accepted, declined or handed over by the write path that
moves use; an absence is kept while the pools are locked, so that no turn is dealt in between.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import structs

from schema import lifecycle
from schema.errors import Permanent
from schema.events import LeadHandedOn, LeadRouted
from schema.store import clock, staff
from schema.store.journeys import JourneyBook
from workers.decide.assignment import Assignment, assignment
from workers.decide.staff import Absence, Out, Staff, roster, why_not
from workers.helpdesk.desks import wake_for
from workers.moves import with_lead
from workers.route import accepted, deal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from schema.journey import Journey
    from workers.batch import Case


class Owners:
    """
    The owners of leads, in one database.

    `hint` hears of the step at which leads became due. Every method takes `now` for a clock that is moved. On a dry run
    everything is decided and nothing is kept.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run
        self._book = JourneyBook()

    # -- a lead --------------------------------------------------------------------------------------------------------

    def accept(self, lead_id: str, owner: str | None, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Have the owner accept a lead; `owner` is who they think they are. Accepting twice is accepting once.

        :raises Permanent: `lead_unknown`; `lead_unowned`; `not_the_owner`
        """
        return self._change(lead_id, partial(take_on, owner=owner, actor=actor), now)

    def decline(self, lead_id: str, reason: str, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Have the owner decline a lead, for a reason that is a code; it goes to the next in turn, or waits for them.

        :raises Permanent: `lead_unknown`; `lead_unowned`; `lead_closed`; `reason_not_a_code`
        """
        return self._change(lead_id, partial(give_back, reason=_code(reason), actor=actor), now)

    def assign(
        self, lead_id: str, owner: str, reason: str | None, *, actor: str, now: datetime | None = None
    ) -> dict[str, Any]:
        """
        Hand a lead to somebody; they need not accept it, and it takes no turn.

        :raises Permanent: `lead_unknown`; `owner_unknown`; `reason_not_a_code`
        """
        because = _code(reason) if reason else None
        return self._change(lead_id, partial(hand_over, owner=owner, reason=because, actor=actor), now)

    def _change(self, lead_id: str, act: Callable[[Case], dict[str, Any]], now: datetime | None) -> dict[str, Any]:
        if self._dry_run:
            try:
                with_lead(self._engine, lead_id, now, partial(_undone, act=act))
            except _DryRunError as end:
                return end.done
        done = with_lead(self._engine, lead_id, now, act)
        self._hint("route", ())  # a place that became free may have woken others
        return done

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.connect() as connection:
            yield connection
            if self._dry_run:
                connection.rollback()
            else:
                connection.commit()

    # -- people --------------------------------------------------------------------------------------------------------

    def overview(self, *, now: datetime | None = None) -> dict[str, Any]:
        """
        Return `owners`, by name, and `queues`, where leads wait.

        Of each owner: what they have and have still to accept, whether they are free for one of their pools now, and
        if not, why and until when. People who are no longer in an active journey are listed while they have leads.
        """
        at = now or clock.now()
        with self._engine.connect() as connection:
            return self._overview(connection, at)

    def away(
        self,
        owner: str,
        *,
        kind: str,
        start: datetime | None,
        end: datetime | None,
        actor: str,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Keep that somebody takes no leads from `start` (None: now) to `end` (None: until they are back).

        :raises Permanent: `owner_unknown`; `absence_backwards`; `absence_over`
        """
        at = now or clock.now()
        with self._transaction() as connection:
            self._known(connection, owner)
            absence, woken = staff.go_away(connection, owner, kind, start or at, end, actor, at)
        self._wake(woken)
        return absence

    def back(self, owner: str, absence: str | None, *, now: datetime | None = None) -> dict[str, Any]:
        """
        Take back an absence, or (None) whatever somebody is away for now: they get leads again at once.

        :raises Permanent: `owner_unknown`; `absence_unknown`
        """
        at = now or clock.now()
        with self._transaction() as connection:
            self._known(connection, owner)
            ended, woken = staff.come_back(connection, owner, absence, at)
            tickets = wake_for(connection, self._book.active(connection), owner, at) if ended else []
        self._wake(woken)
        if tickets and not self._dry_run:
            self._hint("followup", tickets)
        return {"owner": owner, "ended": ended}

    def zone(self, owner: str) -> str:
        """
        Return the time zone of somebody, as their journey has it.

        :raises Permanent: `owner_unknown`
        """
        with self._engine.connect() as connection:
            return self._known(connection, owner).people[owner].tz

    def _wake(self, leads: Sequence[str]) -> None:
        if leads and not self._dry_run:
            self._hint("route", leads)

    def _known(self, connection: Connection, owner: str) -> Journey:
        journeys = self._book.active(connection)
        for journey in journeys:
            if owner in journey.people:
                return journey
        people = sorted({name for journey in journeys for name in journey.people})
        raise Permanent("owner_unknown", _unknown(people), known=people)

    def _overview(self, connection: Connection, now: datetime) -> dict[str, Any]:
        journeys = self._book.active(connection)
        rosters = [roster(journey) for journey in journeys]
        absences = staff.absences(connection, now)
        loads = staff.loads(connection)
        windows: dict[str, int] = {}
        for one in rosters:
            windows |= {name: max(most, windows.get(name, 0)) for name, most in one.windows.items()}
        known = Staff(open={name: have for name, (have, _) in loads.items()})
        known.recent |= staff.recent(connection, windows) if windows else {}
        for absence in absences:
            spell = Absence(absence["from_at"], absence["until_at"])
            known.away.setdefault(absence["person"], []).append(spell)
        names = sorted({*loads, *(name for journey in journeys for name in journey.people)})
        owners = [_shown(name, journeys, known, loads, now) for name in names]
        for owner in owners:
            owner["absences"] = [
                {name: absence[name] for name in ("id", "kind", "from_at", "until_at")}
                for absence in absences
                if absence["person"] == owner["owner"]
            ]
        return {"owners": owners, "queues": staff.queues(connection)}


class _DryRunError(Exception):
    """Ends a transaction of which nothing is kept; `done` is what it would have come to."""

    def __init__(self, done: dict[str, Any]) -> None:
        super().__init__()
        self.done = done


def _undone(case: Case, act: Callable[[Case], dict[str, Any]]) -> dict[str, Any]:
    raise _DryRunError(act(case))


def _shown(
    name: str, journeys: Sequence[Journey], known: Staff, loads: dict[str, tuple[int, int]], now: datetime
) -> dict[str, Any]:
    outs: list[Out | None] = []
    pools = []
    label = None
    for journey in journeys:
        rostered = roster(journey)
        if name not in rostered.people:
            continue
        label = label or journey.people[name].name
        benches = [bench for bench in rostered.benches.values() if name in bench.weights]
        pools += [{"journey": journey.name, "pool": bench.name} for bench in benches]
        outs += [why_not(rostered.people[name], bench, known, now) for bench in benches]
    free = None in outs
    reasons = [out for out in outs if out is not None]
    first = min(reasons, key=lambda out: (out.until is None, out.until), default=None)
    have, to_accept = loads.get(name, (0, 0))
    why = None if free else first.why if first else "in no pool of an active journey"
    return {
        "owner": name,
        "name": label,
        "pools": pools,
        "open": have,
        "to_accept": to_accept,
        "free": free,
        "why": why,
        "until": None if free or first is None else first.until,
    }


def take_on(case: Case, owner: str | None, actor: str) -> dict[str, Any]:
    """Have the owner of a lead in hand accept it; `owner` is who they think they are."""
    has = _owner(case)
    if owner is not None and owner != has:
        raise Permanent("not_the_owner", f"This lead is {has}'s now.", owner=has)
    if case.lead["assignment"] is None:
        case.lead["assignment"] = Assignment(since=case.batch.now).row()
    if accepted(case):
        case.decided("accepted", None, {"owner": has, "pool": case.lead["pool"], "asked_by": actor}, step="route")
        case.go(case.lead["next_step"])
    return _told(case)


def give_back(case: Case, reason: str, actor: str) -> dict[str, Any]:
    """Have the owner of a lead in hand decline it; it goes to the next in turn."""
    has = _owner(case)
    if not case.lead["open"]:
        raise Permanent("lead_closed", "This lead is closed; there is nothing to decline.")
    kept = structs.replace(assignment(case.lead["assignment"]), declined=reason)
    case.lead["assignment"] = kept.row()
    case.facts.know(assignment=case.lead["assignment"])
    case.decided("declined", reason, {"owner": has, "pool": case.lead["pool"], "asked_by": actor}, step="route")
    deal(case)
    case.go(case.lead["next_step"])
    return _told(case)


def hand_over(case: Case, owner: str, reason: str | None, actor: str) -> dict[str, Any]:
    """Hand a lead in hand to somebody."""
    if owner not in case.journey.people:
        people = sorted(case.journey.people)
        raise Permanent("owner_unknown", _unknown(people), known=people)
    had = case.lead["owner"]
    if owner != had:
        pool = _pool_of(case, owner)
        case.batch.pools.gave(case, owner)
        given = Assignment(since=case.batch.now, by_hand=True).row()
        case.lead |= {"owner": owner, "pool": pool, "waiting_since": None, "assignment": given}
        case.facts.know(owner=owner, pool=pool, waiting_since=None, assignment=given)
        case.look_again(None, step="route")
        told = {"owner": owner, "pool": pool, "left": had, "asked_by": actor}
        case.decided("assigned", reason, told, step="route")
        because = reason or "by_hand"
        case.tell(LeadHandedOn(had, owner, because) if had else LeadRouted(pool, owner, because))
        case.go(case.lead["next_step"])
    return _told(case)


def _pool_of(case: Case, owner: str) -> str | None:
    """The lead's pool if its new owner is one of its people, else the first of theirs; theirs may be none."""
    pools = case.journey.route.pools
    if case.lead["pool"] in pools and owner in pools[case.lead["pool"]].members:
        return str(case.lead["pool"])
    return next((name for name, pool in pools.items() if owner in pool.members), None)


def _owner(case: Case) -> str:
    if case.lead["owner"] is None:
        raise Permanent("lead_unowned", "This lead has no owner yet.")
    return str(case.lead["owner"])


def _told(case: Case) -> dict[str, Any]:
    return {
        "lead_id": case.id,
        "owner": case.lead["owner"],
        "pool": case.lead["pool"],
        "assignment": case.lead["assignment"],
        "waiting_since": case.lead["waiting_since"],
    }


def _code(reason: str) -> str:
    if not lifecycle.is_code(reason):
        raise Permanent("reason_not_a_code", "A reason is a code: small letters, digits and _, as in no_time.")
    return reason


def _unknown(people: Sequence[str]) -> str:
    return f"There is nobody of this name; there are {', '.join(people)}." if people else "There are no people yet."
