"""Commands on offers: what else a customer may need, why and why not, and counting what is bought together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.contracts import person_of
from services.cli.place import DataDir, engine, read_settings
from services.cli.terminal import AsJson, plain, print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

Who = Annotated[str, typer.Argument(help="The person's id, e-mail address, or phone number with country code.")]
_NONE = "There are no rules, and purchases say nothing about what else they may need."
_NOT_THIS = "No rule of the journey offers it, and purchases do not speak for it."
_NEVER = "\nPurchases were not counted yet: throughline offers count."


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="What else customers may need, and why.")
    group.command("list")(list_)
    group.command()(why)
    group.command()(count)
    app.add_typer(group, name="offers", rich_help_panel="Look and change")


def list_(who: Who, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List what else somebody may need, with what speaks for it.

    Example: throughline offers list ana@example.com
    """
    found = _offers(data_dir, who)
    if as_json:
        print_json(found)
        return
    if found["held_back"]:
        print("Nothing is offered while a complaint is open.")
        return
    rows = [[each["label"], each["kind"], each["why"]] for each in found["items"]]
    print_table(["offer", "kind", "why"], rows, empty="Nothing. `throughline offers why` says why not.")


def why(
    who: Who,
    product: Annotated[str | None, typer.Argument(help="Only this product.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Say why something is offered to somebody or not: rules with their answers, purchases in figures.

    Example: throughline offers why ana@example.com "Care plan"
    """
    found = _offers(data_dir, who)
    wanted = product.strip().lower() if product else None
    for part in ("items", "not_offered"):
        found[part] = [each for each in found[part] if wanted in {None, each["product"].lower(), each.get("label")}]
    if as_json:
        print_json(found)
        return
    if found["held_back"]:
        print("A complaint is open: nothing is offered until it is resolved.")
    for each in found["items"]:
        print(f"{plain(each['label'])}: {plain(each['why'])}")
        if figures := each["evidence"]:
            shares = f"support {figures['support']:.1%}, confidence {figures['confidence']:.1%}"
            print(f"  {shares}, lift {figures['lift']}")
    for each in found["not_offered"]:
        print(f"{plain(each['product'])}: not by {each['name']}, {_reason(each)}")
    if not (found["items"] or found["not_offered"] or found["held_back"]):
        print(_NOT_THIS if wanted else _NONE)
    counted = found["counted_at"]
    print(f"\nCounted from the purchases of {found['people']} people, {plain(counted)}." if counted else _NEVER)


def count(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Count anew what is bought together; this is also done every day by itself.

    Example: throughline offers count
    """
    from workers.learn.baskets import count as count_baskets

    with engine(read_settings(data_dir)) as made:
        rules = count_baskets(made, anyway=True)
    if as_json:
        print_json({"counted": rules is not None, "rules": rules})
    elif rules is None:
        print("It is being counted by another process.")
    else:
        print(f"{rules} rule{'' if rules == 1 else 's'} from purchases.")


def _reason(refused: dict[str, Any]) -> str:
    if refused["reason"] == "has_it":
        return "they have it"
    if refused["reason"] == "unknown":
        missing = ", ".join(refused["missing"])
        return f"which asks for what is not known: {missing}" if missing else "which cannot be answered"
    return "which does not hold"


def _offers(data_dir: Path | None, who: str) -> dict[str, Any]:
    from workers.retention.by_hand import Retention

    with engine(read_settings(data_dir)) as made:
        with made.connect() as connection:
            person = person_of(connection, who)
        return Retention(made, lambda *_: None, dry_run=True).offers(person)
