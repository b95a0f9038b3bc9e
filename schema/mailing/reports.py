"""
Reports of other systems about our mail: that it bounced, or that somebody called it spam.

Like the mails that say so (`schema/mail`) they go to whom they are about, if that is known, and open no lead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from schema.understood import Understood

_DEEPEST: Final = 6
_MOST: Final = 50
_LONGEST: Final = 500
_KINDS: Final = {"email.bounce": "bounce", "email.complaint": "complaint"}


def note_report(understood: Understood) -> None:
    """Have what is such a report end as one, and keep what it says."""
    reason = _KINDS.get(understood.kind)
    if reason is None or understood.outcome:
        return
    understood.only_known = True
    understood.outcome, understood.reason = "rejected", reason
    found = dict(_flat(understood.draft.custom, ""))
    understood.data["properties"] = dict(list(found.items())[:_MOST])


def _flat(values: Mapping[str, Any], before: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What a report says, by path: how bad it is and of which mail may stand deep in it."""
    for name, value in values.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _flat(value, f"{before}{name}.", depth + 1)
        elif isinstance(value, str | int | float | bool):
            yield f"{before}{name}", value[:_LONGEST] if isinstance(value, str) else value
