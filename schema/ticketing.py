"""
The statuses of a ticket: what leads from one to another, whoever does it, and what expressions may ask of a ticket.

    new        nobody has answered yet
    open       somebody works on it
    waiting    for the customer
    on_hold    for somebody else
    resolved   done, if the customer does not object
    closed     over for good: whoever writes again opens another ticket that refers to it

Pure. What is done about the clocks meanwhile, `schema/sla.py` and the journey's policies say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from schema.errors import Permanent

LEADS_TO: Final[dict[str, tuple[str, ...]]] = {
    "new": ("open", "waiting", "on_hold", "resolved"),
    "open": ("waiting", "on_hold", "resolved"),
    "waiting": ("open", "on_hold", "resolved"),
    "on_hold": ("open", "waiting", "resolved"),
    "resolved": ("open", "closed"),
    "closed": (),
}
"""What a person may make of a status; `resolved` to `open` is reopening."""
UNSOLVED: Final = ("new", "open", "waiting", "on_hold")
WORK: Final = ("new", "open")
"""What somebody has to do something about now: what counts against their capacity."""
COMPLAINT: Final = "complaint"
"""The kind of ticket that is a complaint: offers and campaigns may wait while one is open."""
_ASKED: Final = ("kind", "priority", "status", "desk", "channel", "source", "subject", "reopened")
_ANSWERS: Final = re.compile(r"\s*((re|fw|fwd|aw|wg|antw|sv|vs|tr|rv|rif|odp)(\[\d+\])?\s*:\s*)+", re.IGNORECASE)


class StatusNotPossible(Permanent):
    """The ticket cannot become that from what it is. `facts["possible"]` are the statuses that it can."""

    def __init__(self, status: str, wanted: str) -> None:
        possible = list(LEADS_TO[status])
        if status == wanted:
            message = f"The ticket is {status} already."
        elif status == "closed":
            message = "The ticket is closed for good: open another one, which may refer to it."
        else:
            message = f"A ticket that is {status} cannot become {wanted}; possible: {', '.join(possible)}."
        super().__init__("status_not_possible", message, status=status, wanted=wanted, possible=possible)


def checked(status: str, wanted: str) -> str:
    """`wanted`, where a person may make it of `status`. Raises StatusNotPossible."""
    if wanted not in LEADS_TO[status]:
        raise StatusNotPossible(status, wanted)
    return wanted


def after_customer(status: str) -> str:
    """What a ticket is when its customer has written: whatever waited for them goes on."""
    return status if status in WORK else "open"


def after_agent(status: str) -> str:
    """What a ticket is when it was answered, and nobody says more about it."""
    return "open" if status == "new" else status


def asked(ticket: Mapping[str, Any]) -> dict[str, Any]:
    """What expressions may ask of a ticket, below `ticket`; what is not known is absent."""
    return {name: ticket[name] for name in _ASKED if ticket.get(name) is not None}


def topic(subject: str | None) -> str:
    """A subject as two are compared: without Re: and Fwd:, in small letters, one space between words."""
    return " ".join(_ANSWERS.sub("", subject or "", count=1).casefold().split())
