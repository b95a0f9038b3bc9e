"""Commands on contracts: what renews when, and to add, renew and cancel them."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings, transaction
from services.cli.terminal import (
    AsJson,
    Cursor,
    DryRun,
    Limit,
    check_ids,
    more,
    print_fields,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

    from schema.contract import Told, What
    from workers.retention.by_hand import Retention

_ACTOR = "command line"
Lead = Annotated[str, typer.Argument(help="The lead's id.")]
Contract = Annotated[str, typer.Argument(help="The contract's id: that of one of its terms.")]
Starts = Annotated[str | None, typer.Option("--from", help="Its first day, as 2026-12-01.")]
Ends = Annotated[str | None, typer.Option("--to", help="Its last day.")]
Period = Annotated[str | None, typer.Option(help="How long a term is: P12M, P30D, monthly, yearly.")]
Itself = Annotated[bool | None, typer.Option("--renews-itself/--ends", help="What becomes of it at its end.")]
Amount = Annotated[str | None, typer.Option(help="For the whole term, as in 1200.00.")]
Currency = Annotated[str | None, typer.Option(help="As in EUR.")]
Product = Annotated[list[str] | None, typer.Option(help="What is sold; may be given several times.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What was sold for a term: what renews when, and what ended.")
    group.command("list")(list_)
    for command in (show, add, renew, cancel):
        group.command()(command)
    app.add_typer(group, name="contracts", rich_help_panel="Look and change")


def list_(  # noqa: PLR0913 - its options
    *,
    person: Annotated[str | None, typer.Option(help="Only of this person: id, e-mail address or phone number.")] = None,
    lead: Annotated[str | None, typer.Option(help="Only of this lead.")] = None,
    ends_by: Annotated[str | None, typer.Option(help="Only those that end by this day, as 2026-12-31.")] = None,
    status: Annotated[
        Literal["active", "cancelled", "renewed", "ended"] | None,
        typer.Option(help="Only these; renewed and ended ones need --person or --lead."),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List contracts that run, those that end first at first; of one person or lead those that are over too.

    Example: throughline contracts list --ends-by 2026-12-31
    """
    from schema.store import clock, contracts

    check_ids(lead=lead)
    with transaction(read_settings(data_dir)) as connection:
        whose = person_of(connection, person) if person else None
        until = _day(ends_by)
        items, following = contracts.contracts(
            connection, clock.now(), person=whose, lead=lead, until=until, status=status, cursor=cursor, limit=limit
        )
    if as_json:
        print_json({"items": items, "next": following})
        return
    columns = ["contract", "ends on", "days left", "status", "amount", "renews itself", "products"]
    print_table(columns, map(_row, items), empty="No contracts.")
    more(following)


