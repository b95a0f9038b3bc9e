"""The arrows of the house: schema knows nobody, services and workers do not know each other, only the CLI knows all."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
OURS: Final = {"schema", "services", "workers", "migrations", "tests"}
MAY_IMPORT: Final = {
    "schema": {"schema"},
    "services": {"schema", "services"},
    "workers": {"schema", "workers"},
    "migrations": set[str](),
    "services/cli": {"schema", "services", "workers"},
}


def part_of(file: Path) -> str:
    place = file.relative_to(ROOT)
    return "services/cli" if place.is_relative_to("services/cli") else place.parts[0]


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """Names of modules a file imports, wherever in it, and the lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno


FILES: Final = sorted(
    file for top in ("schema", "services", "workers", "migrations") for file in ROOT.glob(f"{top}/**/*.py")
)


def test_no_module_imports_what_its_part_may_not_know() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in FILES
        for name, line in imports(file)
        if (top := name.partition(".")[0]) in OURS and top not in MAY_IMPORT[part_of(file)]
    ]
    assert wrong == []


def test_only_the_command_line_is_free_to_import_the_command_line() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in FILES
        if part_of(file) != "services/cli"
        for name, line in imports(file)
        if name == "services.cli" or name.startswith("services.cli.")
    ]
    assert wrong == []


def test_every_import_says_from_the_top_where_it_comes_from() -> None:
    wrong = [f"{file.relative_to(ROOT)}:{line}" for file in FILES for name, line in imports(file) if name[:1] == "."]
    assert wrong == []


@pytest.mark.parametrize("part", ["schema", "services", "workers", "services/cli"])
def test_each_part_has_files_that_the_arrows_are_checked_in(part: str) -> None:
    assert any(part_of(file) == part for file in FILES)
