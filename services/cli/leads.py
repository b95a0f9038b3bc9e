"""Commands on leads: list them, show one with its story, say why; `import` is in `imports`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.imports import import_
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_fields, print_json, print_table

Lead = Annotated[str, typer.Argument(help="The lead's id.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Who showed interest, where they are, and why.")
    group.command("list")(list_)
    group.command()(show)
    group.command()(why)
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


def why(lead: Lead, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Say why a lead is where it is: each decision, what led to it, and why nothing else did.

    Example: throughline leads why 0197…
    """
    from schema.store import reading
    from schema.store.why import told

    with transaction(read_settings(data_dir)) as connection:
        _found(reading.lead(connection, lead))
        decisions = [told(decision) for decision in reading.decisions(connection, lead)]
    if as_json:
        print_json({"lead_id": lead, "decisions": decisions})
        return
    for decision in decisions:
        print(f"{plain(decision['at'])}  {decision['step']}: {plain(decision['text'])}")
        for sign, sentences in (("+", decision["because"]), ("-", decision["why_not"])):
            for sentence in sentences:
                print(f"    {sign} {plain(sentence)}")


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
        "state": lead["state"],
        "next step": lead["next_step"] or "none: settled",
        "score": _score(lead),
        "owner": " of pool ".join(filter(None, (lead["owner"], lead["pool"]))),
        "source": lead["source"],
        "journey": f"{lead['journey_name']} {lead['journey']}",
        "since": lead["created_at"],
    }


def _moment(item: dict[str, Any]) -> list[object]:
    data = item["data"]
    if item["kind"] == "transition":
        detail = f"{data['from_state']} to {data['to_state']}"
    else:
        detail = " ".join(str(data[key]) for key in ("outcome", "reason") if data.get(key))
    return [item["at"], item["kind"], item["name"], detail]
