"""
Course: what became of one lead in one world, as far as two worlds are compared.

Made from the decisions, transitions and events that the steps wrote about it, as they would stand in the database.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from schema.events import name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.simulate.history import Found

TOLD: Final = frozenset({"lead.handed_on", "lead.reminded", "lead.escalated", "lead.overdue", "lead.queued"})
"""Events that are counted."""


class Course(msgspec.Struct, frozen=True, array_like=True):
    """
    One lead at the end of the window.

    `criteria` are the verdicts of qualification, `fit` and `engagement` the points of each rule before caps (`open`:
    the fit rules that a missing answer left open), `pools` why each pool was or was not chosen. `looked` are the
    automatic transitions that were looked at and not made, with why; `moves` those that were made, in order, with
    whose they were (`journey`, or somebody's). `impossible` are moves made by hand that this journey does not allow.
    `differs` names what was recorded otherwise: state, qualification, grade, owner; `compared` is false where that
    cannot be known.
    """

    lead: str
    outcome: str
    reason: str
    ask: tuple[str, ...]
    criteria: dict[str, str]
    total: int | None
    grade: str
    cell: str
    fit: dict[str, float]
    engagement: dict[str, float]
    open: tuple[str, ...]
    pool: str
    owner: str
    routed: str
    pools: dict[str, str]
    waiting: bool
    state: str
    looked: dict[str, str]
    moves: tuple[tuple[str, str, str, str], ...]
    impossible: tuple[str, ...]
    told: dict[str, int]
    anew: int
    differs: tuple[str, ...]
    compared: bool


class Notes:
    """What is noted of one lead on its way."""

    __slots__ = ("anew", "explained", "impossible", "moves", "outcome", "reason", "routed", "told")

    def __init__(self) -> None:
        self.explained: dict[str, Mapping[str, Any]] = {}
        self.outcome = self.reason = self.routed = ""
        self.moves: list[tuple[str, str, str, str]] = []
        self.impossible: list[str] = []
        self.told: Counter[str] = Counter()
        self.anew = 0

    def decided(self, row: Mapping[str, Any]) -> None:
        """Keep the latest decision of each step."""
        step, explanation = row["step"], row["explanation"]
        if step == "route" and not explanation.get("candidates") and step in self.explained:
            return  # that an owner is kept says nothing new
        self.explained[step] = explanation
        if step == "qualify":
            self.outcome, self.reason = row["outcome"], row["reason"] or ""
        elif step == "route":
            self.routed = row["reason"] or ""

    def moved(self, row: Mapping[str, Any]) -> None:
        """Keep a transition."""
        by = "journey" if row["actor"] == "journey" else "hand"
        self.moves.append((row["name"], row["from_state"], row["to_state"], by))

    def heard(self, row: Mapping[str, Any]) -> None:
        """Count an event."""
        name = name_of(row["data"])
        if name in TOLD:
            self.told[name] += 1


def course(lead: Mapping[str, Any], notes: Notes, found: Found) -> Course:
    """What became of a lead, from its columns and what was noted; `found` is what was recorded."""
    explained = notes.explained
    judged, scored = explained.get("qualify", {}), explained.get("score", {})
    routed, advanced = explained.get("route", {}), explained.get("advance", {})
    fit, engagement = _points(scored.get("parts", ()))
    grade, owner = lead["grade"] or "", lead["owner"] or ""
    now = {"state": lead["state"], "qualification": notes.outcome, "grade": grade, "owner": owner}
    then = {
        "state": found.state,
        "qualification": found.outcome or "",
        "grade": found.grade or "",
        "owner": found.owner,
    }
    compared = then if found.settled else {"state": found.state}
    return Course(
        lead=lead["id"],
        outcome=notes.outcome,
        reason=notes.reason,
        ask=tuple(judged.get("ask", ())),
        criteria={criterion["name"]: criterion["verdict"] for criterion in judged.get("criteria", ())},
        total=lead["score_total"],
        grade=grade,
        cell=lead["score_cell"] or "",
        fit=fit,
        engagement=engagement,
        open=tuple(rule["rule"] for rule in scored.get("unknown", ())),
        pool=lead["pool"] or "",
        owner=owner,
        routed=notes.routed,
        pools={candidate["pool"]: candidate["why"] for candidate in routed.get("candidates", ())},
        waiting=lead["waiting_since"] is not None,
        state=lead["state"],
        looked={
            looked["transition"]: _why_not(looked)
            for looked in advanced.get("considered", ())
            if looked["verdict"] != "made"
        },
        moves=tuple(notes.moves),
        impossible=tuple(notes.impossible),
        told=dict(notes.told),
        anew=notes.anew,
        differs=tuple(name for name, value in compared.items() if (value or "") != now[name]),
        compared=found.settled,
    )


def _points(parts: Any) -> tuple[dict[str, float], dict[str, float]]:  # noqa: ANN401 - from a decision's JSON
    """The points of each rule: those for who somebody is, and those for what they did."""
    fit: dict[str, float] = {}
    deeds: dict[str, float] = {}
    for part in parts:
        if "points" in part:
            side = deeds if "touchpoint" in part or "touchpoints" in part else fit
            side[part["rule"]] = round(side.get(part["rule"], 0.0) + part["points"], 2)
    return fit, deeds


def _why_not(looked: Mapping[str, Any]) -> str:
    missing = ", ".join(looked.get("missing", ()))
    return f"{missing} not known" if missing else str(looked["verdict"])
