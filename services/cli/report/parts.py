"""What a report is made of: sections of words, cards, pictures and tables. Plain values; `page` and `sheets` write."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column: `key` heads it in CSV, `title` on the page.

    Without a title it is in CSV only, without `sheet` on the page only; `tight`: on one line.
    """

    key: str
    title: str | None = None
    number: bool = False
    tight: bool = False
    sheet: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """
    A value as CSV has it, and the `text` that people read.

    `shade`, 0 to 1, is how dark its ground is; `mark` is `missed`, `met` or `few` (too small to say much).
    """

    value: object
    text: str | None = None
    shade: float | None = None
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table; `name` is that of its CSV file. Without `shown` it is in CSV only.

    `note` explains what stands in it, `warning` says what does not, also where nothing does.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    empty: str = "Nothing was counted in these days."
    warning: str = ""
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG with what it shows in words; `size` is `small`, `wide` or `diagram`."""

    name: str
    title: str
    svg: str
    caption: str
    size: str = "small"
    wide: float = 0
    """Its natural width in pixels, where it is a diagram."""
    landscape: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure."""

    title: str
    value: str
    change: str
    sample: str
    definition: str
    target: str = ""
    missed: bool | None = None
    few: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under its own heading."""

    name: str
    title: str
    intro: str
    blocks: Sequence[Table | Picture | Words | Sequence[Card]] = field(default_factory=list)
