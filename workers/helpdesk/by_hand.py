"""
What people do about tickets, over HTTP and the command line: one at a time, each answered at once.

A ticket is changed with its lead locked, so that of two who do something at once the second decides from what the first
has done. Not a step: what follows from it (turns, clocks, moves of the lead) is settled in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.errors import Permanent, Transient
from schema.journey.service import PRIORITIES
from schema.store import tickets as store
from schema.store.ids import is_id
from schema.tables.ticket import STATUSES
from workers.helpdesk import acts, mail, tickets
from workers.helpdesk.acts import Opening, Said
from workers.moves import with_lead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from workers.batch import Case

    Row = dict[str, Any]

BY_HAND: Final = "by_hand"
"""The source of tickets that people open, unless they name the system they come from."""
_ATTEMPTS: Final = 5
"""A ticket may go on with another lead, because people were merged, in the moment that it is looked up."""
_LEAD: Final = text("SELECT lead_id FROM ticket WHERE id = :id")
_EXISTS: Final = text("SELECT id FROM ticket WHERE source = :source AND external_id = :external_id")
_WROTE: Final = text("""
SELECT EXISTS (
    SELECT FROM ticket_entry WHERE ticket_id = :id AND number > :seen AND kind = 'message_in' AND NOT machine
)
""")
_NEXT: Final = text("SELECT next_step FROM lead WHERE id = :id AND due_since IS NOT NULL")


class TicketService:
    """
    Tickets in one database, as people work on them.

    `hint` hears of what became due. Every method takes `now` for a clock that is moved, and returns the ticket as
    `GET /v1/tickets/{id}` shows it. `actor` is who asks, `agent` in whose name, if that is one of the journey's people.
    On a dry run everything is decided and nothing is kept. Where nothing else is said they raise Permanent:
    `ticket_unknown`, `ticket_closed`; Transient: `lead_busy`.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run

    def open(
        self,
        lead_id: str,
        wanted: Mapping[str, Any],
        words: str | None = None,
        *,
        actor: str,
        agent: str | None = None,
        now: datetime | None = None,
    ) -> Row:
        """
        Open a ticket of a lead (`wanted`: the fields of `Opening`), with what the customer said.

        It is the `agent`'s from the start, if one is named.

        :raises Permanent: `lead_unknown`, `lead_merged`; `service_unknown`, `kind_unknown`, `priority_unknown`,
            `owner_unknown`, `refers_to_unknown`; `ticket_exists`, its source has told of it before (`ticket_id`)
        """
        opening = Opening(**wanted)
        _checked(opening.priority)
        if not is_id(lead_id):
            raise Permanent("lead_unknown", "There is no such lead.")

        def act(case: Case) -> Row:
            _may_open(case, opening)
            ticket = acts.open_ticket(case, opening, actor=actor)
            if words:
                acts.heard(case, ticket, Said(words, opening.channel))
            if agent:
                acts.assign(case, ticket, agent, actor=actor)
            return ticket

        return self._done(lead_id, act, now)

    def heard(self, ticket_id: str, words: str, channel: str, *, now: datetime | None = None) -> Row:
        """Keep what the customer said, as on the phone: what waited for them goes on, what was resolved is reopened."""

        def act(case: Case, ticket: Row) -> None:
            if ticket["status"] == "closed":
                told = "The ticket is closed for good: open another one, which may refer to it."
                raise Permanent("ticket_closed", told)
            acts.heard(case, ticket, Said(words, channel))

        return self._change(ticket_id, act, now)

    def answer(  # noqa: PLR0913 - what may be said of an answer
        self,
        ticket_id: str,
        words: str,
        channel: str,
        *,
        actor: str,
        agent: str | None = None,
        status: str | None = None,
        send: bool = False,
        seen: int | None = None,
        now: datetime | None = None,
    ) -> Row:
        """
        Keep that the customer was answered, and have it sent to them by mail if that is wanted.

        With `seen` only if the customer has not written since the ticket had so many `entries`.

        :raises Permanent: `owner_unknown`; `customer_wrote`; `mail_not_configured`, `no_address`: it cannot be sent
        :raises schema.ticketing.StatusNotPossible: it cannot become `status`
        """

        def act(case: Case, ticket: Row) -> None:
            _up_to_date(case, ticket, seen)
            said = Said(words, channel)
            entry = acts.answer(case, ticket, said, actor=_who(case, ticket, actor, agent), status=status)
            if send:
                mail.plan(case, ticket, entry)

        return self._change(ticket_id, act, now)

    def note(
        self, ticket_id: str, words: str, *, actor: str, agent: str | None = None, now: datetime | None = None
    ) -> Row:
        """Keep a remark for colleagues, which the customer never sees; a closed ticket takes it too."""

        def act(case: Case, ticket: Row) -> None:
            acts.remark(case, ticket, text=words, actor=_who(case, ticket, actor, agent))

        return self._change(ticket_id, act, now)

    def status(  # noqa: PLR0913 - what may be said of it
        self,
        ticket_id: str,
        wanted: str,
        *,
        actor: str,
        agent: str | None = None,
        root_cause: str | None = None,
        resolution: str | None = None,
        seen: int | None = None,
        now: datetime | None = None,
    ) -> Row:
        """
        Have a ticket be in another status; with `seen` as `answer` says.

        :raises schema.ticketing.StatusNotPossible: it cannot become that from what it is
        :raises Permanent: `status_unknown`; `customer_wrote`; `root_cause_required`, `root_cause_unknown`
        """
        if wanted not in STATUSES:
            raise Permanent(
                "status_unknown", f"There is no such status; there are {', '.join(STATUSES)}.", known=list(STATUSES)
            )

        def act(case: Case, ticket: Row) -> None:
            _up_to_date(case, ticket, seen)
            by = _who(case, ticket, actor, agent)
            acts.set_status(case, ticket, wanted, actor=by, root_cause=root_cause, resolution=resolution)

        return self._change(ticket_id, act, now)

    def change(
        self,
        ticket_id: str,
        *,
        actor: str,
        kind: str | None = None,
        priority: str | None = None,
        subject: str | None = None,
        desk: str | None = None,
        now: datetime | None = None,
    ) -> Row:
        """
        Change what a ticket is said to be; at another desk it is somebody else's.

        :raises Permanent: `kind_unknown`, `priority_unknown`, `desk_unknown`
        """
        _checked(priority)

        def act(case: Case, ticket: Row) -> None:
            wanted = {"kind": kind, "priority": priority, "subject": subject, "desk": desk}
            acts.change(case, ticket, actor=actor, **wanted)

        return self._change(ticket_id, act, now)

    def assign(
        self,
        ticket_id: str,
        owner: str | None,
        *,
        actor: str,
        only_free: bool = False,
        now: datetime | None = None,
    ) -> Row:
        """
        Have a ticket be somebody's; without an `owner` it goes back to its desk. `only_free`: if nobody has it.

        :raises Permanent: `owner_unknown`; `ticket_taken` (`owner` has it)
        """

        def act(case: Case, ticket: Row) -> None:
            if owner is None:
                acts.release(case, ticket, actor=actor)
            elif only_free:
                acts.take(case, ticket, owner, actor=actor)
            else:
                acts.assign(case, ticket, owner, actor=actor)

        return self._change(ticket_id, act, now)

    def id_of(self, called: str) -> str | None:
        """Return the id of a ticket by its id or number; None where there is none of that number."""
        with self._engine.connect() as connection:
            return store.id_of(connection, called)

    # -- what they share -----------------------------------------------------------------------------------------------

    def _change(self, ticket_id: str, act: Callable[[Case, Row], None], now: datetime | None) -> Row:
        def on_lead(case: Case) -> Row:
            ticket = next(iter(case.batch.tickets.load([ticket_id])), None)
            if ticket is None or ticket["lead_id"] != case.id:
                raise _MovedError
            act(case, ticket)
            return ticket

        for _ in range(_ATTEMPTS):
            lead_id = self._lead(ticket_id)
            try:
                return self._done(lead_id, on_lead, now)
            except _MovedError:
                continue
            except Permanent as refusal:
                if refusal.code != "lead_merged":
                    raise
        raise Transient("lead_busy")

    def _lead(self, ticket_id: str) -> str:
        with self._engine.connect() as connection:
            found = connection.execute(_LEAD, {"id": ticket_id}).scalar_one_or_none() if is_id(ticket_id) else None
        if found is None:
            raise Permanent("ticket_unknown", "There is no such ticket.")
        return str(found)

    def _done(self, lead_id: str, act: Callable[[Case], Row], now: datetime | None) -> Row:
        """Do it, let everybody hear of it, and return the ticket as it is now."""
        if self._dry_run:
            return self._tried(lead_id, act, now)
        ticket = with_lead(self._engine, lead_id, now, act)
        with self._engine.connect() as connection:
            shown = store.ticket(connection, ticket["id"], now=now)
            step = connection.execute(_NEXT, {"id": ticket["lead_id"]}).scalar_one_or_none()
        assert shown is not None  # noqa: S101 - nothing removes tickets
        if step:
            self._hint(step, [ticket["lead_id"]])
        for queue in ("followup", "nurture", "deliver"):
            self._hint(queue, ())
        return shown

    def _tried(self, lead_id: str, act: Callable[[Case], Row], now: datetime | None) -> Row:
        def undone(case: Case) -> Row:
            ticket = act(case)
            tickets.settle(case.batch)
            raise _DryRunError(ticket)

        try:
            return with_lead(self._engine, lead_id, now, undone)
        except _DryRunError as end:
            return {"number": None} | end.ticket


