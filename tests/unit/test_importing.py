"""Files of leads, without a database: what a file is, its rows, and what a row says."""

from __future__ import annotations

import codecs
import csv
import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import Permanent
from schema.importing import MAP, QUIET, TOUCHPOINT, ImportMap, moment_of, read_import, touchpoints
from schema.journey import Source
from schema.payload import Refused
from schema.understood import Raw, Understood
from services.importing import mapping
from services.importing.outcome import Outcomes, safe
from services.importing.reading import Row, Rows

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SOURCE = Source(kind="import")


def written(folder: Path, content: bytes | str, name: str = "leads.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(folder: Path, content: bytes | str) -> list[Row]:
    return list(Rows(written(folder, content)))


def read(row: dict[str, Any], plan: ImportMap | None = None, **headers: str) -> Understood:
    kept = {MAP: (plan or ImportMap()).written()} | headers
    return read_import(Raw("import", "application/json", json.dumps(row).encode(), kept, NOW), SOURCE)


# -- what a file is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("name,city\nZoë,Köln\n".encode(), "utf-8"),
        (codecs.BOM_UTF8 + "name,city\nZoë,Köln\n".encode(), "utf-8-sig"),
        ("name,city\nZoë,Köln\n".encode("cp1252"), "cp1252"),
        ("name,city\nZoë,Köln\n".encode("utf-16"), "utf-16"),
        (codecs.BOM_UTF16_BE + "name,city\nZoë,Köln\n".encode("utf-16-be"), "utf-16"),
        ("name,city\nZoë,Köln\n".encode("utf-16-le"), "utf-16-le"),
        ("name,city\nZoë,Köln\n".encode("utf-32"), "utf-32"),
    ],
)
def test_a_table_reads_the_same_in_whatever_encoding_it_was_saved(
    tmp_path: Path, content: bytes, encoding: str
) -> None:
    rows = Rows(written(tmp_path, content))

    assert rows.shape.encoding == encoding
    assert rows.columns == ("name", "city")
    assert [row.values for row in rows] == [{"name": "Zoë", "city": "Köln"}]


@pytest.mark.parametrize(
    "content",
    [
        "name,note\nAda,b\n",
        "name;note\nAda;b\n",
        "name\tnote\nAda\tb\n",
        "name|note\r\nAda|b\r\n",
        "name;note\rAda;b\r",
        '"name","note"\n"Ada","b"',
        "sep=;\nname;note\nAda;b\n",
        "\n\nname,note\nAda,b\n",
    ],
)
def test_the_delimiter_and_the_line_ends_are_found(tmp_path: Path, content: str) -> None:
    assert [row.values for row in rows_of(tmp_path, content)] == [{"name": "Ada", "note": "b"}]


def test_a_comma_in_a_text_does_not_pass_for_the_delimiter(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "name;note\nAda;yes, please, now\nBob;no, thanks, later\n")

    assert rows[0].values == {"name": "Ada", "note": "yes, please, now"}


def test_a_table_without_a_header_has_numbered_columns_and_loses_no_row(tmp_path: Path) -> None:
    rows = Rows(written(tmp_path, "ada@lind.example,2024-03-01\nbob@ross.example,2024-03-02\n"))

    assert rows.columns == ("column 1", "column 2")
    assert [row.values["column 1"] for row in rows] == ["ada@lind.example", "bob@ross.example"]


def test_columns_without_a_name_or_with_the_same_one_can_be_told_apart(tmp_path: Path) -> None:
    assert Rows(written(tmp_path, "name,,name\na,b,c\n")).columns == ("name", "column 2", "name 3")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xd0\xcf\x11\xe0 old", ".xlsx"),
        (b"\x1f\x8b packed", "unpack"),
        (b"PK\x03\x04 broken", "damaged"),
        (b"%PDF-1.7", "PDF"),
        (b"[1]", "one object per line"),
        (b"<!doctype html><table>", "web page"),
        (b"\x00\x01\x02\x03" * 50, "not a text"),
    ],
)
def test_a_file_that_is_something_else_is_refused_with_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(Permanent) as refused:
        Rows(written(tmp_path, content))

    assert refused.value.code == "file_unreadable"
    assert says in str(refused.value)


