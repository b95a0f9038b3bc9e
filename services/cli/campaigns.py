"""Commands on campaigns: what runs and what came of it, to have one stand still or go on, and to enrol people."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.campaigns_mail import preview, try_out
from services.cli.campaigns_migrate import migrate
from services.cli.campaigns_money import money_in_words
from services.cli.campaigns_simulate import simulate
from services.cli.place import DataDir, engine, read_settings, transaction
from services.cli.terminal import AsJson, DryRun, plain, print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from schema.journey import Journey
    from schema.journey.expressions import Expression

Name = Annotated[str, typer.Argument(help="What the journey calls the campaign.")]
OfJourney = Annotated[str | None, typer.Option("--journey", help="The journey, where several have such a campaign.")]
_NEEDS_A_SERVICE = "Workers take it up within seconds."


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Who is in which campaign, what came of it; pause, resume, enrol.")
    group.command("list")(list_)
    group.command("test")(try_out)
    for command in (show, results, enrolments, simulate, preview, pause, resume, approve, enrol, migrate):
        group.command()(command)
    app.add_typer(group, name="campaigns", rich_help_panel="Look and change")


def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List every campaign of the active journeys, and every other that somebody was in.

    Example: throughline campaigns list
    """
    from schema.store import campaigns, clock

    with transaction(read_settings(data_dir)) as connection:
        found = campaigns.overview(connection, clock.now())
    if as_json:
        print_json({"items": found})
        return
    columns = ["campaign", "journey", "kind", "status", "entered", "in it", "goal", "audience"]
    rows = [
        [c["name"], c["journey"], c["kind"], c["status"], c["entered"], c["running"], c["goal"], _audience(c)]
        for c in found
    ]
    print_table(columns, rows, empty="No active journey has a campaign.")


