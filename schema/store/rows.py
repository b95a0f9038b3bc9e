"""
Set-based statements: a whole batch in one round trip.

The rows travel as one JSON parameter that the server unfolds (`jsonb_to_recordset`), which costs a fifth of a
parameter per value. Statement texts are made once per table and set of columns, so the server prepares them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import Table, text
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, TextClause

_encoder = msgspec.json.Encoder()
_dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def as_json(value: object) -> str:
    """Encode a statement's JSON parameter."""
    return _encoder.encode(value).decode()


def as_bytea(value: bytes) -> str:
    """Write bytes the way PostgreSQL reads them inside a JSON parameter."""
    return "\\x" + value.hex()


def insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], tail: str = "") -> None:
    """Insert `rows`, which all have the same columns; `tail` may add an ON CONFLICT clause."""
    if rows:
        connection.execute(insert_statement(table, tuple(rows[0]), tail), {"rows": as_json(rows)})


def update(
    connection: Connection,
    table: Table,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    also: str = "",
) -> int:
    """Set the columns of each row where `key` is the same, and `also`; return how many rows were changed."""
    if not rows:
        return 0
    result = connection.execute(_update_statement(table, key, tuple(rows[0]), also), {"rows": as_json(rows)})
    return result.rowcount


class Write(NamedTuple):
    """
    Rows of one table, which all have the same columns, to be written together with others.

    Inserted, with what `tail` says about conflicts; or, with a `key`, set where that is the same.
    """

    table: Table
    rows: Sequence[Mapping[str, Any]]
    tail: str = ""
    key: str = ""


def together(connection: Connection, *writes: Write) -> None:
    """
    Write to several tables in one round trip.

    The parts do not see each other's rows: what a trigger or a check of one reads has to be there before.
    """
    given = [write for write in writes if write.rows]
    if given:
        shapes = tuple((write.table, tuple(write.rows[0]), write.tail, write.key) for write in given)
        parameters = {f"rows{number}": as_json(write.rows) for number, write in enumerate(given)}
        connection.execute(_together_statement(shapes), parameters)


@cache
def _together_statement(shapes: tuple[tuple[Table, tuple[str, ...], str, str], ...]) -> TextClause:
    parts = [
        _update(table, key, columns, "", f"rows{number}") if key else _insert(table, columns, tail, f"rows{number}")
        for number, (table, columns, tail, key) in enumerate(shapes)
    ]
    *first, last = parts
    before = ", ".join(f"part{number} AS ({part})" for number, part in enumerate(first))
    return text(f"WITH {before} {last}" if first else last)


@cache
def insert_statement(table: Table, columns: tuple[str, ...], tail: str = "") -> TextClause:
    """Return the statement that inserts the JSON array `:rows` into `table`."""
    return text(_insert(table, columns, tail, "rows"))


@cache
def _update_statement(table: Table, key: str, columns: tuple[str, ...], also: str) -> TextClause:
    return text(_update(table, key, columns, also, "rows"))


def _insert(table: Table, columns: tuple[str, ...], tail: str, parameter: str) -> str:
    names = ", ".join(f'"{name}"' for name in columns)
    return f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM {recordset(table, columns, parameter)} {tail}'  # noqa: S608 - names come from our tables


def _update(table: Table, key: str, columns: tuple[str, ...], also: str, parameter: str) -> str:
    assignments = ", ".join([*(f'"{name}" = r."{name}"' for name in columns if name != key), *filter(None, [also])])
    unfolded = recordset(table, columns, parameter)
    return f'UPDATE "{table.name}" AS t SET {assignments} FROM {unfolded} WHERE t."{key}" = r."{key}"'  # noqa: S608 - names come from our tables


@cache
def recordset(table: Table, columns: tuple[str, ...], parameter: str = "rows") -> str:
    """Return the FROM item `r` that unfolds a JSON parameter with the column types of `table`."""
    typed = ", ".join(f'"{name}" {table.c[name].type.compile(_dialect)}' for name in columns)
    return f"jsonb_to_recordset(CAST(:{parameter} AS jsonb)) AS r({typed})"
