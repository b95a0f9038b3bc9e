"""
What people do about follow-ups: they make one by hand, do it, put it off, hand it on, or cancel it.

Not steps: somebody asks, and is answered at once. Each is changed with its lead locked, by the write path of moves; of
two who do the same one at once, the later hears that it is over. What was done is a touchpoint of the lead.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import lifecycle, tables
from schema.errors import Permanent
from schema.events import FollowUpAssigned, FollowUpCancelled, FollowUpDone, FollowUpSnoozed
from schema.journey.follow_up import FELL_AWAY
from schema.store import rows
from schema.store.ids import is_id, new_id
from workers import timers
from workers.decide import follow_up
from workers.decide.follow_up import Work
from workers.followups.follow_ups import KIND, about, make
from workers.happening import happen
from workers.moves import with_lead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Engine

    from schema.journey import Journey
    from workers.batch import Case

CHANNEL: Final = "internal"
"""Of what was done where nobody says on which channel."""
_TRIES: Final = 5
"""A follow-up may go over to another lead while we wait for its own: people were merged."""
_WHERE: Final = text("SELECT lead_id FROM follow_up WHERE id = CAST(:id AS uuid)")
_ONE: Final = text("SELECT * FROM follow_up WHERE id = CAST(:id AS uuid)")
_SAME: Final = text("""
SELECT id FROM follow_up WHERE lead_id = CAST(:lead AS uuid) AND rule IS NULL AND occasion = :occasion
""")
_BELONGS: Final = {
    kind: text(f"SELECT FROM {kind} WHERE id = CAST(:id AS uuid) AND lead_id = CAST(:lead AS uuid)")
    for kind in ("ticket", "opportunity", "contract", "survey")
}


class FollowUps:
    """
    The follow-ups of one database.

    `hint` hears of the step at which leads became due. Every method takes `now` for a clock that is moved and returns
    the follow-up's row. On a dry run everything is decided and nothing is kept.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run

    def add(  # noqa: PLR0913 - what may be said of one
        self,
        lead_id: str,
        words: str,
        *,
        owner: str | None = None,
        due_at: datetime | None = None,
        within: timedelta | None = None,
        remind_at: datetime | None = None,
        subject: tuple[str, str] | None = None,
        key: str | None = None,
        actor: str,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Make one by hand. The same `key` of the same lead again gives the first one.

        `owner` None: the lead's, whoever that becomes. `subject` is the kind and id of what it is about, by default
        the lead itself. It is due at a moment, or `within` working time, or by the end
        of the owner's working day.

        :raises Permanent: `lead_unknown`; `lead_merged`; `owner_unknown`; `subject_unknown`: the lead has none such;
            `due_in_the_past`; `reminder_not_before_due`
        """
        asked = _Asked(words, owner, due_at, within, remind_at, subject, key)
        return self._change(lead_id, partial(_add, asked=asked, actor=actor), now)

    def done(
        self,
        follow_up_id: str,
        outcome: str,
        *,
        note: str | None = None,
        channel: str | None = None,
        actor: str,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Say that one was done, with one of the outcomes of its rule; `channel` is where, as phone or email.

        :raises Permanent: `follow_up_unknown`; `follow_up_over`; `outcome_unknown`
        """
        act = partial(_done, outcome=outcome, note=note, channel=channel or CHANNEL, actor=actor)
        return self._act(follow_up_id, act, actor, now)

    def snooze(self, follow_up_id: str, until: datetime, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Put one off: nobody is reminded before, and it is due then if it was due earlier.

        :raises Permanent: `follow_up_unknown`; `follow_up_over`; `snooze_in_the_past`
        """
        return self._act(follow_up_id, partial(_snooze, until=until), actor, now)

    def assign(self, follow_up_id: str, owner: str, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Hand one to somebody, with whom it stays whoever has the lead.

        :raises Permanent: `follow_up_unknown`; `follow_up_over`; `owner_unknown`
        """
        return self._act(follow_up_id, partial(_assign, owner=owner), actor, now)

    def cancel(self, follow_up_id: str, reason: str, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Let one fall away, for a reason that is a code.

        :raises Permanent: `follow_up_unknown`; `follow_up_over`; `reason_not_a_code`
        """
        if not lifecycle.is_code(reason):
            raise Permanent("reason_not_a_code", "A reason is a code: small letters, digits and _, as in no_time.")
        return self._act(follow_up_id, partial(_cancel, reason=reason, actor=actor), actor, now)

    def _act(
        self, follow_up_id: str, act: Callable[[Case, dict[str, Any]], dict[str, Any]], actor: str, now: datetime | None
    ) -> dict[str, Any]:
        unknown = Permanent("follow_up_unknown", "There is no such follow-up.")
        if not is_id(follow_up_id):
            raise unknown
        for _ in range(_TRIES):
            with self._engine.connect() as connection:
                lead_id = connection.execute(_WHERE, {"id": follow_up_id}).scalar_one_or_none()
            if lead_id is None:
                raise unknown
            try:
                return self._change(str(lead_id), partial(_open, follow_up_id=follow_up_id, act=act, actor=actor), now)
            except _MovedError:
                continue
            except Permanent as error:
                if error.code != "lead_merged":
                    raise
        raise unknown

    def _change(self, lead_id: str, act: Callable[[Case], dict[str, Any]], now: datetime | None) -> dict[str, Any]:
        if not is_id(lead_id):
            raise Permanent("lead_unknown", "There is no such lead.")
        if self._dry_run:
            try:
                with_lead(self._engine, lead_id, now, partial(_undone, act=act))
            except _DryRunError as end:
                return end.done
        next_step: list[str] = []
        done = with_lead(self._engine, lead_id, now, partial(_noted, act=act, next_step=next_step))
        for step in next_step:
            self._hint(step, [lead_id])
        return done


class _Asked(NamedTuple):
    words: str
    owner: str | None
    due_at: datetime | None
    within: timedelta | None
    remind_at: datetime | None
    subject: tuple[str, str] | None
    key: str | None


class _MovedError(Exception):
    """The follow-up belongs to another lead by now."""


class _DryRunError(Exception):
    """Ends a transaction of which nothing is kept; `done` is what it would have come to."""

    def __init__(self, done: dict[str, Any]) -> None:
        super().__init__()
        self.done = done


def _undone(case: Case, act: Callable[[Case], dict[str, Any]]) -> dict[str, Any]:
    raise _DryRunError(act(case))


def _noted(case: Case, act: Callable[[Case], dict[str, Any]], next_step: list[str]) -> dict[str, Any]:
    """Do it, and note what the lead is due for afterwards."""
    done = act(case)
    next_step[:] = [case.lead["next_step"]] if case.lead["next_step"] else []
    return done


def _open(
    case: Case, follow_up_id: str, act: Callable[[Case, dict[str, Any]], dict[str, Any]], actor: str
) -> dict[str, Any]:
    """Do something about a follow-up that is open, and write its row; its lead is in hand."""
    connection = case.batch.connection
    row = dict(connection.execute(_ONE, {"id": follow_up_id}).mappings().one())
    if row["lead_id"] != case.id:
        raise _MovedError
    if row["outcome"] is not None:
        said = "It was cancelled" if row["outcome"] == FELL_AWAY else "It was done"
        facts = {"outcome": row["outcome"], "done_at": row["done_at"].isoformat(), "done_by": row["done_by"]}
        raise Permanent("follow_up_over", f"{said} already: nothing is left to do.", **facts)
    had = row["owner"]
    case.batch.handovers.acted(case, row["id"], row["department"], actor)
    row = act(case, row) | {"updated_at": case.batch.now, "changes": row["changes"] + 1}
    if row["owner"] != had:
        case.batch.handovers.follow_up(case, row, row["changes"], "assigned", actor, had)
    rows.update(connection, tables.follow_up, "id", [row])
    journey = case.batch.book.version(connection, row["journey"])
    timers.at(case.batch, KIND, row["id"], case.id, _next_look(row, journey, case.batch.now))
    return row


def _next_look(row: Mapping[str, Any], journey: Journey, now: datetime) -> datetime | None:
    if row["outcome"] is not None:
        return None
    found = follow_up.look(row, journey, now)
    return now if found.remind or found.late or found.escalate else found.at


def _add(case: Case, asked: _Asked, actor: str) -> dict[str, Any]:
    connection, now = case.batch.connection, case.batch.now
    occasion = f"by hand {asked.key or new_id()}"
    same = {"lead": case.id, "occasion": occasion}
    found = connection.execute(_SAME, same).scalar_one_or_none() if asked.key else None
    if found is None:
        work = _work(case, asked, occasion, now)
        [found] = make(case.batch, [(case, work)], actor)
    return dict(connection.execute(_ONE, {"id": found}).mappings().one())


def _work(case: Case, asked: _Asked, occasion: str, now: datetime) -> Work:
    if asked.owner is not None:
        _known(case.journey, asked.owner)
    owner = asked.owner or case.lead["owner"]
    due_at = asked.due_at or follow_up.due(case.journey, None, owner, now, asked.within)
    if due_at <= now:
        raise Permanent("due_in_the_past", "The due time is over already: give one that is to come.")
    if asked.remind_at is not None and not now < asked.remind_at < due_at:
        raise Permanent("reminder_not_before_due", "A reminder comes before the work is due, and not in the past.")
    kind, subject_id = asked.subject or ("lead", case.id)
    _belongs(case, kind, subject_id)
    return Work(
        rule="",
        occasion=occasion,
        text=asked.words,
        about_kind=kind,
        about_id=subject_id,
        role="person" if asked.owner else "owner",
        owner=owner,
        due_at=due_at,
        remind_at=asked.remind_at,
    )


def _belongs(case: Case, kind: str, subject_id: str) -> None:
    if (kind, subject_id) == ("lead", case.id):
        return
    given = {"id": subject_id, "lead": case.id}
    statement = _BELONGS.get(kind)
    if statement is None or not is_id(subject_id) or case.batch.connection.execute(statement, given).first() is None:
        raise Permanent("subject_unknown", f"This lead has no {kind} of that id.")


def _done(case: Case, row: dict[str, Any], outcome: str, note: str | None, channel: str, actor: str) -> dict[str, Any]:
    journey = case.batch.book.version(case.batch.connection, row["journey"])
    possible = journey.outcomes(row["rule"])
    if outcome not in possible:
        raise Permanent(
            "outcome_unknown", f"The outcome has to be one of {', '.join(possible)}.", possible=list(possible)
        )
    data = {"follow_up": row["id"], "rule": row["rule"], "outcome": outcome}
    happen(case, "follow_up.done", about(row), key=row["id"], data=data, channel=channel)
    case.tell(FollowUpDone(row["id"], row["rule"], outcome, row["owner"], actor))
    return row | {"outcome": outcome, "note": note, "done_at": case.batch.now, "done_by": actor}


def _snooze(case: Case, row: dict[str, Any], until: datetime) -> dict[str, Any]:
    now = case.batch.now
    if until <= now:
        raise Permanent("snooze_in_the_past", "Put it off until a time that is to come.")
    journey = case.batch.book.version(case.batch.connection, row["journey"])
    later = until > row["due_at"]
    due_at = until if later else row["due_at"]
    rule = journey.follow_ups.get(row["rule"] or "")
    remind_at = follow_up.reminder(rule, due_at, now) if later else until
    told = {"late_at": None} if later else {}
    case.tell(FollowUpSnoozed(row["id"], row["owner"], until.isoformat(), due_at.isoformat()))
    return row | told | {
        "snoozed_until": until,
        "snoozes": row["snoozes"] + 1,
        "due_at": due_at,
        "remind_at": remind_at,
        "reminded_at": None,
    }  # fmt: skip


def _assign(case: Case, row: dict[str, Any], owner: str) -> dict[str, Any]:
    _known(case.journey, owner)
    if owner != row["owner"]:
        case.tell(FollowUpAssigned(row["id"], owner, row["owner"], "by_hand"))
    return row | {"owner": owner, "role": "person"}


def _cancel(case: Case, row: dict[str, Any], reason: str, actor: str) -> dict[str, Any]:
    case.tell(FollowUpCancelled(row["id"], row["owner"], reason))
    return row | {"outcome": FELL_AWAY, "reason": reason, "done_at": case.batch.now, "done_by": actor}


def _known(journey: Journey, owner: str) -> None:
    if owner not in journey.people:
        people = sorted(journey.people)
        listed = f"; there are {', '.join(people)}" if people else ""
        raise Permanent("owner_unknown", f"There is nobody of this name{listed}.", known=people)
