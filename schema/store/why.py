"""
Why: stored decisions in words for people, also why something did not happen.

Pure: a decision row in, sentences out; nothing is decided again and no rule is looked up, so the answer stays true
when the journey has long changed. The API and the command line show the same words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Explanation = Mapping[str, Any]


def told(decision: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the decision with `text` (one sentence), `because` and `why_not` (sentences, maybe none).

    `because` says what led to the outcome, `why_not` what else was looked at and why it did not come to be.
    """
    explanation = decision["explanation"]
    step = "" if decision["outcome"] == "discarded" else decision["step"]
    sentence, because, why_not = _WORDS.get(step, _WORDS[""])
    return dict(decision) | {
        "text": sentence(decision, explanation),
        "because": list(because(explanation)),
        "why_not": list(why_not(explanation)),
    }


def _nothing(_: Explanation) -> Iterable[str]:
    return ()


# -- identify ----------------------------------------------------------------------------------------------------------


def _identified(decision: Mapping[str, Any], _: Explanation) -> str:
    if decision["outcome"] == "created":
        return "A new lead began."
    return "Another arrival was added to this lead."


def _recognised(explanation: Explanation) -> Iterator[str]:
    if explanation.get("receipt"):
        yield f"It came as receipt {explanation['receipt']}."
    keys = explanation.get("matched_on")
    yield f"The person is known by {_and(keys)}." if keys else "It gave nothing by which the person is known again."


def _unusable(explanation: Explanation) -> Iterator[str]:
    return (f"Not usable as it came: {issue}." for issue in explanation.get("issues", ()))


# -- qualify -----------------------------------------------------------------------------------------------------------


def _qualified(decision: Mapping[str, Any], explanation: Explanation) -> str:
    if decision["outcome"] == "disqualified":
        return f"Disqualified: {_reason(decision, 'a criterion failed')}."
    if decision["outcome"] == "qualified":
        return f"Qualified: {_count(explanation.get('criteria', ()), 'criterion', 'criteria')} and none failed."
    return f"Not decided yet: {_and(explanation.get('ask')) or 'an answer'} has to be asked for."


def _criteria_passed(explanation: Explanation) -> Iterator[str]:
    for criterion in explanation.get("criteria", ()):
        if criterion["verdict"] != "unknown":
            verb = "passed" if criterion["verdict"] == "pass" else "failed"
            yield f"{criterion['name']} {verb}: {criterion.get('rule', '')}."


def _criteria_unknown(explanation: Explanation) -> Iterator[str]:
    for criterion in explanation.get("criteria", ()):
        if criterion["verdict"] == "unknown":
            yield f"{criterion['name']} is unknown: {_unknown(criterion.get('missing'))}."


# -- score -------------------------------------------------------------------------------------------------------------


def _scored(_: Mapping[str, Any], explanation: Explanation) -> str:
    grade = f", grade {explanation['grade']}" if explanation.get("grade") else ", no grade"
    return (
        f"Scored {explanation.get('total')} of 100{grade}: "
        f"fit {explanation.get('fit')}, engagement {explanation.get('engagement')}."
    )


def _points(explanation: Explanation) -> Iterator[str]:
    for part in explanation.get("parts", ()):
        origin = ""
        if part.get("touchpoint"):
            origin = f" (touchpoint {part['touchpoint']})"
        elif part.get("touchpoints"):
            origin = f" ({part['touchpoints']} more touchpoints)"
        yield f"{part['points']:+g} for {part['rule']}{origin}."


def _points_unknown(explanation: Explanation) -> Iterator[str]:
    for rule in explanation.get("unknown", ()):
        yield f"No points for {rule['rule']}: {_unknown(rule.get('missing'))}."


# -- route -------------------------------------------------------------------------------------------------------------


