"""
What really happened, put on a drawing: counts, shares, waiting, drop-off, bottlenecks, KPIs against their targets.

Moves that happened and are not in the journey are added; states and moves of the journey that nobody came into or took
are said to be so. All figures are those of the catalogue (`schema/kpi/catalog.py`), from the same buckets.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from schema.diagram.figures import DELAY_LIMITS_S, counted, lasting
from schema.diagram.model import Drawing, Edge, Group, Marks, Measured, Node, Window, titled
from schema.diagram.stages import stages
from schema.journey.model import Journey
from schema.kpi.bins import bin_of, percentile
from schema.kpi.figure import Cell, Row, spread, stay

MEASURES: Final = (
    "created", "touched", "qualification", "detected", "assigned", "accepted", "entered", "left", "moved",
    "handover", "taken", "campaign.entered", "message.sent",
)  # fmt: skip
"""What an overlay is made of."""
_STEPS: Final = {
    "step:identify": ("created", "detected"),
    "step:qualify": ("qualification", "qualification"),
    "step:route": ("assigned", "assigned"),
    "accept": ("accepted", "accepted"),
}
"""The steps that are counted, each with the measure of how many and that of how long: files are not waited for."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Where leads wait in vain: its rank, from 1, and in words what removing it would bring."""

    rank: int
    gain: str = ""


@dataclass(frozen=True, slots=True)
class Happened:
    """
    What was counted in a window: rows by measure; `arrived` leads by source, None where that is not known.

    `age_s` says how long ago the middle of a day was. `bottlenecks` and `measured` are by what they are of, as boxes
    and arrows are named: `state:lead`, `move:lead:qualify`, `handover:sales>service`; a KPI of a transition stands at
    `transition:qualify`, one of a kind of touchpoint at `touch:purchase`.
    """

    window: Window
    rows: Mapping[str, Sequence[Row]]
    age_s: Callable[[date], float]
    arrived: Mapping[str, int] | None = None
    bottlenecks: Mapping[str, Bottleneck] = field(default_factory=dict)
    measured: Mapping[str, tuple[Measured, ...]] = field(default_factory=dict)


def with_figures(drawing: Drawing, journey: Journey, happened: Happened) -> Drawing:
    """The drawing of a journey with what happened in a window."""
    return _Overlay(drawing, journey, happened).drawing()