def show(contract: Contract, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one term of a contract, and all its terms.

    Example: throughline contracts show 0197…
    """
    from schema.store import clock, contracts

    with transaction(read_settings(data_dir)) as connection:
        found = contracts.contract(connection, contract, clock.now())
    if found is None:
        raise Permanent("contract_unknown", "There is no such contract.")
    if as_json:
        print_json(found)
        return
    print_fields(_fields(found))
    print("\nTerms")
    terms = [
        [term["number"], term["starts_on"], term["ends_on"], term["status"], term["id"]] for term in found["terms"]
    ]
    print_table(["", "from", "to", "status", "id"], terms, empty="")


def add(  # noqa: PLR0913, PLR0917 - what is agreed on
    lead: Lead,
    starts: Starts = None,
    ends: Ends = None,
    period: Period = None,
    renews_itself: Itself = None,
    amount: Amount = None,
    currency: Currency = None,
    product: Product = None,
    external_id: Annotated[str | None, typer.Option(help="What another system calls it.")] = None,
    source: Annotated[str | None, typer.Option(help="The source whose name that is.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Add a contract that runs with a lead, from today on if nothing else is said.

    Example: throughline contracts add 0197… --period yearly --amount 1200 --currency EUR --product "Care plan"
    """
    told = _told("started", starts, ends, period, renews_itself, amount, currency, product)
    told.external_id = external_id
    with _retention(data_dir, dry_run=dry_run) as retention:
        done = retention.add(lead, told, source=source, actor=_ACTOR)
    _say(done, f"runs from {done['starts_on']} to {done['ends_on']}", dry_run=dry_run, as_json=as_json)


def renew(  # noqa: PLR0913, PLR0917 - what is agreed on
    contract: Contract,
    starts: Starts = None,
    ends: Ends = None,
    period: Period = None,
    renews_itself: Itself = None,
    amount: Amount = None,
    currency: Currency = None,
    product: Product = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Renew a contract: another term follows, as long as the one before if nothing else is said.

    Example: throughline contracts renew 0197… --amount 1250 --currency EUR
    """
    told = _told("renewed", starts, ends, period, renews_itself, amount, currency, product)
    with _retention(data_dir, dry_run=dry_run) as retention:
        done = retention.renew(contract, told, actor=_ACTOR)
    _say(done, f"runs from {done['starts_on']} to {done['ends_on']}", dry_run=dry_run, as_json=as_json)


def cancel(
    contract: Contract,
    ends: Annotated[str | None, typer.Option("--to", help="Its last day. Default: the end of its term.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why: a code, as in too_expensive.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Cancel a contract: it runs until its last day and is not renewed.

    Example: throughline contracts cancel 0197… --reason too_expensive
    """
    with _retention(data_dir, dry_run=dry_run) as retention:
        done = retention.cancel(contract, ends_on=_day(ends), reason=reason, actor=_ACTOR)
    sentence = f"runs until {done['ends_on']}" if done["running"] else "has ended"
    _say(done, sentence, dry_run=dry_run, as_json=as_json)


def person_of(connection: Connection, who: str) -> str:
    """Return the id of the person with this id, address or number. Raises Permanent (`person_not_found`)."""
    from schema.store import people
    from schema.store.ids import is_id

    found: str | None = who if is_id(who) and people.exists(connection, who) else None
    if found is None and not is_id(who):
        found = people.find(connection, email=who) if "@" in who else people.find(connection, phone=who)
    if found is None:
        raise Permanent("person_not_found", "There is nobody with this id, address or number.")
    return found


def _told(  # noqa: PLR0913, PLR0917 - what is agreed on
    what: What,
    starts: str | None,
    ends: str | None,
    period: str | None,
    renews_itself: bool | None,
    amount: str | None,
    currency: str | None,
    products: list[str] | None,
) -> Told:
    from schema import contract, purchase

    told = contract.Told(what, starts=_day(starts), last_day=_day(ends), renews_itself=renews_itself)
    if period is not None and (found := contract.period(period)) is None:
        raise Permanent("period_invalid", "Write a period as P12M, P30D, monthly or yearly.")
    told.period = found if period is not None else None
    if amount is not None:
        told.amount, told.currency = purchase.amount(amount), purchase.currency(currency)
        if told.amount is None or told.amount < 0:
            raise Permanent("amount_invalid", "Write an amount as 1200 or 1200.00.")
        if told.currency is None:
            raise Permanent("currency_invalid", "An amount needs its currency, as in --currency EUR.")
    told.products = [{"name": name} for name in products or ()]
    return told


def _day(value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise Permanent("date_invalid", "Write a day as 2026-12-31.") from error


@contextmanager
def _retention(data_dir: Path | None, *, dry_run: bool) -> Iterator[Retention]:
    """Contracts on the database; workers hear of what became due, unless nothing is kept."""
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from workers.retention.by_hand import Retention

    settings = read_settings(data_dir)
    with database(settings) as url:
        made = make_engine(url, name="cli", pool_size=2)
        try:
            if dry_run:
                yield Retention(made, lambda *_: None, dry_run=True)
            else:
                with sending(settings, url) as hints:
                    yield Retention(made, hints.send)
        finally:
            made.dispose()


def _say(done: dict[str, Any], sentence: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(done | {"dry_run": dry_run})
    else:
        print(f"{'Nothing is kept; otherwise: ' if dry_run else ''}{done['id']} {sentence}.")


def _row(item: dict[str, Any]) -> list[object]:
    return [
        item["id"],
        item["ends_on"],
        item["days_left"],
        item["status"],
        _money(item),
        "yes" if item["renews_itself"] else "no",
        _products(item),
    ]


def _fields(found: dict[str, Any]) -> dict[str, object]:
    return {
        "contract": found["id"],
        "called": f"{found['external_id']} ({found['source']})" if found["external_id"] else None,
        "lead": found["lead_id"],
        "person": found["person_id"],
        "term": f"{found['starts_on']} to {found['ends_on']} ({found['tz']})",
        "status": f"{found['status']}, {found['days_left']} days left" if found["running"] else found["status"],
        "at its end": "renews itself" if found["renews_itself"] else "to be renewed",
        "amount": _money(found),
        "products": _products(found),
        "told before": ", ".join(f"{days} days" for days in found["told"]) or "nothing yet",
        "cancelled": found["reason"] or found["cancelled_at"],
        "over": found["ended_at"],
    }


def _money(item: dict[str, Any]) -> str:
    return " ".join(filter(None, (item["amount"], item["currency"])))


def _products(item: dict[str, Any]) -> str:
    return ", ".join(product.get("name") or product.get("sku", "") for product in item["products"])