# -- its rows ----------------------------------------------------------------------------------------------------------


def test_rows_have_the_numbers_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 'name,note\nAda,"two\nlines"\n\nBob,x\n')

    assert [(row.number, row.values["name"]) for row in rows] == [(2, "Ada"), (4, "Bob")]


def test_a_row_that_is_cut_wrongly_is_told_from_its_neighbours(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 'name,note\nAda,x,y\nBob,"a"b\nCem,x\nDee,x,,\n')

    assert [(row.number, row.error) for row in rows] == [(2, "too_many_cells"), (3, "csv_syntax"), (4, ""), (5, "")]
    assert rows[1].body == b'Bob,"a"b\n'


@pytest.mark.parametrize("broken_first", [True, False])
def test_only_the_broken_rows_of_a_text_of_two_encodings_are_unusable(tmp_path: Path, *, broken_first: bool) -> None:
    lines = ["Zoë,x\n".encode(), "Jürg,x\n".encode("cp1252")]

    rows = rows_of(tmp_path, b"name,note\n" + b"".join(lines[::-1] if broken_first else lines) + b"Ada,x\n")

    errors = ["undecodable", "", ""] if broken_first else ["", "undecodable", ""]
    assert [row.error for row in rows] == errors
    assert rows[errors.index("undecodable")].body == "Jürg,x".encode("cp1252")


def test_a_cell_that_is_too_long_spoils_its_row_only(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, f'name,note\nAda,{"x" * 131_073}\nBob,"{"y" * 131_072}"\nCem,z\n')

    assert [row.error for row in rows] == ["too_long", "", ""]


@pytest.mark.parametrize("tail", ["", "line\n" * 2000])
def test_a_quote_that_nobody_closes_ends_the_file_at_its_line(tmp_path: Path, tail: str) -> None:
    rows = Rows(written(tmp_path, f'name,note\nAda,x\nBob,"never closed\n{tail}'))

    with pytest.raises(Permanent) as refused:
        rows.count()

    assert (refused.value.code, refused.value.facts) == ("quote_unterminated", {"line": 3})


def test_lines_of_json_are_kept_as_they_are(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, '{"email": "ada@lind.example", "deal": {"won": "2024-01-02"}}\n\nbroken\n')

    assert [(row.number, row.body) for row in rows] == [
        (1, b'{"email": "ada@lind.example", "deal": {"won": "2024-01-02"}}'),
        (3, b"broken"),
    ]


def test_a_workbook_gives_moments_numbers_and_its_errors(tmp_path: Path) -> None:
    rows = list(Rows(workbook(tmp_path)))

    assert rows[0].values == {"name": "Ada", "met": "2024-03-01T10:30:00", "size": 55, "on": "2024-03-02T00:00:00"}
    assert [row.error for row in rows] == ["", "cell_error", "cell_error"]


def test_a_workbook_that_counts_from_1904_has_the_same_days(tmp_path: Path) -> None:
    rows = list(Rows(workbook(tmp_path, from_1904=True)))

    assert rows[0].values["met"] == "2024-03-01T10:30:00"


def test_a_workbook_with_one_cell_in_its_farthest_corner_takes_no_memory_for_the_rest(tmp_path: Path) -> None:
    rows = list(Rows(workbook(tmp_path, corner=True)))

    assert (len(rows), rows[-1].number, rows[-1].error) == (4, 1_048_576, "too_many_cells")


def test_a_workbook_says_which_sheets_it_has(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="Sheet"):
        Rows(workbook(tmp_path), sheet="Leads")


