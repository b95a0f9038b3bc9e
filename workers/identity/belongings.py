"""
Belongings: what arrivals add to a person: who they are, what they allow or refuse, what they bought and agreed on.

    reads   the person's row, locked, with where each of its values came from
    writes  person (which value stands: `schema/provenance`), consent (`schema/consent`), purchase (`schema/purchase`),
            and what is said of contracts (`workers/contracts`)
    tells   purchase.recorded, once for each purchase, and again where something else turns out to be true of it

What no arrival says costs no statement, and what no rule reads is not asked for.
"""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from schema import consent, contract, provenance, purchase, tables
from schema.events import PurchaseRecorded
from schema.kpi.segments import code
from schema.provenance import Said
from schema.store import consents, people, purchases, surveys, tickets
from schema.store import contracts as held
from schema.store.ids import new_id
from workers.retention import contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from schema.draft import Draft
    from schema.store.purchases import Order
    from workers.batch import Batch, Case
    from workers.identity.people import Arrival

_PERSON_COLUMNS: Final = tuple(column.name for column in tables.person.c)
_TOLD: Final = ("kind", "amount", "currency", "at")
"""What events tell of a purchase."""
_FOR_RULES: Final[tuple[tuple[str, Callable[..., Mapping[str, Any]], Any], ...]] = (
    ("consent", consents.known, {}),
    ("purchases", people.bought, {"count": 0, "total": {}}),
    ("tickets", tickets.counted, {"open": 0, "complaints": 0}),
    ("contracts", held.known, {"running": 0}),
    ("health", held.health, None),
    ("satisfaction", surveys.known, {}),
)
"""What belongs to people beside their row: its name for rules, how it is asked for, and what it is of who has none."""


def meet(
    batch: Batch,
    person_id: str,
    arrival: Arrival,
    draft: Draft,
    companies: Mapping[str, dict[str, Any]],
) -> None:
    """
    Add what an arrival's `draft` says to its person, whose row stands in `batch.people`; a new one is begun.

    Which values stand does not depend on the order of arrivals. A row with anything new is marked `changed`.
    """
    person = batch.people.get(person_id)
    said = Said(arrival.receipt["id"], arrival.happened_at, arrival.by_themselves)
    company = companies.get(draft.company.domain or "")
    given = {
        "name": draft.name,
        "email": draft.email.address if draft.email and draft.email.match_key else None,
        "phone": draft.phone and draft.phone.e164,
        "country": draft.country,
        "language": draft.language,
        "company_name": draft.company.name,
        "company_employees": draft.company.employees or None,
        "company_id": company and company["id"],
    }
    gathered = {"interests": draft.interests, "preferences": draft.preferences, "custom": draft.custom}
    guessed = ("company_id",) if _by_address(draft) else ()
    if person is None:
        person = _begin(batch, person_id, given | gathered)
        person["provenance"] = provenance.first(given | gathered, said, guessed)
    else:
        _weigh(batch, person, given, gathered, said, guessed)
    if company and person["company_id"] == company["id"]:
        person |= {"c_name": company["name"], "c_domain": company["domain"], "c_employees": company["employees"]}


def _by_address(draft: Draft) -> bool:
    """Whether the company is only told by the address of the mailbox: nobody said it."""
    domain = draft.email and draft.email.domain
    named = draft.company.domain
    return bool(domain and named) and (domain == named or str(domain).endswith(f".{named}"))


def _begin(batch: Batch, person_id: str, given: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_PERSON_COLUMNS) | given
    row |= {"id": person_id, "created_at": batch.now, "updated_at": batch.now, "created_here": True, "unwritten": True}
    batch.people[person_id] = row
    return row


def _weigh(
    batch: Batch,
    person: dict[str, Any],
    given: dict[str, Any],
    gathered: dict[str, Any],
    said: Said,
    guessed: Collection[str],
) -> None:
    """Take over what stands of what is `given`, and what is added to the collections."""
    kept: dict[str, provenance.Entry] = person["provenance"]
    new = said.entry()
    changes: dict[str, Any] = {}
    entries: dict[str, provenance.Entry] = {}
    for name, value in given.items():
        entry = said.entry(fills=True) if name in guessed else new
        if value and (stands := provenance.weighed(person[name], provenance.entry_of(kept, name), value, entry)):
            changes[name], entries[name] = stands
    for name, values in gathered.items():
        if values:
            grow = provenance.named if name == "interests" else partial(provenance.answered, name)
            changes[name], more = grow(person[name], values, kept, new)
            entries |= more
    if entries:
        if any(value != person[name] for name, value in changes.items()):
            person["updated_at"] = batch.now
        person |= changes | {"provenance": kept | entries, "changed": True}


