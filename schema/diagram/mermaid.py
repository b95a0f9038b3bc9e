"""
A drawing as Mermaid text: `stateDiagram-v2` for the lifecycle, `flowchart` for the others.

Names are numbers and everything a journey says is written with character codes, so that no label can end its quotes,
begin a directive or become markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schema.diagram.figures import READING, figures
from schema.diagram.model import Drawing, Edge, Node
from schema.diagram.text import plain

_PLAIN: Final = frozenset(" .,+!?'/·")
_SHAPES: Final = {
    "decision": ("{", "}"),
    "touchpoint": ("([", "])"),
    "campaign": ("[[", "]]"),
    "figures": ("[/", "/]"),
    "start": ("((", "))"),
}
_ARROWS: Final = {"move": "-->", "flow": "-->", "message": "-.->"}


def mermaid(drawing: Drawing) -> str:
    """The drawing as a Mermaid document."""
    lines = _states(drawing) if drawing.kind == "state" else _chart(drawing)
    reading = READING if drawing.window is not None else ()
    return "\n".join([f"%% {_escaped(drawing.subtitle)}", *(f"%% {text}" for text in reading), *lines]) + "\n"


def _states(drawing: Drawing) -> Iterator[str]:
    yield "stateDiagram-v2"
    number = {node.id: f"s{at}" for at, node in enumerate(drawing.nodes)}
    for node in drawing.nodes:
        if node.shape != "start":
            yield f'  state "{_box(node)}" as {number[node.id]}'
    starts = {node.id for node in drawing.nodes if node.shape == "start"}
    for edge in drawing.edges:
        source = "[*]" if edge.source in starts else number[edge.source]
        label = _arrow(edge)
        yield f"  {source} --> {number[edge.target]}" + (f" : {label}" if label else "")
    yield from (f"  {number[node.id]} --> [*]" for node in drawing.nodes if node.final)


def _chart(drawing: Drawing) -> Iterator[str]:
    yield "flowchart TB"
    number = {node.id: f"n{at}" for at, node in enumerate(drawing.nodes)}
    for at, group in enumerate(drawing.groups):
        yield f'  subgraph g{at}["{_escaped(group.label)}"]'
        for node in drawing.nodes:
            if node.group == group.id:
                opening, closing = _SHAPES.get(node.shape, ("[", "]"))
                yield f'    {number[node.id]}{opening}"{_box(node)}"{closing}'
        yield "  end"
    for edge in drawing.edges:
        arrow = "==>" if edge.hands_over else _ARROWS[edge.line]
        label = _arrow(edge)
        middle = f'|"{label}"|' if label else ""
        yield f"  {number[edge.source]} {arrow}{middle} {number[edge.target]}"


def _box(node: Node) -> str:
    return " · ".join(_escaped(part) for part in (node.label, *node.notes, *node.kpis, *figures(node.marks)))


def _arrow(edge: Edge) -> str:
    told = ", ".join(part for part in (edge.label, edge.note, *edge.kpis, *figures(edge.marks, arrow=True)) if part)
    return _escaped(told)


def _escaped(text: str) -> str:
    """Letters, digits and harmless signs as they are, anything else as Mermaid's `#code;`."""
    words = " ".join(plain(text).split())
    return "".join(each if each.isalnum() or each in _PLAIN else f"#{ord(each)};" for each in words)
