"""
The contracts of leads in hand, and what can be done with them: begin, renew, cancel, end.

    reads   contract, the rows of these leads, locked
    writes  contract, the timer of each term
    tells   contract.started, contract.renewed, contract.cancelled, contract.ended; touchpoints of them

Whoever asks decides that it is to be done: arrivals and timers in `workers/contracts`, people in `workers/retention`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import text

from schema import tables
from schema.events import ContractCancelled, ContractEnded, ContractRenewed, ContractStarted
from schema.store import contracts as reading
from schema.store import rows
from schema.store.ids import new_id, uuid_array
from workers import timers
from workers.decide.contract import Term, course, next_term
from workers.happening import About, happen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from decimal import Decimal

    from workers.batch import Batch, Case

CHANNEL: Final = "sales"
_LOCK: Final = text("""
SELECT * FROM contract WHERE lead_id = ANY(CAST(:leads AS uuid[])) ORDER BY id FOR UPDATE
""")
# A contract goes on with whichever lead of its person hears of it; nobody else's is touched.
_NAMED: Final = text("""
SELECT c.* FROM contract AS c JOIN jsonb_to_recordset(CAST(:named AS jsonb)) AS n(source text, external_id text)
  ON n.source = c.source AND n.external_id = c.external_id
ORDER BY c.id FOR UPDATE OF c
""")
_CHANGES: Final = ("lead_id", "ends_on", "renews_itself", "status", "reason", "told", "cancelled_at", "ended_at")


class Deal(NamedTuple):
    """What is agreed on beside the term's days."""

    amount: Decimal | None = None
    currency: str | None = None
    products: Sequence[dict[str, str]] = ()


class How(NamedTuple):
    """
    How something came about: `by` whom (`itself`, `arrival`, or who did it), and when it happened, if not now.

    Of what is `quiet` nothing is set off. `touched`: the arrival that told of it is the touchpoint already.
    """

    by: str = "itself"
    at: datetime | None = None
    quiet: bool = False
    touched: bool = False


class Book:
    """The contracts of leads in hand, locked; what is changed in it is written by `write`."""

    def __init__(self, batch: Batch, leads: Iterable[str], named: Sequence[dict[str, str]] = ()) -> None:
        self._batch = batch
        connection = batch.connection
        found = [*connection.execute(_LOCK, {"leads": uuid_array(set(leads))}).mappings()]
        if named:
            found += connection.execute(_NAMED, {"named": rows.as_json(named)}).mappings()
        self.rows: dict[str, dict[str, Any]] = {row["id"]: dict(row) for row in found}
        self._new: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()

    def of(self, case: Case) -> list[dict[str, Any]]:
        """Every term of a lead's contracts, by when they begin."""
        own = [row for row in self.rows.values() if row["lead_id"] == case.id]
        return sorted(own, key=lambda row: (row["starts_on"], row["id"]))

    def running(self, case: Case) -> list[dict[str, Any]]:
        """The terms of a lead that run."""
        return [row for row in self.of(case) if row["ended_at"] is None]

    def named(self, case: Case, source: str, external_id: str) -> tuple[list[dict[str, Any]], bool]:
        """Return the terms of the contract that a source calls so, and whether it is somebody else's."""
        called = (source, external_id)
        found = [row for row in self.rows.values() if (row["source"], row["external_id"]) == called]
        theirs = [row for row in found if row["person_id"] == case.lead["person_id"]]
        if len(theirs) < len(found):
            return [], True
        for row in theirs:
            if row["lead_id"] != case.id:
                self.change(row, lead_id=case.id)
                if row["ended_at"] is None:
                    timers.at(self._batch, "contract", row["id"], case.id, self._batch.now)
        return sorted(theirs, key=lambda row: (row["starts_on"], row["id"])), False

    def change(self, row: dict[str, Any], **changes: Any) -> None:  # noqa: ANN401 - columns of a contract
        """Change columns of a term."""
        row.update(changes)
        self._changed.add(row["id"])

    def add(self, row: dict[str, Any]) -> None:
        """Add a term."""
        self.rows[row["id"]] = self._new[row["id"]] = row

    def write(self) -> None:
        """Write what was changed and added, and have the rules of these leads see it."""
        batch = self._batch
        old = [self.rows[each] for each in sorted(self._changed - self._new.keys())]
        changes = [{"id": row["id"]} | {name: row[name] for name in _CHANGES} for row in old]
        rows.update(batch.connection, tables.contract, "id", changes)
        rows.insert(batch.connection, tables.contract, list(self._new.values()))
        whose = {row["lead_id"] for row in (*old, *self._new.values())}
        self._new, self._changed = {}, set()
        told = [batch.cases[lead] for lead in whose if lead in batch.cases]
        asking = [case for case in told if case.journey.reads.include("person.contracts")]
        if asking:
            known = reading.known(batch.connection, {case.lead["person_id"] for case in asking})
            for case in asking:
                case.facts.person["contracts"] = known.get(case.lead["person_id"], {"running": 0})
                case.facts.know(person=case.facts.person)


# -- what can be done with a contract ----------------------------------------------------------------------------------


