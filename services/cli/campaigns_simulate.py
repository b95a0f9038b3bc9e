"""`throughline campaigns simulate`: who would get what, and when, before anything is sent."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.journey import WHICH, journey_texts, read_journey
from services.cli.place import DataDir, database, read_settings
from services.cli.terminal import AsJson, print_json, print_table, read_duration

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.store.journeys import JourneyBook
    from workers.simulate.campaign_tally import CampaignTally, Example, Plan, Tally, Told

LONGEST = timedelta(days=366)
_NOBODY_KNOWS = "Who will come into a state, click, answer or buy cannot be known: this is what happens if nobody does."


def simulate(
    campaign: Annotated[str | None, typer.Argument(help="Only this campaign; default: all of them.")] = None,
    draft: Annotated[str | None, typer.Argument(metavar="[FILE]", help=f"{WHICH}, for those who enter.")] = None,
    *,
    ahead: Annotated[str, typer.Option("--next", help="How far ahead, as in 30d.")] = "30d",
    running: Annotated[bool, typer.Option("--running", help="Only those who are in a campaign already.")] = False,
    examples: Annotated[int, typer.Option(min=0, max=100, help="People whose way is told, by id.")] = 3,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say who would get which message on which day, who would enter, and what would be put off or left out and why.

    Nothing is sent and nothing is changed. Consent, caps, hours and addresses are those of now. With a journey file,
    those who enter follow it; those who are in a campaign stay on the version they entered with.

    Example: throughline campaigns simulate warm_up --next 30d
    """
    from schema.store import clock
    from workers.simulate.campaign_tally import Plan

    length = read_duration(ahead)
    if length > LONGEST:
        raise Permanent("window_invalid", "Look at most 366 days ahead.")
    settings = read_settings(data_dir)
    if draft is None and campaign is not None and (campaign.endswith((".yaml", ".yml")) or ":" in campaign):
        campaign, draft = None, campaign  # the file alone
    now = clock.now()
    plan = Plan(now, now + length, campaign, running, examples, settings.pepper())
    with database(settings) as url:
        journey = read_journey(journey_texts([draft], data_dir)[0], draft) if draft else None
        found = _played(url, plan, journey)
    told = _told(found, plan, journey)
    if as_json:
        print_json(told)
    else:
        _print(told)


def _played(url: str, plan: Plan, draft: Journey | None) -> Tally:
    from rich.console import Console

    from schema.store.journeys import JourneyBook
    from workers.simulate.campaigns import play
    from workers.simulate.run import seldom_collecting, snapshot

    terminal = Console(stderr=True)
    with snapshot(url) as connection, seldom_collecting():
        book = JourneyBook()
        _known(connection, book, plan.campaign, draft)
        if not terminal.is_terminal:
            return play(connection, book, plan, draft, lambda _: None)
        with terminal.status("looking ahead") as status:
            return play(connection, book, plan, draft, lambda seen: status.update(f"looking ahead: {seen:,} leads"))


def _known(connection: Connection, book: JourneyBook, campaign: str | None, draft: Journey | None) -> None:
    """Make sure that there is such a campaign."""
    from schema.store import campaigns

    if campaign is not None and not (draft and campaign in draft.campaigns):
        if draft and not any(campaign in journey.campaigns for journey in book.active(connection)):
            there = f"; it has {', '.join(draft.campaigns)}" if draft.campaigns else ""
            raise Permanent("campaign_unknown", f"The journey has no campaign {campaign}{there}.")
        campaigns.find(connection, campaign, None)


# -- telling -----------------------------------------------------------------------------------------------------------


def _told(tally: Tally, plan: Plan, draft: Journey | None) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "from": plan.now.isoformat(),
        "to": plan.until.isoformat(),
        "draft": draft.version if draft else None,
        "campaigns": [_campaign(*place, found) for place, found in sorted(tally.items())],
        "note": _NOBODY_KNOWS,
    }


