"""The report of a simulation as one page: nothing is fetched, light and dark, readable without its pictures."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Final

from services.cli.simulation.prose import change, moment, number, percent
from services.cli.simulation.report import ASPECTS, Row, Section, distribution, rules, sections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BOTH: Final = (
    '<p class="soft legend"><span class="key before"></span>before <span class="key after"></span>with the draft</p>'
)
_HELD: Final = {
    "criteria": ("Qualification", "leads that failed it", "by it alone"),
    "fit": ("Points for who they are", "leads it gave points", "grade hangs on it"),
    "engagement": ("Points for what they do", "leads it gave points", "grade hangs on it"),
}
_WIDE: Final = 100.0
"""Units of a picture's width; it is stretched to the room there is."""
_HIGH: Final = 40.0


def page(found: Mapping[str, Any]) -> str:
    """The whole page."""
    template = files("services.cli.simulation").joinpath("page.html").read_text(encoding="utf-8")
    title = f"What {found['after']['asked_for_as']} would have done"
    return Template(template).substitute(title=escape(title), body="\n".join(_body(found, title)))


def _body(found: Mapping[str, Any], title: str) -> Iterator[str]:
    yield from _head(found, title)
    if found["leads"]:
        yield from _differences(found)
        yield from _changes(found)
        yield _BOTH
        for section in sections(found):
            if section.rows:
                yield from _table(section)
        yield from _table(distribution(found))
        yield from _people(found)
        yield from _rules(found)
    yield from _trust(found)


def _head(found: Mapping[str, Any], title: str) -> Iterator[str]:
    since, until = (moment(found["window"][name]) for name in ("from", "to"))
    before, after = found["before"], found["after"]
    yield f"<h1>{escape(title)}</h1>"
    yield f'<p class="soft">To the leads that came in from {since} to {until} (UTC).</p>'
    yield f'<p class="headline">{escape(_headline(found))}</p>'
    yield "<dl>"
    for name, asked in (("Before", before), ("Draft", after)):
        yield (
            f"<dt>{name}</dt><dd>{escape(asked['journey'])} <code>{escape(asked['version'])}</code>, "
            f"{escape(asked['asked_for_as'])}</dd>"
        )
    yield "</dl>"


def _headline(found: Mapping[str, Any]) -> str:
    leads, changes = found["leads"], found["changes"]
    if not leads:
        return "Nothing came in on this journey within that time: there is nothing to compare."
    if not changes["different"]:
        return f"{leads:,} leads, and every one of them goes the same way as before."
    return (
        f"{changes['different']:,} of {leads:,} leads ({percent(changes['different'], leads)}) go differently; "
        f"{changes['score']['higher']:,} score higher, {changes['score']['lower']:,} lower."
    )


def _differences(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>What the draft changes</h2>"
    if not found["differences"]:
        yield "<p>Nothing: both journeys say the same.</p>"
        return
    yield "<ul>"
    yield from (f"<li>{escape(difference['text'])}</li>" for difference in found["differences"])
    yield "</ul>"


def _changes(found: Mapping[str, Any]) -> Iterator[str]:
    if not any(found["changes"]["by"].values()):
        return
    yield "<h2>What becomes different</h2>"
    yield '<p class="soft">Leads by kind of difference, the most frequent first, each with examples and why.</p>'
    for aspect, title in ASPECTS.items():
        kinds = found["changes"]["by"][aspect]
        if kinds:
            yield f"<h3>{title}</h3>"
            for kind in kinds:
                yield from _kind(kind)


def _kind(kind: Mapping[str, Any]) -> Iterator[str]:
    before, after = escape(kind["before"] or "none"), escape(kind["after"] or "none")
    yield f"<details><summary><span>{before} → <b>{after}</b></span><span>{kind['leads']:,}</span></summary><ul>"
    for example in kind["examples"]:
        who = f" {escape(example['name'])}" if example.get("name") else ""
        why = "; ".join(example["why"]) or "for the same reasons"
        yield f"<li><code>{escape(example['lead'])}</code>{who}: {escape(why)}</li>"
    yield "</ul></details>"


def _table(section: Section) -> Iterator[str]:
    most = max((max(row.before or 0, row.after or 0) for row in section.rows), default=0) or 1
    yield f"<h2>{escape(section.title)}</h2>"
    yield f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(section.title)}"><table>'
    yield f"<caption>{escape(section.note)}</caption>"
    yield '<thead><tr><th scope="col"></th><th scope="col">before</th><th scope="col">draft</th>'
    yield '<th scope="col">change</th><td class="bars"></td></tr></thead><tbody>'
    for row in section.rows:
        yield (
            f'<tr><th scope="row">{escape(row.label)}</th><td>{number(row.before)}</td><td>{number(row.after)}</td>'
            f'<td>{change(row)}</td><td class="bars">{_bars(row, most)}</td></tr>'
        )
    yield "</tbody></table></div>"


