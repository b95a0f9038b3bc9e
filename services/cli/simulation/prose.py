"""The report of a simulation as text of at most 80 columns, without colour."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from services.cli.simulation.report import ASPECTS, Number, Row, distribution, rules, sections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_WIDTH: Final = 80
_LABEL: Final = 44
_KINDS: Final = 6
"""Kinds of difference that are told of each aspect; the JSON and the page have all."""
_BAR: Final = 18
_PARTS: Final = {"criteria": "failed", "fit": "gave points", "engagement": "gave points"}


def text(found: Mapping[str, Any]) -> str:
    """The whole report."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _headline(found)
    if not found["leads"]:
        return
    yield from _differences(found)
    for section in sections(found):
        if section.rows:
            yield from _table(section.title, section.rows)
    yield from _scores(found)
    yield from _people(found)
    yield from _rules(found)
    yield from _changes(found)
    yield from _trust(found)


def _headline(found: Mapping[str, Any]) -> Iterator[str]:
    since, until = found["window"]["from"], found["window"]["to"]
    before, after = found["before"], found["after"]
    yield from _wrapped(
        f"What {after['asked_for_as']} would have done to the leads from {moment(since)} to {moment(until)} (UTC)"
    )
    yield f"before: {before['journey']} {before['version']} ({before['asked_for_as']})"
    yield f"after:  {after['journey']} {after['version']} ({after['asked_for_as']})"
    yield ""
    leads, different = found["leads"], found["changes"]["different"]
    if not leads:
        yield "Nothing came in on this journey within that time: there is nothing to compare."
    elif not different:
        yield f"{leads:,} leads, and every one of them goes the same way as before."
    else:
        yield from _wrapped(
            f"{different:,} of {leads:,} leads ({percent(different, leads)}) go differently. "
            f"{found['changes']['score']['higher']:,} score higher, {found['changes']['score']['lower']:,} lower."
        )


def _differences(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _title("What the draft changes")
    for difference in found["differences"]:
        yield from _wrapped(difference["text"], first="  - ", others="    ")
    if not found["differences"]:
        yield "  nothing"


def _table(title: str, rows: list[Row]) -> Iterator[str]:
    yield from _title(title, f"{'before':>11}{'after':>11}{'change':>12}")
    for row in rows:
        label = _short(row.label, _LABEL - 2)
        yield f"  {label:<{_LABEL - 2}}{number(row.before):>11}{number(row.after):>11}{change(row):>12}".rstrip()


def _scores(found: Mapping[str, Any]) -> Iterator[str]:
    section = distribution(found)
    most = max((max(row.before or 0, row.after or 0) for row in section.rows), default=0) or 1
    yield from _title("Scores", "  before                       after")
    for row in section.rows:
        one, other = (_bar(value or 0, most) for value in (row.before, row.after))
        yield f"  {row.label:<8} {one:<{_BAR}} {number(row.before):>9}  {other:<{_BAR}} {number(row.after):>9}"


def _people(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["people"]:
        return
    yield from _title("People", "given before -> after, share, most open at once")
    for name, sides in found["people"].items():
        before, after = sides["before"] or {}, sides["after"] or {}
        given = f"{before.get('given', 0):,} -> {after.get('given', 0):,}"
        share = f"{before.get('share', 0):.0%} -> {after.get('share', 0):.0%}"
        peak = f"{before.get('peak_open', 0):,} -> {after.get('peak_open', 0):,}"
        yield f"  {_short(name, 22):<22}{given:>20}{share:>16}{peak:>20}"


def _rules(found: Mapping[str, Any]) -> Iterator[str]:
    told = [rule for rule in rules(found) if any(rule.held)]
    if not told:
        return
    yield from _title("Rules", "leads before -> after; of those it decided for")
    for rule in told:
        held = " -> ".join("no rule" if number is None else f"{number:,}" for number in rule.held)
        mattered = " -> ".join("-" if number is None else f"{number:,}" for number in rule.mattered)
        label = f"{rule.name} {_PARTS[rule.part]}"
        yield f"  {_short(label, 40):<40}{held:>19}{mattered:>19}"


def _changes(found: Mapping[str, Any]) -> Iterator[str]:
    for aspect, title in ASPECTS.items():
        kinds = found["changes"]["by"][aspect]
        if not kinds:
            continue
        yield from _title(f"{title}: what is different")
        for kind in kinds[:_KINDS]:
            yield from _wrapped(
                f"{kind['before'] or 'none'} -> {kind['after'] or 'none'}: {kind['leads']:,}", first="  ", others="    "
            )
            for example in kind["examples"][:2]:
                who = f" ({example['name']})" if example.get("name") else ""
                why = "; ".join(example["why"]) or "for the same reasons"
                yield from _wrapped(f"{example['lead']}{who}: {why}", first="      ", others="        ")
        if len(kinds) > _KINDS:
            yield f"  and {len(kinds) - _KINDS} more kinds: --html or --json tells all"


def _trust(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _title("How far to trust this")
    told = [
        f"{name} of {percent(count['same'], count['compared'])}"
        for name, count in found["fidelity"].items()
        if count["compared"]
    ]
    if told:
        yield from _wrapped(
            f"Simulated, the journey as it is comes to what was recorded for the {', the '.join(told)} of leads.",
            first="  - ",
            others="    ",
        )
    for note in found["notes"]:
        yield from _wrapped(note, first="  - ", others="    ")


def _title(title: str, columns: str = "") -> list[str]:
    return ["", f"{title}{columns:>{_WIDTH - len(title) - 2}}" if columns else title]


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _short(text: str, width: int) -> str:
    return text if len(text) < width else text[: width - 2] + "…"


def number(value: Number) -> str:
    if value is None:
        return "-"
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def change(row: Row) -> str:
    if row.before is None or row.after is None or row.before == row.after:
        return ""
    change = row.after - row.before
    return f"{change:+,.1f}" if isinstance(change, float) else f"{change:+,}"


def _bar(value: float, most: float) -> str:
    return "#" * max(round(value / most * _BAR), 1 if value else 0)


def percent(part: int, whole: int) -> str:
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share in {0.0, 100.0} or 1 <= share <= 99 else f"{share:.2f} %"  # noqa: PLR2004


def moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")
