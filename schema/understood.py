"""
What an arrival says, whichever way it came: the one shape between the many readers and the step `identify`.

A reader is pure: the receipt's raw bytes and its source give an `Understood`, or raise `payload.Refused`; the same
bytes give the same again, so that a receipt can be read anew when a mapping was mended.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from schema.draft import Draft

HELD: Final = "held"
"""The header that says why an arrival was held at the door: reading it again does not let it in, releasing it does."""


class Raw(msgspec.Struct, frozen=True):
    """An arrival as it is kept: bytes, what they are called, the headers that were kept with them, and when."""

    channel: str
    content_type: str
    body: bytes
    headers: dict[str, str]
    received_at: datetime


class Understood(msgspec.Struct):
    """
    A draft of the person, and what happened.

    `kind` is the touchpoint's kind (`form`, `email.reply`, `purchase`); `data` is kept with it. `keys` are match keys
    beside those of the draft, in order of trust, such as `("thread", …)`. With an `outcome` there is nothing to travel:
    the receipt ends as that, for the `reason` (a code); `detail` says more, without personal data. With `only_known`
    too, a machine wrote it: it goes to the open lead of somebody known, if there is one, and opens none.

    The keys `("thread", …)`, a message id of the conversation, and `("lead", …)` find somebody and are nobody's own.
    `message_id` is what a mail is called itself.

    What is `quiet` was loaded from a file: nothing is to be sent or set off because of it.
    """

    draft: Draft
    kind: str
    occurred_at: datetime | None = None
    keys: list[tuple[str, str]] = msgspec.field(default_factory=list)
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    outcome: Literal["", "quarantined", "spam", "rejected"] = ""
    reason: str = ""
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
    test: bool = False
    only_known: bool = False
    message_id: str = ""
    quiet: bool = False
