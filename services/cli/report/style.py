"""How a report looks: on the colours of the diagrams (`schema/diagram/style.py`), by day, by night and on paper."""

from __future__ import annotations

from typing import Final

from schema.diagram.style import FONT

_SHADES: Final = "".join(
    f".s{step}{{background:color-mix(in srgb,var(--d0) {step * 4}%,var(--paper))}}" for step in range(1, 11)
)
_SCREEN: Final = f"""
*{{box-sizing:border-box}}
html{{scroll-behavior:smooth;-webkit-text-size-adjust:100%}}
@media (prefers-reduced-motion:reduce){{html{{scroll-behavior:auto}}}}
body{{margin:0 auto;padding:0 clamp(14px,3vw,40px) 60px;max-width:1400px;background:var(--paper);color:var(--ink);
font:15px/1.5 {FONT};font-variant-numeric:tabular-nums}}
h1{{font-size:28px;line-height:1.2;margin:36px 0 14px}}
h2{{font-size:21px;line-height:1.3;margin:0 0 6px}}
h3{{font-size:14px;line-height:1.3;margin:0 0 6px}}
section>h3{{margin-top:20px}}
code{{font-family:ui-monospace,Consolas,'Liberation Mono',monospace;font-size:.93em}}
p{{margin:0 0 10px;max-width:86ch}}
a{{color:var(--kpi)}}
a:focus-visible,.scrolled:focus-visible{{outline:3px solid var(--kpi);outline-offset:2px}}
.skip{{position:absolute;left:-999px}}
.skip:focus{{left:14px;top:6px;background:var(--paper);padding:6px}}
header dl{{display:flex;flex-wrap:wrap;gap:6px 28px;margin:0 0 18px}}
header dt{{color:var(--soft);font-size:12px}}
header dd{{margin:0}}
nav{{border-block:1px solid var(--edge);padding:8px 0;margin:0 0 8px}}
nav ul{{display:flex;flex-wrap:wrap;gap:4px 18px;list-style:none;margin:0;padding:0}}
section{{padding:34px 0 0}}
.intro,.remark,figcaption,.definition{{color:var(--soft)}}
.remark,figcaption{{font-size:12.5px;line-height:1.45;margin:6px 0 0;max-width:110ch}}
.cards{{display:grid;grid-template-columns:repeat(auto-fill,minmax(250px,1fr));gap:14px;list-style:none;padding:0;
margin:14px 0}}
.card{{border:1px solid var(--edge);border-radius:10px;padding:14px 16px;background:var(--ground)}}
.card p{{margin:0 0 5px;font-size:12.5px;line-height:1.4}}
.card .value{{font-size:27px;line-height:1.15;font-weight:700;margin:0 0 6px}}
.card.scant .value{{color:var(--soft);font-weight:400}}
.card .change{{font-size:13px}}
.card .sample,.card .definition{{font-size:12px;color:var(--soft)}}
.card .definition{{border-top:1px solid var(--edge);padding-top:6px;margin:8px 0 0}}
.is-met{{color:var(--won)}}
.is-missed{{color:var(--missed);font-weight:700}}
.is-few{{color:var(--soft)}}
figure{{margin:20px 0 0}}
.plots{{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:26px 30px;margin-top:18px}}
.plots figure{{margin:0}}
.plots svg,.wide svg{{width:100%;height:auto;display:block}}
.wide svg{{min-width:640px;max-width:1000px}}
.diagram svg{{height:auto;display:block}}
.diagram .scrolled{{border:1px solid var(--edge);border-radius:10px}}
.scrolled{{overflow-x:auto}}
table{{border-collapse:collapse;margin:20px 0 0;font-size:13px;line-height:1.4}}
caption{{text-align:left;font-weight:700;font-size:14px;padding:0 0 6px}}
th,td{{text-align:left;padding:5px 12px 5px 8px;border-bottom:1px solid var(--edge);vertical-align:top}}
thead th{{color:var(--soft);font-weight:600;border-bottom:2px solid var(--edge);vertical-align:bottom}}
tbody th{{font-weight:400;min-width:9em}}
td{{max-width:34em}}
.n{{text-align:right;white-space:nowrap}}
.tight{{white-space:nowrap}}
.long{{min-width:20em}}
thead .n{{white-space:normal}}
footer{{margin-top:44px;border-top:1px solid var(--edge);padding-top:12px;color:var(--soft);font-size:13px}}
.plot .axis,.stays .axis{{font-size:11px;fill:var(--soft)}}
.plot .grid,.stays .grid{{stroke:var(--edge);stroke-width:.7;opacity:.7}}
.plot .zero{{stroke:var(--line);stroke-width:1}}
.plot .tick{{stroke:var(--line);stroke-width:1}}
.plot .line{{fill:none;stroke:var(--d0);stroke-width:2;stroke-linejoin:round}}
.plot .line.cut{{stroke-dasharray:2 3;stroke-width:1.5}}
.plot .upper{{fill:none;stroke:var(--d1);stroke-width:1.3;stroke-dasharray:6 3}}
.plot .band{{fill:var(--d0);opacity:.16}}
.plot .target{{stroke:var(--won);stroke-width:1.6;stroke-dasharray:1.5 3.5;fill:none}}
.plot .dot,.stays .dot{{fill:var(--d0);stroke:var(--d0);stroke-width:1.2}}
.plot .hollow,.stays .hollow{{fill:var(--paper)}}
.stays .name,.bars .name{{font-size:12px}}
.stays .aside,.bars .aside{{font-size:11px;fill:var(--soft)}}
.stays .range{{stroke:var(--d0);stroke-width:6;stroke-linecap:butt;opacity:.55}}
.stays .whisker,.bars .whisker{{stroke:var(--line);stroke-width:1.3;fill:none}}
.stays .open{{stroke-dasharray:2 4}}
.bars .on{{fill:var(--d0)}}
.bars .won{{fill:var(--won)}}
.bars .lost{{fill:url(#tl-hatched);stroke:var(--lost);stroke-width:1}}
.bars .still{{fill:var(--ground2);stroke:var(--edge);stroke-width:1}}
.hatch-line{{stroke:var(--lost);stroke-width:2.4}}
.hatch-paper{{fill:var(--lost-ground)}}
.patterns{{position:absolute;width:0;height:0}}
"""
_PAPER: Final = """
@page{size:A4;margin:13mm 12mm}
@page wide{size:A4 landscape;margin:10mm}
@media print{
html{scroll-behavior:auto}
body{max-width:none;padding:0;font-size:10.5pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}
nav,.skip{display:none}
h1{margin-top:0;font-size:21px}
h2,h3,caption,thead,.intro{break-after:avoid}
section{padding-top:18px}
.card,.plots figure,figure.wide,tr{break-inside:avoid}
.cards{grid-template-columns:repeat(3,1fr);gap:8px}
.card{padding:9px 11px}
.card .value{font-size:20px}
.plots{grid-template-columns:repeat(2,1fr);gap:16px 20px}
.scrolled{overflow:visible;border:0}
.wide svg{min-width:0}
.diagram{break-before:page;break-inside:avoid;margin:0}
.diagram.landscape{page:wide}
.diagram .scrolled{border:0}
.diagram svg{display:block;margin:0 auto;width:auto;max-width:100%;max-height:245mm}
.diagram.landscape svg{max-height:165mm}
table{font-size:8.2pt;max-width:100%}
thead{display:table-header-group}
th,td{padding:3px 6px 3px 3px}
tbody th{min-width:0}
.long{min-width:0}
.broad{font-size:6.8pt}
.broad th,.broad td{padding:2px 4px 2px 2px}
.broad .n,.broad .tight{white-space:normal}
.remark,figcaption{font-size:8.5pt}
a{color:inherit;text-decoration:none}
}
"""
RULES: Final = (_SCREEN + _SHADES + _PAPER).strip().replace("\n", "")
"""The style sheet of the page, behind that of the diagrams."""
