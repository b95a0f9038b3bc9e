"""
How each kind of figure is reckoned from what was counted. Pure: each takes what was `Seen` and returns its figures.

The functions without an underscore are makers: they return the function that reckons for the measures they are given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from schema.kpi import figure as told
from schema.kpi.figure import NOTHING, Cell, Figure, Seen
from schema.satisfaction import csat, nps

if TYPE_CHECKING:
    from collections.abc import Mapping

Reckon = Callable[[Seen], Iterator[Figure]]
_DAY: Final = Decimal(told.DAY_S)
_MILLION: Final = Decimal(1_000_000)
_MOVE: Final = ("state", "transition", "to")


def counted(measure: str, *names: str, **where: str) -> Reckon:
    """How many, all together and by the parts `names`; only those with the parts `where`."""

    def reckon(seen: Seen) -> Iterator[Figure]:
        for part, cell in _each(seen, measure, names, where):
            yield told.count(part, cell.n)

    return reckon


def lasting(measure: str, *names: str, **where: str) -> Reckon:
    """How long something takes, of what ended within the time asked: all together and by the parts `names`."""

    def reckon(seen: Seen) -> Iterator[Figure]:
        for part, cell in _each(seen, measure, names, where):
            yield told.spread(part, cell)

    return reckon


def rate(reached: str, *of: str, by: str) -> Reckon:
    """What share of `of` (measures added up) the measure `reached` is, all together and by the part `by`."""

    def reckon(seen: Seen) -> Iterator[Figure]:
        for names in _together(seen, (by,)):
            above = seen.cells(reached, *names)
            below: dict[tuple[str, ...], int] = defaultdict(int)
            for measure in of:
                for key, cell in seen.cells(measure, *names).items():
                    below[key] += cell.n
            for key in sorted({*above, *below} or ({()} if not names else set())):
                yield told.share(_part(names, key), above.get(key, Cell()).n, below.get(key, 0))

    return reckon


def added(measure: str, *names: str, minus: str | None = None, **where: str) -> Reckon:
    """The sum of amounts by the parts `names`; those whose part `kind` is `minus` are taken away."""

    def reckon(seen: Seen) -> Iterator[Figure]:
        sums: dict[tuple[str, ...], Cell] = defaultdict(Cell)
        for key, cell in seen.cells(measure, "kind", *names, **where).items():
            taken = key[0] == minus if minus else False
            sums[key[1:]].add(0 if taken else cell.n, -cell.total if taken else cell.total, {})
        for key, cell in sums.items():
            yield Figure(_part(names, key), cell.total, cell.n, numerator=cell.total)

    return reckon


def answered(measure: str) -> Reckon:
    """How long the first answer to tickets takes, all together and by their kind."""

    def reckon(seen: Seen) -> Iterator[Figure]:
        whole, kinds = Cell(), {}
        for (kind,), cell in seen.cells(measure, "about").items():
            if kind != "lead" and (seen.of is None or kind == seen.of.code):
                whole.add(cell.n, cell.total, cell.bins)
                kinds[kind] = cell
        yield told.spread({}, whole)
        for kind, cell in kinds.items() if seen.of is None else ():
            yield told.spread({"ticket": kind}, cell)

    return reckon


def arrivals(seen: Seen) -> Iterator[Figure]:
    """Leads that began; of a state: stays in it that began."""
    yield told.count({}, seen.cell("entered").n if seen.of else seen.cell("created").n)


def qualified(seen: Seen) -> Iterator[Figure]:
    """Of the first answers of qualification the share that says yes."""
    yield told.share({}, seen.cell("qualification", answer="passed").n, seen.cell("qualification").n)


def disqualified(seen: Seen) -> Iterator[Figure]:
    """How many were refused, by the reason."""
    reasons = {answer: cell.n for (answer,), cell in seen.cells("qualification", "answer").items()}
    for answer in ("passed", "unknown"):
        reasons.pop(answer, None)
    yield told.count({}, sum(reasons.values()))
    for reason, number in reasons.items():
        yield told.count({"reason": reason}, number)


def converted(seen: Seen) -> Iterator[Figure]:
    """Of the stays that began, the share that ended by each move; of one state: by any move that is no loss."""
    begun = {state: cell.n for (state,), cell in _stays(seen).items()}
    left = seen.cells("left", *_MOVE)
    if seen.of is None:
        for key, cell in left.items():
            entered = begun.get(key[0], 0)
            yield told.share(_part(_MOVE, key), cell.n, entered, still_open=_open(seen, key[0]))
        return
    if seen.of.kind == "state":
        on = sum(cell.n for (_, _, to), cell in left.items() if to not in seen.shape.away)
    else:
        on = sum(cell.n for cell in left.values())
    yield told.share({}, on, sum(begun.values()), still_open=sum(_open(seen, state) for state in begun))


def dropped(seen: Seen) -> Iterator[Figure]:
    """Of the stays that began in each state, the share that ended in a loss."""
    gone: dict[str, int] = defaultdict(int)
    for (state, to), cell in seen.cells("left", "state", "to").items():
        gone[state] += cell.n if to in seen.shape.away else 0
    for (state,), cell in _stays(seen).items():
        part = {} if seen.of else {"state": state}
        yield told.share(part, gone[state], cell.n, still_open=_open(seen, state))


def moved_on(seen: Seen) -> Iterator[Figure]:
    """Of the moves out of each state the share of each way; of one state: of the ways that are no loss."""
    moves, out = seen.cells("moved", *_MOVE), _out(seen)
    if seen.of is None:
        for key, cell in moves.items():
            yield told.share(_part(_MOVE, key), cell.n, out[key[0]])
        return
    states = _leaving(seen)
    good = [cell.n for (_, _, to), cell in moves.items() if seen.of.kind != "state" or to not in seen.shape.away]
    yield told.share({}, sum(good), sum(out.get(state, 0) for state in states))


def moved_away(seen: Seen) -> Iterator[Figure]:
    """Of the moves out of each state the share that is a loss."""
    gone: dict[str, int] = defaultdict(int)
    for (state, to), cell in seen.cells("moved", "state", "to").items():
        gone[state] += cell.n if to in seen.shape.away else 0
    out = _out(seen)
    for state in [seen.of.code] if seen.of else sorted(gone):
        yield told.share({} if seen.of else {"state": state}, gone[state], out.get(state, 0))


def moved_after(seen: Seen) -> Iterator[Figure]:
    """How long the state had been held before each move; asked of something: before all of its moves."""
    names = () if seen.of else _MOVE
    for key, cell in (seen.cells("moved", *names) or ({} if names else {(): Cell()})).items():
        yield told.spread(_part(names, key), cell)


def stayed(seen: Seen) -> Iterator[Figure]:
    """How long stays in each state take, of those that began; the open ones count for as long as they last."""
    yield from _lasting(seen, "entered", "left", ("state",))


def handed_over(seen: Seen) -> Iterator[Figure]:
    """How long a hand-over between departments waits to be taken up; those that still wait count, too."""
    yield from _lasting(seen, "handover", "taken", ("from", "to"))


def won(seen: Seen) -> Iterator[Figure]:
    """Of the moves into states that count as won or lost, the share of the won ones; of a transition, of its own."""
    states = _leaving(seen) if seen.of and seen.of.kind == "transition" else None
    reached = decided = 0
    for row in seen.rows.get("moved", ()):
        state, transition, to = (row.parts[name] for name in ("state", "transition", "to"))
        if states is None:
            mine = to in seen.shape.won
            if seen.of and state != seen.of.code:
                continue
        else:
            mine = bool(seen.of and transition == seen.of.code)
            if state not in states:
                continue
        if mine or to in seen.shape.won or to in seen.shape.lost:
            reached += row.n if mine else 0
            decided += row.n
    yield told.share({}, reached, decided)


def lost_for(seen: Seen) -> Iterator[Figure]:
    """Of the opportunities that were lost, the share of each reason."""
    every = {pipeline: cell.n for (pipeline,), cell in seen.cells("opportunity.lost", "pipeline").items()}
    for (pipeline, reason), cell in seen.cells("opportunity.lost", "pipeline", "reason").items():
        yield told.share({"pipeline": pipeline, "reason": reason}, cell.n, every[pipeline])


def velocity(seen: Seen) -> Iterator[Figure]:
    """Open opportunities, times the share that is won, times what one is worth, by the days that one takes."""
    opened = _balance(seen, "until", ("opportunity.opened", "opportunity.reopened"), ("won", "lost"))
    decided: dict[str, int] = defaultdict(int)
    for measure in ("opportunity.won", "opportunity.lost"):
        for (pipeline,), cell in seen.cells(measure, "pipeline").items():
            decided[pipeline] += cell.n
    took = {pipeline: cell.mean_s() for (pipeline,), cell in seen.cells("opportunity.won", "pipeline").items()}
    for (pipeline, currency), cell in seen.cells("opportunity.amount", "pipeline", "currency", outcome="won").items():
        part, over, seconds = {"pipeline": pipeline, "currency": currency}, decided[pipeline], took.get(pipeline)
        if over <= 0 or cell.n <= 0 or not seconds:
            yield Figure(part, None, cell.n, denominator=over, reason=NOTHING)
            continue
        days = Decimal(seconds) / _DAY
        each = cell.total / over  # the share that is won times what one of those is worth
        value = (opened.get(pipeline, 0) * each / days).quantize(Decimal("0.01"))
        yield Figure(part, value, cell.n, numerator=opened.get(pipeline, 0), denominator=over)


def open_opportunities(seen: Seen) -> Iterator[Figure]:
    """How many opportunities were open at the end."""
    opened = _balance(seen, "until", ("opportunity.opened", "opportunity.reopened"), ("won", "lost"))
    for pipeline, number in sorted(opened.items()):
        yield told.count({"pipeline": pipeline}, number)


def renewed(seen: Seen) -> Iterator[Figure]:
    """Of the terms that came to their end, the share that another followed."""
    again = seen.cell("contract.renewed").n
    yield told.share({}, again, again + seen.cell("contract.ended", item="").n)


def churned(seen: Seen) -> Iterator[Figure]:
    """Of the contracts that ran at the beginning, the share that ended."""
    running = seen.cell("contract.started", "since").n - seen.cell("contract.ended", "since", item="").n
    yield told.share({}, seen.cell("contract.ended", item="").n, running)


def lifetime(seen: Seen) -> Iterator[Figure]:
    """What all customers ever bought, less what was paid back, for each of them."""
    customers = seen.cell("won", "until").n
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for (kind, currency), cell in seen.cells("purchased", "kind", "currency", when="until").items():
        sums[currency] += -cell.total if kind == "refund" else cell.total
    for currency, total in sorted(sums.items()):
        yield _to_cents(told.mean({"currency": currency}, total, customers))


def average_sale(seen: Seen) -> Iterator[Figure]:
    """What one purchase comes to."""
    for (currency,), cell in seen.cells("purchased", "currency", kind="purchase").items():
        yield _to_cents(told.mean({"currency": currency}, cell.total, cell.n))


def satisfied(kind: str) -> Reckon:
    """CSAT or NPS of the surveys of that kind, with its interval; all together and by survey."""
    reads = csat if kind == "csat" else nps

    def reckon(seen: Seen) -> Iterator[Figure]:
        for part, cell in _scored(seen, kind):
            found, scores = reads(cell.bins), sum(cell.bins.values())
            plain = Figure(part, None, scores, denominator=scores, reason=NOTHING)
            if found is None:
                yield plain
                continue
            above = round(found.value * scores / (1 if kind == "csat" else 100))
            yield replace(plain, value=found.value, low=found.low, high=found.high, numerator=above, reason=None)

    return reckon


def mean_score(seen: Seen) -> Iterator[Figure]:
    """The mean of the scores that were given, by survey: of different scales there is none together."""
    for (survey,), cell in seen.cells("survey.answered", "survey").items():
        yield told.mean({} if seen.of else {"survey": survey}, cell.total, cell.n)


def _scored(seen: Seen, kind: str) -> Iterator[tuple[dict[str, str], Cell]]:
    whole, surveys = Cell(), {}
    for (survey,), cell in seen.cells("survey.answered", "survey").items():
        if seen.shape.surveys.get(survey) == kind:
            whole.add(cell.n, cell.total, cell.bins)
            surveys[survey] = cell
    yield {}, whole
    for survey, cell in surveys.items() if seen.of is None else ():
        yield {"survey": survey}, cell


def reached_goal(seen: Seen) -> Iterator[Figure]:
    """Of those whose way through a campaign is over, the share that reached its goal."""
    for names in _together(seen, ("campaign",)):
        goals = seen.cells("campaign.exited", *names, outcome="goal")
        for key, cell in (seen.cells("campaign.exited", *names) or ({} if names else {(): Cell()})).items():
            yield told.share(_part(names, key), goals.get(key, Cell()).n, cell.n)


def credited(seen: Seen) -> Iterator[Figure]:
    """Wins as each model shares them out."""
    for (model,), cell in seen.cells("credit", "model").items():
        yield Figure({"model": model}, float(cell.total / _MILLION), cell.n, numerator=float(cell.total / _MILLION))


def credited_amount(seen: Seen) -> Iterator[Figure]:
    """Amounts as each model shares them out."""
    for (model, currency), cell in seen.cells("credit_amount", "model", "currency").items():
        yield Figure({"model": model, "currency": currency}, cell.total, cell.n, numerator=cell.total)


# -- helpers -----------------------------------------------------------------------------------------------------------


def _together(seen: Seen, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """By what to tell: all together first, and then apart where it is not asked of one of them."""
    return ((), names) if names and seen.of is None else ((),)


def _each(
    seen: Seen, measure: str, names: tuple[str, ...], where: Mapping[str, str]
) -> Iterator[tuple[dict[str, str], Cell]]:
    """What was counted, all together and by parts; of nothing all together is 0."""
    for shown in _together(seen, names):
        for key, cell in (seen.cells(measure, *shown, **where) or ({} if shown else {(): Cell()})).items():
            yield _part(shown, key), cell


def _part(names: tuple[str, ...], key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(names, key, strict=True))


def _leaving(seen: Seen) -> set[str]:
    """The states that the transition asked of leaves, or the state asked of."""
    if seen.of is None:
        return set()
    if seen.of.kind != "transition":
        return {seen.of.code}
    used = {row.parts["state"] for row in seen.rows.get("moved", ()) if row.parts["transition"] == seen.of.code}
    used |= {row.parts["state"] for row in seen.rows.get("left", ()) if row.parts["transition"] == seen.of.code}
    return used | seen.shape.ways.get(seen.of.code, frozenset())


def _out(seen: Seen) -> dict[str, int]:
    """How many moves left each state, by whichever way."""
    found: dict[str, int] = defaultdict(int)
    for row in seen.rows.get("moved", ()):
        found[row.parts["state"]] += row.n
    return found


def _stays(seen: Seen) -> dict[tuple[str, ...], Cell]:
    """Stays that began, by state; of a transition: in the states that it leaves."""
    found: dict[tuple[str, ...], Cell] = defaultdict(Cell)
    leaving = _leaving(seen)
    for row in seen.rows.get("entered", ()):
        if seen.of is None or row.parts["state"] in leaving:
            found[(row.parts["state"],)].add(row.n, row.total, {})
    return dict(sorted(found.items()))


def _open(seen: Seen, state: str) -> int:
    """How many of the stays that began in a state are not over."""
    begun = sum(row.n for row in seen.rows.get("entered", ()) if row.parts["state"] == state)
    over = sum(row.n for row in seen.rows.get("left", ()) if row.parts["state"] == state)
    return max(begun - over, 0)


def _lasting(seen: Seen, begun: str, over: str, names: tuple[str, ...]) -> Iterator[Figure]:
    rows: dict[tuple[str, ...], tuple[list[told.Row], list[told.Row]]] = defaultdict(lambda: ([], []))
    for at, measure in enumerate((begun, over)):
        for row in seen.rows.get(measure, ()):
            if seen.fits(row.parts):
                rows[tuple(row.parts[name] for name in names)][at].append(row)
    for key, (entered, left) in sorted(rows.items()):
        yield told.stay({} if seen.of else _part(names, key), entered, left, seen.age_s)


def _balance(seen: Seen, when: str, plus: tuple[str, ...], minus: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for measure in plus:
        for (pipeline,), cell in seen.cells(measure, "pipeline", when=when).items():
            found[pipeline] += cell.n
    for name in minus:
        for (pipeline,), cell in seen.cells(f"opportunity.{name}", "pipeline", when=when).items():
            found[pipeline] -= cell.n
    return found


def _to_cents(found: Figure) -> Figure:
    value = found.value
    return replace(found, value=value.quantize(Decimal("0.01"))) if isinstance(value, Decimal) else found
