"""Commands on leads: list them, show one with its story, say why; `import` is in `imports`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.imports import import_
from services.cli.lead_score import score
from services.cli.owners import add_to_leads
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.replay import Replayed

Lead = Annotated[str, typer.Argument(help="The lead's id.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Who showed interest, where they are, and why.")
    group.command("list")(list_)
    group.command()(show)
    group.command()(why)
    group.command()(score)
    add_to_leads(group)
    group.command("import")(import_)
    app.add_typer(group, name="leads", rich_help_panel="Look and change")


def list_(
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only of this owner.")] = None,
    q: Annotated[str | None, typer.Option("--q", help="E-mail address, phone number, or start of a name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Read on: `next` of the last answer.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List leads, the newest first.

    Example: throughline leads list --state opportunity --owner ana
    """
    from schema.store import reading
    from schema.store.ids import is_id

    if cursor is not None and not is_id(cursor):
        raise Permanent("cursor_invalid", "This is not a cursor of the list of leads.")
    with transaction(read_settings(data_dir)) as connection:
        found, after = reading.leads(connection, state=state, owner=owner, q=q, cursor=cursor, limit=limit)
    if as_json:
        print_json({"items": found, "next": after})
        return
    columns = ["lead", "person", "state", "score", "owner", "since"]
    print_table(columns, map(_row, found), empty="No leads. `throughline up` says how to post the first one.")


def show(lead: Lead, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show one lead and what happened to it, in order of time.

    Example: throughline leads show 0197…
    """
    from schema.store import reading

    with transaction(read_settings(data_dir)) as connection:
        found = _found(reading.lead(connection, lead))
        story, _ = reading.timeline(connection, lead)
    if as_json:
        print_json(found | {"timeline": story})
        return
    print_fields(_fields(found))
    print()
    print_table(["at", "what", "which", ""], [_moment(item) for item in story], empty="Nothing happened yet.")


def why(
    lead: Lead,
    owner: Annotated[str | None, typer.Option(help="Only why this person got it, or did not.")] = None,
    replay: Annotated[bool, typer.Option("--replay", help="Make each decision again and compare.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say why a lead is where it is: each decision, what led to it, and why nothing else did.

    With --replay each decision is made again from what it started from; exit status 1 if one comes out differently.

    Example: throughline leads why 0197… --owner ben
    """
    if replay:
        _replay(lead, data_dir, as_json=as_json)
        return
    from schema.store import reading
    from schema.store.why import about, told

    with transaction(read_settings(data_dir)) as connection:
        _found(reading.lead(connection, lead))
        found = reading.decisions(connection, lead)
    decisions = about(found, owner) if owner else [told(decision) for decision in found]
    if as_json:
        print_json({"lead_id": lead, "decisions": decisions} | ({"owner": owner} if owner else {}))
        return
    if owner:
        for decision in decisions:
            print(f"{plain(decision['at'])}  {plain(decision['about'])}")
        if not decisions:
            print("Nobody was asked for this lead yet.")
        return
    for decision in decisions:
        print(f"{plain(decision['at'])}  {decision['step']}: {plain(decision['text'])}")
        for sign, sentences in (("+", decision["because"]), ("-", decision["why_not"])):
            for sentence in sentences:
                print(f"    {sign} {plain(sentence)}")


def _replay(lead: str, data_dir: Path | None, *, as_json: bool) -> None:
    from schema.store import reading
    from schema.store.journeys import JourneyBook
    from workers.replay import replay

    book = JourneyBook()
    with transaction(read_settings(data_dir)) as connection:
        _found(reading.lead(connection, lead))
        found = replay(reading.decisions(connection, lead), lambda version: book.version(connection, version))
    differ = [made for made in found if made.same is False]
    if as_json:
        print_json({"lead_id": lead, "replayed": [made._asdict() for made in found]})
    else:
        _print_replayed(found, differ)
    if differ:
        raise typer.Exit(1)


def _print_replayed(found: Sequence[Replayed], differ: Sequence[Replayed]) -> None:
    same = sum(1 for made in found if made.same)
    if not found:
        print("Nothing was decided by rules about this lead yet.")
    elif same:
        made = "1 decision was" if same == 1 else f"{same} decisions were"
        print(f"{made} made again from what was known then, and came out the same.")
    for made_again in differ:
        what = ", ".join(made_again.differs)
        print(f"Decision {made_again.number} ({made_again.step}) came out differently: {what}.")
    for made_again in found:
        if made_again.same is None:
            print(f"Decision {made_again.number} ({made_again.step}) cannot be made again: {made_again.why_not}.")


def _found(lead: dict[str, Any] | None) -> dict[str, Any]:
    if lead is None:
        raise Permanent("lead_not_found", "There is no lead with this id.")
    return lead


def _row(lead: dict[str, Any]) -> list[object]:
    person = lead["person"]
    who = person["name"] or person["email"] or person["phone"]
    return [lead["id"], who, lead["state"], _score(lead), lead["owner"], lead["created_at"]]


def _score(lead: dict[str, Any]) -> str:
    score = lead["score"]
    return "" if score["total"] is None else f"{score['total']} {score['grade'] or ''}".strip()


def _fields(lead: dict[str, Any]) -> dict[str, object]:
    person = lead["person"]
    return {
        "lead": lead["id"],
        "person": ", ".join(filter(None, (person["name"], person["email"], person["phone"], person["company"]))),
        "state": f"{lead['state']}, overdue" if lead["overdue"] else lead["state"],
        "in it since": lead["in_state_since"],
        "asked": "; ".join(ask["question"] or ask["criterion"] for ask in (lead["qualification"] or {}).get("ask", ()))
        or "nothing",
        "next step": lead["next_step"] or "none: settled",
        "score": _score(lead),
        "owner": _owner(lead),
        "source": lead["source"],
        "journey": f"{lead['journey_name']} {lead['journey']}",
        "since": lead["created_at"],
    }


def _owner(lead: dict[str, Any]) -> str:
    if lead["waiting_since"]:
        return f"none: waits in the queue of pool {lead['pool']} since {plain(lead['waiting_since'])}"
    accepted = lead["assignment"] and lead["assignment"]["accepted_at"]
    return " of pool ".join(filter(None, (lead["owner"], lead["pool"]))) + (", accepted" if accepted else "")


def _moment(item: dict[str, Any]) -> list[object]:
    data = item["data"]
    if item["kind"] == "transition":
        detail = f"{data['from_state']} to {data['to_state']}"
    elif item["kind"] == "handover":
        detail = f"{data['from_department']} to {data['to_department']} ({data['about']['kind']})"
    else:
        detail = " ".join(str(data[key]) for key in ("outcome", "reason") if data.get(key))
    return [item["at"], item["kind"], item["name"], detail]