def show(name: Name, journey: OfJourney = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one campaign: whether it runs, and who waits at which step.

    Example: throughline campaigns show warm_up
    """
    from schema.store import campaigns, clock

    with transaction(read_settings(data_dir)) as connection:
        found = campaigns.shown(connection, campaigns.find(connection, name, journey), clock.now())
    if as_json:
        print_json(found)
        return
    print_fields(
        {
            "campaign": found["name"],
            "journey": found["journey"],
            "label": found["label"],
            "kind": found["kind"],
            "status": _status(found),
            "audience": _audience(found),
            "entered": found["entered"],
            "in it": found["running"],
            "goal reached": found["goal"],
            "versions": ", ".join(f"{each['version']} ({each['running']})" for each in found["versions"]),
        }
    )
    print()
    rows = [[step["step"], step["waiting"], step["oldest"]] for step in found["steps"]]
    print_table(["step", "waiting", "since"], rows, empty="It has no steps.")


def results(name: Name, journey: OfJourney = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Say what came of a campaign and of each step, what it cost and brought in, and how much of that over those held out.

    Example: throughline campaigns results warm_up
    """
    from schema.store import campaign_results, campaigns

    with transaction(read_settings(data_dir)) as connection:
        found = campaign_results.results(connection, campaigns.find(connection, name, journey))
    if as_json:
        print_json(found)
        return
    columns = ["", "entered", "in it", "finished", "goal", "exited", "aborted", "cancelled", "goal rate"]
    groups = {"got it": found["people"], "held out": found["holdout"]}
    names = ("entered", "running", "finished", "goal", "exited", "aborted", "cancelled")
    rows = [[who, *(each[n] for n in names), _percent(each["goal_rate"])] for who, each in groups.items() if each]
    print_table(columns, rows, empty="")
    print_fields({"lift": _lift(found["lift"]), **money_in_words(found)})
    print()
    counts = ("sent", "delivered", "opened", "clicked", "replied", "unsubscribed", "bounced", "skipped", "failed",
              "unknown")  # fmt: skip
    steps = [
        [step["step"], step["waiting"], step["taken"], *((step["messages"] or {}).get(count) for count in counts)]
        for step in found["steps"]
    ]
    print_table(["step", "waiting", "taken", *counts], steps, empty="Nobody has taken a step.")


def enrolments(  # noqa: PLR0913 - its options
    name: Name,
    *,
    journey: OfJourney = None,
    status: Annotated[str | None, typer.Option(help="running, or how it ended: finished, goal, exited, …")] = None,
    step: Annotated[str | None, typer.Option(help="Only who is at this step.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List who is or was in a campaign, the latest first.

    Example: throughline campaigns enrolments warm_up --status running
    """
    from schema.store import campaigns
    from schema.store.ids import is_id
    from schema.tables.campaign import ENDS

    if status not in {None, "running", *ENDS}:
        raise Permanent("status_unknown", f"There is no such status; there are running, {', '.join(ENDS)}.")
    if cursor is not None and not is_id(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor: take `next` of the last answer.")
    with transaction(read_settings(data_dir)) as connection:
        found, after = campaigns.enrolments(
            connection,
            campaigns.find(connection, name, journey),
            running=None if status is None else status == "running",
            outcome=status if status != "running" else None,
            step=step,
            cursor=cursor,
            limit=limit,
        )
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["lead", "entered", "by", "step", "due", "steps", "outcome", "reason"]
    rows = [
        [e["lead_id"], e["entered_at"], e["entered_by"], e["step"], e["due_at"], e["steps"], e["outcome"], e["reason"]]
        for e in found
    ]
    print_table(columns, rows, empty="Nobody.")
    if after and sys.stdout.isatty():
        print(f"more: --cursor {after}")


def pause(name: Name, journey: OfJourney = None, data_dir: DataDir = None, dry_run: DryRun = False) -> None:
    """
    Have a campaign stand still: nobody takes a step and no message goes out, until it is resumed.

    People still enter; nothing is lost and nothing doubled. Example: throughline campaigns pause warm_up
    """
    from schema.store import campaigns, clock
    from schema.store.journeys import COMMAND_LINE

    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        place = campaigns.find(connection, name, journey)
        changed = campaigns.pause(connection, place, COMMAND_LINE, clock.now())
        waiting = campaigns.shown(connection, place, clock.now())["running"]
    done = "would be paused" if dry_run else "is paused"
    print(f"{name} {done if changed else 'was paused already'}: {waiting} people wait in it.")


def resume(name: Name, journey: OfJourney = None, data_dir: DataDir = None, dry_run: DryRun = False) -> None:
    """
    Have a paused campaign go on, from where everybody is.

    Example: throughline campaigns resume warm_up
    """
    from schema.store import campaigns, clock

    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        place = campaigns.find(connection, name, journey)
        changed = campaigns.resume(connection, place)
        status = campaigns.shown(connection, place, clock.now())["status"]
    if not changed:
        print(f"{name} was not paused.")
    elif dry_run:
        print(f"{name} would go on.")
    else:
        print(f"{name} goes on. {_NEEDS_A_SERVICE}")
    if status == "held":
        print(f"It is held, since more people entered than expected: throughline campaigns approve {name}")


def approve(
    name: Name,
    most: Annotated[
        int | None, typer.Option(min=1, help="Let so many in. Default: as many as have entered by now.")
    ] = None,
    journey: OfJourney = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
) -> None:
    """
    Let more people in than a campaign's audience allows; if it was held, it goes on.

    The approval holds for the time that the audience is about. Example: throughline campaigns approve warm_up --dry-run
    """
    from schema.store import campaigns, clock
    from schema.store.journeys import COMMAND_LINE

    with transaction(read_settings(data_dir), dry_run=dry_run) as connection:
        place = campaigns.find(connection, name, journey)
        approved = campaigns.approve(connection, place, most, COMMAND_LINE, clock.now())
        shown = campaigns.shown(connection, place, clock.now())
    may = "would be let in" if dry_run else "may enter"
    print(f"{approved} people {may} until {plain(shown['audience']['approved_until'])} UTC. {_NEEDS_A_SERVICE}")


def enrol(  # noqa: PLR0913 - its options
    name: Name,
    *,
    lead: Annotated[list[str] | None, typer.Option("--lead", help="This lead; may be given several times.")] = None,
    when: Annotated[
        str | None, typer.Option("--when", help="All leads for which this holds, as in 'score.total >= 40'.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="All leads of the journey.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also who was in it before.")] = False,
    journey: OfJourney = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Enrol leads by hand, whatever the campaign's ways in say; also those that only files told us of.

    Interrupted, it goes on when it is run again. Consent, hours and caps hold for them as for everybody.
    Example: throughline campaigns enrol warm_up --when 'person.country == "DE"' --dry-run
    """
    from schema.store import campaigns
    from schema.store.ids import is_id
    from schema.store.journeys import COMMAND_LINE
    from workers.campaigns.looks import enrol_leads

    if sum((bool(lead), when is not None, everybody)) != 1:
        raise Permanent("leads_not_named", "Say who: --lead ID, --when 'a condition', or --all.")
    if wrong := [each for each in lead or () if not is_id(each)]:
        raise Permanent("lead_unknown", f"{plain(wrong[0])} is not the id of a lead.")
    with engine(read_settings(data_dir)) as made, _progress(shown=not dry_run) as tell:
        with made.begin() as connection:
            place = campaigns.find(connection, name, journey)
        report = enrol_leads(
            made,
            place,
            lead,
            actor=COMMAND_LINE,
            when=_question(when, place.journey) if when is not None else None,
            again=again,
            dry_run=dry_run,
            tell=tell,
        )
    if as_json:
        print_json(report)
        return
    enter = "would enter" if dry_run else "entered"
    print(f"{report['entered']} of {report['looked_at']} leads {enter} {name}.")
    for reason, count in sorted(report["not_entered"].items()):
        print(f"  {count} did not: {_REFUSALS.get(reason, reason)}")


_REFUSALS = {
    "is_in_it": "they are in it",
    "was_in_it": "they were in it before (--again lets them in once more)",
    "condition": "the condition does not hold for them",
    "lead_unknown": "the journey has no such lead",
    "test": "they are a sender's trial",
}


def _question(source: str, journey: Journey | None) -> Expression:
    from schema.journey.expressions import Expression, ExpressionInvalid

    try:
        return Expression(source, journey.lists if journey else None)
    except ExpressionInvalid as error:
        raise Permanent("condition_invalid", f"The condition cannot be read: {error}") from error


@contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int], None]]:
    """Show on a terminal at how many leads it has looked."""
    from rich.console import Console

    terminal = Console(stderr=True)
    if not shown or not terminal.is_terminal:
        yield lambda _: None
        return
    with terminal.status("") as status:
        yield lambda looked_at: status.update(f"{looked_at:,} leads looked at")


def _status(found: dict[str, Any]) -> str:
    if found["status"] == "paused":
        return f"paused since {plain(found['paused_at'])} by {found['paused_by']}"
    if found["status"] == "held":
        return f"held since {plain(found['held_at'])}: more people entered than expected; approve or look into it"
    if found["status"] == "ended":
        return "ended: in no active version, nobody new enters"
    return str(found["status"])


def _audience(found: dict[str, Any]) -> str:
    audience = found["audience"]
    if audience is None:
        return ""
    expected = f", {audience['expect']} expected" if audience["expect"] is not None else ""
    return f"{audience['entered']} of {audience['most']} in {audience['per_s'] / 3600:g} h{expected}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _lift(lift: dict[str, Any] | None) -> str:
    if lift is None:
        return "nobody is held out"
    sure = "" if lift["sure"] else "; it may be chance"
    bounds = f"{lift['low'] * 100:+.1f} to {lift['high'] * 100:+.1f}"
    return f"{lift['difference'] * 100:+.1f} points of the goal rate (95 % interval {bounds}{sure})"
