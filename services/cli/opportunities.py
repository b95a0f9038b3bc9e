"""Commands on opportunities: what may be sold, and at which stage it is; open, change, win, lose; the forecast."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings
from services.cli.terminal import (
    AsJson,
    Cursor,
    DryRun,
    Limit,
    check_ids,
    more,
    plain,
    print_fields,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.sales.by_hand import Sales

_ACTOR: Final = "command line"
_NOTHING: Final = "none"
Id = Annotated[str, typer.Argument(help="The opportunity's id.")]
OfPipeline = Annotated[str | None, typer.Option("--pipeline", help="Which pipeline, where there are several.")]
OfJourney = Annotated[str | None, typer.Option("--journey", help="Which journey, where several have one.")]
Amount = Annotated[str | None, typer.Option(help="The amount, exactly: 1234.50.")]
Currency = Annotated[str | None, typer.Option(help="ISO 4217, as EUR. Default: the pipeline's.")]
Stage = Annotated[str | None, typer.Option(help="One of the pipeline's stages.")]
Name = Annotated[str | None, typer.Option(help="What people call it.")]
Owner = Annotated[str | None, typer.Option(help="Whose it is, by the short name. `none`: whoever has the lead.")]
Probability = Annotated[str | None, typer.Option(help="0 to 1, as you see it. `none`: as history or the stage says.")]
Close = Annotated[str | None, typer.Option("--close", help="The day it should close: 2027-01-31.")]
Product = Annotated[list[str] | None, typer.Option("--product", help="What may be sold; may be given several times.")]
Competitor = Annotated[list[str] | None, typer.Option("--competitor", help="Who else; may be given several times.")]
Action = Annotated[str | None, typer.Option("--next", help="What is to be done next.")]
Reason = Annotated[str | None, typer.Option(help="Why the lead is taken up again, where its transition asks for that.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What may be sold: pipeline, forecast; open, change, win and lose.")
    group.command("list")(list_)
    group.command("open")(open_)
    for command in (show, change, win, lose, reopen, pipeline, forecast):
        group.command()(command)
    app.add_typer(group, name="opportunities", rich_help_panel="Look and change")


# -- looking -----------------------------------------------------------------------------------------------------------


def list_(  # noqa: PLR0913 - its options
    *,
    status: Annotated[Literal["open", "won", "lost"] | None, typer.Option(help="Only these.")] = None,
    stage: Stage = None,
    owner: Annotated[str | None, typer.Option(help="Only theirs.")] = None,
    lead: Annotated[str | None, typer.Option(help="Only those of this lead.")] = None,
    pipeline: OfPipeline = None,
    journey: OfJourney = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List opportunities, the latest first.

    Example: throughline opportunities list --status open --owner ana
    """
    check_ids(lead=lead, cursor=cursor)
    wanted = {"stage": stage, "owner": owner, "lead": lead, "pipeline": pipeline, "journey": journey, "cursor": cursor}
    with _sales(data_dir) as sales:
        found, after = sales.listed(limit=limit, status=status, **wanted)
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["opportunity", "name", "status", "stage", "since", "owner", "amount", "probability", "closes", "quiet"]
    rows = [
        [each["id"], each["name"], each["reason"] or each["status"], each["stage"], each["stage_since"], each["owner"],
         _sum(each), _probability(each["probability"], short=True), each["expected_close"], each["quiet_since"]]
        for each in found
    ]  # fmt: skip
    print_table(columns, rows, empty="None.")
    more(after)


