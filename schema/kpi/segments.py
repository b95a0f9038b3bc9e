"""
What figures tell leads apart by that is nobody's own: the segment, and the advertising campaign of the first touch.

Both come from what people and other systems wrote, and events carry them: so they are short codes and names of
campaigns, and what may be an address, a number to call or a sentence is none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema.facts import Facts
    from schema.journey import Journey

LONGEST: Final = 64
LONGEST_CAMPAIGN: Final = 100
_WORDS: Final = 6
_DIGITS: Final = 7
"""So many may be a telephone number."""


def segment_of(facts: Facts, journey: Journey) -> str | None:
    """Return the segment of a lead by its journey's `kpis`; None: it says none, or nothing that is one is known."""
    kpis = journey.kpis
    if kpis.segments:
        view = replace(facts).context(journey)  # of its own: what the lead's rules see is not complete yet
        for name, question in kpis.segments.items():
            if question.evaluate(view) is True:
                return name
    return code(_at(facts, kpis.segment)) if kpis.segment else None


def _at(facts: Facts, path: str) -> object:
    root, *names = path.split(".")
    value: Any = getattr(facts, root)
    if names and isinstance(value, dict) and names[0] in value:
        value = value[names[0]]
        inner = ".".join(names[1:])
        if inner and isinstance(value, dict) and inner in value:  # a form's own name may have dots in it
            return value[inner]
        for name in names[1:]:
            value = value.get(name) if isinstance(value, dict) else None
        return value
    return None if names else value


def code(value: object) -> str | None:
    """Return what somebody wrote as a code of at most `LONGEST` characters; None for what is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        return None
    words = str(value).split()
    found = " ".join(words)
    short = 0 < len(found) <= LONGEST and len(words) <= _WORDS
    return found if short and not _private(found) and len(re.findall(r"\d", found)) < _DIGITS else None


def campaign_of(attribution: Mapping[str, object], journey: Journey) -> str | None:
    """Return the advertising campaign that brought somebody, by the journey's `kpis`; cut where it is very long."""
    value = attribution.get(journey.kpis.campaign)
    if not isinstance(value, str) or not (found := value.strip()[:LONGEST_CAMPAIGN]) or _private(value):
        return None
    return found


def _private(text: str) -> bool:
    return "@" in text or "%40" in text or not text.isprintable()