def workbook(folder: Path, *, from_1904: bool = False, corner: bool = False) -> Path:
    import openpyxl  # noqa: PLC0415
    from openpyxl.utils.datetime import CALENDAR_MAC_1904  # noqa: PLC0415

    book = openpyxl.Workbook()
    if from_1904:
        book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert sheet is not None
    sheet.append(["name", "met", "size", "on"])
    sheet.append(["Ada", datetime(2024, 3, 1, 10, 30), 55.0, date(2024, 3, 2)])  # noqa: DTZ001 - as a cell holds it
    sheet.append(["Bob", "#REF!", 1])
    sheet["B3"].data_type = "e"
    sheet.append(["Cem", 99_999_999_999, 1])
    sheet["B4"].number_format = "yyyy-mm-dd"
    if corner:
        sheet["XFD1048576"] = "x"
    path = folder / "leads.xlsx"
    book.save(path)
    return path


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=20))
def test_whatever_the_cells_hold_a_table_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["first", "second"], ["a", "b"], *cells])

    back = [[row.values.get("first", ""), row.values.get("second", "")] for row in Rows(path)]

    assert back == [["a", "b"], *(row for row in cells if any(row))]


@given(st.binary(max_size=300))
def test_any_bytes_are_rows_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = written(tmp_path_factory.mktemp("rows"), b"a,b\n" + content)
    code = ""
    try:
        rows = list(Rows(path))
    except Permanent as refused:
        code = refused.code

    assert code in {"no_rows", "file_unreadable", "quote_unterminated"} or (not code and rows)


# -- how it is read ----------------------------------------------------------------------------------------------------


def test_a_map_on_the_command_line_finds_columns_whatever_their_case() -> None:
    plan = mapping.read("e_mail=email, Met On=occurred_at", ("E-Mail", "met on"))

    assert plan.fields == {"E-Mail": "email", "met on": "occurred_at"}


