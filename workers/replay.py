"""
Replay: stored decisions made again from the inputs that were kept with them.

The steps themselves decide, on a batch whose rows go nowhere, as in a simulation; what they then explain is compared
with what is stored, to the last figure. Nothing else is read: neither the lead as it is today nor the pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from schema import tables
from schema.facts import Touch
from workers import score
from workers.batch import Case
from workers.decide import inputs
from workers.decide.score import warmth
from workers.decide.staff import Staff
from workers.pools import Pools
from workers.runtime import STEPS
from workers.simulate.world import COLUMNS, Imagined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Table

    from schema.facts import Facts
    from schema.journey import Journey
    from workers.decide.route import Routing
    from workers.decide.turns import Ledger

    Decision = Mapping[str, Any]

STEPS_REPLAYED: Final = ("qualify", "score", "route", "advance")
_COMPARED: Final = ("step", "outcome", "reason", "explanation")


class Replayed(NamedTuple):
    """
    One decision made again. `same` is None where that cannot be done, with `why_not`.

    `differs` names what came out otherwise: `explanation.total` and the like.
    """

    number: int
    step: str
    same: bool | None
    differs: tuple[str, ...] = ()
    why_not: str = ""


def replay(decisions: Iterable[Decision], journey_of: Callable[[str], Journey]) -> list[Replayed]:
    """
    Make the decisions of one lead again; they are its rows in order, from its first on.

    `journey_of` returns a journey by its version. Decisions that no rule made (arrivals, what people did by hand) are
    left out.
    """
    found: list[Replayed] = []
    touches: dict[str, Touch] = {}
    for run in _runs(decisions):
        first = run[0]
        told = first["explanation"].get("inputs")
        if told is None:
            found += [Replayed(row["number"], row["step"], None, (), "its inputs were not kept") for row in run]
            continue
        try:
            journey = journey_of(first["journey"])
            facts = inputs.facts(told, journey, touches.values(), first["at"])
        except inputs.Incomplete:
            found += [Replayed(row["number"], row["step"], None, (), "earlier touchpoints are missing") for row in run]
        else:
            made = _made(run, told["step"], facts, journey)
            found += [_compared(row, again) for row, again in zip(run, made, strict=True)]
        touches |= {
            row[0]: Touch(row[1], inputs.moment(row[2]), row[0], new=False, machine=len(row) > inputs.PLAIN_TOUCH)
            for row in told.get("touches", ())
        }
    return found


def _runs(decisions: Iterable[Decision]) -> Iterator[list[Decision]]:
    """Decisions that start from the same inputs: one that has them, and those at the same moment after it."""
    run: list[Decision] = []
    for row in decisions:
        decided = row["step"] in STEPS_REPLAYED and "asked_by" not in row["explanation"]
        begins = "inputs" in row["explanation"] or not run or run[-1]["at"] != row["at"]
        if run and (begins or not decided):
            yield run
            run = []
        if decided:
            run.append(row)
    if run:
        yield run


def _made(run: Sequence[Decision], step: str, facts: Facts, journey: Journey) -> list[Decision | None]:
    """What the steps decide now, as many decisions as there were; None where there are fewer."""
    batch = _Again(run[0]["at"])
    case = Case(batch, journey, facts, _columns(facts, journey), inputs={})
    batch.cases = {facts.lead_id: case}
    case.go(step)
    while len(batch.made) < len(run) and (name := case.lead["next_step"]):
        left = run[len(batch.made) :]
        batch.stored = next((row for row in left if row["step"] == name), None)
        if name == "score" and batch.stored and "prediction" in batch.stored["explanation"]:
            batch.step = name
            score.record(case, warmth(facts, journey, batch.now, _Predicted(batch.stored["explanation"])))
            case.go(journey.after(name))
        else:
            STEPS[name].work(batch)
    made: list[Decision | None] = [*batch.made]
    return [*made, *([None] * len(run))][: len(run)]


def _columns(facts: Facts, journey: Journey) -> dict[str, Any]:
    """The lead's columns as the facts have them."""
    score_then = facts.score or {}
    return dict.fromkeys(COLUMNS) | {
        "id": facts.lead_id,
        "person_id": facts.lead_id,
        "journey": journey.version,
        "journey_name": journey.name,
        "open": not journey.lifecycle[facts.state].final,
        "attempts": 0,
        "decisions": 0,
        "transitions": 0,
        "events": 0,
        "waits": {},
        "state": facts.state,
        "entered_at": facts.entered_at,
        "overdue": facts.overdue,
        "recycled": facts.recycled,
        "qualification": facts.qualification,
        "owner": facts.owner,
        "pool": facts.pool,
        "assignment": facts.assignment,
        "waiting_since": facts.waiting_since,
        "score_total": score_then.get("total"),
        "score_fit": score_then.get("fit"),
        "score_engagement": score_then.get("engagement"),
        "grade": score_then.get("grade") or None,
        "score_cell": score_then.get("cell") or None,
        "predicted": score_then.get("predicted"),
    }