def _bars(row: Row, most: float) -> str:
    """Two bars, one below the other; the figures stand beside them, so they say nothing new to who cannot see."""
    if isinstance(row.before, float) or isinstance(row.after, float):
        return ""
    one, other = (_WIDE * (value or 0) / most for value in (row.before, row.after))
    return (
        f'<svg viewBox="0 0 {_WIDE:g} 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="before" width="{one:.2f}" height="4"/>'
        f'<rect class="after" y="5" width="{other:.2f}" height="4"/></svg>'
    )


def _people(found: Mapping[str, Any]) -> Iterator[str]:
    people = found["people"]
    if not people:
        return
    yield "<h2>Who has how much to do</h2>"
    yield f'<p class="soft">Leads given within the window, and leads open at the end of each {found["period"]}.</p>'
    yield '<div class="scroll" tabindex="0" role="group" aria-label="People"><table><thead><tr><th scope="col"></th>'
    yield '<th scope="col">given before</th><th scope="col">draft</th><th scope="col">share before</th>'
    yield '<th scope="col">draft</th><th scope="col">most open before</th><th scope="col">draft</th>'
    yield "</tr></thead><tbody>"
    for name, sides in people.items():
        before, after = (_told(sides[side]) for side in ("before", "after"))
        cells = "".join(f"<td>{one}</td><td>{other}</td>" for one, other in zip(before, after, strict=True))
        yield f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    yield "</tbody></table></div>"
    yield '<div class="people">'
    for name, sides in people.items():
        yield from _load(name, sides["before"], sides["after"], found["period"])
    yield "</div>"


def _told(share: Mapping[str, Any] | None) -> tuple[str, str, str]:
    if share is None:
        return "-", "-", "-"
    return f"{share['given']:,}", f"{share['share']:.1%}", f"{share['peak_open']:,}"


def _load(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, period: str) -> Iterator[str]:
    """A person's open leads over time, as two lines over the same time and height."""
    lines = [side["open_by_period"] if side else [] for side in (before, after)]
    most = max((value for line in lines for value in line), default=0)
    ends = " and ".join(
        f"{line[-1]:,} {words}" for line, words in zip(lines, ("before", "with the draft"), strict=True) if line
    )
    said = f"{name}: leads open by {period}, at the end {ends}; at most {most:,}"
    yield f'<figure><strong>{escape(name)}</strong><svg viewBox="0 0 {_WIDE:g} {_HIGH:g}" preserveAspectRatio="none" '
    yield f'role="img" aria-label="{escape(said)}">'
    for line, side in zip(lines, ("before", "after"), strict=True):
        yield f'<path class="{side}" d="{_path(line, most or 1)}"/>'
    yield f"</svg><figcaption>at the end {escape(ends) or 'none'}; at most {most:,}</figcaption></figure>"


def _path(line: Sequence[int], most: int) -> str:
    step = _WIDE / max(len(line) - 1, 1)
    points = (f"{place * step:.1f} {_HIGH - 1 - (_HIGH - 2) * value / most:.1f}" for place, value in enumerate(line))
    return "M" + " L".join(points) if line else ""


def _rules(found: Mapping[str, Any]) -> Iterator[str]:
    every = rules(found)
    yield "<h2>Rule by rule</h2>"
    for part, (title, held, mattered) in _HELD.items():
        told = [rule for rule in every if rule.part == part and (part == "criteria" or any(rule.held))]
        if not told:
            continue
        yield f'<h3>{title}</h3><div class="scroll" tabindex="0" role="group" aria-label="{title}"><table><thead><tr>'
        yield '<th scope="col"></th>'
        yield f'<th scope="col">{held}, before</th><th scope="col">draft</th>'
        yield f'<th scope="col">{mattered}, before</th><th scope="col">draft</th></tr></thead><tbody>'
        for rule in told:
            figures = "".join(
                f"<td>{'no such rule' if value is None else f'{value:,}'}</td>"
                for value in (*rule.held, *rule.mattered)
            )
            yield f'<tr><th scope="row">{escape(rule.name)}</th>{figures}</tr>'
        yield "</tbody></table></div>"


def _trust(found: Mapping[str, Any]) -> Iterator[str]:
    yield "<h2>How far to trust this</h2><ul>"
    for name, count in found["fidelity"].items():
        if count["compared"]:
            share = percent(count["same"], count["compared"])
            yield f"<li>Simulated, the journey as it is comes to the recorded {name} for {share} of leads.</li>"
    yield from (f"<li>{escape(note)}</li>" for note in found["notes"])
    yield "</ul>"
