"""Where the data is: settings from the environment, and the database they mean, started for us if it is not running."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from schema.settings import Settings

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder of the embedded database and its secret. Default: THROUGHLINE_DATA_DIR, else throughline-data.",
        show_default=False,
    ),
]
"""The option that every command on the database has."""


def read_settings(data_dir: Path | None = None, **given: Any) -> Settings:  # noqa: ANN401 - values of settings
    """Return the settings; what is given on the command line goes before the environment."""
    from pydantic import ValidationError

    from schema.settings import Settings

    if data_dir is not None:
        given["data_dir"] = data_dir
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = ", ".join(f"THROUGHLINE_{str(detail['loc'][0]).upper()} ({detail['msg']})" for detail in error.errors())
        raise Permanent("settings_invalid", f"Settings that cannot be used: {wrong}.") from error


@contextmanager
def database(settings: Settings, *, create: bool = False) -> Iterator[str]:
    """
    Yield the URL of the database; an embedded one that is not running runs as long as this does.

    `create` makes a new one where the folder has none; else that is an error (`nothing_here`).
    """
    if settings.database_url:
        yield settings.database_url
        return
    folder = settings.data_dir / "postgres"
    if not create and not (folder / "PG_VERSION").exists():
        raise Permanent(
            "nothing_here",
            f"There is no Throughline in {settings.data_dir}. Start one with `throughline up`, or say where it is: "
            "--data-dir, THROUGHLINE_DATA_DIR or THROUGHLINE_DATABASE_URL.",
        )
    from services.embedded import EmbeddedPostgres

    with EmbeddedPostgres(folder) as server:
        yield server.url()


@contextmanager
def engine(settings: Settings) -> Iterator[Engine]:
    """Yield an engine for a command's own statements."""
    from schema.store.engine import make_engine

    with database(settings) as url:
        made = make_engine(url, name="cli", pool_size=2)
        try:
            yield made
        finally:
            made.dispose()


@contextmanager
def transaction(settings: Settings, *, dry_run: bool = False) -> Iterator[Connection]:
    """Yield one transaction: committed at the end, or, for a dry run, rolled back."""
    with engine(settings) as made, made.connect() as connection:
        yield connection
        if dry_run:
            connection.rollback()
        else:
            connection.commit()
