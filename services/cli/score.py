"""Commands on predicted conversion: learn from history which leads are won, look at models, switch one on."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, engine, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, plain, print_fields, print_json, print_table, read_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from schema.settings import Settings
    from workers.learn.examples import Examples
    from workers.learn.train import Trained

NONE = "none"
"""What is written instead of a version to switch prediction off."""
_MOST_FACTORS = 10
_AGAINST_CHANCE = "0.5 is guessing, 1 is knowing"

JourneyName = Annotated[
    str | None, typer.Option("--journey", help="The journey's name. Default: the only active one.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="How likely a lead is to be won, learned from those before it.")
    for command in (train, models, show, activate):
        group.command()(command)
    app.add_typer(group, name="score", rich_help_panel="Look and change")


def train(  # noqa: PLR0913 - the options of a command
    *,
    journey: JourneyName = None,
    lost_after: Annotated[
        str | None,
        typer.Option(help="Count leads as lost that nothing was heard of for so long, as in 180d.", show_default=False),
    ] = None,
    leave_out: Annotated[str, typer.Option(help="Features not to learn from, comma-separated.")] = "",
    keep: Annotated[str, typer.Option(help="Features to learn from although they seem to give the outcome away.")] = "",
    table: Annotated[
        Path | None,
        typer.Option(help="Try it on a CSV file instead, one lead in each row; nothing is kept.", show_default=False),
    ] = None,
    won: Annotated[
        str | None, typer.Option(help="With --table: the column that says which were won.", show_default=False)
    ] = None,
    when: Annotated[
        str | None, typer.Option(help="With --table: the column that says when they came.", show_default=False)
    ] = None,
    switch_on: Annotated[bool, typer.Option("--activate", help="Use the model from now on.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Keep a model that is no better than the share won anyway.")
    ] = False,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Learn from won and lost leads how likely a lead is to be won, and say how good the answer is.

    The journey's states with `outcome: won` and `outcome: lost` say what became of a lead; it is looked at as it was
    known when it came and 1, 7, 30 and 90 days later. The newest fifth of the leads is only tested on. The same history
    gives the same version. Exit status 1 if there is too little history or nothing useful was learned.

    Example: throughline score train --dry-run

    Example: throughline score train --table leads.csv --won closed --when created
    """
    settings = read_settings(data_dir)
    names = {"leave_out": _listed(leave_out), "keep": _listed(keep)}
    with _progress(quiet=as_json) as tell:
        if table is not None:
            _refuse_for_a_table(journey=journey, lost_after=lost_after, activate=switch_on, force=force)
            if won is None:
                raise Permanent("won_missing", "Say which column tells won from lost: --won COLUMN.")
            examples, name = _from_table(table, won, when), None
        else:
            if won or when:
                raise Permanent("table_missing", "--won and --when name columns of a file: give it with --table.")
            examples, name = _from_database(settings, journey, lost_after, tell)
        from workers.learn.train import learn

        trained = learn(examples, journey=name, **names, tell=tell)
    kept = name is not None and (trained.better or force)
    if name is not None and kept:
        _keep(settings, trained, name, switch_on=switch_on, dry_run=dry_run)
    told = {
        "version": trained.version,
        "journey": name,
        "kept": kept and not dry_run,
        "active": kept and not dry_run and switch_on,
        "learned": trained.document["learned"],
        "report": trained.document["report"],
    }
    if as_json:
        print_json(told)
    else:
        _print_report(told["learned"], told["report"])
        print()
        print(_ending(trained, name, kept=kept, switched_on=switch_on, dry_run=dry_run))
    if not trained.better and not force:
        raise typer.Exit(1)


