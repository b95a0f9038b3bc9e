"""
Sales: what people do about opportunities: open, change, win, lose and reopen them.

Not steps: somebody asks, and is answered at once, by the write path that moves use. Whatever it is, it is decided from
what is so once the lead is locked: of two who decide the same one, the second is told what became of it. What it means
for the lead follows in the same transaction, by the same code as a move that somebody asks for.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from schema import lifecycle
from schema.errors import Permanent
from schema.store import opportunities as store
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook
from workers.decide import opportunity as decide
from workers.moves import make, with_lead
from workers.sales import figures
from workers.sales.ledger import CHANNEL, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Engine

    from schema.journey.pipeline import Pipeline
    from workers.batch import Case

    Act = Callable[[Case, dict[str, Any], Pipeline], None]

_ATTEMPTS: Final = 3
"""Where its lead went over to another since it was looked up, it is looked up again."""


class Sales:
    """
    The opportunities of one database.

    `hint` hears of the step at which leads became due. Every method takes `now` for a clock that is moved. On a dry run
    everything is decided and nothing is kept. All that changes one returns it as `one` does, with `moved`: the move
    that its lead made with it, or None.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run
        self._book = JourneyBook()

    # -- changing ------------------------------------------------------------------------------------------------------

    def open(
        self,
        lead_id: str,
        pipeline: str | None,
        given: Mapping[str, Any],
        *,
        actor: str,
        reason: str | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Open one for a lead; a lead that is done with is taken up again by the pipeline's `reopen`, for that `reason`.

        :raises Permanent: `lead_unknown`; `lead_merged`; `pipeline_unknown`; `pipeline_not_named`; `stage_requires`;
            what `decide.read` raises; what a move raises, where the lead has to move
        """

        def act(case: Case) -> str:
            name, rules = _pipeline(case, pipeline)
            values = decide.completed(decide.read(given, case.journey, rules), {}, rules)
            _allow(rules, values.get("stage") or rules.first, values)
            _come_back(case, rules, reason, actor)
            ledger = Ledger(case.batch)
            row = ledger.open(case, name, values, actor)
            ledger.write()
            return str(row["id"])

        return self._do(lead_id, act, now)

    def change(
        self,
        opportunity_id: str,
        given: Mapping[str, Any],
        *,
        actor: str,
        expect: int | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Change what is known of one, or its stage; where `expect` is given, only if it has so many `changes` now.

        :raises Permanent: `opportunity_unknown`; `opportunity_closed`; `opportunity_changed`; `stage_requires`; what
            `decide.read` raises
        """

        def act(case: Case, row: dict[str, Any], rules: Pipeline) -> None:
            _expect_open(row)
            if expect is not None and row["changes"] != expect:
                raise Permanent(
                    "opportunity_changed", "It was changed meanwhile: look at it again.", changes=row["changes"]
                )
            values = decide.completed(decide.read(given, case.journey, rules), row, rules)
            if values.get("stage", row["stage"]) != row["stage"]:
                _allow(rules, values["stage"], row | values)
            ledger = Ledger(case.batch)
            ledger.change(case, row, values, actor)
            ledger.write()

        return self._about(opportunity_id, act, now)

    def win(
        self, opportunity_id: str, given: Mapping[str, Any], *, actor: str, now: datetime | None = None
    ) -> dict[str, Any]:
        """
        Have one be won, for the amount it has or is `given`; its lead makes the transition of the pipeline, if it can.

        :raises Permanent: `opportunity_unknown`; `opportunity_closed`; what `decide.read` raises; what a move raises
            (`GuardNotMet`, `ReasonRequired`)
        """

        def act(case: Case, row: dict[str, Any], rules: Pipeline) -> None:
            _expect_open(row)
            values = decide.completed(decide.read(given, case.journey, rules), row, rules)
            ledger = Ledger(case.batch)
            ledger.decide(case, row, "won", actor, values=values, channel=CHANNEL)
            ledger.write()
            _move(case, rules.won, None, actor)

        return self._about(opportunity_id, act, now)

    def lose(self, opportunity_id: str, reason: str, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Have one be lost; if it was the last open one and none was won, its lead makes the transition of the pipeline.

        :raises Permanent: `opportunity_unknown`; `opportunity_closed`; `reason_unknown`: `known` are the pipeline's;
            what a move raises
        """

        def act(case: Case, row: dict[str, Any], rules: Pipeline) -> None:
            _expect_open(row)
            if reason not in rules.reasons:
                words = f"Say why, by one of the reasons of {row['pipeline']}: {', '.join(rules.reasons)}."
                raise Permanent("reason_unknown", words, field="reason", known=list(rules.reasons))
            ledger = Ledger(case.batch)
            ledger.decide(case, row, "lost", actor, reason=reason, channel=CHANNEL)
            ledger.write()
            if _gives_up(case):
                _move(case, rules.lost, reason, actor)

        return self._about(opportunity_id, act, now)

    def reopen(
        self,
        opportunity_id: str,
        *,
        actor: str,
        stage: str | None = None,
        reason: str | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Take one up again that was decided, where it was or at a `stage`.

        A lead that is done with makes the pipeline's `reopen`, for that `reason`.

        :raises Permanent: `opportunity_unknown`; `opportunity_open`; `stage_unknown`; `stage_requires`; what a move
            raises, where the lead has to move
        """

        def act(case: Case, row: dict[str, Any], rules: Pipeline) -> None:
            if row["outcome"] is None:
                raise Permanent(
                    "opportunity_open", "It is open: there is nothing to take up again.", stage=row["stage"]
                )
            given = {"stage": stage} if stage is not None else {}
            values = decide.read(given, case.journey, rules)
            if row["stage"] not in rules.stages and not values:
                values = {"stage": rules.first}
            _allow(rules, values.get("stage", row["stage"]), row | values)
            _come_back(case, rules, reason, actor)
            ledger = Ledger(case.batch)
            ledger.reopen(case, row, values, actor)
            ledger.write()

        return self._about(opportunity_id, act, now)

    # -- looking -------------------------------------------------------------------------------------------------------

    def listed(
        self, *, limit: int = 50, status: str | None = None, **wanted: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page, the latest first, and the cursor of the next; see `figures.listed`."""
        with self._engine.connect() as connection:
            return figures.listed(connection, self._book, limit=limit, status=status, **wanted)

    def one(self, opportunity_id: str, *, now: datetime | None = None) -> dict[str, Any]:
        """
        Return one with everything that was changed of it.

        :raises Permanent: `opportunity_unknown`
        """
        with self._engine.connect() as connection:
            found = figures.one(connection, self._book, opportunity_id, now=now) if is_id(opportunity_id) else None
        if found is None:
            raise _unknown()
        return found

    def pipeline(
        self, pipeline: str | None = None, journey: str | None = None, owner: str | None = None
    ) -> dict[str, Any]:
        """
        Return what stands at each stage.

        :raises Permanent: `pipeline_unknown`; `pipeline_not_named`
        """
        with self._engine.connect() as connection:
            return figures.pipeline(connection, store.find(connection, self._book, pipeline, journey), owner)

    def forecast(
        self,
        pipeline: str | None = None,
        journey: str | None = None,
        *,
        months: int = 6,
        by: str | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Return what is to be expected, month by month.

        :raises Permanent: `pipeline_unknown`; `pipeline_not_named`
        """
        with self._engine.connect() as connection:
            gathered = figures.gather(connection, store.find(connection, self._book, pipeline, journey), now)
        return figures.forecast(gathered, months=months, by=by)

    # -- how -----------------------------------------------------------------------------------------------------------

    def _about(self, opportunity_id: str, act: Act, now: datetime | None) -> dict[str, Any]:
        """Have an opportunity in hand with its lead, wherever it is now, and let `act` change it."""

        def in_hand(case: Case) -> str:
            row = store.in_hand(case.batch.connection, opportunity_id, case.id)
            if row is None:
                raise Permanent("lead_merged")
            rules = case.journey.pipelines.get(row["pipeline"])
            if rules is None:
                words = (
                    f"The lead's journey has no pipeline {row['pipeline']} any more: have it follow a version with one."
                )
                raise Permanent("pipeline_unknown", words, known=sorted(case.journey.pipelines))
            act(case, row, rules)
            return opportunity_id

        for attempt in range(_ATTEMPTS):
            with self._engine.connect() as connection:
                lead_id = store.lead_of(connection, opportunity_id) if is_id(opportunity_id) else None
            if lead_id is None:
                raise _unknown()
            try:
                return self._do(lead_id, in_hand, now)
            except Permanent as refusal:
                if refusal.code != "lead_merged" or attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError  # the last attempt returns or raises

    def _do(self, lead_id: str, act: Callable[[Case], str], now: datetime | None) -> dict[str, Any]:
        if not is_id(lead_id):
            raise Permanent("lead_unknown")
        if self._dry_run:
            try:
                with_lead(self._engine, lead_id, now, partial(_undone, act=act, now=now))
            except _DryRunError as end:
                return end.done
        done = with_lead(self._engine, lead_id, now, partial(_done, act=act))
        if done["next_step"]:
            self._hint(done["next_step"], [lead_id])
        else:
            self._hint("route", ())  # a lead that is closed makes room for one that waits
        self._hint("nurture", ())
        return self.one(done["id"], now=now) | {"moved": done["moved"]}


class _DryRunError(Exception):
    """Ends a transaction of which nothing is to be kept."""

    def __init__(self, done: dict[str, Any]) -> None:
        super().__init__()
        self.done = done


def _done(case: Case, act: Callable[[Case], str]) -> dict[str, Any]:
    opportunity_id = act(case)
    move = case.moves[0] if case.moves else None
    moved = {"name": move.name, "from_state": move.from_state, "to_state": move.to_state} if move else None
    return {"id": opportunity_id, "moved": moved, "next_step": case.lead["next_step"]}


def _undone(case: Case, act: Callable[[Case], str], now: datetime | None) -> dict[str, Any]:
    done = _done(case, act)
    found = figures.one(case.batch.connection, case.batch.book, done["id"], now=now) or {}
    raise _DryRunError(found | {"moved": done["moved"]})


def _unknown() -> Permanent:
    return Permanent("opportunity_unknown", "There is no such opportunity.")


def _pipeline(case: Case, name: str | None) -> tuple[str, Pipeline]:
    """The pipeline of the lead's journey that is named; without a name that of its state, or the only one."""
    there = case.journey.pipelines
    fits = [each for each, rules in there.items() if rules.state == case.facts.state]
    found = name or (next(iter(there)) if len(there) == 1 else fits[0] if len(fits) == 1 else None)
    if found in there:
        return found, there[found]
    if found is None and there:
        raise Permanent("pipeline_not_named", f"Name one of the pipelines: {', '.join(there)}.", known=list(there))
    are = f"there are {', '.join(there)}" if there else "it has none; `pipelines` in the journey file makes them"
    raise Permanent("pipeline_unknown", f"The lead's journey has no such pipeline; {are}.", known=list(there))


def _allow(rules: Pipeline, stage: str, row: Mapping[str, Any]) -> None:
    if wanting := decide.missing(rules.stages[stage], row):
        words = f"At {stage} an opportunity has to have {', '.join(rules.stages[stage].requires)}; missing: "
        raise Permanent("stage_requires", words + f"{', '.join(wanting)}.", field="stage", missing=wanting)


def _expect_open(row: Mapping[str, Any]) -> None:
    if row["outcome"] is not None:
        words = f"It is {row['outcome']} already; reopen it to go on with it."
        raise Permanent("opportunity_closed", words, outcome=row["outcome"], reason=row["reason"])


def _gives_up(case: Case) -> bool:
    """Whether none of the lead's is open any more, and none was won since it came into its state."""
    since = case.facts.entered_at
    return all(
        row["outcome"] == "lost" or (row["outcome"] == "won" and since is not None and row["closed_at"] < since)
        for row in store.of_leads(case.batch.connection, [case.id])
    )


def _move(case: Case, name: str | None, reason: str | None, actor: str) -> None:
    """Have the lead make a transition of the pipeline, if its state has it; a single reason is its own."""
    if name is None or name not in lifecycle.possible(case.journey, case.facts.state):
        return
    known = case.journey.transition(name).reason
    make(case, name, None if len(known) == 1 else reason, actor, trigger="opportunity")


def _come_back(case: Case, rules: Pipeline, reason: str | None, actor: str) -> None:
    """Have a lead that is done with be worked on again; raises what its move raises where that is not possible."""
    if not case.journey.lifecycle[case.facts.state].final:
        return
    if rules.reopen is None:
        ways = list(lifecycle.possible(case.journey, case.facts.state))
        words = f"The lead is done with ({case.facts.state}), and the pipeline names no transition to `reopen` it."
        raise Permanent("lead_closed", words, state=case.facts.state, possible=ways)
    make(case, rules.reopen, reason, actor, trigger="opportunity")
