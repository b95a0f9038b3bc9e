"""
A row of a file: what it says about a person, and when that was.

    reads   one row as JSON (column -> cell), and how the file is read (`ImportMap`, kept with each receipt)
    gives   the person the row speaks of, what happened (the touchpoint's kind), and when

A row may tell of several touchpoints: each is a receipt of its own, with the same row, and names which of them it is.
A moment that is there and cannot be read holds the row back: history told as of today would be wrong for ever.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, StrictBool, StrictFloat, StrictInt

from schema import payload
from schema.draft import Draft, draft, moment
from schema.draft_words import ALIASES, NO, YES, normal_name
from schema.journey import Source
from schema.journey.parts import Part, Text, TouchKind, Zone
from schema.payload import JSON
from schema.understood import Raw, Understood

MAP: Final = "import-map"
"""The header under which a receipt keeps how its file is read, as JSON."""
RUN: Final = "import-run"
ROW: Final = "import-row"
"""The row as a spreadsheet counts: the header is row 1."""
TOUCHPOINT: Final = "import-touchpoint"
"""Which of the map's `touchpoints` it is; without it, the row itself."""
QUIET: Final = "import-quiet"
_OPTED_OUT: Final = frozenset(
    {
        "donotcontact",
        "donotemail",
        "emailoptedout",
        "emailoptout",
        "hasoptedoutofemail",
        "optedout",
        "optout",
        "unsubscribe",
        "unsubscribed",
        "unsubscribedfromall",
        "unsubscribedfromallemail",
    },
)
"""Names of columns that say that somebody wants no mail."""


def _in_a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[Text, ...], BeforeValidator(_in_a_list)]


class RowTouchpoint(Part):
    """
    A touchpoint beside the row itself: of this `kind`, at the moment in the column `at`, where that is filled.

    `when` asks for more: columns and the values they have to have. `properties` are kept with it: our name, column.
    """

    kind: TouchKind
    at: Text
    when: Literal["present"] | dict[Text, Texts] = "present"
    properties: dict[Text, Text] = Field(default_factory=dict)


class ImportMap(Part):
    """
    How the rows of a file are read.

    `fields`: column -> our field (`email`, `external_id`, `occurred_at`, `attribution.origin`, `custom.segment`); what
    it does not mention is recognised by the usual names, or kept as custom. `constants`: our field -> what every row
    has there that has nothing of its own. `kind` is the touchpoint's kind of a row, `touchpoints` are more of them.
    `dates` are how moments are written (`%d.%m.%Y %H:%M`), tried before ISO 8601; without an offset they are those of
    the time zone `tz`, and a date alone is its midnight there. Columns to `ignore` are not stored at all.
    """

    fields: dict[Text, Text] = Field(default_factory=dict)
    constants: dict[Text, Text | StrictInt | StrictFloat | StrictBool] = Field(default_factory=dict)
    kind: TouchKind | None = None
    touchpoints: Annotated[tuple[RowTouchpoint, ...], Field(max_length=20)] = ()
    dates: Texts = ()
    tz: Zone = "UTC"
    ignore: Texts = ()

    def written(self) -> str:
        """The map as a receipt keeps it."""
        return self.model_dump_json(exclude_defaults=True)


@lru_cache(maxsize=64)
def read_map(written: str) -> ImportMap:
    """The map that a receipt keeps."""
    return ImportMap.model_validate_json(written or "{}")