class _Overlay:
    """One overlay in the making."""

    def __init__(self, drawing: Drawing, journey: Journey, happened: Happened) -> None:
        self.plain, self.journey, self.happened = drawing, journey, happened
        self.boxes = {node.id: node for node in drawing.nodes}
        self.stages = stages(journey)
        self.away = {name for name, state in journey.lifecycle.items() if _is_away(state.outcome, final=state.final)}
        self.moved = self._cells("moved", "state", "transition", "to")
        self.out: dict[str, int] = {}
        for (state, _, _), cell in self.moved.items():
            self.out[state] = self.out.get(state, 0) + cell.n

    def drawing(self) -> Drawing:
        unknown = [
            (key, cell) for key, cell in self.moved.items() if key not in {*self.journey.moves} and cell.n and all(key)
        ]
        gone = list(self._gone(unknown))
        more = [self._unknown(key, cell) for key, cell in unknown]
        marks = dict(self._boxes((*self.plain.nodes, *gone))) | dict(self._arrows())
        widest = max((each.count or 0 for key, each in marks.items() if key not in self.boxes), default=0)
        widest = max(widest, *(cell.n for _, cell in unknown), 0)
        if widest:
            more = [replace(edge, marks=_wide(edge.marks, widest)) for edge in more]
            arrows = {edge.id for edge in self.plain.edges}
            marks = {key: _wide(each, widest) if key in arrows else each for key, each in marks.items()}
        # How many came by a channel stands in its box.
        marks |= {key: replace(marks[key], count=None) for key in marks if key.startswith("flow:channel:")}
        drawn = self.plain.marked(marks, more, gone)
        window = replace(self.happened.window, widest=widest)
        told = told_of(window)
        return replace(
            drawn,
            groups=tuple(self._handed(group) for group in drawn.groups),
            window=window,
            subtitle=f"{drawn.subtitle} · {told}",
            description=f"{drawn.description} With figures of {told}.",
        )

    # -- boxes ---------------------------------------------------------------------------------------------------------

    def _boxes(self, nodes: Iterable[Node]) -> Iterator[tuple[str, Marks]]:
        for node in nodes:
            marks = self._state(node) if node.shape == "state" else self._other(node)
            parts = tuple(self._count(each) for each in node.counts) if node.notes else ()
            if any(part is not None for part in parts):
                marks = replace(marks or Marks(), parts=parts)
            marks = self._judged(node, marks)
            if marks is not None:
                yield node.id, marks

    def _state(self, node: Node) -> Marks:
        name = node.id.removeprefix("state:")
        entered, left = self._rows("entered", state=name), self._rows("left", state=name)
        count = sum(row.n for row in entered)
        known = name in self.journey.lifecycle
        if not count:
            return Marks(count=0, never=known and name not in self.out, unknown=not known)
        lasted = stay({}, entered, left, self.happened.age_s)
        lost = sum(row.n for row in left if row.parts["to"] in self.away)
        final = known and self.journey.lifecycle[name].final
        return Marks(
            count=count,
            p50_s=None if final else _seconds(lasted.value),
            p90_s=None if final else lasted.p90,
            open=None if final else lasted.open,
            lost=None if final else lost,
            heat=self._heat(name, _seconds(lasted.value), entered, left),
            unknown=not known,
        )

    def _heat(self, name: str, median: float | None, entered: Sequence[Row], left: Sequence[Row]) -> float | None:
        """How long half of the leads wait, where waiting is a delay: not at an end, nor where customers stay."""
        there = self.journey.lifecycle.get(name)
        if there is None or there.final or (self.stages[name] == "retention" and there.sla is None):
            return None
        if median is None:  # most are still there: at least for so long
            still: Counter[date] = Counter()
            for row in entered:
                still[row.day] += row.n
            for row in left:
                still[row.day] -= row.n
            ages = {bin_of(max(self.happened.age_s(day), 0.0)): count for day, count in still.items() if count > 0}
            median = percentile(ages, 0.5) or 0.0
        return bisect_right(DELAY_LIMITS_S, median) / len(DELAY_LIMITS_S)

    def _other(self, node: Node) -> Marks | None:
        """Steps, campaigns and single touchpoints."""
        if node.id in _STEPS:
            return self._lasting(*_STEPS[node.id])
        sort, _, name = node.id.partition(":")
        if sort == "campaign":
            return Marks(count=sum(row.n for row in self._rows("campaign.entered", campaign=name)))
        of = node.id if sort == "channel" else node.counts[0] if node.counts and not node.notes else ""
        count = self._count(of)
        return None if count is None else Marks(count=count)

    def _lasting(self, many: str, long: str) -> Marks:
        lasted = spread({}, self._cells(long).get((), Cell()))
        return Marks(count=self._cells(many).get((), Cell()).n, p50_s=_seconds(lasted.value), p90_s=lasted.p90)

    def _count(self, of: str) -> int | None:
        """How often something happened that a box names (`Node.counts`)."""
        sort, _, what = of.partition(":")
        if sort == "channel":
            if self.happened.arrived is None:
                return None
            sources = {name for name, source in self.journey.sources.items() if source.kind == what}
            return sum(n for source, n in self.happened.arrived.items() if source in sources)
        if sort == "touched":
            return sum(row.n for row in self._rows("touched", touchpoint=what))
        if sort == "sent":
            steps = what.split(",")
            return sum(row.n for row in self.happened.rows.get("message.sent", ()) if _item(row) in steps)
        return None

    def _judged(self, node: Node, marks: Marks | None) -> Marks | None:
        """With the KPIs of a box against their targets, and what is in the way."""
        keys = [node.id, *(f"touch:{each.removeprefix('touched:')}" for each in node.counts)]
        measured = tuple(kpi for key in dict.fromkeys(keys) for kpi in self.happened.measured.get(key, ()))
        stuck = self.happened.bottlenecks.get(node.id)
        if measured:
            marks = replace(marks or Marks(), measured=measured)
        if stuck is not None:
            marks = replace(marks or Marks(), bottleneck=stuck.rank, gain=stuck.gain)
        return marks

    # -- arrows --------------------------------------------------------------------------------------------------------

    def _arrows(self) -> Iterator[tuple[str, Marks]]:
        busiest: dict[str, tuple[int, str]] = {}
        for state, way, target in self.journey.moves:
            n = self.moved.get((state, way, target), Cell()).n
            busiest[way] = max(busiest.get(way, (-1, "")), (n, state), key=lambda each: each[0])
        for state, way, target in self.journey.moves:
            cell = self.moved.get((state, way, target), Cell())
            # A KPI of a transition stands once: where most leads take it.
            measured = self.happened.measured.get(f"transition:{way}", ()) if busiest[way][1] == state else ()
            yield f"move:{state}:{way}", replace(self._move(state, cell), never=not cell.n, measured=measured)
        answers = self._cells("qualification", "answer")
        if answers:
            passed = answers.get(("passed",), Cell()).n
            for edge in self.plain.edges:
                if edge.line == "flow" and edge.source == "step:qualify" and edge.target in {"step:score", "ready"}:
                    yield edge.id, Marks(count=passed)
            yield "flow:step:qualify:ask", Marks(count=answers.get(("unknown",), Cell()).n)
        for edge in self.plain.edges:
            if edge.target == "receive" and self.happened.arrived is not None:
                yield edge.id, Marks(count=self._count(edge.source))

    def _move(self, state: str, cell: Cell) -> Marks:
        if not cell.n:
            return Marks(count=0)
        return Marks(
            count=cell.n,
            share=cell.n / self.out[state] if self.out[state] > 0 else None,
            p50_s=percentile(cell.bins, 0.5),
            p90_s=percentile(cell.bins, 0.9),
        )

    def _unknown(self, key: tuple[str, ...], cell: Cell) -> Edge:
        state, way, target = key
        known = way in {name for _, name, _ in self.journey.moves}
        label = self.journey.transition(way).label if known else None
        return Edge(
            id=f"unknown:{state}:{way}:{target}",
            source=self._place(state),
            target=self._place(target),
            line="move",
            label=label or titled(way),
            about="This happened and is not in the journey.",
            marks=replace(self._move(state, cell), unknown=True),
        )

    def _place(self, state: str) -> str:
        """The box of a state; in the flow chart the first state has none, but is decided about."""
        there = f"state:{state}"
        return "ready" if there not in self.boxes and state == self.journey.initial else there

    def _gone(self, unknown: Sequence[tuple[tuple[str, ...], Cell]]) -> Iterator[Node]:
        """States that leads were in and that the journey does not have, in the lane of where they came from."""
        made: dict[str, Node] = {}
        for (state, _, target), _ in unknown:
            for name, other in ((state, target), (target, state)):
                key = self._place(name)
                if key in self.boxes or key in made:
                    continue
                beside = self.boxes.get(self._place(other)) or made.get(self._place(other))
                group = beside.group if beside else (self.plain.groups[-1].id if self.plain.groups else "")
                made[key] = Node(key, titled(name), "state", about="Not a state of the journey.", group=group)
        yield from made.values()

    # -- lanes ---------------------------------------------------------------------------------------------------------

    def _handed(self, group: Group) -> Group:
        """A department's lane with what others handed over to it, and how long that waited."""
        if not group.department or self.plain.kind != "process":
            return group
        told = []
        for (source, target), cell in self._cells("handover", "from", "to").items():
            if target == group.department and cell.n:
                begun = self._rows("handover", **{"from": source, "to": target})
                taken = self._rows("taken", **{"from": source, "to": target})
                stuck = self.happened.bottlenecks.get(f"handover:{source}>{target}")
                rank = f"▲ Bottleneck {stuck.rank}: " if stuck else ""
                many, long = counted(cell.n), _waited(begun, taken, self.happened.age_s)
                told.append(f"{rank}from {titled(source)} {many}{long}")
        return replace(group, notes=tuple(told))

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _rows(self, measure: str, **where: str) -> list[Row]:
        rows = self.happened.rows.get(measure, ())
        return [row for row in rows if all(row.parts.get(name) == value for name, value in where.items())]

    def _cells(self, measure: str, *names: str) -> dict[tuple[str, ...], Cell]:
        found: dict[tuple[str, ...], Cell] = {}
        for row in self.happened.rows.get(measure, ()):
            key = tuple(row.parts.get(name, "") for name in names)
            found.setdefault(key, Cell()).add(row.n, row.total, row.bins)
        return dict(sorted(found.items()))


