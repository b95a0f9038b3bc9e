"""
Retention as people ask for it: contracts added, renewed and cancelled by hand, how well a customer is, what to offer.

Not steps: somebody asks, and is answered at once, by the write path that moves use.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.errors import Permanent, Transient
from schema.lifecycle import is_code
from schema.store import clock, tickets
from schema.store import contracts as reading
from schema.store import offers as offer_rows
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook
from workers.batch import Batch
from workers.decide.contract import first_term, next_term
from workers.decide.health import wellness
from workers.decide.offers import RULE, Association, offers
from workers.moves import with_lead
from workers.retention.book import Book, Deal, How, begin, cancel, renew, term_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date, datetime

    from sqlalchemy import Engine

    from schema.contract import Told
    from schema.journey.contract import Contracts
    from workers.batch import Case

_LEAD: Final = text("SELECT lead_id FROM contract WHERE id = CAST(:id AS uuid)")
_LEADS: Final = text("""
SELECT DISTINCT ON (journey_name) id FROM lead WHERE person_id = CAST(:person AS uuid) AND merged_into IS NULL
ORDER BY journey_name, open DESC, id DESC
""")
_ATTEMPTS: Final = 3
BY_HAND: Final = "by_hand"
"""The source of contracts that are not another system's."""


class _DryRunError(Exception):
    """Ends a transaction in which everything was decided and nothing is to be kept."""

    def __init__(self, done: dict[str, Any]) -> None:
        super().__init__()
        self.done = done