def show(opportunity: Id, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one opportunity with everything that was changed of it.

    Example: throughline opportunities show 0197…
    """
    with _sales(data_dir) as sales:
        found = sales.one(opportunity)
    if as_json:
        print_json(found)
        return
    print_fields(
        {
            "opportunity": found["id"],
            "lead": found["lead_id"],
            "pipeline": f"{found['pipeline']} of {found['journey_name']}",
            "name": found["name"],
            "status": found["status"] + (f": {found['reason']}" if found["reason"] else ""),
            "stage": f"{found['stage']} since {plain(found['stage_since'])}",
            "owner": found["owner"],
            "amount": _sum(found),
            "probability": _probability(found["probability"]),
            "closes": found["expected_close"],
            "products": ", ".join(each.get("name") or each.get("sku", "") for each in found["products"]),
            "competitors": ", ".join(found["competitors"]),
            "next action": found["next_action"],
            "last happened": found["touched_at"],
            "quiet since": found["quiet_since"],
        }
    )
    print()
    columns = ["", "at", "who", "what", "stage", "stayed", "changed"]
    rows = [
        [each["number"], each["at"], each["actor"], each["what"], each["to_stage"], _time(each["stayed_s"]),
         "; ".join(f"{field} {_value(told['from'])} -> {_value(told['to'])}" for field, told in each["data"].items())]
        for each in found["history"]
    ]  # fmt: skip
    print_table(columns, rows, empty="")


def pipeline(
    pipeline: OfPipeline = None,
    journey: OfJourney = None,
    owner: Annotated[str | None, typer.Option(help="Only theirs.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show what stands at each stage: how many, the sums by currency, and since when the first of them.

    Example: throughline opportunities pipeline
    """
    with _sales(data_dir) as sales:
        found = sales.pipeline(pipeline, journey, owner)
    if as_json:
        print_json(found)
        return
    columns = ["stage", "label", "open", "sum", "without amount", "quiet", "the oldest since"]
    rows = [
        [each["stage"], each["label"], each["count"],
         ", ".join(f"{amount} {currency}" for currency, amount in each["sums"].items()),
         each["without_amount"], each["quiet"], each["oldest"]]
        for each in found["stages"]
    ]  # fmt: skip
    print_table(columns, rows, empty="")


def forecast(
    pipeline: OfPipeline = None,
    journey: OfJourney = None,
    by: Annotated[Literal["owner", "stage"] | None, typer.Option(help="Tell it for each of them apart.")] = None,
    months: Annotated[int, typer.Option(min=1, max=24, help="This month and those after it, so many in all.")] = 6,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what the open opportunities will bring, by month and currency; four times in five it is from low to high.

    Example: throughline opportunities forecast --months 3 --by owner
    """
    with _sales(data_dir) as sales:
        found = sales.forecast(pipeline, journey, months=months, by=by)
    if as_json:
        print_json(found)
        return
    columns = ["month", *([by] if by else []), "currency", "expected", "low", "high", "amount x probability", "won"]
    rows = [
        [each["month"] or "no day said", *([each["group"] or "nobody"] if by else []), each["currency"],
         each["expected"], each["low"], each["high"], each["naive"], each["won"]]
        for each in found["items"]
    ]  # fmt: skip
    print_table(columns, rows, empty="There is nothing to expect: no open opportunity has an amount.")
    if sys.stdout.isatty():
        print(_rests_on(found["rests_on"]))


# -- changing ----------------------------------------------------------------------------------------------------------


def open_(  # noqa: PLR0913 - its options
    lead: Annotated[str, typer.Argument(help="The lead's id.")],
    *,
    pipeline: OfPipeline = None,
    stage: Stage = None,
    name: Name = None,
    owner: Owner = None,
    amount: Amount = None,
    currency: Currency = None,
    probability: Probability = None,
    close: Close = None,
    product: Product = None,
    competitor: Competitor = None,
    next_action: Action = None,
    reason: Reason = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Open an opportunity for a lead, beside any that are open.

    Example: throughline opportunities open 0197… --name "Second site" --amount 12000 --close 2027-03-31
    """
    given = _given(stage=stage, name=name, owner=owner, amount=amount, currency=currency, probability=probability,
                   expected_close=close, products=product, competitors=competitor, next_action=next_action)  # fmt: skip
    with _sales(data_dir, dry_run=dry_run, change=True) as sales:
        done = sales.open(lead, pipeline, given, actor=_ACTOR, reason=reason)
    _say(done, f"is open at {done['stage']}", dry_run=dry_run, as_json=as_json)


def change(  # noqa: PLR0913 - its options
    opportunity: Id,
    *,
    stage: Stage = None,
    name: Name = None,
    owner: Owner = None,
    amount: Amount = None,
    currency: Currency = None,
    probability: Probability = None,
    close: Close = None,
    product: Product = None,
    competitor: Competitor = None,
    next_action: Action = None,
    expect: Annotated[int | None, typer.Option(min=1, help="Only if it was changed so often until now.")] = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Change what is known of an open opportunity, or its stage; `none` takes something back.

    Example: throughline opportunities change 0197… --stage offer --amount 12000 --close 2027-03-31
    """
    given = _given(stage=stage, name=name, owner=owner, amount=amount, currency=currency, probability=probability,
                   expected_close=close, products=product, competitors=competitor, next_action=next_action)  # fmt: skip
    if not given:
        raise Permanent("nothing_given", "Say what is to be changed: --stage, --amount, --next, … (see --help).")
    with _sales(data_dir, dry_run=dry_run, change=True) as sales:
        done = sales.change(opportunity, given, actor=_ACTOR, expect=expect)
    _say(done, f"is at {done['stage']}, changed {done['changes']} times", dry_run=dry_run, as_json=as_json)


def win(
    opportunity: Id,
    amount: Amount = None,
    currency: Currency = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Say that an opportunity was won; its lead moves by the pipeline's transition, where it has that way.

    Example: throughline opportunities win 0197… --amount 11500
    """
    with _sales(data_dir, dry_run=dry_run, change=True) as sales:
        done = sales.win(opportunity, _given(amount=amount, currency=currency), actor=_ACTOR)
    _say(done, "is won", dry_run=dry_run, as_json=as_json)


def lose(
    opportunity: Id,
    reason: Annotated[str, typer.Option(help="Why: one of the pipeline's reasons, as in price.")],
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Say that an opportunity was lost; its lead moves too if that was the last open one and none was won.

    Example: throughline opportunities lose 0197… --reason price
    """
    with _sales(data_dir, dry_run=dry_run, change=True) as sales:
        done = sales.lose(opportunity, reason, actor=_ACTOR)
    _say(done, f"is lost: {done['reason']}", dry_run=dry_run, as_json=as_json)


def reopen(
    opportunity: Id,
    stage: Stage = None,
    reason: Reason = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Take an opportunity up again that was won or lost; a lead that is done with comes back.

    Example: throughline opportunities reopen 0197… --stage offer
    """
    with _sales(data_dir, dry_run=dry_run, change=True) as sales:
        done = sales.reopen(opportunity, actor=_ACTOR, stage=stage, reason=reason)
    _say(done, f"is open again at {done['stage']}", dry_run=dry_run, as_json=as_json)


# -- how ---------------------------------------------------------------------------------------------------------------


@contextmanager
def _sales(data_dir: Path | None, *, dry_run: bool = False, change: bool = False) -> Iterator[Sales]:
    """Opportunities on the database; workers hear of what became due, if anything may."""
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from workers.sales.by_hand import Sales

    settings = read_settings(data_dir)
    with database(settings) as url:
        engine = make_engine(url, name="cli", pool_size=2)
        try:
            if change and not dry_run:
                with sending(settings, url) as hints:
                    yield Sales(engine, hints.send)
            else:
                yield Sales(engine, lambda *_: None, dry_run=True)
        finally:
            engine.dispose()


def _given(**options: Any) -> dict[str, Any]:  # noqa: ANN401 - values of options
    """What was said, as the API takes it; `none` takes something back."""
    given: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        none = value in (_NOTHING, [_NOTHING])
        given[name] = None if none and name != "stage" else _number(value) if name == "probability" else value
    return given


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise Permanent("probability_invalid", "Write the probability as a number from 0 to 1, as in 0.4.") from error


def _say(done: dict[str, Any], sentence: str, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(done | {"dry_run": dry_run})
        return
    would = "Nothing is kept; otherwise: " if dry_run else ""
    moved = done["moved"]
    lead = f" Its lead went from {moved['from_state']} to {moved['to_state']} ({moved['name']})." if moved else ""
    print(f"{would}{done['id']} {plain(sentence)}.{lead}")


def _sum(found: dict[str, Any]) -> str:
    return f"{found['amount']} {found['currency']}" if found["amount"] is not None else ""


def _probability(found: dict[str, Any] | None, *, short: bool = False) -> str:
    if found is None:
        return ""
    value = f"{found['value']:.0%}"
    if short or found["basis"] == "given":
        return value if short else f"{value}, as somebody said"
    if found["basis"] == "stage":
        return f"{value}, as the journey says of the stage ({found['decided']} decided ones are too few)"
    bounds = f"{found['low']:.0%} to {found['high']:.0%}"
    return f"{value} ({bounds}): {found['won']} of {found['decided']} that were at this stage were won"


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(each.get("name") if isinstance(each, dict) else each) for each in value) or "nothing"
    return "nothing" if value is None else str(value)


def _time(seconds: int | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds / 86_400:.1f} d" if seconds >= 86_400 else f"{seconds / 3_600:.1f} h"  # noqa: PLR2004 - a day


def _rests_on(told: dict[str, int]) -> str:
    """What the figures rest on, in a sentence or a few."""
    parts = [f"{told['open']} are open, {told['decided']} are decided."]
    if told["by_history"]:
        parts.append(f"The ways of {told['by_history']} are drawn from own history.")
    if told["by_stage"]:
        why = " (too little history)" if not told["by_history"] else ""
        parts.append(f"For {told['by_stage']} their probability and the day that was said are taken{why}.")
    if told["left_out"]:
        parts.append(f"{told['left_out']} are left out: they have no amount.")
    if told["older_than_any"]:
        parts.append(f"{told['older_than_any']} stand at their stage for longer than any other ever did.")
    if told["past_due"]:
        parts.append(f"The day said for {told['past_due']} is over.")
    return " ".join(parts)