def begin(
    book: Book,
    case: Case,
    term: Term,
    deal: Deal,
    how: How,
    source: str,
    external_id: str | None,
) -> dict[str, Any]:
    """
    Have a contract run.

    Of a quiet one that has renewed itself since, the term of today is kept; one that is over is only kept.
    """
    now, quiet = case.batch.now, how.quiet
    while quiet and term.renews_itself and term.over_at <= now and (following := next_term(term)):
        term = following
    row = _row(case, term, deal, source, external_id, None)
    over = quiet and term.over_at <= now
    if over:
        row |= {"status": "ended", "ended_at": term.over_at}
    book.add(row)
    money = _money(row)
    days = _days(row)
    case.tell(
        ContractStarted(row["id"], row["person_id"], *days, row["tz"], row["renews_itself"], *money, how.by, quiet)
    )
    _happen(case, row, "contract.started", how)
    if not over:
        _wait(book, case, row, quiet=quiet)
    return row


def renew(
    book: Book,
    case: Case,
    row: dict[str, Any],
    term: Term,
    deal: Deal,
    how: How,
    *,
    told: bool = True,
) -> dict[str, Any]:
    """Have another term follow one that runs; `told` is false for one that is followed by yet another at once."""
    kept = Deal(
        row["amount"] if deal.amount is None else deal.amount,
        row["currency"] if deal.amount is None else deal.currency,
        deal.products or row["products"],
    )
    following = _row(case, term, kept, row["source"], row["external_id"], row["id"])
    book.change(row, status="renewed", ended_at=case.batch.now)
    timers.at(case.batch, "contract", row["id"], case.id, None)
    book.add(following)
    money, days = _money(following), _days(following)
    own, itself = following["id"], following["renews_itself"]
    case.tell(
        ContractRenewed(own, row["id"], row["person_id"], *days, following["tz"], itself, *money, how.by, how.quiet)
    )
    if told:
        _happen(case, following, "contract.renewed", how)
    _wait(book, case, following, quiet=how.quiet)
    return following


def cancel(book: Book, case: Case, row: dict[str, Any], ends_on: date | None, reason: str | None, how: How) -> None:
    """
    Have a contract not be renewed: it runs until the end of its term, or until `ends_on` if that is before.

    One that is over by then has ended.
    """
    last = row["ends_on"] if ends_on is None else max(min(ends_on, row["ends_on"]), row["starts_on"])
    book.change(row, status="cancelled", reason=reason, cancelled_at=case.batch.now, ends_on=last)
    case.tell(ContractCancelled(row["id"], row["person_id"], last.isoformat(), reason, how.by, how.quiet))
    if term_of(row).over_at <= case.batch.now or (ends_on is not None and ends_on < row["starts_on"]):
        end(book, case, row, how)
    else:
        _wait(book, case, row, quiet=how.quiet)


def end(book: Book, case: Case, row: dict[str, Any], how: How) -> None:
    """Have a contract be over."""
    cancelled = row["status"] == "cancelled"
    book.change(row, status="cancelled" if cancelled else "ended", ended_at=case.batch.now)
    timers.at(case.batch, "contract", row["id"], case.id, None)
    left = len([other for other in book.rows.values() if _others(other, row) and other["ended_at"] is None])
    ends_on = row["ends_on"].isoformat()
    case.tell(ContractEnded(row["id"], row["person_id"], ends_on, cancelled, row["reason"], left))
    _happen(case, row, "contract.ended", how)


def _others(other: dict[str, Any], row: dict[str, Any]) -> bool:
    return bool(other["id"] != row["id"] and other["person_id"] == row["person_id"])


def _row(
    case: Case, term: Term, deal: Deal, source: str, external_id: str | None, follows: str | None
) -> dict[str, Any]:
    return {
        "id": new_id(),
        "lead_id": case.id,
        "person_id": case.lead["person_id"],
        "journey_name": case.journey.name,
        "source": source,
        "external_id": external_id,
        "follows": follows,
        "products": list(deal.products),
        "amount": deal.amount,
        "currency": deal.currency if deal.amount is not None else None,
        "starts_on": term.starts_on,
        "ends_on": term.ends_on,
        "anchor_on": term.anchor_on,
        "period": term.period,
        "tz": term.tz,
        "renews_itself": term.renews_itself,
        "status": "active",
        "reason": None,
        "told": [],
        "recorded_at": case.batch.now,
        "cancelled_at": None,
        "ended_at": None,
    }


def term_of(row: dict[str, Any]) -> Term:
    return Term(row["starts_on"], row["ends_on"], row["tz"], row["anchor_on"], row["period"], row["renews_itself"])


def _days(row: dict[str, Any]) -> tuple[str, str]:
    return row["starts_on"].isoformat(), row["ends_on"].isoformat()


def _money(row: dict[str, Any]) -> tuple[str | None, str | None]:
    return (None, None) if row["amount"] is None else (format(row["amount"], "f"), row["currency"])


def _happen(case: Case, row: dict[str, Any], kind: str, how: How) -> None:
    if how.quiet:
        return
    about = About("contract", row["id"], case.lead["owner"])
    data = {"ends_on": row["ends_on"].isoformat(), "renews_itself": row["renews_itself"]}
    happen(case, kind, about, key=row["id"], at=how.at, data=data, channel="" if how.touched else CHANNEL)


def _wait(book: Book, case: Case, row: dict[str, Any], *, quiet: bool) -> None:
    """Have a term be looked at when it has to be: now, if something is to be done already."""
    rules = case.journey.contracts
    if rules is None:
        return
    cancelled = row["status"] == "cancelled"
    found = course(term_of(row), rules.before, rules.grace, (), case.batch.now, cancelled=cancelled, quiet=quiet)
    if quiet and found.told:
        book.change(row, told=[round(each.total_seconds()) for each in found.told])
    waits = found.outcome is None and found.reminder is None
    timers.at(case.batch, "contract", row["id"], case.id, found.again_at if waits else case.batch.now)
