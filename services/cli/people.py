"""Commands on people: who somebody is, who else they may be, and merging two who are one, and back."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.person import show
from services.cli.place import DataDir, database, read_settings
from services.cli.terminal import AsJson, DryRun, plain, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.identity.merge import Merger

_ACTOR = "command line"
Person = Annotated[str, typer.Argument(help="The person's id.")]
Because = Annotated[str | None, typer.Option(help="Why: a code, as in same_phone.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(no_args_is_help=True, help="Who people are; merging two who are one, and taking it back.")
    for command in (show, suggest, merge, unmerge):
        group.command()(command)
    app.add_typer(group, name="people", rich_help_panel="Look and change")


def suggest(person: Person, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    List people who may be the same as one, and why. Nobody is merged for it.

    Example: throughline people suggest 0197…
    """
    from schema.errors import Permanent
    from schema.store import merges
    from schema.store.engine import make_engine

    with database(read_settings(data_dir)) as url:
        engine = make_engine(url, name="cli", pool_size=1)
        with engine.connect() as connection:
            survivor = merges.survivor(connection, person)
            found = merges.suggestions(connection, person)
        engine.dispose()
    if survivor is None:
        raise Permanent("person_unknown", "There is no such person.")
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = [[one["id"], one["name"], one["email"], one["phone"], _why(one["reasons"])] for one in found]
    print_table(["person", "name", "e-mail", "phone", "why"], rows, empty="Nobody else seems to be this person.")
    if found and sys.stdout.isatty():
        print(f"\nTo make one person of them: throughline people merge {survivor} {found[0]['id']}")


def merge(
    survivor: Annotated[str, typer.Argument(help="The id of the person who stays.")],
    merged: Annotated[str, typer.Argument(help="The id of the person who goes on as the survivor.")],
    reason: Because = None,
    data_dir: DataDir = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """
    Merge two people into one; `unmerge` takes it back.

    The survivor keeps what is known of them and gets what they lack. Where both have an open lead on one journey, the
    one that has come further goes on, and the other rests.

    Example: throughline people merge 0197… 0198… --reason same_phone
    """
    with _merger(data_dir, dry_run=dry_run) as merger:
        done = merger.merge(survivor, merged, reason=reason, actor=_ACTOR)
    if as_json:
        print_json(done | {"dry_run": dry_run})
        return
    print(f"{_would(dry_run)}{merged} goes on as {survivor}.")
    print(f"  leads that went over: {len(done['leads'])}")
    for parked, going in done["parked"].items():
        print(f"  lead {parked} rests and goes on in {going}")
    if done["fields"]:
        print(f"  the survivor got: {plain(', '.join(done['fields']))}")
    if not dry_run:
        print(f"To take it back: throughline people unmerge {merged}")


def unmerge(person: Person, data_dir: DataDir = None, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """
    Take back the merge of a person into another.

    Both have again what was theirs; what arrived since goes to whose address, number or id brought it.

    Example: throughline people unmerge 0198…
    """
    with _merger(data_dir, dry_run=dry_run) as merger:
        done = merger.unmerge(person, actor=_ACTOR)
    if as_json:
        print_json(done | {"dry_run": dry_run})
        return
    since = done["arrivals_since"]
    print(f"{_would(dry_run)}{done['merged']} and {done['survivor']} are two people again.")
    print(f"  leads that went back: {len(done['leads'])}, opened again: {len(done['reopened'])}")
    for parked, going in done["parked"].items():
        print(f"  lead {parked} stays at rest: {going} was begun since")
    print(f"  arrivals since the merge: {since['merged']} went back, {since['survivor']} stayed")


@contextmanager
def _merger(data_dir: Path | None, *, dry_run: bool) -> Iterator[Merger]:
    """Merging on the database; workers hear of what became due, unless nothing is kept."""
    from schema.store.engine import make_engine
    from services.cli.sending import sending
    from workers.identity.merge import Merger

    settings = read_settings(data_dir)
    with database(settings) as url:
        engine = make_engine(url, name="cli", pool_size=2)
        try:
            if dry_run:
                yield Merger(engine, lambda *_: None, dry_run=True)
            else:
                with sending(settings, url) as hints:
                    yield Merger(engine, hints.send)
        finally:
            engine.dispose()


_REASONS = {
    "keys": "an arrival named both, by {kinds}",
    "phone": "the same telephone",
    "name": "the same name and company",
}


def _why(reasons: list[dict[str, Any]]) -> str:
    told = [_REASONS[each["reason"]].format(kinds=" and ".join(each["kinds"])) for each in reasons]
    return "; ".join(dict.fromkeys(told))


def _would(dry_run: bool) -> str:
    return "Nothing is kept; otherwise: " if dry_run else ""
