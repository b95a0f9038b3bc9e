"""
How a file is read, as people say it: a YAML file, or `column=field,column=field` on the command line.

Checked against the file before a row is read: a column that is not there, a field that we do not have, and a field
that is not for a file to decide are each refused with what to write instead.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from pydantic import ValidationError

from schema.draft import is_field
from schema.draft_words import OWN, normal_name
from schema.errors import Permanent
from schema.importing import ImportMap
from schema.journey.fields import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTECTED: Final = {
    "grade": "the journey's `score` decides it",
    "id": "leads have an id of ours; map the sender's own to `external_id`",
    "journey": "it follows from the source",
    "next_step": "the steps of the journey set it",
    "owner": "routing gives leads to people, in fair turns",
    "person_id": "people are found by their match keys; map the sender's own id to `external_id`",
    "pool": "routing decides it",
    "qualification": "the journey's `qualify` decides it",
    "score": "the journey's `score` decides it",
    "stage": "a lead moves by the transitions of its journey",
    "state": "a lead moves by the transitions of its journey",
    "status": "a lead moves by the transitions of its journey",
}
"""Fields that no file writes, and who does."""
_PAIRS: Final = re.compile(r"\s*([^=]+?)\s*=\s*([A-Za-z][\w.]*)\s*\Z")


def read(given: str | None, columns: Sequence[str], zone: str | None = None) -> ImportMap:
    """
    Read a map as it was given on the command line, for a file with these columns (none: each row names its own).

    A `zone` goes before the map's own `tz`.

    :raises Permanent: `map_not_found`, `map_invalid`, `column_unknown`, `field_unknown`, `protected_field`,
        `zone_unknown`
    """
    plan = ImportMap() if not given else _of_pairs(given) if _looks_like_pairs(given) else _of_file(Path(given))
    for field in (*plan.fields.values(), *plan.constants):
        _check_field(field)
    if zone is not None:
        plan = _in_zone(plan, zone)
    return _in_the_words_of_the_file(plan, columns) if columns else plan


def _in_zone(plan: ImportMap, zone: str) -> ImportMap:
    try:
        return plan.model_copy(update={"tz": ImportMap(tz=zone).tz})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise Permanent("zone_unknown", f"`{zone}`: {said}.") from error


def column(name: str, columns: Sequence[str]) -> str:
    """
    Find a column of the file: case and separators do not matter.

    :raises Permanent: `column_unknown`
    """
    if name in columns:
        return name
    found = next((column for column in columns if normal_name(column) == normal_name(name) != ""), None)
    if found is None:
        raise Permanent(
            "column_unknown",
            f"The file has no column `{name}`{nearest(name, list(columns)) or '.'} "
            f"Its columns are: {', '.join(columns)}.",
        )
    return found


def _looks_like_pairs(given: str) -> bool:
    return "=" in given and not Path(given).exists()


def _of_pairs(given: str) -> ImportMap:
    fields = {}
    for pair in filter(str.strip, given.split(",")):
        found = _PAIRS.match(pair)
        if not found:
            raise Permanent("map_invalid", f"`{pair.strip()}` in --map is not column=field, as in `E-Mail=email`.")
        fields[found[1]] = found[2]
    return ImportMap(fields=fields)


def _of_file(path: Path) -> ImportMap:
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Permanent("map_not_found", f"There is no map {path}. Give a YAML file, or `column=field,…`.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise Permanent("map_invalid", f"{path}{where}: this is not YAML.") from error
    try:
        return ImportMap.model_validate(said or {})
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()]
        raise Permanent("map_invalid", f"{path}: {'; '.join(wrong[:5])}.") from error


def _check_field(field: str) -> None:
    plain = field.removeprefix("lead.").removeprefix("person.").partition(".")[0]
    if plain in PROTECTED:
        raise Permanent(
            "protected_field",
            f"`{field}` is not for a file to set: {PROTECTED[plain]}. "
            f"To keep the column as it is, map it to `custom.{plain}`.",
        )
    if not is_field(field):
        raise Permanent(
            "field_unknown",
            f"There is no field `{field}`{nearest(field, sorted(OWN)) or '.'} A field of your own is `custom.{field}`.",
        )


def _in_the_words_of_the_file(plan: ImportMap, columns: Sequence[str]) -> ImportMap:
    """The same map with each column written as the file writes it."""

    def named(name: str) -> str:
        return column(name, columns)

    return plan.model_copy(
        update={
            "fields": {named(name): field for name, field in plan.fields.items()},
            "ignore": tuple(map(named, plan.ignore)),
            "touchpoints": tuple(
                told.model_copy(
                    update={
                        "at": named(told.at),
                        "when": "present"
                        if isinstance(told.when, str)
                        else {named(name): wanted for name, wanted in told.when.items()},
                        "properties": {ours: named(name) for ours, name in told.properties.items()},
                    },
                )
                for told in plan.touchpoints
            ),
        },
    )
