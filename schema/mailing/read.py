"""
What somebody did with a message of ours, as an arrival of the channel `mailing`.

They opened it, followed a link, unsubscribed, or chose what to get.

A program that did it (a mail scanner follows every link) is told apart where it shows. None of it opens a lead.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from schema import payload
from schema.draft import Draft
from schema.understood import Understood

if TYPE_CHECKING:
    from schema.journey import Source
    from schema.understood import Raw

CHANNEL: Final = "mailing"
What = Literal["open", "click", "unsubscribe", "preferences"]

_TOO_SOON: Final = timedelta(seconds=5)
"""Sooner after sending nobody has read a mail."""
_BURST: Final = 3
"""Different links of one message within seconds."""
_AGENTS: Final = re.compile(
    r"bot\b|spider|crawl|scan|preview|barracuda|proofpoint|mimecast|symantec|safelinks|urldefense|fortinet|sophos|"
    r"trendmicro|python|curl|wget|go-http|okhttp|java/|headless|httpclient|libwww",
    re.IGNORECASE,
)
_BARE: Final = frozenset({"", "mozilla/5.0"})
"""What fetches pictures before anybody looks at them, to hide who looks, says no more than this."""


class Deed(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """
    What is stored: what was done with which send.

    `consent` says what they want from now on, by purpose. `machine` is why it was not a person, if it shows.
    """

    what: What
    send: str
    lead: str
    campaign: str
    step: str
    link: str = ""
    consent: dict[str, bool] = {}
    machine: str = ""


def machine(method: str, agent: str, since_sent: timedelta | None, links_lately: int) -> str:
    """
    Why this was not a person, as a code; empty where nothing says so.

    `links_lately` are the different links of this message that were followed within seconds, this one included.
    """
    if method == "HEAD":
        return "head"
    if agent.strip().lower() in _BARE or _AGENTS.search(agent):
        return "agent"
    if since_sent is not None and since_sent < _TOO_SOON:
        return "too_soon"
    return "burst" if links_lately >= _BURST else ""


def read_mailing(raw: Raw, _: Source) -> Understood:
    """
    What somebody did.

    :raises payload.Refused: it is none of ours
    """
    try:
        deed = msgspec.json.decode(raw.body, type=Deed)
    except msgspec.DecodeError as error:
        raise payload.refusal("json_syntax") from error
    data = {"send": deed.send, "campaign": deed.campaign, "step": deed.step, "link": deed.link, "machine": deed.machine}
    return Understood(
        Draft(consent=deed.consent),
        kind=f"email.{deed.what}",
        keys=[("lead", deed.lead)],
        data={name: value for name, value in data.items() if value},
        outcome="rejected",
        reason="lead_closed",
        only_known=True,
    )