class _MovedError(Exception):
    """The ticket is another lead's by now."""


class _DryRunError(Exception):
    """Ends a transaction of which nothing is kept; `ticket` is what it would have come to."""

    def __init__(self, ticket: Row) -> None:
        super().__init__()
        self.ticket = ticket


def _who(case: Case, ticket: Row, actor: str, agent: str | None) -> str:
    """In whose name something is done."""
    if agent is None:
        return actor
    known = acts.people(case, ticket)
    if agent not in known:
        raise Permanent("owner_unknown", f"There is nobody of this name; there are {', '.join(sorted(known))}.",
                        known=sorted(known))  # fmt: skip
    return agent


def _up_to_date(case: Case, ticket: Row, seen: int | None) -> None:
    """Refuse what somebody decided who has not read the customer's last words."""
    if seen is None:
        return
    after = case.batch.connection.execute(_WROTE, {"id": ticket["id"], "seen": seen})
    if after.scalar_one():
        told = "The customer has written meanwhile: read it, and decide anew."
        raise Permanent("customer_wrote", told, entries=ticket["entries"])


def _may_open(case: Case, wanted: Opening) -> None:
    connection = case.batch.connection
    if wanted.external_id is not None:
        named = {"source": wanted.source, "external_id": wanted.external_id}
        known = connection.execute(_EXISTS, named).scalar_one_or_none()
        if known is not None:
            raise Permanent("ticket_exists", "Its source has told of this ticket before.", ticket_id=known)
    if wanted.refers_to is not None:
        before = case.batch.tickets.load([wanted.refers_to]) if is_id(wanted.refers_to) else []
        if not before or before[0]["person_id"] != case.lead["person_id"]:
            raise Permanent("refers_to_unknown", "The customer has no such ticket to refer to.")


def _checked(priority: str | None) -> None:
    if priority not in {None, *PRIORITIES}:
        raise Permanent(
            "priority_unknown", f"There is no such priority; there are {', '.join(PRIORITIES)}.", known=list(PRIORITIES)
        )
