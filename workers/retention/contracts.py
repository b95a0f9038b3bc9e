"""
Contracts: what renews, what ends, and that it is talked about before.

    hears   arrivals that tell of contracts, when they are tied to their lead (`take_up`); what people ask for
            (`workers/retention/by_hand.py`); the timer of each term (`look`); everything that happens to a lead, for
            whether somebody is inactive and how well they are (`hear`)
    writes  contract: one row for each term; its timer
    tells   contract.started, contract.renewal_due, contract.renewed, contract.cancelled, contract.ended;
            as touchpoints contract.started, contract.renewed, contract.ended and customer.inactive

A lead's contracts are changed by whoever has the lead locked, and the rows are locked too: what fires at the same
moment finds what was done, and there is one outcome.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import text

from schema.events import ContractRenewalDue
from schema.purchase import KINDS as SALES
from schema.store.ids import uuid_array
from workers import timers
from workers.decide.contract import Reminder, Term, course, first_term, last_day, next_term
from workers.happening import About, happen
from workers.retention import health
from workers.retention.book import CHANNEL, Book, Deal, How, begin, cancel, end, renew, term_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import RowMapping

    from schema.contract import Told
    from schema.journey.contract import Contracts
    from workers.batch import Batch, Case

_AT_ONCE: Final = 60
"""Terms that one look makes; what is later than that is looked at again at once."""
_BUYS: Final = frozenset(kind for kind, means in SALES.items() if means != "refund")
_LAST_BOUGHT: Final = text("""
SELECT p.id, GREATEST(
    (SELECT max(at) FROM purchase WHERE person_id = p.id AND kind <> 'refund'),
    (SELECT max(ended_at) FROM contract WHERE person_id = p.id)
) AS at, EXISTS (SELECT FROM contract WHERE person_id = p.id AND ended_at IS NULL) AS runs
FROM unnest(CAST(:people AS uuid[])) AS p(id)
""")


class Said(NamedTuple):
    """What an arrival says of a contract: its lead, from where, when, and of what kind the arrival is."""

    case: Case
    told: Told
    source: str
    at: datetime
    kind: str
    quiet: bool


# -- what arrivals tell ------------------------------------------------------------------------------------------------


def take_up(batch: Batch, said: Sequence[Said]) -> None:
    """Do what arrivals say of contracts, in the order in which it happened."""
    asked = [each for each in said if each.case.journey.contracts]
    if not asked:
        return
    calls = {(each.source, each.told.external_id) for each in asked if each.told.external_id}
    named = [{"source": source, "external_id": external_id} for source, external_id in sorted(calls)]
    book = Book(batch, {each.case.id for each in asked}, named)
    for each in sorted(asked, key=lambda each: each.at):
        _take(book, each)
    book.write()


def _take(book: Book, said: Said) -> None:
    case, told = said.case, said.told
    if told.external_id:
        terms, foreign = book.named(case, said.source, told.external_id)
        if foreign:
            return  # somebody else's: what is said stays with the touchpoint
    else:
        terms = book.running(case)
        # Which of several is meant nobody can tell, and what only began is one more.
        terms = terms if len(terms) == 1 and told.what != "started" else []
    row = terms[-1] if terms else None
    if told.what in {"started", "renewed"}:
        _go_on(book, said, row)
    elif row is not None and row["ended_at"] is None:
        rules = case.journey.contracts
        last = last_day(told, row["tz"])
        over = told.what == "ended" and (last is None or Term(last, last, row["tz"], last).over_at <= case.batch.now)
        if over:
            end(book, case, row, _how(said, "contract.ended"))
        elif rules and not (row["status"] == "cancelled" and last in {None, row["ends_on"]}):
            cancel(book, case, row, last, told.reason, _how(said, ""))


def _go_on(book: Book, said: Said, row: dict[str, Any] | None) -> None:
    """Have a contract begin or go on, unless this is told again."""
    case, told = said.case, said.told
    rules = case.journey.contracts
    if rules is None:
        return
    zone = row["tz"] if row else rules.tz
    today = said.at.astimezone(ZoneInfo(zone)).date()
    deal = Deal(told.amount, told.currency, told.products)
    if row is None or row["ended_at"] is not None:
        if told.period is None and row is not None:
            told.period = row["period"]
        term = first_term(told, zone, today)
        if term is None or _known(book, said, term):
            return
        begin(book, case, term, deal, _how(said, "contract.started"), said.source, told.external_id)
        return
    old = term_of(row)
    following = next_term(old, told)
    if following is None or _told_again(said, row, old, following):
        return
    renew(book, case, row, following, deal, _how(said, "contract.renewed"))


def _how(said: Said, tells: str) -> How:
    return How("arrival", said.at, said.quiet, said.kind == tells)


def _known(book: Book, said: Said, term: Term) -> bool:
    """Whether this very term is there already."""
    place = (said.source, said.told.external_id, term.starts_on)
    return any((row["source"], row["external_id"], row["starts_on"]) == place for row in book.of(said.case))


def _told_again(said: Said, row: dict[str, Any], old: Term, following: Term) -> bool:
    """
    Whether an arrival speaks of the term that runs, not of one after it.

    Without days of its own it does in the first half of a term that followed another: renewed by itself, say, and the
    payment for it comes now.
    """
    told = said.told
    if told.starts or told.last_day or told.next_start:
        return following.starts_on <= old.starts_on or following.ends_on <= old.ends_on
    if told.what == "started":
        return True
    return row["follows"] is not None and said.at < old.begins_at + (old.over_at - old.begins_at) / 2


# -- timers ------------------------------------------------------------------------------------------------------------


def look(batch: Batch, rows_: Sequence[RowMapping]) -> None:
    """Do what is to be done about terms whose time has come, and about those who may be inactive."""
    leads = {row["lead_id"] for row in rows_}
    book = Book(batch, leads)
    idle = []
    for due in rows_:
        case = batch.cases[due["lead_id"]]
        row = book.rows.get(due["id"])
        if row is not None and row["ended_at"] is None and case.journey.contracts:
            _look(book, case, row, case.journey.contracts)
        elif row is None and due["id"] == case.id:
            idle.append(case)
    book.write()
    _look_at_idle(batch, idle)


def _look(book: Book, case: Case, row: dict[str, Any], rules: Contracts) -> None:
    now = case.batch.now
    for number in range(_AT_ONCE):
        term = term_of(row)
        told = [timedelta(seconds=each) for each in row["told"]]
        found = course(term, rules.before, rules.grace, told, now, cancelled=row["status"] == "cancelled")
        if found.outcome != "renewed":
            break
        following = next_term(term)
        if following is None:
            end(book, case, row, How())
            return
        last = following.over_at > now or number == _AT_ONCE - 1
        row = renew(book, case, row, following, Deal(), How(), told=last)
    if found.outcome == "ended":
        end(book, case, row, How())
    elif found.outcome is None and found.again_at is not None:
        if found.told:
            book.change(row, told=[*row["told"], *(round(each.total_seconds()) for each in found.told)])
        if found.reminder:
            _remind(case, row, found.reminder)
        timers.at(case.batch, "contract", row["id"], case.id, found.again_at)


def _remind(case: Case, row: dict[str, Any], reminder: Reminder) -> None:
    before_s = round(reminder.before.total_seconds())
    late_s = round((case.batch.now - reminder.due_at).total_seconds())
    ends_on = row["ends_on"].isoformat()
    case.tell(ContractRenewalDue(row["id"], row["person_id"], ends_on, before_s, late_s, len(reminder.missed)))
    data = {"ends_on": ends_on, "before_s": before_s, "late_s": late_s, "missed": len(reminder.missed)}
    about = About("contract", row["id"], case.lead["owner"])
    happen(case, "contract.renewal_due", about, key=f"{row['id']}:{before_s}", data=data)


# -- who is inactive ---------------------------------------------------------------------------------------------------


def hear(batch: Batch) -> None:
    """Wait for those who bought to buy again, where the journey says how long, and see how well customers are."""
    for case in batch.cases.values():
        rules = case.journey.contracts
        if rules and rules.inactive_after and not case.lead["quiet"] and _may_become_inactive(case):
            timers.at(batch, "contract", case.id, case.id, batch.now + rules.inactive_after)
    health.hear(batch)


def _may_become_inactive(case: Case) -> bool:
    """Whether the time begins to run: they bought, a contract ended, or the lead follows this version only now."""
    return (
        any(each.kind == "contract.ended" for each in case.happened)
        or any(touch.new and touch.kind in _BUYS for touch in case.facts.touchpoints)
        or (case.had is not None and case.had["journey"] != case.lead["journey"])
    )


def _look_at_idle(batch: Batch, cases: Sequence[Case]) -> None:
    asked = [
        case
        for case in cases
        if case.journey.contracts and case.journey.contracts.inactive_after and not case.lead["quiet"]
    ]
    if not asked:
        return
    people = uuid_array({case.lead["person_id"] for case in asked})
    found = {row.id: row for row in batch.connection.execute(_LAST_BOUGHT, {"people": people})}
    for case in asked:
        rules, last = case.journey.contracts, found[case.lead["person_id"]]
        if rules is None or rules.inactive_after is None or last.at is None or last.runs or not case.lead["open"]:
            continue
        over = last.at + rules.inactive_after
        if over > batch.now:
            timers.at(batch, "contract", case.id, case.id, over)
            continue
        about = About("lead", case.id, case.lead["owner"])
        data = {"idle_s": round((batch.now - last.at).total_seconds())}
        happen(case, "customer.inactive", about, key=last.at.isoformat(), data=data, channel=CHANNEL)
