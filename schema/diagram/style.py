"""
How drawings look: one style sheet for all of them, light, dark and on paper.

Colours of departments and changes are told apart by people who see few colours (after Okabe and Ito, 2008), and never
say anything alone: departments are also written, changes also have patterns and signs. Text on its ground has a
contrast of at least 4.5 to 1.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

FONT: Final = "Helvetica, Arial, 'Liberation Sans', 'Nimbus Sans', sans-serif"
DEPARTMENTS: Final = 8
"""How many departments have a colour of their own; then colours come again."""
WIDEST: Final = 7
"""How many pixels wide the line is that most leads take."""
_UPRIGHT: Final = (718, 1030)
"""What a page of size A4 has room for within its margins, in pixels."""
_LEGIBLE: Final = 0.5
"""How much smaller than on a screen text on paper may be."""
HEATS: Final = 5
"""How many steps of delay have a colour."""
_LIGHT: Final = {
    "paper": "#ffffff", "ink": "#1c2530", "soft": "#4f5b69", "line": "#66727f", "edge": "#b9c2cc", "box": "#ffffff",
    "ground": "#f4f6f8", "ground2": "#eceff3", "plain": "#8a95a1", "over": "#24405e", "message": "#6b5a9e",
    "won": "#00684a", "won-ground": "#e3f3ec", "lost": "#8a3b12", "lost-ground": "#fbece3",
    "added": "#00684a", "added-ground": "#e3f3ec", "removed": "#9a2a5b", "removed-ground": "#fae8f0",
    "changed": "#7a5200", "changed-ground": "#fdf2d8", "unknown": "#a8235e", "kpi": "#0b5cad", "touch": "#54438a",
    "missed": "#8f2222",
    "heat0": "#d9c58a", "heat1": "#d9a832", "heat2": "#cf7f14", "heat3": "#b0540c", "heat4": "#7f3005",
    "h0-ground": "#ffffff", "h1-ground": "#fff8e3", "h2-ground": "#ffefcc",
    "h3-ground": "#ffe4b8", "h4-ground": "#fed8ac",
    "d0": "#0072b2", "d1": "#c75000", "d2": "#008060", "d3": "#a8518a", "d4": "#8a6d00", "d5": "#3d8fb8",
    "d6": "#6a4fb0", "d7": "#5b6670",
}  # fmt: skip
_DARK: Final = {
    "paper": "#12171d", "ink": "#e9eef3", "soft": "#b0bbc6", "line": "#93a0ad", "edge": "#46525e", "box": "#1d242c",
    "ground": "#171d24", "ground2": "#1f262e", "plain": "#7f8b97", "over": "#cfdae5", "message": "#b6a6ea",
    "won": "#63d6ab", "won-ground": "#14352a", "lost": "#f0a57c", "lost-ground": "#3b2418",
    "added": "#63d6ab", "added-ground": "#14352a", "removed": "#f08bb5", "removed-ground": "#3a1a29",
    "changed": "#f0c35e", "changed-ground": "#382b0e", "unknown": "#f58bb8", "kpi": "#7fbdf5", "touch": "#b6a6ea",
    "missed": "#ff9d8f",
    "heat0": "#6b6038", "heat1": "#94803c", "heat2": "#c29233", "heat3": "#e6a04a", "heat4": "#ffbe85",
    "h0-ground": "#1d242c", "h1-ground": "#2b2718", "h2-ground": "#362b17",
    "h3-ground": "#422d16", "h4-ground": "#4f2f17",
    "d0": "#56b4e9", "d1": "#f28e4d", "d2": "#35c79a", "d3": "#d891bf", "d4": "#e0c04a", "d5": "#8fd0ee",
    "d6": "#a993e6", "d7": "#9aa6b1",
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in colours.items())


_COLOURS: Final = "".join(
    f".tl .d{number} .bar,.tl .d{number}.headbar,.tl .bar.d{number}{{fill:var(--d{number})}}"
    for number in range(DEPARTMENTS)
)
_HEATS: Final = "".join(
    f".tl .h{step} .box{{fill:var(--h{step}-ground)}}.tl .h{step} .heat{{fill:var(--heat{step})}}"
    for step in range(HEATS)
)
_WIDTHS: Final = "".join(f".tl .w{pixels} .wire{{stroke-width:{pixels}}}" for pixels in range(1, WIDEST + 1))
_RULES: Final = f"""
.tl text{{font-family:{FONT};fill:var(--ink)}}
.tl .paper{{fill:var(--paper)}}
.tl .title{{font-size:20px;font-weight:700}}
.tl .subtitle{{font-size:12px;fill:var(--soft)}}
.tl .lane{{fill:var(--ground);stroke:var(--paper);stroke-width:2}}
.tl .lane.odd{{fill:var(--ground2)}}
.tl .head{{font-size:13px;font-weight:700}}
.tl .headbar{{fill:var(--plain)}}
.tl .box{{fill:var(--box);stroke:var(--edge);stroke-width:1.2}}
.tl .bar{{fill:var(--plain)}}
.tl .label{{font-size:14px;font-weight:600}}
.tl .note{{font-size:11.5px;fill:var(--soft)}}
.tl .kpi{{font-size:11px;fill:var(--kpi)}}
.tl .figures{{font-size:11.5px;font-weight:700}}
.tl .way{{font-size:12px}}
.tl .aside{{font-size:10.5px;fill:var(--soft)}}
.tl .wire{{fill:none;stroke:var(--line);stroke-width:1.4}}
.tl .head-arrow{{fill:var(--line);stroke:none}}
.tl .over .wire{{stroke:var(--over);stroke-width:2.2}}
.tl .over .head-arrow{{fill:var(--over)}}
.tl .message .wire{{stroke:var(--message);stroke-dasharray:5 4}}
.tl .message .head-arrow{{fill:var(--message)}}
.tl .start{{fill:var(--ink)}}
.tl .activity .box{{fill:var(--ground)}}
.tl .lanes .activity .box,.tl .bands .activity .box{{fill:var(--box)}}
.tl .touchpoint .box{{stroke:var(--message);stroke-width:1.4}}
.tl .campaign .box{{stroke-dasharray:6 3;stroke:var(--line)}}
.tl .decision .box{{stroke:var(--line)}}
.tl .figures-box .box{{stroke:var(--kpi)}}
.tl .ring{{fill:none;stroke:var(--edge);stroke-width:1.2}}
.tl .won .box{{fill:var(--won-ground);stroke:var(--won)}}
.tl .lost .box{{fill:var(--lost-ground);stroke:var(--lost)}}
.tl .won .ring{{stroke:var(--won)}}
.tl .lost .ring{{stroke:var(--lost)}}
.tl .badge{{font-size:11px;font-weight:700}}
.tl .won .badge{{fill:var(--won)}}
.tl .lost .badge{{fill:var(--lost)}}
.tl .added .box{{fill:var(--added-ground);stroke:var(--added);stroke-width:3}}
.tl .removed .box{{fill:url(#tl-removed);stroke:var(--removed);stroke-width:2;stroke-dasharray:3 3}}
.tl .changed .box{{fill:url(#tl-changed);stroke:var(--changed);stroke-width:2;stroke-dasharray:10 3}}
.tl .added .wire{{stroke:var(--added);stroke-width:3}}
.tl .added .head-arrow{{fill:var(--added)}}
.tl .removed .wire{{stroke:var(--removed);stroke-width:2;stroke-dasharray:2 4}}
.tl .removed .head-arrow{{fill:var(--removed)}}
.tl .changed .wire{{stroke:var(--changed);stroke-width:2;stroke-dasharray:10 3}}
.tl .changed .head-arrow{{fill:var(--changed)}}
.tl .removed .way,.tl .removed .label{{text-decoration:line-through}}
.tl .added .sign{{fill:var(--added)}}
.tl .removed .sign{{fill:var(--removed)}}
.tl .changed .sign{{fill:var(--changed)}}
.tl .sign{{stroke:var(--paper);stroke-width:1.5}}
.tl .sign-text{{font-size:12px;font-weight:700;fill:var(--paper)}}
.tl .hatch{{stroke:var(--removed);stroke-width:1;opacity:.35}}
.tl .hatch-ground{{fill:var(--removed-ground)}}
.tl .dots{{fill:var(--changed);opacity:.3}}
.tl .dots-ground{{fill:var(--changed-ground)}}
.tl .touch{{font-size:11px;fill:var(--touch)}}
.tl .times{{font-size:11px}}
.tl .alarm{{font-size:11.5px;font-weight:700;fill:var(--missed)}}
.tl .met,.tl .few{{font-size:11px}}
.tl .met{{fill:var(--won)}}
.tl .few,.tl .odd{{fill:var(--soft)}}
.tl .missed{{font-size:11px;font-weight:700;fill:var(--missed)}}
.tl .odd{{font-size:11px;font-style:italic}}
.tl .unknown .wire{{stroke:var(--unknown);stroke-dasharray:2 3}}
.tl .unknown .head-arrow{{fill:var(--unknown)}}
.tl .unknown .box{{stroke:var(--unknown);stroke-dasharray:2 3;stroke-width:2}}
.tl .unknown text{{fill:var(--unknown)}}
.tl .never .wire{{stroke:var(--plain);stroke-width:1.2;stroke-dasharray:1 4;stroke-linecap:round}}
.tl .never .head-arrow{{fill:var(--plain)}}
.tl .never .box{{fill:none;stroke:var(--plain);stroke-dasharray:1 4}}
.tl .never text{{fill:var(--soft)}}
.tl .gauge{{fill:none;stroke:var(--plain);stroke-width:.8}}
.tl .bottleneck .box{{stroke:var(--ink);stroke-width:3.2}}
.tl .legend text{{font-size:11.5px;fill:var(--soft)}}
.tl .legend text.sign-text{{font-size:12px;fill:var(--paper)}}
{_COLOURS}{_HEATS}{_WIDTHS}
"""
STYLE: Final = (
    f".tl{{{_variables(_LIGHT)}color-scheme:light dark}}"
    f"@media (prefers-color-scheme:dark){{.tl{{{_variables(_DARK)}}}}}"
    # On paper: light.
    f"@media print{{.tl{{{_variables(_LIGHT)}print-color-adjust:exact;-webkit-print-color-adjust:exact}}}}"
    + _RULES.strip().replace("\n", "")
)
"""The style sheet that stands in every picture."""

_ONE_PAGE: Final = "max-width:100%;max-height:98vh"
_PAGES: Final = "width:100%;height:auto"
PAPER: Final = {
    (landscape, pages): f"@media print{{@page{{size:A4{' landscape' if landscape else ''};margin:10mm}}"
    f".tl{{{_PAGES if pages else _ONE_PAGE}}}}}"
    for landscape in (False, True)
    for pages in (False, True)
}
"""How a picture lies on paper: upright or landscape, on one page or, where that would be too small, on several."""


def on_paper(wide: float, high: float) -> str:
    """The style sheet with which a picture of that size can be read on paper of size A4."""
    upright, landscape = (min(across / wide, down / high) for across, down in (_UPRIGHT, _UPRIGHT[::-1]))
    if max(upright, landscape) >= _LEGIBLE:
        return PAPER[landscape > upright, False]
    return PAPER[_UPRIGHT[0] / wide < _LEGIBLE, True]


def _hash(style: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


_STYLES: Final = " ".join(map(_hash, (STYLE, *PAPER.values())))
POLICY: Final = f"default-src 'none'; style-src {_STYLES}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy under which a picture looks as it should: nothing but its own style sheets."""