class Retention:
    """
    The contracts of leads, in one database.

    `hint` hears of the step at which leads became due. Every method takes `now` for a clock that is moved. On a dry run
    everything is decided and nothing is kept.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run
        self._book = JourneyBook()

    def add(
        self, lead_id: str, told: Told, *, source: str | None = None, actor: str, now: datetime | None = None
    ) -> dict[str, Any]:
        """
        Have a contract run with a lead, and return it.

        :raises Permanent: `lead_unknown`; `lead_merged`; `contracts_off`, the lead's journey has none; `term_unclear`;
            `contract_exists`, this very term is known already: `contract`
        """
        if not is_id(lead_id):
            raise Permanent("lead_unknown", "There is no such lead.")
        return self._change(lead_id, partial(_add, told=told, source=source or BY_HAND, actor=actor), now)

    def renew(self, contract_id: str, told: Told, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Have another term follow one that runs, and return the new one.

        :raises Permanent: `contract_unknown`; `contract_renewed`, it was before: `renewed_as`; `contract_over`;
            `term_unclear`; as `add`
        """
        return self._with(contract_id, partial(_renew, contract_id=contract_id, told=told, actor=actor), now)

    def cancel(
        self,
        contract_id: str,
        *,
        ends_on: date | None = None,
        reason: str | None = None,
        actor: str,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Have a contract not be renewed, and return it; with `ends_on` it is over after that day, if its term is not.

        :raises Permanent: `contract_unknown`; `contract_renewed`; `contract_over`; `reason_not_a_code`; as `add`
        """
        if reason is not None and not is_code(reason):
            raise Permanent("reason_not_a_code", "A reason is a code: small letters, digits and _.")
        act = partial(_cancel, contract_id=contract_id, ends_on=ends_on, reason=reason, actor=actor)
        return self._with(contract_id, act, now)

    def health(self, person_id: str, now: datetime | None = None) -> list[dict[str, Any]]:
        """Return how well somebody is by the rules of each of their journeys that has any, as of now."""
        with self._of(person_id, now) as cases:
            return [
                {"lead_id": case.id, "journey": case.journey.version, "journey_name": case.journey.name}
                | wellness(case.facts, case.journey, case.journey.health).facts()
                for case in cases
                if case.journey.health
            ]

    def offers(self, person_id: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Return what else somebody may need, by the rules of each of their journeys and by what others bought.

        `items` with their evidence, `not_offered` with reasons, `held_back` where nothing is to be offered now, and
        from how many people it was counted, `people`, and when, `counted_at`.
        """
        with self._of(person_id, now) as cases:
            connection = cases[0].batch.connection if cases else None
            if connection is None:
                return {"items": [], "not_offered": [], "held_back": None, "people": 0, "counted_at": None}
            names, products = offer_rows.owned(connection, person_id)
            found = [
                Association(tuple(row.pop("given")), labels=tuple(row.pop("labels")), **row)
                for row in offer_rows.associated(connection, products)
            ]
            counted = offer_rows.counted(connection)
            open_tickets = tickets.counted(connection, [person_id]).get(person_id, {})
            complaints = open_tickets.get("complaints", 0)
            made = [
                offers(case.facts, case.journey, names, found, counted.people, complaints).facts() for case in cases
            ]
        items: dict[str, dict[str, Any]] = {}
        for each in sorted((each for one in made for each in one["items"]), key=lambda each: each["by"] != RULE):
            items.setdefault(each["product"], each)
        return {
            "items": list(items.values()),
            "not_offered": [each for one in made for each in one["not_offered"]],
            "held_back": made[0]["held_back"],
            "people": counted.people,
            "counted_at": counted.at,
        }

    @contextmanager
    def _of(self, person_id: str, now: datetime | None) -> Iterator[list[Case]]:
        """Somebody's newest lead on each journey, with all that rules may ask; nothing of it is locked or written."""
        with self._engine.connect() as connection:
            leads = connection.execute(_LEADS, {"person": person_id}).scalars().all() if is_id(person_id) else []
            batch = Batch(connection, self._book, now or clock.now(), "retention")
            batch.load(leads)
            yield list(batch.cases.values())

    def _with(
        self, contract_id: str, act: Callable[[Case], dict[str, Any] | None], now: datetime | None
    ) -> dict[str, Any]:
        """Change a contract with its lead in hand, whichever that is by then."""
        for _ in range(_ATTEMPTS):
            with self._engine.connect() as connection:
                found = connection.execute(_LEAD, {"id": contract_id}) if is_id(contract_id) else None
                lead_id = found.scalar_one_or_none() if found else None
            if lead_id is None:
                raise Permanent("contract_unknown", "There is no such contract.")
            try:
                return self._change(lead_id, act, now)
            except _ElsewhereError:
                continue
        raise Transient("lead_busy", lead_id=lead_id)

    def _change(
        self, lead_id: str, act: Callable[[Case], dict[str, Any] | None], now: datetime | None
    ) -> dict[str, Any]:
        cases: list[Case] = []

        def acted(case: Case) -> dict[str, Any]:
            if case.journey.contracts is None:
                raise Permanent("contracts_off", "The lead's journey has no `contracts`.", journey=case.journey.name)
            done = act(case)
            if done is None:
                raise _ElsewhereError
            if self._dry_run:
                raise _DryRunError(done)
            cases.append(case)
            return done

        try:
            done = with_lead(self._engine, lead_id, now, acted)
        except _DryRunError as end:
            return end.done
        step = cases[-1].lead["next_step"]
        self._hint(step or "nurture", [lead_id] if step else [])
        return done


class _ElsewhereError(Exception):
    """The contract went over to another lead in between."""


def _rules(case: Case) -> Contracts:
    rules = case.journey.contracts
    assert rules is not None  # noqa: S101 - seen to before anything is done
    return rules


def _add(case: Case, told: Told, source: str, actor: str) -> dict[str, Any]:
    book = Book(case.batch, [case.id], _name(source, told.external_id))
    rules = _rules(case)
    term = first_term(told, rules.tz, _today(case, rules.tz))
    if term is None:
        raise _unclear()
    for row in book.rows.values():
        if told.external_id and (row["source"], row["external_id"]) == (source, told.external_id):
            running = row["ended_at"] is None
            if running or row["starts_on"] == term.starts_on:
                detail = "A contract of this name runs already: renew it." if running else "This very term was there."
                raise Permanent("contract_exists", detail, contract=row["id"])
    deal = Deal(told.amount, told.currency, told.products)
    row = begin(book, case, term, deal, How(actor), source, told.external_id)
    case.batch.handovers.acted(case, row["id"], rules.department, actor)
    return _done(book, case, row)


def _renew(case: Case, contract_id: str, told: Told, actor: str) -> dict[str, Any] | None:
    book = Book(case.batch, [case.id])
    row = _running(book, case, contract_id)
    if row is None:
        return None
    term = next_term(term_of(row), told)
    if term is None or term.starts_on <= row["starts_on"]:
        raise _unclear()
    case.batch.handovers.acted(case, row["id"], _rules(case).department, actor)
    return _done(book, case, renew(book, case, row, term, Deal(told.amount, told.currency, told.products), How(actor)))


def _cancel(
    case: Case, contract_id: str, ends_on: date | None, reason: str | None, actor: str
) -> dict[str, Any] | None:
    book = Book(case.batch, [case.id])
    row = _running(book, case, contract_id)
    if row is None:
        return None
    cancel(book, case, row, ends_on, reason, How(actor))
    case.batch.handovers.acted(case, row["id"], _rules(case).department, actor)
    return _done(book, case, row)


def _running(book: Book, case: Case, contract_id: str) -> dict[str, Any] | None:
    """Find the term, if it runs; None where it is not this lead's any more."""
    row = book.rows.get(contract_id)
    if row is None:
        return None
    if row["status"] == "renewed":
        following = reading.renewed_as(case.batch.connection, contract_id)
        detail = f"It was renewed already; the next term is {following}."
        raise Permanent("contract_renewed", detail, renewed_as=following)
    if row["ended_at"] is not None:
        raise Permanent("contract_over", "The contract is over: add another one.", status=row["status"])
    return row


def _done(book: Book, case: Case, row: dict[str, Any]) -> dict[str, Any]:
    book.write()
    return reading.shown(row, case.batch.now)


def _name(source: str, external_id: str | None) -> list[dict[str, str]]:
    return [{"source": source, "external_id": external_id}] if external_id else []


def _today(case: Case, tz: str) -> date:
    return case.batch.now.astimezone(ZoneInfo(tz)).date()


def _unclear() -> Permanent:
    detail = "Say until when it runs: `ends_on`, not before its first day, or a `period` as in P12M or P30D."
    return Permanent("term_unclear", detail)