def keep(batch: Batch, arrivals: Iterable[tuple[Arrival, Case]]) -> None:
    """Have what was answered, bought and agreed on written with the batch; what is only tried out is none of it."""
    sales: dict[Order, dict[str, Any]] = {}
    told_by: dict[Order, tuple[Case, bool]] = {}
    agreed: list[contracts.Said] = []
    for arrival, case in arrivals:
        if arrival.receipt["test"] or arrival.understood.test:
            continue
        for answer in consent.answers(arrival.understood, arrival.receipt["channel"]):
            batch.write(tables.consent, _consent(batch, arrival, case, answer))
            batch.people[case.lead["person_id"]]["holds"] = True
        if case.journey.contracts and (told := contract.told(arrival.understood)):
            said = arrival.understood
            agreed.append(
                contracts.Said(case, told, arrival.receipt["source"], arrival.happened_at, said.kind, said.quiet)
            )
        if sale := purchase.sale(arrival.understood):
            row = _purchase(batch, arrival, case, sale)
            batch.people[row["person_id"]]["holds"] = True
            place = (row["source"], row["external_id"] or row["id"])
            sales[place] = _told_again(sales[place], row) if place in sales else row
            told_by[place] = case, arrival.understood.quiet
    if sales:
        before = purchases.told_before(batch.connection, [place for place, row in sales.items() if row["external_id"]])
        for place, row in sales.items():
            batch.write(tables.purchase, row)
            case, quiet = told_by[place]
            _tell_sale(case, row, before.get(place), quiet=quiet)
    contracts.take_up(batch, agreed)


def _consent(batch: Batch, arrival: Arrival, case: Case, answer: consent.Answer) -> dict[str, Any]:
    receipt = arrival.receipt
    text, version, evidence = consent.shown(arrival.understood)
    # A list says what is so now, not when its rows began: who has left since is not to be written to.
    listed = receipt["channel"] == "import" and answer.state == "withdrawn"
    return {
        "id": new_id(),
        "person_id": case.lead["person_id"],
        "purpose": answer.purpose,
        "state": answer.state,
        "basis": answer.basis,
        "text": text,
        "text_version": version,
        "source": receipt["source"],
        "channel": receipt["channel"],
        "receipt_id": receipt["id"],
        "actor": None,
        "evidence": evidence,
        "at": min(receipt["received_at"] if listed else arrival.happened_at, batch.now),
        "recorded_at": batch.now,
    }


def _purchase(batch: Batch, arrival: Arrival, case: Case, sale: purchase.Sale) -> dict[str, Any]:
    return {
        "id": new_id(),
        "person_id": case.lead["person_id"],
        "lead_id": case.id,
        "source": arrival.receipt["source"],
        "external_id": sale.external_id,
        "order_id": sale.order_id,
        "kind": sale.kind,
        "amount": sale.amount,
        "currency": sale.currency,
        "products": sale.products,
        "issues": sale.issues,
        "receipt_id": arrival.receipt["id"],
        "at": arrival.happened_at,
        "told_at": arrival.happened_at,
        "recorded_at": batch.now,
    }


def _tell_sale(case: Case, row: dict[str, Any], before: Mapping[str, Any] | None, *, quiet: bool) -> None:
    """Tell of a purchase as it is now; nothing where all that is told of it was known."""
    stands = _told_again(dict(before), row) if before else row
    if before and all(stands[name] == before[name] for name in _TOLD):
        return
    names = [code(each.get("sku") or each.get("name")) for each in stands["products"]]
    case.tell(
        PurchaseRecorded(
            stands["id"],
            (before or row)["person_id"],
            stands["kind"],
            stands["amount"],
            stands["currency"],
            [name for name in names if name],
            stands["at"],
            quiet=quiet,
            was=_was(before) if before else UNSET,
        )
    )


def _was(before: Mapping[str, Any]) -> dict[str, str | None]:
    amount, at = before["amount"], before["at"].astimezone(UTC).isoformat()
    told = {"amount": None if amount is None else str(amount), "at": at}
    return {"kind": before["kind"], "currency": before["currency"]} | told


def _told_again(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """One row of an order that two arrivals of a batch tell of, as the table makes one of two batches."""
    newer = max(first, second, key=lambda row: (row["amount"] is not None, row["told_at"], row["receipt_id"]))
    return newer | {"id": first["id"], "at": min(first["at"], second["at"])}


def asked(cases: Iterable[Case]) -> bool:
    """Whether the rules of any of these leads read what `tell` tells."""
    return any(case.journey.reads.include(f"person.{name}") for case in cases for name, _, _ in _FOR_RULES)


def bare(people: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return those of the people in hand who have nothing beside their row: they are new, and brought nothing else."""
    return {each for each, person in people.items() if "created_here" in person and "holds" not in person}


def tell(connection: Connection, cases: Sequence[Case], bare: Collection[str] = ()) -> None:
    """
    Have rules see what the leads' people allow and bought, as it is written; where they do not read it, nothing.

    Who is `bare` is not asked about.
    """
    for name, question, nothing in _FOR_RULES:
        asking = [case for case in cases if case.journey.reads.include(f"person.{name}")]
        people = {case.lead["person_id"] for case in asking}.difference(bare)
        found = question(connection, people) if people else {}
        for case in asking:
            case.facts.person[name] = found.get(case.lead["person_id"], nothing)