def _campaign(journey: str, name: str, found: CampaignTally) -> dict[str, Any]:
    return {
        "journey": journey,
        "name": name,
        "in_it": found.running,
        "stands_still": found.stands_still,
        "entering": dict(sorted(found.entering.items())),
        "held_out": found.held_out,
        "steps": [
            {
                "step": step,
                "template": told.template,
                "sent": told.days.total(),
                "days": {day.isoformat(): times for day, times in sorted(told.days.items())},
                "put_off": dict(told.put_off.most_common()),
                "skipped": dict(told.skipped.most_common()),
            }
            for step, told in found.steps.items()
        ],
        "ends": dict(found.ends.most_common()),
        "still_in_it": found.left,
        "examples": [_example(example) for example in found.examples if example.story],
    }


def _example(example: Example) -> dict[str, Any]:
    return {
        "person_id": example.person_id,
        "lead_id": example.lead_id,
        "story": [_event(told) for told in example.story],
    }


def _event(told: Told) -> dict[str, Any]:
    fields = {"step": told.step, "template": told.template, "reason": told.reason, "until": _moment(told.until)}
    return {"at": _moment(told.at), "what": told.what, **{name: value for name, value in fields.items() if value}}


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def _print(told: dict[str, Any]) -> None:
    print(f"From {told['from'][:16]} to {told['to'][:16]} (UTC), without sending anything.")
    if not told["campaigns"]:
        print("\nNobody is in a campaign, and nobody would enter one by a condition or a date.")
    for campaign in told["campaigns"]:
        print(f"\n{campaign['name']} (journey {campaign['journey']})")
        for line in _lines(campaign):
            print(f"  {line}")
        days = sorted({day for step in campaign["steps"] for day in step["days"]})
        if days:
            print()
            columns = ["day", *(step["step"] for step in campaign["steps"])]
            rows = [[day, *(step["days"].get(day, "") for step in campaign["steps"])] for day in days]
            print_table(columns, [*rows, ["together", *(step["sent"] for step in campaign["steps"])]], empty="")
        for example in campaign["examples"]:
            print(f"\n  Person {example['person_id']}")
            for event in example["story"]:
                print(f"    {event['at'][:16].replace('T', ' ')}  {_sentence(event)}")
    sys.stdout.write(f"\n{told['note']}\n")


def _lines(campaign: dict[str, Any]) -> list[str]:
    lines = [f"in it now: {campaign['in_it']}"]
    if campaign["stands_still"]:
        lines[0] += f", {campaign['stands_still']} of them standing still (paused, or waiting to be approved)"
    if campaign["entering"]:
        lines.append("would enter: " + ", ".join(f"{n} by {way}" for way, n in campaign["entering"].items()))
    if campaign["held_out"]:
        lines.append(f"held out, to compare with: {campaign['held_out']}")
    for step in campaign["steps"]:
        parts = [f"{step['sent']} sent"]
        parts += [f"{n} put off ({_words(why)})" for why, n in step["put_off"].items()]
        parts += [f"{n} not sent ({_words(why)})" for why, n in step["skipped"].items()]
        lines.append(f"{step['step']}: {', '.join(parts)}")
    if campaign["ends"]:
        lines.append("would be over: " + ", ".join(f"{n} {_words(how)}" for how, n in campaign["ends"].items()))
    return [*lines, f"in it at the end: {campaign['still_in_it']}"]


def _sentence(event: dict[str, Any]) -> str:
    reason = _words(event.get("reason", ""))
    if event["what"] == "sent":
        return f"{event['template']} is sent ({event['step']})"
    if event["what"] == "put_off":
        return f"{event['template']} is put off to {event['until'][:16].replace('T', ' ')}: {reason}"
    if event["what"] == "skipped":
        return f"{event['template']} is not sent: {reason}"
    if event["what"] == "entered":
        return f"enters by {event['reason']}"
    return f"over: {event['what']}" + (f", {reason}" if reason and reason != event["what"] else "")


def _words(code: str) -> str:
    """A code in words; what stands behind it, as the field that is missing, stays as it is."""
    said, colon, about = code.partition(":")
    return said.replace("_", " ") + colon + about
