"""
Why: stored decisions in words for people, also why something did not happen.

Pure: a decision row in, sentences out; nothing is decided again and no rule is looked up, so the answer stays true
when the journey has long changed. The API and the command line show the same words.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from schema.store import why_route

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


def about(decisions: Iterable[Mapping[str, Any]], owner: str) -> list[dict[str, Any]]:
    """Return the decisions that say why somebody got the lead or did not, each with that as `about`."""
    asked = ((decision, why_route.about(decision, owner)) for decision in decisions)
    return [told(decision) | {"about": sentence} for decision, sentence in asked if sentence]


def _nothing(_: Explanation) -> Iterable[str]:
    return ()


# -- identify ----------------------------------------------------------------------------------------------------------


def _identified(decision: Mapping[str, Any], told: Explanation) -> str:
    if decision["outcome"] == "created":
        return "A new lead began."
    if decision["outcome"] in {"merged", "unmerged"}:
        return _of_people(decision["outcome"], told)
    return "Another arrival was added to this lead."


def _of_people(outcome: str, told: Explanation) -> str:
    rests = f" It rests and goes on in lead {told['goes_on_in']}." if told.get("goes_on_in") else ""
    if outcome == "merged":
        return f"Person {told['merged']} goes on as {told['survivor']}.{rests}"
    return f"Persons {told['merged']} and {told['survivor']} are two again.{rests}"


def _recognised(explanation: Explanation) -> Iterator[str]:
    if explanation.get("merge"):
        yield f"Asked for by {explanation['asked_by']}."
        return
    if explanation.get("receipt"):
        yield f"It came as receipt {explanation['receipt']}."
    keys = explanation.get("matched_on")
    yield f"The person is known by {_and(keys)}." if keys else "It gave nothing by which the person is known again."
    for other in explanation.get("also_keys_of", ()):
        yield f"It carried {_and(other['on'])} of person {other['person']} too: they may be one."
    if explanation.get("name_differs"):
        yield "The name in it is quite another."


def _unusable(explanation: Explanation) -> Iterator[str]:
    return (f"Not usable as it came: {issue}." for issue in explanation.get("issues", ()))


# -- qualify -----------------------------------------------------------------------------------------------------------


_LOOKS = {
    "never": "the journey does not look at it again",
    "most": "it was looked at again as often as the journey allows",
    "not_yet": "it is not looked at again yet",
    "newer_lead": "the person has another lead by now",
}


def _qualified(decision: Mapping[str, Any], explanation: Explanation) -> str:
    look = explanation.get("look")
    if look in _LOOKS:
        return f"Stays disqualified ({_reason(decision, 'told so before')}): {_LOOKS[look]}."
    again = {"news": "Looked at again for the news. ", "after": "Looked at again after a while. "}.get(look or "", "")
    if decision["outcome"] == "disqualified":
        return f"{again}Disqualified: {_reason(decision, 'a criterion failed')}."
    if decision["outcome"] == "qualified":
        asked = _count(explanation.get("criteria", ()), "criterion", "criteria")
        return f"{again}Qualified: {asked} and none failed."
    return f"{again}Not decided yet: {_and(explanation.get('ask')) or 'an answer'} has to be asked for."


def _criteria_passed(explanation: Explanation) -> Iterator[str]:
    for criterion in explanation.get("criteria", ()):
        if criterion["verdict"] != "unknown":
            verb = "passed" if criterion["verdict"] == "pass" else "failed"
            yield f"{criterion['name']} {verb}: {criterion.get('rule', '')}."
        elif criterion.get("taken_as") == "fail":
            yield f"{criterion['name']} failed: {_taken(criterion)}."


def _criteria_unknown(explanation: Explanation) -> Iterator[str]:
    for criterion in explanation.get("criteria", ()):
        if criterion["verdict"] == "unknown" and criterion.get("taken_as") != "fail":
            yield f"{criterion['name']} is unknown: {_taken(criterion)}."
    if explanation.get("look_again"):
        yield f"It is judged again at {_moment(explanation['look_again'])}, if nothing comes in before."


def _taken(criterion: Mapping[str, Any]) -> str:
    """Why an answer is unknown, and what became of that."""
    why = _unknown(criterion.get("missing"))
    if criterion.get("anew"):
        why = f"it was a no, and is asked for anew ({_and(criterion.get('missing'))})"
    if criterion.get("taken_as") and criterion.get("asked_until"):
        return f"{why}, and there was no answer until {_moment(criterion['asked_until'])}"
    return f"{why}, which counts as a {criterion['taken_as']}" if criterion.get("taken_as") else why


# -- score -------------------------------------------------------------------------------------------------------------


def _scored(_: Mapping[str, Any], explanation: Explanation) -> str:
    grade = f", grade {explanation['grade']}" if explanation.get("grade") else ", no grade"
    cell = f", cell {explanation['cell']}" if explanation.get("cell") else ""
    predicted = explanation.get("predicted")
    likely = "" if predicted is None else f"; {predicted:.0%} likely to be won, going by those before"
    return (
        f"Scored {explanation.get('total')} of 100{grade}{cell}: "
        f"fit {explanation.get('fit')}, engagement {explanation.get('engagement')}{likely}."
    )


def _points(explanation: Explanation) -> Iterator[str]:
    for part in explanation.get("parts", ()):
        origin = ""
        if part.get("touchpoint"):
            origin = f" (touchpoint {part['touchpoint']})"
        elif part.get("touchpoints"):
            origin = f" ({part['touchpoints']} more touchpoints)"
        yield f"{part['points']:+g} for {part['rule']}{origin}."
    for part in explanation.get("prediction", {}).get("because", ()):
        value = "not known" if part["value"] is None else part["value"]
        yield f"Odds of being won x{math.exp(part['log_odds']):.2f}: {part['feature']} is {value}."


def _points_missed(explanation: Explanation) -> Iterator[str]:
    for group in explanation.get("groups", ()):
        if group["points"] != group["counted"]:
            yield f"Of {group['points']:+g} in group {group['group']}, {group['counted']:+g} count: that is its limit."
    for axis, points in explanation.get("before_limits", {}).items():
        yield f"Of {points:+g} for {axis}, {explanation[axis]:+g} count: that is its limit."
    yield from (_uncounted(found) for found in explanation.get("uncounted", ()))
    for rule in explanation.get("unknown", ()):
        yield f"No points for {rule['rule']}: {_unknown(rule.get('missing'))}."


def _uncounted(found: Mapping[str, Any]) -> str:
    what = f"Not counted: {found['touchpoints']} {found['rule']}"
    if found["why"] == "burst":
        bursts = f" in {found['times']} bursts, each" if found["times"] > 1 else ""
        return f"{what}{bursts} within {max(found['within_s'], 0.1):g} s look like a scanner's."
    if found["why"] == "after_send":
        return f"{what} sooner after the message went out than anybody reads: like a scanner's."
    if found["why"] == "flagged":
        return f"{what} that their sender calls a machine's."
    if found["why"] == "no_rule":
        return f"{what}: the journey gives no points for it."
    if found["why"] == "ahead":
        return f"{what} yet: it is dated later than this moment."
    return f"{what} beyond what the rule counts within its time."


# -- advance -----------------------------------------------------------------------------------------------------------


def _advanced(decision: Mapping[str, Any], explanation: Explanation) -> str:
    moves: Sequence[Mapping[str, Any]] = explanation.get("moves", ())
    late = explanation.get("overdue")
    overdue = f" Overdue: in {late['state']} for longer than {_span(late['sla_s'])}." if late else ""
    if moves:
        way = ", then ".join(f"from {move['from_state']} to {move['to_state']} ({move['name']})" for move in moves)
        return f"Moved {way}.{overdue}"
    if explanation.get("considered"):
        return f"Stays where it is: no transition that happens by itself was ready.{overdue}"
    if decision["reason"]:
        return f"Stays where it is: {decision['reason']}.{overdue}"
    return f"Stays where it is: no transition out of this state happens by itself.{overdue}"


def _moved(explanation: Explanation) -> Iterator[str]:
    for move in explanation.get("moves", ()):
        causes = []
        if move.get("trigger") == "requalify":
            causes.append("it was looked at again and nothing speaks against it any more")
        if move.get("after_s"):
            causes.append(f"it was in {move['from_state']} for {_span(move['after_s'])}")
        if move.get("guard"):
            causes.append(move["guard"])
        reason = f", reason {move['reason']}" if move.get("reason") else ""
        yield f"{move['name']} was made{' because ' if causes else ''}{_and(causes)}{reason}."


def _not_moved(explanation: Explanation) -> Iterator[str]:
    for looked in explanation.get("considered", ()):
        why = {
            "not yet": "its condition does not hold yet",
            "unknown": _unknown(looked.get("missing")),
            "too early": f"not before {_moment(looked['until'])}" if looked.get("until") else "it is too early",
            "no look": "it is for leads that were told no and are looked at again",
        }.get(looked["verdict"])
        if why:
            yield f"{looked['transition']} was not made: {why}."


# -- moves that were asked for -----------------------------------------------------------------------------------------


def _asked(decision: Mapping[str, Any], explanation: Explanation) -> str:
    if decision["outcome"] == "moved":
        way = ", then ".join(
            f"from {move['from_state']} to {move['to_state']} ({move['name']})" for move in explanation["moves"]
        )
        reason = f": {decision['reason']}" if decision["reason"] else ""
        return f"Moved {way} because somebody asked for it{reason}."
    return f"Not moved, although {explanation.get('name') or 'a transition'} was asked for: {_reason(decision, None)}."


def _who_asked(explanation: Explanation) -> Iterator[str]:
    for asked in explanation.get("moves", (explanation,)):
        if asked.get("asked_by"):
            yield f"It was asked for by {asked['asked_by']}."


def _why_refused(explanation: Explanation) -> Iterator[str]:
    if "possible" in explanation:
        yield f"From {explanation['state']} this is possible: {_and(explanation['possible']) or 'nothing'}."
    if explanation.get("missing"):
        yield f"Its condition asks for what is not known: {_and(explanation['missing'])}."
    elif "guard" in explanation:
        yield f"Its condition does not hold: {explanation['guard']}."
    if "reasons" in explanation:
        yield f"It needs one of its reasons: {_and(explanation['reasons'])}."


# -- migrate -----------------------------------------------------------------------------------------------------------


def _migrated(decision: Mapping[str, Any], explanation: Explanation) -> str:
    return (
        f"Follows version {decision['journey']} of its journey from now on, "
        f"instead of {explanation.get('from_journey')}."
    )


def _stayed(explanation: Explanation) -> Iterator[str]:
    before, after = explanation.get("from_state"), explanation.get("state")
    yield f"It stays where it was: {before if before == after else f'{before} is {after} there'}."
    if explanation.get("owner"):
        yield f"{explanation['owner']} keeps it."


def _lost(explanation: Explanation) -> Iterator[str]:
    if explanation.get("lost_owner"):
        yield f"{explanation['lost_owner']} does not keep it: the version does not know them."
    if explanation.get("lost_pool"):
        yield f"It leaves pool {explanation['lost_pool']}: the version does not have it."


# -- any other ---------------------------------------------------------------------------------------------------------


def _plain(decision: Mapping[str, Any], _: Explanation) -> str:
    reason = f": {decision['reason']}" if decision["reason"] else ""
    return f"{decision['step'].capitalize()}: {decision['outcome'].replace('_', ' ')}{reason}."


_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def _at_risk(_: Mapping[str, Any], told: Explanation) -> str:
    return f"May leave: health {told['score']}, below {told['at_risk_below']}."


def _health(told: Explanation) -> Iterator[str]:
    yield f"Everybody starts from {told['start']}."
    yield from (f"{each['points']:+d} for {each['rule']}." for each in told["rules"])


def _health_unknown(told: Explanation) -> Iterator[str]:
    return (f"No points for {rule}: it is not known." for rule in told["unknown"])


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
    "score": (_scored, _points, _points_missed),
    "route": (why_route.routed, why_route.chosen, why_route.not_chosen),
    "advance": (_advanced, _moved, _not_moved),
    "health": (_at_risk, _health, _health_unknown),
    "migrate": (_migrated, _stayed, _lost),
    "move": (_asked, _who_asked, _why_refused),
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


def _moment(told: str) -> str:
    """`2026-11-20 12:00 UTC` for a stored moment."""
    return f"{told[:16].replace('T', ' ')} UTC"


def _span(seconds: int) -> str:
    """`2 days` for 172800: in the largest unit that it is a whole number of."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size} {unit}{'' if seconds == size else 's'}"