@pytest.mark.parametrize(
    ("given_map", "code", "says"),
    [
        ("Status=state", "protected_field", "transitions"),
        ("Status=owner", "protected_field", "routing"),
        ("Status=lead.score", "protected_field", "custom.score"),
        ("Status=emial", "field_unknown", "email"),
        ("Stats=email", "column_unknown", "Status"),
        ("Status=email=x", "map_invalid", "column=field"),
        ("nowhere.yaml", "map_not_found", "nowhere.yaml"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused_with_what_to_write(given_map: str, code: str, says: str) -> None:
    with pytest.raises(Permanent) as refused:
        mapping.read(given_map, ("Status", "Name"))

    assert refused.value.code == code
    assert says in str(refused.value)


def test_a_mistake_in_a_map_file_is_named_by_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "fields: {a: email}\ntouchpoints: [{kind: purchase}]\n", "map.yaml")

    with pytest.raises(Permanent, match=r"touchpoints\.0\.at"):
        mapping.read(str(path), ("a",))


# -- what a row says ---------------------------------------------------------------------------------------------------


def test_a_row_speaks_of_the_moment_it_happened() -> None:
    plan = ImportMap(fields={"met": "occurred_at"}, dates=("%d.%m.%Y %H:%M",))

    found = read({"email": "ada@lind.example", "met": "01.03.2024 10:30"}, plan, **{QUIET: "true"})

    assert (found.kind, found.occurred_at, found.quiet) == ("import", datetime(2024, 3, 1, 10, 30, tzinfo=UTC), True)


def test_a_moment_inside_a_nested_row_is_found_by_its_path() -> None:
    plan = ImportMap(fields={"deal.won": "occurred_at"}, dates=("%d.%m.%Y",))

    assert read({"email": "ada@lind.example", "deal": {"won": "01.03.2024"}}, plan).occurred_at == datetime(
        2024, 3, 1, tzinfo=UTC
    )


def test_a_column_that_is_mapped_elsewhere_does_not_say_when_it_happened() -> None:
    plan = ImportMap(fields={"created_at": "custom.exported"})

    assert read({"email": "ada@lind.example", "created_at": "no moment"}, plan).occurred_at is None


def test_a_moment_without_an_offset_is_of_the_zone_of_its_file() -> None:
    """Where a clock is put forward at midnight, that day begins an hour later."""
    plan = mapping.read("met=occurred_at", ["met"], "America/Sao_Paulo")
    for written, moment in (
        ("2018-02-26", datetime(2018, 2, 26, 3, tzinfo=UTC)),
        ("2017-10-15", datetime(2017, 10, 15, 3, tzinfo=UTC)),
        ("2018-02-26T19:58:54", datetime(2018, 2, 26, 22, 58, 54, tzinfo=UTC)),
        ("2018-02-26T19:58:54+01:00", datetime(2018, 2, 26, 18, 58, 54, tzinfo=UTC)),
    ):
        assert moment_of(written, plan, "met") == moment
    assert moment_of("26.02.2018", plan.model_copy(update={"dates": ("%d.%m.%Y",)}), "met") == moment_of(
        "2018-02-26", plan, "met"
    )
    with pytest.raises(Permanent, match="there is no such time zone; did you mean Europe/Berlin") as refused:
        mapping.read(None, [], "Europe/Berln")
    assert refused.value.code == "zone_unknown"


def test_a_moment_that_cannot_be_read_holds_the_row_back() -> None:
    with pytest.raises(Refused) as refused:
        read({"email": "ada@lind.example", "created_at": "03/04/2024 noon"})

    assert refused.value.code == "date_invalid"


def test_a_constant_is_said_by_every_row_that_says_nothing_itself() -> None:
    plan = ImportMap(fields={"via": "attribution.origin"}, constants={"attribution.origin": "fair", "country": "DE"})

    assert read({"via": "mail"}, plan).draft.attribution == {"origin": "mail"}
    silent = read({"via": "", "phone": "030 123456"}, plan).draft
    assert (silent.attribution, silent.phone and silent.phone.e164) == ({"origin": "fair"}, "+4930123456")


def test_a_row_tells_of_a_second_touchpoint_where_its_moment_is_there() -> None:
    plan = ImportMap.model_validate(
        {
            "touchpoints": [
                {"kind": "purchase", "at": "closed", "when": {"stage": "won"}, "properties": {"value": "amount"}}
            ],
        },
    )
    row: dict[str, Any] = {
        "email": "ada@lind.example",
        "stage": "won",
        "closed": "2024-05-01",
        "amount": 500,
        "size": "x",
    }

    assert touchpoints(plan, row) == [0]
    assert touchpoints(plan, row | {"stage": "lost"}) == touchpoints(plan, row | {"closed": ""}) == []
    second = read(row, plan, **{TOUCHPOINT: "0"})
    assert (second.kind, second.occurred_at) == ("purchase", datetime(2024, 5, 1, tzinfo=UTC))
    assert second.data == {"properties": {"value": 500}}
    assert (second.draft.email and second.draft.email.match_key, second.draft.custom) == ("ada@lind.example", {})


def test_nobody_is_subscribed_again_by_a_row_that_says_they_are_not_unsubscribed() -> None:
    kept = read({"email": "ada@lind.example", "unsubscribed": "false"}).draft
    out = read({"email": "ada@lind.example", "Do not contact": "yes"}).draft

    assert kept.consent == {}
    assert "unsubscribe_not_undone" in {issue.code for issue in kept.issues}
    assert out.consent == {"marketing": False}


# -- what became of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["=1+1", "+49 30", "-x", "@SUM(A1)", "\t=1", "\r=1", "＝1", " =1", "＠x"])
def test_no_cell_of_the_outcome_is_a_formula(tmp_path: Path, cell: str) -> None:
    assert safe(cell) == f"'{cell}"
    with Outcomes(tmp_path / "o.csv", ("name",)) as told:
        told.write((2, "import", "processed", "", "", ""), {"name": cell})

    with (tmp_path / "o.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1][-1] == f"'{cell}"


def test_numbers_and_plain_texts_stay_as_they_are_in_the_outcome() -> None:
    assert [safe(-5), safe("Ada"), safe(None), safe("a=b")] == ["-5", "Ada", "", "a=b"]