def _is_away(outcome: str | None, *, final: bool) -> bool:
    """Whether who comes there is lost: the same as for the KPI `drop_off`."""
    return outcome == "lost" or (final and outcome != "won")


def _wide(marks: Marks | None, widest: int) -> Marks:
    marks = marks or Marks()
    return marks if marks.count is None else replace(marks, width=marks.count / widest)


def _waited(begun: Sequence[Row], taken: Sequence[Row], age_s: Callable[[date], float]) -> str:
    lasted = stay({}, begun, taken, age_s)
    half = _seconds(lasted.value)
    if half is None:
        return f", {counted(lasted.open)} not taken up" if lasted.open else ""
    most = f", 90% in {lasting(lasted.p90)}" if lasted.p90 is not None else ""
    return f", half taken up in {lasting(half)}{most}"


def _item(row: Row) -> str:
    return ">".join(row.parts.values())


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def told_of(window: Window) -> str:
    """The days in words: `1 to 31 October 2026, of source website, counted until 2026-11-01 09:30 UTC`."""
    last = date.fromordinal(window.until.toordinal() - 1)
    days = f"{window.since} to {last}" if window.since != last else f"{last}"
    only = f", {window.only}" if window.only else ""
    as_of = f"counted until {window.as_of:%Y-%m-%d %H:%M} UTC" if window.as_of else "nothing counted yet"
    return f"{days}{only}, {as_of}"