def _count(things: Sequence[object], one: str, many: str) -> str:
    return f"{len(things)} {one if len(things) == 1 else many} asked"


def _reason(decision: Mapping[str, Any], otherwise: str | None) -> str:
    return decision["reason"] or otherwise or decision["outcome"]


# -- what if -----------------------------------------------------------------------------------------------------------


def suggested(need: Mapping[str, Any]) -> str:
    """Return one suggestion for a higher score in words."""
    wanted = [_wanted(rule) for rule in need["fit"]]
    wanted += [f"{touch['count']} more {touch['kind']}" for touch in need["touches"]]
    also = f"; {_and(need['also'])} then too" if need["also"] else ""
    lost = f"; {_and(need['lost'])} no longer" if need["lost"] else ""
    return f"{need['total']} with {_and(wanted)}{also}{lost}."


def _wanted(rule: Mapping[str, Any]) -> str:
    if not rule["holds"]:
        return f"{rule['rule']} no longer so ({-rule['points']:+d})"
    missing = f"; {_unknown(rule['missing'])}" if rule.get("missing") else ""
    return f"{rule['rule']} ({rule['points']:+d}{missing})"


def within_reach(reach: Mapping[str, Any]) -> Iterator[str]:
    """Say what keeps a lead from a score, where something does."""
    most = f"engagement is capped at {reach['most_engagement']}"
    if not reach["capped"]:
        most = f"engagement comes to {reach['most_engagement']} at most, by the limits of its rules"
    if not reach["possible"]:
        yield f"{reach['target']} is out of reach: {most}, and fit comes to {reach['most_fit']} at most."
    elif reach["fit_lacks"]:
        yield f"{most.capitalize()}, so it takes fit as well: {reach['fit_lacks']} more than the {reach['fit']} it has."
