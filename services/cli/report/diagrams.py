"""The four diagrams with what happened in the window."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from schema.diagram import draw, with_figures
from schema.diagram.style import STYLE
from schema.diagram.svg import svg
from services.cli.report.parts import Picture, Section

if TYPE_CHECKING:
    from schema.diagram import Happened, Kind
    from services.cli.report.ask import Asked

_TITLES: Final[dict[Kind, tuple[str, str]]] = {
    "state": ("Lifecycle", "The states of a lead and the moves between them."),
    "flow": ("Flow", "What is done with a lead, from its first sign of interest to service."),
    "process": ("Process", "Who does it: departments, hand-overs and systems."),
    "crm": ("Relationship", "From generation to retention, with touchpoints and figures against targets."),
}
_HOW: Final = (
    "Wider arrows were taken by more leads, warmer boxes take longer, and a marked box is a bottleneck. Moves that the "
    "journey does not have are dashed in their own colour, those that never happened are grey."
)
_SIZE: Final = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
_PATTERNS: Final = re.compile(r"<defs>.*?</defs>\n", re.DOTALL)
_UPRIGHT: Final = 718 / 930
"""The shape of a page of paper, its heading left out."""


def diagrams(asked: Asked) -> Section:
    """The journey as it is, and what really happened, in four drawings."""
    assert asked.happened is not None  # noqa: S101 - `ask` has read it
    pictures = []
    for kind, (title, what) in _TITLES.items():
        happened = asked.happened if kind == "crm" else _with_targets(asked.happened)
        name = f"diagram-{kind}"
        drawn = svg(with_figures(draw(asked.journey, kind), asked.journey, happened), inside=name)
        # The page has the style sheet already, and nothing is compared here.
        drawn = _PATTERNS.sub("", drawn.replace(f"<style>{STYLE}</style>\n", "", 1), count=1)
        size = _SIZE.search(drawn)
        wide, high = (float(size[1]), float(size[2])) if size else (0.0, 1.0)
        pictures.append(Picture(name, title, drawn, what, "diagram", wide, landscape=wide / high > _UPRIGHT))
    return Section("diagrams", "The journey, and what really happened", _HOW, pictures)


def _with_targets(happened: Happened) -> Happened:
    """Of the KPIs only those with a target: the others have no place but in the picture that names them."""
    measured = {key: tuple(each for each in there if each.target) for key, there in happened.measured.items()}
    return replace(happened, measured={key: there for key, there in measured.items() if there})
