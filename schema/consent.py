"""
Consent: what an arrival says that somebody allows or refuses.

    reads   the draft's consent (true: given, false: they said no; what is missing says nothing), what waits for its
            double opt-in, and what happened: who unsubscribes, calls our mail spam or wants to be erased, refuses
    gives   answers, at most one for each purpose, with what they rest on

A mail that could not be delivered is no answer. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from schema.understood import Understood

State = Literal["pending", "given", "withdrawn"]

MARKETING: Final = "marketing"
_REFUSALS: Final = {
    "email.unsubscribe": "unsubscribe",
    "email.unsubscribed": "unsubscribe",
    "email_unsubscribed": "unsubscribe",
    "unsubscribe": "unsubscribe",
    "unsubscribed": "unsubscribe",
    "email.complaint": "complaint",
    "erasure.requested": "erasure",
}
"""Kinds of touchpoints after which nobody may be sent marketing, and what that rests on."""
_LONGEST_PURPOSE: Final = 100
_MOST_PURPOSES: Final = 50


class Answer(NamedTuple):
    """What somebody said about one purpose, and what it rests on (a code)."""

    purpose: str
    state: State
    basis: str


def answers(said: Understood, channel: str) -> list[Answer]:
    """What an arrival says about consent; nothing for most."""
    if channel == "mailing":
        return []  # what was chosen on a page behind our mail stood in the ledger before it arrived
    waiting = said.data.get("consent_pending", ())
    refusal = _REFUSALS.get(said.kind)
    if not (said.draft.consent or waiting or refusal):
        return []
    given, refused = _basis(said, channel)
    found = [Answer(purpose, "pending", "opt_in") for purpose in waiting]
    for purpose, yes in said.draft.consent.items():
        found.append(Answer(purpose, "given", given) if yes else Answer(purpose, "withdrawn", refused))
    if refusal:
        found = [answer for answer in found if answer.purpose != MARKETING]
        found.append(Answer(MARKETING, "withdrawn", refusal))
    named = {answer.purpose.strip()[:_LONGEST_PURPOSE]: answer for answer in found[-_MOST_PURPOSES:]}
    return [answer._replace(purpose=purpose) for purpose, answer in named.items() if purpose]


def shown(said: Understood) -> tuple[str | None, str | None, dict[str, Any]]:
    """The words that somebody answered to, their version, and what else shows it."""
    evidence = dict(said.data.get("consent_evidence", ()))
    text, version = evidence.pop("text", None), evidence.pop("version", None)
    if "confirms" in said.data:
        evidence["confirms"] = said.data["confirms"]
    return text, version, evidence


def _basis(said: Understood, channel: str) -> tuple[str, str]:
    """What a yes and a no rest on: themselves in a form, their mailbox, or somebody else's word."""
    if channel == "opt_in":
        return "double_opt_in", "declined"
    if channel == "form" or said.kind == "form":
        return "opt_in", "declined"
    return "reported", "reported"
