"""Migrations: all of them together give exactly the tables that the code is written for, and they can be trusted."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import create_engine, text

import migrations
from schema.errors import Permanent
from schema.tables import metadata
from services import migrate
from tests.servers import create_database, drop_database

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOGUE: Final = {
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               a.attgenerated, a.attstorage, a.attcompression, a.attcollation::regcollation::text,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, condeferrable, condeferred, convalidated,
               pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "relations": """
        SELECT c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.reloptions, t.reloptions AS toast,
               obj_description(c.oid)
        FROM pg_class AS c LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
        WHERE c.relnamespace = 'public'::regnamespace
    """,
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    """,
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    """,
    "types": """
        SELECT typname, typtype FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typrelid = 0 AND typelem = 0
    """,
}
BOOKKEEPING: Final = "alembic_version"


@pytest.fixture
def empty(postgres_server: str) -> Iterator[str]:
    name = f"migrations_{secrets.token_hex(4)}"
    yield create_database(postgres_server, name)
    drop_database(postgres_server, name)


@pytest.fixture
def from_tables(postgres_server: str) -> Iterator[str]:
    name = f"tables_{secrets.token_hex(4)}"
    url = create_database(postgres_server, name)
    engine = create_engine(url)
    metadata.create_all(engine)
    engine.dispose()
    yield url
    drop_database(postgres_server, name)


def described(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the catalogue says about a database, except the migrations' own bookkeeping."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            part: sorted(
                (tuple(row) for row in connection.execute(text(query)) if BOOKKEEPING not in str(row)), key=repr
            )
            for part, query in CATALOGUE.items()
        }
    engine.dispose()
    return found


def test_a_migrated_database_is_exactly_what_the_tables_say(empty: str, from_tables: str) -> None:
    migrate.migrate(empty)
    migrated, wanted = described(empty), described(from_tables)
    for part in CATALOGUE:
        assert migrated[part] == wanted[part], part
    assert all(wanted[part] for part in CATALOGUE if part != "types")


def test_migrating_twice_does_nothing_the_second_time(empty: str) -> None:
    assert [step.partition(" ")[0] for step in migrate.migrate(empty)][-1] == migrate.newest()
    before = described(empty)
    assert migrate.migrate(empty) == []
    assert described(empty) == before


def test_up_down_and_up_again_ends_where_up_did_and_down_leaves_nothing(empty: str) -> None:
    untouched = described(empty)
    migrate.migrate(empty)
    migrated = described(empty)
    migrate.downgrade(empty)
    assert described(empty) == untouched
    migrate.migrate(empty)
    assert described(empty) == migrated


def test_a_dry_run_says_what_is_missing_and_changes_nothing(empty: str) -> None:
    untouched = described(empty)
    assert migrate.migrate(empty, dry_run=True)[0].startswith("0001 ")
    assert described(empty) == untouched


def test_of_several_that_migrate_at_once_one_does_it_and_the_others_find_it_done(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        ran = [steps for steps in pool.map(migrate.migrate, [empty] * 4) if steps]
    assert len(ran) == 1
    assert migrate.migrate(empty) == []


def test_a_database_that_newer_code_migrated_is_left_alone(empty: str) -> None:
    migrate.migrate(empty)
    engine = create_engine(empty)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Permanent) as refused:
        migrate.migrate(empty)
    assert refused.value.code == "database_newer"


def test_every_step_is_numbered_and_says_when_it_runs() -> None:
    files = sorted(Path(migrations.__path__[0], "versions").glob("*.py"))
    assert [file.name[:5] for file in files] == [f"{number:04}_" for number in range(1, len(files) + 1)]
    for file in files:
        words = file.read_text(encoding="utf-8").split('"""')[1]
        assert "Runs before the new code" in words or "Runs after the new code" in words, file.name