def models(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List the models that were kept, the newest first, and which is used.

    Example: throughline score models
    """
    from schema.store import predictions

    with transaction(read_settings(data_dir)) as connection:
        found = predictions.models(connection)
    if as_json:
        print_json({"items": found})
        return
    rows = [
        [
            model["version"],
            model["journey"],
            "active" if model["active"] else "",
            model["learned"]["leads"],
            f"{model['test']['auc']:.3f}",
            model["created_at"],
        ]
        for model in found
    ]
    columns = ["version", "journey", "", "learned from", "AUC", "kept"]
    print_table(columns, rows, empty="No model was kept yet: `throughline score train` learns one.")


def show(
    version: Annotated[str, typer.Argument(help="The model's version.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show a model: what it learned from, how good it was on leads it had not seen, and what moves its answers.

    Example: throughline score show 3f2a9c0d1e4b
    """
    with transaction(read_settings(data_dir)) as connection:
        found = _model(connection, version)
    if as_json:
        print_json(found)
        return
    state = f"active since {plain(found['activated_at'])}" if found["active"] else "not active"
    print_fields({"version": found["version"], "journey": found["journey"], "state": state})
    print()
    _print_report(found["learned"], found["document"]["report"])


def activate(
    version: Annotated[str, typer.Argument(help=f"A model's version, or {NONE}.")],
    journey: JourneyName = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Have leads predicted by a model from now on, or by none; workers follow within seconds.

    A lead is predicted whenever it is scored. Going back is activating the version before.

    Example: throughline score activate 3f2a9c0d1e4b
    """
    from schema.store import clock, predictions

    would = "would " if dry_run else ""
    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        before = predictions.active(connection)
        if version == NONE:
            name = _journey_name(connection, journey)
            predictions.deactivate(connection, name)
            had = f", {before[name]} until now" if name in before else ""
            print(f"{would}predict{'' if dry_run else 's'} nothing for {name}{had}")
            return
        name = _model(connection, version)["journey"]
        if journey not in {None, name}:
            raise Permanent("model_of_another_journey", f"The model {version} is one of the journey {name}.")
        predictions.activate(connection, version, clock.now())
    if before.get(name) == version:
        print(f"{version} is active already for {name}")
    else:
        instead = f", instead of {before[name]}" if name in before else ""
        print(f"{would}activate{'' if dry_run else 'd'} {version} for {name}{instead}")


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _refuse_for_a_table(**options: object) -> None:
    for name, value in options.items():
        if value:
            raise Permanent(
                "option_for_database", f"--{name.replace('_', '-')} is for leads in the database, not for --table."
            )


def _from_table(file: Path, won: str, when: str | None) -> Examples:
    from workers.learn.table import read_table

    return read_table(file, won, when)


def _from_database(
    settings: Settings, journey: str | None, lost_after: str | None, tell: Callable[[str], object]
) -> tuple[Examples, str]:
    from schema.store import clock
    from schema.store.journeys import JourneyBook
    from workers.learn.examples import gather

    silence = read_duration(lost_after) if lost_after else None
    with engine(settings) as made, made.connect() as plain_connection:
        # All of it as it was at one moment, and nothing of it changed.
        connection = plain_connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        name = _journey_name(connection, journey)
        examples = gather(
            connection,
            JourneyBook(),
            name,
            clock.now(),
            silence,
            lambda read: tell(f"reading leads: {read:,}"),
        )
    return examples, name


def _journey_name(connection: Connection, journey: str | None) -> str:
    from schema.store import reading

    known = reading.journeys(connection)
    if journey is not None:
        if journey in {entry["name"] for entry in known}:
            return journey
        from schema.journey.fields import nearest

        there = sorted({entry["name"] for entry in known})
        close = nearest(journey, there) or f"; there is {', '.join(there)}."
        raise Permanent("journey_unknown", f"There is no journey {journey}{close}")
    active: list[str] = sorted({entry["name"] for entry in known if entry["active"]})
    if len(active) != 1:
        raise Permanent("journey_unclear", f"Say which journey: --journey, one of {', '.join(active) or 'none yet'}.")
    return active[0]


def _model(connection: Connection, version: str) -> dict[str, Any]:
    from schema.store import predictions

    found = predictions.model(connection, version)
    if found is None:
        raise Permanent("model_unknown", "There is no such model; `throughline score models` lists all.")
    return found


def _keep(settings: Settings, trained: Trained, name: str, *, switch_on: bool, dry_run: bool) -> None:
    from schema.store import clock, predictions

    with transaction(settings, dry_run=dry_run) as connection:
        predictions.store(connection, trained.version, name, trained.document, clock.now())
        if switch_on:
            predictions.activate(connection, trained.version, clock.now())


def _ending(trained: Trained, name: str | None, *, kept: bool, switched_on: bool, dry_run: bool) -> str:
    if not trained.better:
        verdict = "On leads it had not seen it knew no more than the share that is won anyway."
        if not kept:
            return f"{verdict} Nothing was kept{'' if name is None else '; --force keeps it all the same'}."
    if name is None:
        return "Nothing was kept: that was a table. Leads that come in are learned from without --table."
    if dry_run:
        return f"would keep {trained.version} for {name}{' and activate it' if switched_on else ''}"
    if switched_on:
        return f"kept and activated {trained.version} for {name}"
    return f"kept {trained.version} for {name}; `throughline score activate {trained.version}` switches it on"


def _print_report(learned: dict[str, Any], report: dict[str, Any]) -> None:
    test = report["test"]
    low, high = test["auc_95"]
    print_fields(
        {
            "learned from": f"{learned['leads']:,} leads that came {learned['from'][:10]} to {learned['until'][:10]}: "
            f"{learned['won']:,} won, {learned['lost']:,} lost"
            + (f"; {learned['undecided']:,} undecided" if learned["undecided"] else ""),
            "tested on": f"the newest fifth: {test['leads']:,} leads since {test['from'][:10]}, {test['won']:,} won "
            f"({test['won_share']:.1%})",
            "AUC": f"{test['auc']:.3f}, with 95 % certainty {low:.3f} to {high:.3f} ({_AGAINST_CHANCE})"
            + ("" if test["auc_on_arrival"] == test["auc"] else f"; {test['auc_on_arrival']:.3f} on arrival"),
            "log loss": f"{test['log_loss']:.4f}; saying the same of every lead: {test['log_loss_base']:.4f} "
            f"({_better(test['log_loss'], test['log_loss_base'])})",
            "Brier score": f"{test['brier']:.4f}; saying the same of every lead: {test['brier_base']:.4f}",
            "calibration": f"told and true share differ by {test['calibration_error']:.1%} on average",
            "top fifth": f"the fifth ranked first is won {test['top_fifth']['lift']:.1f} times as often as all, and "
            f"holds {test['top_fifth']['holds']:.0%} of what is won",
        }
    )
    print()
    rows = [
        [f"{tenth['share']:.0%}", f"{tenth['predicted']:.1%}", f"{tenth['observed']:.1%}"]
        for tenth in test["calibration"]
    ]
    print_table(["of the leads", "told", "were won"], rows, empty="")
    print()
    factors = [
        [factor["feature"], f"{factor['spread']:.2f}", _odds(factor["up"]), _odds(factor["down"])]
        for factor in report["factors"][:_MOST_FACTORS]
        if factor["spread"] > 0
    ]
    print_table(["top factors", "weight", "more likely", "less likely"], factors, empty="No feature tells leads apart.")
    if report["left_out"]:
        print()
        left = [
            [part["name"], part["reason"] + ("; only whether it is given" if part["given"] else "")]
            for part in report["left_out"]
        ]
        print_table(["left out", "why"], left, empty="")
    for note in report["notes"]:
        print(f"note: {plain(note)}")


def _better(loss: float, base: float) -> str:
    gain = (base - loss) / base if base else 0.0
    return f"{gain:.0%} better" if gain >= 0 else f"{-gain:.0%} worse"


def _odds(values: list[dict[str, Any]]) -> str:
    """Name values with the factor they put on the odds, as in `referral x2.1`."""
    return ", ".join(f"{plain(_value(value['value']))} x{value['odds']:.2g}" for value in values)


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,.6g}"


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str], object]]:
    """Show on a terminal what is going on; elsewhere there is nobody to see it."""
    from rich.console import Console

    terminal = Console(stderr=True)
    if quiet or not terminal.is_terminal:
        yield lambda _: None
        return
    with terminal.status("") as status:
        yield status.update