def read_import(raw: Raw, source: Source) -> Understood:
    """
    What a row says.

    :raises payload.Refused: `date_invalid`, or as `payload.decode`
    """
    plan = read_map(raw.headers.get(MAP, ""))
    fields = payload.decode(raw.body, raw.content_type, mode=payload.Mode.LENIENT)
    values = {name: value for name, value in fields.values.items() if name not in plan.ignore}
    mapping = _mapping(plan, source)
    at = _row_moment(values, mapping, plan)
    filled = {mapping.get(column, column) for column, value in values.items() if value not in (None, "")}
    values |= {field: constant for field, constant in plan.constants.items() if field not in filled}
    unsubscribed, lifted = _unsubscribed(values)
    read = draft(payload.Fields(values, fields.issues), mapping, region=source.region)
    if unsubscribed:
        read.consent["marketing"] = False
    read.issues += [payload.Issue(f"/{name}", "unsubscribe_not_undone") for name in lifted]
    quiet = raw.headers.get(QUIET) == "true"
    number = raw.headers.get(TOUCHPOINT)
    if number is None:
        return Understood(read, plan.kind or read.kind or "import", at, quiet=quiet)
    told = plan.touchpoints[int(number)]
    happened = moment_of(cell(values, told.at), plan, told.at)
    properties = {name: cell(values, column) for name, column in told.properties.items()}
    kept = {name: value for name, value in properties.items() if value not in (None, "")}
    return Understood(_who(read), told.kind, happened, data={"properties": kept} if kept else {}, quiet=quiet)


def touchpoints(plan: ImportMap, values: dict[str, JSON]) -> list[int]:
    """Which of the map's touchpoints a row tells of, beside itself."""
    return [
        number
        for number, told in enumerate(plan.touchpoints)
        if cell(values, told.at) not in (None, "")
        and (
            told.when == "present"
            or all(str(cell(values, column)).strip() in wanted for column, wanted in told.when.items())
        )
    ]


def cell(values: dict[str, JSON], column: str) -> JSON:
    """A cell by its column; of a nested row by a path with dots."""
    if column in values:
        value = values[column]
        return value.strip() if isinstance(value, str) else value
    head, dot, rest = column.partition(".")
    inner = values.get(head) if dot else None
    return cell(inner, rest) if isinstance(inner, dict) else None


def moment_of(value: JSON, plan: ImportMap, column: str) -> datetime | None:
    """
    A cell as a moment; None for an empty one.

    :raises payload.Refused: `date_invalid`
    """
    if value is None or value == "":
        return None
    for written in plan.dates:
        try:
            value = datetime.strptime(str(value).strip(), written).isoformat()  # noqa: DTZ007 - one without an offset is of the file's zone, below
        except ValueError:
            continue
        break
    found, _ = moment(value, ZoneInfo(plan.tz))
    if found is None:
        raise payload.Refused(422, "date_invalid", "A moment cannot be read.", f"/{column}")
    return found


def _mapping(plan: ImportMap, source: Source) -> dict[str, str]:
    """The file's own map goes before its source's; a constant is a column that is named as the field."""
    rest = {column: field for column, field in source.map.items() if column not in plan.fields}
    return plan.fields | rest | {field: field for field in plan.constants}


def _row_moment(values: dict[str, JSON], mapping: dict[str, str], plan: ImportMap) -> datetime | None:
    """Take when it happened out of the row: the first column of that meaning that is filled, mapped ones first."""
    mapped = [column for column, field in mapping.items() if field == "occurred_at"]
    elsewhere = {normal_name(column) for column, field in mapping.items() if field != "occurred_at"}
    known = [name for name in values if _tells_when(normal_name(name), mapped) and normal_name(name) not in elsewhere]
    for column in dict.fromkeys([*mapped, *known]):
        value = cell(values, column)
        values.pop(column, None)
        if value is not None and value != "":
            return moment_of(value, plan, column)
    return None


def _tells_when(plain: str, mapped: list[str]) -> bool:
    return ALIASES.get(plain) == "occurred_at" or any(plain == normal_name(column) for column in mapped)


def _unsubscribed(values: dict[str, JSON]) -> tuple[bool, list[str]]:
    """Whether the row says that they want no mail, and the columns that only say the contrary: that undoes nothing."""
    out, lifted = False, []
    for name in [name for name in values if normal_name(name) in _OPTED_OUT]:
        said = str(values[name]).strip().casefold()
        out = out or said in YES
        if said in NO:
            lifted.append(name)
    return out, lifted


def _who(read: Draft) -> Draft:
    """Only whose it is: what else the row says stands with the row's own touchpoint."""
    return Draft(
        name=read.name,
        email=read.email,
        phone=read.phone,
        company=read.company,
        external_id=read.external_id,
    )
