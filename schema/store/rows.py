"""
Set-based statements: a whole batch in one round trip.

The rows travel as one JSON parameter that the server unfolds (`jsonb_to_recordset`), which costs a fifth of a
parameter per value. Statement texts are made once per table and set of columns, so the server prepares them.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import text
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Table, TextClause

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


@cache
def insert_statement(table: Table, columns: tuple[str, ...], tail: str = "") -> TextClause:
    """Return the statement that inserts the JSON array `:rows` into `table`."""
    names = ", ".join(f'"{name}"' for name in columns)
    return text(f'INSERT INTO "{table.name}" ({names}) SELECT {names} FROM {recordset(table, columns)} {tail}')  # noqa: S608 - names come from our tables


@cache
def _update_statement(table: Table, key: str, columns: tuple[str, ...], also: str) -> TextClause:
    assignments = ", ".join([*(f'"{name}" = r."{name}"' for name in columns if name != key), *filter(None, [also])])
    return text(
        f'UPDATE "{table.name}" AS t SET {assignments} FROM {recordset(table, columns)} WHERE t."{key}" = r."{key}"',  # noqa: S608 - names come from our tables
    )


@cache
def recordset(table: Table, columns: tuple[str, ...]) -> str:
    """Return the FROM item `r` that unfolds `:rows` with the column types of `table`."""
    typed = ", ".join(f'"{name}" {table.c[name].type.compile(_dialect)}' for name in columns)
    return f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({typed})"
