"""Why a lead went to whom it did, and why not to somebody else: stored decisions of the step `route` in words. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Explanation = Mapping[str, Any]

_TURN: Final = 1_000_000
_LEFT: Final = {
    "not_accepted": "not accepted in time",
    "owner_away": "they are away for longer than they have to accept it",
    "owner_left": "they are no longer among the people of the journey",
}
_WAITS: Final = {
    "everybody_away": "everybody is away",
    "outside_working_hours": "it is outside working hours",
    "at_capacity": "everybody has as much as they take",
    "others_first": "others have waited there for longer",
    "nobody_left": "everybody has had it already",
}


def routed(decision: Mapping[str, Any], explanation: Explanation) -> str:
    """Return in one sentence what became of the lead."""
    owner, reason = explanation.get("owner"), str(decision["reason"] or "")
    if decision["outcome"] in _BY_HAND:
        return _BY_HAND[decision["outcome"]].format(owner=owner, reason=f": {reason}" if reason else "")
    if not owner:
        where = f" in the queue of pool {explanation['pool']}" if explanation.get("pool") else ""
        return f"Waits{where}: {_WAITS.get(reason, 'nobody is free')}{_again(explanation)}."
    if decision["outcome"] == "reminded":
        return f"{owner} is reminded to accept it{_again(explanation, ' by')}."
    if decision["outcome"] == "escalated":
        who = f"Escalated to {owner}" if explanation.get("left") else f"Stays with {owner}, nobody else is left"
        return f"{who}: {_LEFT.get(reason, reason)}."
    return _given(decision, explanation, reason)


def _given(decision: Mapping[str, Any], explanation: Explanation, reason: str) -> str:
    owner, turn = explanation["owner"], explanation.get("turn")
    if reason == "keeps_owner":
        return f"Stays with {owner}, who has it already."
    how = f"turn {turn} of pool {explanation['pool']}" if turn else "they had this person's last lead"
    if decision["outcome"] == "handed_on":
        return f"Goes on from {explanation['left']} to {owner}: {_LEFT.get(reason, reason)}; {how}."
    return f"Goes to {owner}: {how}."


_BY_HAND: Final = {
    "accepted": "{owner} accepted it{reason}.",
    "declined": "{owner} declined it{reason}.",
    "assigned": "Given to {owner} by hand{reason}.",
}


def chosen(explanation: Explanation) -> Iterator[str]:
    """Yield what led to it."""
    if explanation.get("asked_by"):
        yield f"It was asked for by {explanation['asked_by']}."
    for candidate in explanation.get("candidates", ()):
        if candidate["chosen"]:
            yield f"Pool {candidate['pool']}: {candidate['why']}."
    for member in explanation.get("members", ()):
        if member["person"] == explanation.get("owner"):
            yield _member(member)
    if explanation.get("accept_by"):
        yield f"To be accepted by {_moment(explanation['accept_by'])}."


def not_chosen(explanation: Explanation) -> Iterator[str]:
    """Yield what else was looked at and why it did not come to be."""
    for candidate in explanation.get("candidates", ()):
        if not candidate["chosen"]:
            yield f"Not pool {candidate['pool']}: {candidate['why']}."
    previous = explanation.get("previous")
    if previous and previous.get("out"):
        yield f"Not {previous['person']}, who had this person's last lead: {previous['why']}."
    for member in explanation.get("members", ()):
        if member["person"] != explanation.get("owner"):
            yield f"Not {_member(member)}"


def about(decision: Mapping[str, Any], person: str) -> str | None:
    """Return why somebody got the lead or did not get it when this was decided; None where it was not about that."""
    explanation = decision["explanation"]
    if decision["step"] != "route" or "owner" not in explanation:
        return None
    owner = explanation["owner"]
    sentence = routed(decision, explanation)
    if owner == person or decision["outcome"] in _BY_HAND or not explanation.get("candidates"):
        return sentence
    previous = explanation.get("previous")
    if previous and previous["person"] == person and previous.get("out"):
        return f"{person} had this person's last lead, but: {previous['why']}. {sentence}"
    for member in explanation.get("members", ()):
        if member["person"] == person:
            return f"Not {_member(member)} {sentence}"
    if not explanation.get("members"):
        return sentence
    others = ", ".join(f"{looked['pool']} ({looked['why']})" for looked in explanation["candidates"][:-1])
    before = f" Pools looked at before: {others}." if others else ""
    return f"{person} is not in pool {explanation['pool']}.{before} {sentence}"


def _member(member: Mapping[str, Any]) -> str:
    owed = f", {member['credit'] / _TURN:+.2f} owed before" if member.get("credit") else ""
    return f"{member['person']} (weight {member['weight']}, {member['turns']} turns so far{owed}): {member['why']}."


def _again(explanation: Explanation, word: str = "; looked at again at the latest on") -> str:
    moment = explanation.get("look_again")
    return f"{word} {_moment(moment)}" if moment else ""


def _moment(moment: str | datetime) -> str:
    at = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