def _compared(stored: Decision, made: Decision | None) -> Replayed:
    if made is None:
        return Replayed(stored["number"], stored["step"], same=False, differs=("nothing was decided",))
    then, now = _plain(stored), _plain(made)
    differs = [name for name in _COMPARED[:-1] if then[name] != now[name]]
    one, other = then["explanation"], now["explanation"]
    differs += [f"explanation.{name}" for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
    return Replayed(stored["number"], stored["step"], not differs, tuple(differs))


def _plain(row: Decision) -> dict[str, Any]:
    """What is compared, as the database would have it."""
    explanation = {name: value for name, value in row["explanation"].items() if name not in {"inputs", "staff"}}
    plain: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode({name: row[name] for name in _COMPARED[:-1]} | {"explanation": explanation})
    )
    return plain


class _Predicted:
    """A conversion predicted then: the model is not asked again, its answer is one of the inputs."""

    def __init__(self, explanation: Mapping[str, Any]) -> None:
        self.probability: float = explanation["predicted"]
        self.version: str = explanation["prediction"].get("version", "")
        self._told = explanation["prediction"]

    def explain(self) -> dict[str, Any]:
        return dict(self._told)


class _Again(Imagined):
    """A batch of one lead that keeps its decisions; what it asks of others is answered as it was then."""

    def __init__(self, now: datetime) -> None:
        super().__init__(None, now)
        self.made: list[Mapping[str, Any]] = []
        self.stored: Decision | None = None
        self.pools = _Then(self)

    @property
    def then(self) -> Mapping[str, Any]:
        """The explanation of the decision that is made again."""
        return self.stored["explanation"] if self.stored else {}

    def write(self, table: Table, row: Mapping[str, Any]) -> None:
        if table is tables.decision:
            self.made.append(row)

    def superseded(self, ids: Iterable[str]) -> set[str]:
        return set(ids) if self.then.get("look") == "newer_lead" else set()

    def last_owners(self, cases: Iterable[Case]) -> dict[str, tuple[str, datetime]]:
        previous = self.then.get("staff", {}).get("previous")
        if not previous:
            return {}
        # The step adds the time for which an owner gets a person's next lead; what was kept has it in it.
        found = {}
        for case in cases:
            sticky = case.journey.route.sticky
            if sticky is not None:
                found[case.lead["person_id"]] = (previous[0], inputs.moment(previous[1]) - sticky)
        return found


class _Then(Pools):
    """Turns and people's work as they were when the decision was made."""

    def __init__(self, batch: _Again) -> None:
        super().__init__(batch)
        self._again = batch

    def has(self, journey: Journey) -> bool:  # noqa: ARG002 - as the pools of a batch
        return True

    def ledgers(self, journey: Journey) -> dict[str, Ledger]:  # noqa: ARG002
        then = self._again.then
        return {then["pool"]: inputs.ledger(then)} if then.get("members") else {}

    def staff(self, journey: Journey) -> Staff:
        then = self._again.then
        return inputs.staff(then.get("staff", {}), then.get("pool"), journey)

    def took(self, case: Case, found: Routing) -> None:
        """Nobody else is here."""

    def gave(self, case: Case, owner: str) -> None:
        """Nobody else is here."""
