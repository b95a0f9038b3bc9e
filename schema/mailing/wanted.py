"""
Whether somebody wants marketing: what they said to it, and what holds their address back. Pure.

Asked by the sender when a message is claimed, and by the page on which people see and choose what they get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from schema.consent import MARKETING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from schema.store.suppression import Suppressed

LIFTED_BY_CONSENT: Final = frozenset({"unsubscribed", "hard_bounce", "soft_bounces"})
"""What holds an address back only until its person says yes anew."""


class Consent(NamedTuple):
    """The latest answer of a person about one purpose: its id, yes or no, and when it was said."""

    id: str
    given: bool
    at: datetime


def refusal(purpose: str, consent: Mapping[str, Consent], suppressed: Sequence[Suppressed]) -> str | None:
    """Why somebody is not to get marketing for a purpose; `consent` are their answers by purpose, `marketing` too."""
    given = consents(purpose, consent)
    for held in suppressed:
        if not (given and held.reason in LIFTED_BY_CONSENT and given.at > held.at):
            return held.reason
    if given:
        return None
    return "withdrawn" if {purpose, MARKETING} & consent.keys() else "no_consent"


def consents(purpose: str, consent: Mapping[str, Consent]) -> Consent | None:
    """
    The yes that allows a purpose, unless a later no to all marketing takes it back.

    Of answers given at one moment, as on one page, each is for its own purpose.
    """
    given, general = consent.get(purpose), consent.get(MARKETING)
    if given is None or not given.given:
        return None
    return None if general and not general.given and general.at > given.at else given
