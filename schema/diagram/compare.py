"""
Two drawings of the same kind as one: what was added, what was removed, and what is not as it was before.

Boxes and arrows are the same when their ids are: a state by its name, a move by its state and its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, TypeVar, get_args

from schema.diagram.model import Change, Drawing, Edge, Group, Marks, Node
from schema.diagram.overlay import told_of

_Part = TypeVar("_Part", Node, Edge)
_MOST_TOLD: Final = 300


def compared(before: Drawing, after: Drawing) -> Drawing:
    """
    The drawing of what changes; an arrow that leads elsewhere is removed here and added there.

    Where both have figures, each box and arrow has those of before and after; moves that neither journey has are left
    out.
    """
    before, after = _of_the_journey(before), _of_the_journey(after)
    nodes = _both(before.nodes, after.nodes)
    ends = {edge.id: (edge.source, edge.target) for edge in after.edges}
    old = [
        edge if ends.get(edge.id) in {None, (edge.source, edge.target)} else replace(edge, id=f"{edge.id}:before")
        for edge in before.edges
    ]
    edges = _both(old, after.edges)
    drawing = replace(
        after,
        nodes=tuple(nodes),
        edges=tuple(edges),
        groups=_groups(before.groups, after.groups),
        departments=tuple(dict.fromkeys([*after.departments, *before.departments])),
        compared=True,
        window=after.window or before.window,
    )
    counts = [f"{sum(part.change == change for part in drawing.parts)} {change}" for change in get_args(Change)]
    versions = f"from {before.journey} {before.version} to {after.journey} {after.version}"
    return replace(
        drawing,
        subtitle=f"{after.subtitle.partition(' · ')[0]} · what changes {versions}{_figures(before, after)}",
        description=f"{', '.join(counts)}. {after.description}",
    )


def _both(before: Iterable[_Part], after: Iterable[_Part]) -> Iterator[_Part]:
    """What there is after, and where it stood before, what is there no more."""
    old = {part.id: part for part in before}
    new = {part.id: part for part in after}
    waiting = list(old)
    for key, part in new.items():
        if key in old:
            while waiting and waiting[0] != key and waiting[0] not in new:
                yield replace(old[waiting.pop(0)], change="removed")
            if key in waiting:
                waiting.remove(key)
            was, now = replace(old[key], marks=None), replace(part, marks=None)
            yield _measured(now if was == now else _changed(was, now), old[key].marks, part.marks)
        else:
            yield replace(part, change="added")
    yield from (replace(old[key], change="removed") for key in waiting if key not in new)


def _of_the_journey(drawing: Drawing) -> Drawing:
    """Without moves and states that happened and are not in it."""
    parts = {part.id for part in drawing.parts if part.marks is not None and part.marks.unknown}
    return replace(
        drawing,
        nodes=tuple(node for node in drawing.nodes if node.id not in parts),
        edges=tuple(edge for edge in drawing.edges if not {edge.id, edge.source, edge.target} & parts),
    )


def _measured(part: _Part, was: Marks | None, now: Marks | None) -> _Part:
    """With the figures of before and after, where there are both."""
    return replace(part, marks=replace(now, was=was, heat=None) if now is not None else was and replace(was, heat=None))


def _figures(before: Drawing, after: Drawing) -> str:
    """Of what days the figures are, and which version has none."""
    windows = [each.window for each in (before, after)]
    if windows == [None, None]:
        return ""
    window = next(each for each in windows if each is not None)
    none = [each.version for each in (before, after) if each.window is None]
    missing = f"; {' and '.join(none)} had no leads then" if none else ""
    return f" · {told_of(replace(window, only=''))}{missing}"


def _changed(old: _Part, new: _Part) -> _Part:
    """The new one, and in its description what it said before."""
    was = ", ".join(part for part in _said(old) if part not in set(_said(new)))[:_MOST_TOLD]
    about = " ".join(part for part in (new.about, f"Before: {was}." if was else "") if part)
    return replace(new, change="changed", about=about)


def _said(part: Node | Edge) -> tuple[str, ...]:
    if isinstance(part, Node):
        told = (
            part.label,
            *part.notes,
            *part.links,
            *part.kpis,
            part.department,
            part.outcome,
            "final" if part.final else "",
        )
    else:
        told = (part.label, part.note, *part.kpis)
    return tuple(text for text in (*told, part.about) if text)


def _groups(before: tuple[Group, ...], after: tuple[Group, ...]) -> tuple[Group, ...]:
    """The lanes of both, those of before where they stood."""
    known = {group.id for group in after}
    merged = list(after)
    for at, group in enumerate(before):
        if group.id not in known:
            merged.insert(min(at, len(merged)), group)
    return tuple(merged)