def _routed(decision: Mapping[str, Any], explanation: Explanation) -> str:
    owner, pool, turn = explanation.get("owner"), explanation.get("pool"), explanation.get("turn")
    if not owner:
        where = f" in the queue of pool {pool}" if pool else ""
        return f"Waits{where}: {_reason(decision, 'nobody is free')}."
    if explanation.get("reason") == "keeps_owner":
        return f"Stays with {owner}, who has it already."
    return f"Goes to {owner}: turn {turn} of pool {pool}." if turn else f"Goes to {owner}: {_reason(decision, pool)}."


def _chosen(explanation: Explanation) -> Iterator[str]:
    for candidate in explanation.get("candidates", ()):
        if candidate["chosen"]:
            yield f"Pool {candidate['pool']}: {candidate['why']}."
    for member in explanation.get("members", ()):
        if member["person"] == explanation.get("owner"):
            yield _member(member)


def _not_chosen(explanation: Explanation) -> Iterator[str]:
    for candidate in explanation.get("candidates", ()):
        if not candidate["chosen"]:
            yield f"Not pool {candidate['pool']}: {candidate['why']}."
    for member in explanation.get("members", ()):
        if member["person"] != explanation.get("owner"):
            yield f"Not {_member(member)}"


def _member(member: Mapping[str, Any]) -> str:
    return f"{member['person']} (weight {member['weight']}, {member['turns']} turns so far): {member['why']}."


# -- advance -----------------------------------------------------------------------------------------------------------


def _advanced(decision: Mapping[str, Any], explanation: Explanation) -> str:
    moves: Sequence[Mapping[str, Any]] = explanation.get("moves", ())
    if moves:
        way = ", then ".join(f"from {move['from_state']} to {move['to_state']} ({move['name']})" for move in moves)
        return f"Moved {way}."
    if explanation.get("considered"):
        return "Stays where it is: no transition that happens by itself was ready."
    if decision["reason"]:
        return f"Stays where it is: {decision['reason']}."
    return "Stays where it is: no transition out of this state happens by itself."


def _moved(explanation: Explanation) -> Iterator[str]:
    for move in explanation.get("moves", ()):
        reason = f", reason {move['reason']}" if move.get("reason") else ""
        guard = f" because {move['guard']}" if move.get("guard") else ""
        yield f"{move['name']} was made{guard}{reason}."


def _not_moved(explanation: Explanation) -> Iterator[str]:
    for looked in explanation.get("considered", ()):
        if looked["verdict"] == "not yet":
            yield f"{looked['transition']} was not made: its condition does not hold yet."
        elif looked["verdict"] == "unknown":
            yield f"{looked['transition']} was not made: {_unknown(looked.get('missing'))}."


# -- any other ---------------------------------------------------------------------------------------------------------


def _plain(decision: Mapping[str, Any], _: Explanation) -> str:
    reason = f": {decision['reason']}" if decision["reason"] else ""
    return f"{decision['step'].capitalize()}: {decision['outcome'].replace('_', ' ')}{reason}."


_WORDS: dict[
    str,
    tuple[
        Callable[[Mapping[str, Any], Explanation], str],
        Callable[[Explanation], Iterable[str]],
        Callable[[Explanation], Iterable[str]],
    ],
] = {
    "": (_plain, _nothing, _nothing),
    "identify": (_identified, _recognised, _unusable),
    "qualify": (_qualified, _criteria_passed, _criteria_unknown),
    "score": (_scored, _points, _points_unknown),
    "route": (_routed, _chosen, _not_chosen),
    "advance": (_advanced, _moved, _not_moved),
}


def _and(names: Sequence[str] | None) -> str:
    """`a`, `a and b`, `a, b and c`; empty for none."""
    if not names:
        return ""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _unknown(missing: Sequence[str] | None) -> str:
    if not missing:
        return "it has no answer for this lead"
    return f"{_and(missing)} {'is' if len(missing) == 1 else 'are'} not known"


def _count(things: Sequence[object], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many} asked"


def _reason(decision: Mapping[str, Any], otherwise: str | None) -> str:
    return decision["reason"] or otherwise or decision["outcome"]
