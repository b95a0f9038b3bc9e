"""Commands on surveys: who is asked what, what they answered, what it comes to, and answers taken in person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, engine, read_settings, transaction
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
    read_moment,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACTOR = "command line"
Channel = Literal["phone", "chat", "email", "form", "social", "meeting", "other"]
Agent = Annotated[str | None, typer.Option(help="Only about this person's work: the short name of the journey.")]
Name = Annotated[str | None, typer.Option(help="Only this survey.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="How satisfied customers are: who is asked, and what they answer.")
    group.command("list")(list_)
    for command in (show, results, answer):
        group.command()(command)
    app.add_typer(group, name="surveys", rich_help_panel="Look and change")


def list_(  # noqa: PLR0913 - its options
    *,
    survey: Name = None,
    agent: Agent = None,
    status: Annotated[
        Literal["planned", "sent", "answered", "cancelled", "expired"] | None, typer.Option(help="Only these.")
    ] = None,
    lead: Annotated[str | None, typer.Option(help="Only of this lead.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List who is asked what and what they answered, what was planned last first.

    Example: throughline surveys list --status answered --agent ana
    """
    from schema.store import surveys
    from schema.store.surveys import Wanted

    check_ids(lead=lead, cursor=cursor)
    with transaction(read_settings(data_dir)) as connection:
        items, following = surveys.listed(
            connection, Wanted(survey, agent, lead, None, status), cursor=cursor, limit=limit
        )
    if as_json:
        print_json({"items": items, "next": following})
        return
    columns = ["id", "survey", "person", "agent", "status", "why", "when", "answer"]
    print_table(columns, map(_row, items), empty="Nobody was asked anything.")
    more(following)


def show(
    survey_id: Annotated[str, typer.Argument(help="The survey's id.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show a survey with all answers that were given to it.

    Example: throughline surveys show 0197b2c4-…
    """
    from schema.store import surveys

    with transaction(read_settings(data_dir)) as connection:
        found = surveys.one(connection, survey_id)
    if found is None:
        raise Permanent("survey_unknown", "There is no such survey. `throughline surveys list` has them.")
    if as_json:
        print_json(found)
    else:
        _print(found)


def results(
    survey: Name = None,
    agent: Agent = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Asked from then on, as 2026-11-01; without it the last 90 days.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Asked before then; without it until now.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what answers come to, with the interval that holds the truth 95 times in 100; and by whose work it is about.

    CSAT is the share of 4 and 5; NPS the share of 9 and 10 less that of 0 to 6, from -100 to 100.
    Example: throughline surveys results --survey after_help --from 2026-11-01
    """
    from datetime import timedelta

    from schema.store import clock, surveys

    until = read_moment(to) if to else clock.now()
    since = read_moment(from_) if from_ else until - timedelta(days=90)
    if since >= until:
        raise Permanent("window_empty", "--from has to be before --to.")
    with transaction(read_settings(data_dir)) as connection:
        found = surveys.results(connection, since, until, survey=survey, agent=agent)
    if as_json:
        print_json({"from": since, "to": until, "items": found})
        return
    rows = []
    for each in found:
        rows.append([each["survey"], "", *_figures(each["kind"], each)])
        rows += [[each["survey"], who["agent"], *_figures(each["kind"], who)] for who in each["agents"]]
    columns = ["survey", "agent", "measure", "95 %", "mean", "sent", "answered", "rate", "in person"]
    print_table(columns, rows, empty="Nobody was asked in this time.")


def answer(  # noqa: PLR0913 - what an answer is
    score: Annotated[int, typer.Argument(help="1 to 5 of csat, 0 to 10 of nps.")],
    survey_id: Annotated[str | None, typer.Argument(help="The survey that was sent or planned.")] = None,
    *,
    lead: Annotated[str | None, typer.Option(help="Without one: the lead whose person was asked.")] = None,
    survey: Annotated[str | None, typer.Option(help="And which survey of the journey.")] = None,
    ticket: Annotated[str | None, typer.Option(help="The id of the ticket it is about.")] = None,
    comment: Annotated[str | None, typer.Option(help="What they said beside it.")] = None,
    channel: Annotated[Channel, typer.Option(help="Where they said it.")] = "phone",
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Keep the answer of somebody who was asked in person: to a survey, or without any mail.

    Examples: throughline surveys answer 4 0197b2c4-…   or   throughline surveys answer 9 --lead 0197b2c4-… --survey
    would_recommend
    """
    from workers.satisfaction.answers import Answers

    if (survey_id is None) == (lead is None or survey is None) or (survey_id and (lead or survey or ticket)):
        raise Permanent("survey_unnamed", "Name the survey by its id, or give --lead and --survey.")
    given: dict[str, Any] = {"score": score, "comment": comment, "channel": channel, "actor": _ACTOR}
    with engine(read_settings(data_dir)) as made:
        answers = Answers(made, _nobody, dry_run=dry_run)
        if survey_id is not None:
            found = answers.give(survey_id, **given)
        else:
            found = answers.taken(lead or "", survey or "", ticket_id=ticket, **given)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _nobody(step: str, ids: object) -> None:
    """Workers find what is due by themselves."""


def _row(item: Mapping[str, Any]) -> list[object]:
    when = item["answered_at"] or item["sent_at"] or item["due_at"] or item["planned_at"]
    person = item["person"]["email"] or item["person"]["name"]
    return [item["id"], item["survey"], person, item["agent"], item["status"], _why(item), when, item["score"]]


def _why(item: Mapping[str, Any]) -> str | None:
    """Why nobody was asked."""
    mail = item["mail"]
    refused = mail is not None and mail["state"] in {"skipped", "failed"}
    return item["reason"] or (mail["reason"] if refused else None)


def _print(survey: Mapping[str, Any]) -> None:
    person = survey["person"]
    about = f"{survey['about']['kind']} {survey['about']['id']}"
    fields = {
        "id": survey["id"],
        "survey": f"{survey['survey']} ({survey['kind']})",
        "person": person["email"] or person["name"],
        "about": about,
        "agent": survey["agent"],
        "status": survey["status"],
        "why": _why(survey),
        "due": survey["due_at"],
        "asked": survey["sent_at"],
        "open until": survey["expires_at"],
        "answer": survey["score"],
        "comment": survey["comment"],
        "complaint": survey["ticket_id"],
    }
    print_fields({name: value for name, value in fields.items() if value is not None})
    if len(survey["answers"]) > 1:
        print("\nAll answers, the last one counts:")
        for each in survey["answers"]:
            print(
                f"  {plain(each['at'])}  {each['score']}  {plain(each['channel'])}  {plain(each['comment'])}".rstrip()
            )


def _figures(kind: str, tally: Mapping[str, Any]) -> list[object]:
    measure = tally[kind]
    share, plus = ("{:.0%}", "{:.0%}") if kind == "csat" else ("{:+.0f}", "{:+.0f}")
    value = f"{kind.upper()} {share.format(measure['value'])}" if measure else f"{kind.upper()} -"
    interval = f"{plus.format(measure['low'])} to {plus.format(measure['high'])}" if measure else None
    rate = f"{tally['response_rate']:.0%}" if tally["response_rate"] is not None else None
    mean = f"{tally['mean']:.2f}" if tally["mean"] is not None else None
    return [value, interval, mean, tally["sent"], tally["answered"], rate, tally["in_person"]]
