"""The command `leads score`: what a lead's score is made of, how it will fall, and what would raise it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_json, print_table, read_moment

if TYPE_CHECKING:
    from datetime import datetime

    from schema.settings import Settings


def score(
    lead: Annotated[str, typer.Argument(help="The lead's id.")],
    at: Annotated[str | None, typer.Option(help="At this moment: 2026-11-21, 2026-11-21T09:30Z. Default: now.")] = None,
    target: Annotated[str | None, typer.Option(help="What would make it a B? A grade, or points up to 100.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show what a lead's score is made of, how it will fall, and what would raise it.

    Nothing is changed. Person and company are taken as they are known today.

    Example: throughline leads score 0197… --target B
    """
    moment = read_moment(at) if at else None
    found = _found(read_settings(data_dir), lead, moment, target)
    if as_json:
        print_json(found)
        return
    print(f"{plain(found['at'])}  {plain(found['text'])}")
    for sign, sentences in (("+", found["because"]), ("-", found["why_not"])):
        for sentence in sentences:
            print(f"    {sign} {plain(sentence)}")
    print()
    print("With nothing new:")
    ahead = [found["next_change"]] if found["next_change"] else []
    points = sorted([*found["curve"], *ahead], key=lambda point: point["at"])
    columns = ["at", "total", "fit", "engagement", "grade", "cell"]
    print_table(columns, [[point[name] for name in columns] for point in points], empty="")
    for line in _target(found["target"]):
        print(line)


def _found(settings: Settings, lead: str, at: datetime | None, target: str | None) -> dict[str, Any]:
    from workers.outlook import outlook

    with transaction(settings, dry_run=True) as connection:
        try:
            return outlook(connection, lead, at=at, target=target)
        except Permanent as error:
            if error.code == "lead_unknown":
                raise Permanent("lead_not_found", "There is no lead with this id.") from error
            if error.code == "target_unknown":
                grades = plain(error.facts["grades"])
                text = f"Give a grade of the lead's journey ({grades}) or points from 1 to 100."
                raise Permanent("target_unknown", text) from error
            if error.code == "moment_unlikely":
                raise Permanent(error.code, "Give a moment within a hundred years of now.") from error
            raise


def _target(target: dict[str, Any] | None) -> list[str]:
    if target is None:
        return ["There is no better grade."]
    name = f"{target['grade']} ({target['total']} or more)" if target["grade"] else f"{target['total']}"
    if target["reached"]:
        return [f"It reaches {name} already."]
    lines = [f"To reach {name}:"]
    lines += [f"    {plain(need['text'])}" for need in target["needs"]]
    lines += [f"    {plain(limit)}" for limit in target["limits"]]
    if not target["needs"] and target["reach"]["possible"]:
        lines.append("    It takes more than a few things at once.")
    return lines
