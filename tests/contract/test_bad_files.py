"""
Bad files of leads, case by case: each is refused as a whole with its reason, or its rows end as receipts with one.

The letters are those of the project's list of bad input: V1 to V22 are about imports.
"""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import openpyxl
import pytest

from schema.errors import Permanent
from schema.settings import Settings
from services.cli import imports
from services.importing import mapping
from services.importing.reading import Rows
from services.importing.run import Order
from tests.door import house
from tests.spine import Spine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD: Final = "email,name,note\n"
_ADA: Final = "ada@{case}.example,Ada Lind,x\n"
_WIDE: Final = f"email{',c' * 1000}\nada@wide.example{',x' * 1000}\n"
_BOB: Final = "bob@{case}.example,Bob Ross,y\n"


class Case(NamedTuple):
    """A file and what is to come of it: the code it is refused with, or how many rows end as what, and why."""

    id: str
    content: str | bytes
    refused: str = ""
    taken: int = 0
    held: tuple[str, ...] = ()
    repeated: int = 0
    map: str | None = None
    name: str = "leads.csv"
    facts: tuple[tuple[str, int], ...] = ()


def _workbook(*rows: list[Any], error: str = "", number_as_date: bool = False) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    if error:
        sheet[error].data_type = "e"
    if number_as_date:
        sheet["C2"].number_format = "yyyy-mm-dd"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _zip(**parts: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return file.getvalue()


def _with_sheet(text: str) -> bytes:
    """A workbook with this as its sheet."""
    sound = _workbook(["email"])
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(file, "w") as new:
        for part in old.namelist():
            new.writestr(part, text if part.endswith("sheet1.xml") else old.read(part))
    return file.getvalue()


def _with_entities() -> bytes:
    """A workbook whose sheet multiplies an entity ten thousand times."""
    bomb = (
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>&b;</t></is></c></row></sheetData></worksheet>'
    )
    return _with_sheet(bomb)


def _with_a_row_far_below() -> bytes:
    """A workbook whose second row says to be the four thousand millionth."""
    return _with_sheet(
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>email</t></is></c></row>'
        '<row r="4294967296"><c r="A2" t="inlineStr"><is><t>ada@far.example</t></is></c></row>'
        "</sheetData></worksheet>"
    )


def _with_other_bytes() -> bytes:
    """A workbook that was packed once and changed afterwards."""
    sound = bytearray(_workbook(["email"], ["ada@packed.example"]))
    at = sound.index(b"xl/workbook.xml") + 40
    sound[at : at + 20] = b"\xff" * 20
    return bytes(sound)


CASES: Final = (
    Case("V1-empty", "", refused="no_rows"),
    Case("V1-blank", "\n \n\n", refused="no_rows"),
    Case("V1-header-only", _HEAD, refused="no_rows"),
    Case("V1-workbook-without-a-row", _workbook(["email", "name"]), refused="no_rows", name="a.xlsx"),
    Case("V2-extra-cells", f"{_HEAD}{_ADA}a@{{case}}.example,A,b,c,d\n{_BOB}", taken=2, held=("too_many_cells",)),
    Case("V2-missing-cells", f"{_HEAD}ada@{{case}}.example\n{_BOB}", taken=2),
    Case("V3-cell-too-long", f"{_HEAD}{_ADA}a@b.example,A,{'x' * 131_073}\n{_BOB}", taken=2, held=("too_long",)),
    Case("V4-nul-in-a-cell", f"{_HEAD}ada@{{case}}.example,A\0da,x\n{_BOB}", taken=2),
    Case("V5-quote-to-the-end", f'{_HEAD}{_ADA}b@c.example,"B,y\n', refused="quote_unterminated", facts=(("line", 3),)),
    Case(
        "V5-quote-over-many-lines",
        f'{_HEAD}{_ADA}b@c.example,"B,y\n' + "c@d.example,C,z\n" * 1_500,
        refused="quote_unterminated",
        facts=(("line", 3),),
    ),
    Case("V6-quote-in-the-middle", f'{_HEAD}{_ADA}a@b.example,"A"b,x\n{_BOB}', taken=2, held=("csv_syntax",)),
    Case(
        "V7-utf-16", (_HEAD + _ADA + "zoe@{case}.example,Zoë,x\n").replace("{case}", "utf16").encode("utf-16"), taken=2
    ),
    Case("V7-cp1252", (_HEAD + "zoe@cp.example,Zoë,x\n").encode("cp1252"), taken=1),
    Case("V7-bom", ("\ufeff" + _HEAD + "zoe@bom.example,Zoë,x\n").encode(), taken=1),
    Case(
        "V7-mixed",
        (_HEAD + "zoe@mix.example,Zoë,x\n").encode() + "jo@mix.example,Jürg,x\n".encode("cp1252"),
        taken=1,
        held=("undecodable",),
    ),
    Case("V7-half-a-character", (_HEAD + "zoe@half.example,Zoë,x\n").encode("utf-16")[:-1], refused="file_unreadable"),
    Case("V8-nobody-in-it", f"email,name,colour\n{_ADA},,blue\n", taken=1, held=("nothing_recognised",)),
    Case("V9-formula", f"{_HEAD}ada@{{case}}.example,Ada,=HYPERLINK(1)\n", taken=1),
    Case("V10-columns-of-one-name", "email,note,note,\nada@{case}.example,x,y,z\n", taken=1),
    Case("V10-a-thousand-columns", _WIDE, held=("too_many_fields",)),
    Case("V11-twice-in-the-file", f"{_HEAD}{_ADA}{_ADA}{_BOB}{_ADA}", taken=2, repeated=2),
    Case("V12-id-twice", "external_id,email\n7,ada@{case}.example\n7,ada.lind@{case}.example\n", taken=2),
    Case("V13-unsubscribed-false", "email,unsubscribed\nada@{case}.example,false\n", taken=1),
    Case("V14-a-day-that-is-none", "email,created_at\nada@{case}.example,2024-02-30\n", held=("date_invalid",)),
    Case(
        "V15-error-in-a-cell",
        _workbook(["email", "name"], ["ada@ref.example", "#REF!"], ["bob@ref.example", "Bob"], error="B2"),
        taken=1,
        held=("cell_error",),
        name="a.xlsx",
    ),
    Case(
        "V15-serial-that-is-no-date",
        _workbook(["email", "name", "created_at"], ["ada@no.example", "Ada", 99_999_999_999], number_as_date=True),
        held=("cell_error",),
        name="a.xlsx",
    ),
    Case(
        "V15-dates",
        _workbook(["email", "created_at"], ["ada@date.example", datetime(2024, 3, 1, 10)]),  # noqa: DTZ001 - a cell
        taken=1,
        name="a.xlsx",
    ),
    Case("V16-entities", _with_entities(), refused="file_unreadable", name="a.xlsx"),
    Case("V16-row-far-below", _with_a_row_far_below(), refused="file_unreadable", name="a.xlsx"),
    Case("V16-other-bytes", _with_other_bytes(), refused="file_unreadable", name="a.xlsx"),
    Case(
        "V18-not-an-object", '{"email": "ada@line.example"}\n["bob@line.example"]\n', taken=1, held=("object_expected",)
    ),
    Case(
        "V18-too-deep",
        '{"email": "ada@deep.example"}\n{"email": ' + "[" * 50_000 + "\n",
        taken=1,
        held=("json_depth",),
    ),
    Case("V18-broken-json", '{"email": "ada@json.example"}\n{"email": \n', taken=1, held=("json_syntax",)),
    Case("V19-workbook-named-csv", _workbook(["email"], ["ada@zip.example"]), taken=1),
    Case("V19-zip-named-xlsx", _zip(leads_csv="email"), refused="file_unreadable", name="a.xlsx"),
    Case("V20-old-workbook", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", refused="file_unreadable", name="a.xls"),
    Case("V21-state", f"{_HEAD}{_ADA}", refused="protected_field", map="note=state"),
    Case("V21-owner", f"{_HEAD}{_ADA}", refused="protected_field", map="note=owner"),
    Case("V22-no-such-column", f"{_HEAD}{_ADA}", refused="column_unknown", map="e-post=email"),
)


@pytest.fixture(scope="module")
def spine(postgres_server: str) -> Iterator[Spine]:
    with house(postgres_server) as url:
        spine = Spine(url)
        yield spine
        spine.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_bad_file_is_refused_or_its_rows_end_as_receipts_with_a_reason(
    spine: Spine, tmp_path: Path, case: Case
) -> None:
    content = case.content
    if isinstance(content, str):
        content = content.replace("{case}", case.id.lower()).encode()
    path = tmp_path / case.name
    path.write_bytes(content)

    if case.refused:
        counted = "SELECT (SELECT count(*) FROM receipt), (SELECT count(*) FROM import_run)"
        before = spine.rows(counted)
        with pytest.raises(Permanent) as refused:
            _import(spine, path, case.map)
        assert refused.value.code == case.refused
        assert refused.value.facts == dict(case.facts)
        assert spine.rows(counted) == before
        return
    told = _import(spine, path, case.map)

    ended = spine.rows("SELECT status, reason FROM receipt WHERE headers ->> 'import-run' = :run", run=str(told["run"]))
    assert sum(row["status"] in {"processed", "merged"} for row in ended) == case.taken
    assert sorted(row["reason"] for row in ended if row["status"] == "quarantined") == sorted(case.held)
    assert (told["rows"], told["repeated"]) == (case.taken + len(case.held) + case.repeated, case.repeated)
    again = _import(spine, path, case.map)
    assert (again["repeated"], again["rows"]) == (told["rows"], told["rows"])


def _import(spine: Spine, path: Path, map_: str | None) -> dict[str, Any]:
    rows = Rows(path)
    order = Order("files", mapping.read(map_, rows.columns))
    rows.count()
    return imports.load(Settings(database_url=spine.url), spine.url, order, path, rows)
