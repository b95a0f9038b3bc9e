"""
Fold: what one event means for the figures, given what is remembered of its lead.

Pure: the same events in the same order give the same facts and the same memory, however they are cut into portions.
`schema/kpi/measures.py` says what each measure counts. What this code does not know (a type of newer code, a lead whose
beginning the feed does not tell and of which nothing says what journey it is on) is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema.kpi.bins import bin_of
from workers.figures import sales, service
from workers.figures.memory import ANSWERED, ASSIGNED, QUALIFIED, Dims, Lead
from workers.figures.rules import milliseconds

if TYPE_CHECKING:
    from decimal import Decimal

    from workers.figures.rules import Rules

OURS: Final = "throughline"
"""The source of touchpoints that are our own doing; what they are is in `workers/happening.py`."""
WORDS: Final = frozenset({"ticket.replied", "follow_up.done"})
"""Those by which one of us has turned to somebody."""


class Told(NamedTuple):
    """An event as it is folded; `time` in milliseconds since 1970."""

    lead_id: str
    type: str
    time: int
    data: Mapping[str, Any]


class Fact(NamedTuple):
    """
    One thing that counts: `n` more on a `day`, worth `total`; `bin` is where its size belongs, if it has one.

    `journey` is a version.
    """

    journey: str
    measure: str
    item: str
    day: int
    dims: Dims
    n: int = 1
    total: Decimal | int = 0
    bin: int | None = None


class Fold:
    """
    One event at work: its lead, whose memory it changes, and the facts it makes.

    `at` is when it happened, never after it was told.
    """

    __slots__ = ("at", "data", "facts", "lead", "rules", "told")

    def __init__(self, lead: Lead, told: Told, rules: Mapping[str, Rules], facts: list[Fact]) -> None:
        self.lead = lead
        self.told = told
        self.data = told.data
        self.rules = rules
        self.facts = facts
        at = told.data.get("at")
        self.at = told.time if at is None else min(told.time, milliseconds(datetime.fromisoformat(at)))

    def day(self, ms: int) -> int:
        """Return the day of a moment where this lead's journey counts."""
        return self.rules[self.lead.version].day(ms)

    def count(self, measure: str, item: str = "", *, total: Decimal | int = 0, took_s: float | None = None,
              at: int | None = None, owner: str | None = None, team: str | None = None) -> None:  # fmt: skip
        """Count something of this lead, at the event's moment or another; `owner` and `team` where it is not theirs."""
        lead = self.lead
        dims = (lead.source, lead.channel, lead.campaign, lead.segment, lead.owner if owner is None else owner,
                lead.team if team is None else team, lead.version)  # fmt: skip
        day = self.rules[lead.version].day(self.at if at is None else at)
        self.facts.append(
            Fact(lead.version, measure, item, day, dims, 1, total, None if took_s is None else bin_of(max(0, took_s)))
        )

    def count_as(self, dims: Dims, measure: str, item: str, day: int, *, n: int = 1, total: Decimal | int = 0,
                 bin_: int | None = None) -> None:  # fmt: skip
        """Count something with dimensions of its own, on a day that is known."""
        self.facts.append(Fact(dims[6], measure, item, day, dims, n, total, bin_))


def fold(leads: MutableMapping[str, Lead], told: Told, rules: Mapping[str, Rules], facts: list[Fact]) -> None:
    """
    Take one event into account: change `leads`, the memory by lead, and add to `facts`.

    `leads` has those that `named` returns for this event, as far as anything is remembered of them.
    """
    act = ACTS.get(told.type)
    if act is None:
        return
    lead = leads.get(told.lead_id)
    if lead is None or not lead.version:
        version = told.data.get("journey")
        if not isinstance(version, str) or not version:
            return
        lead = leads[told.lead_id] = Lead(version=version)
    if lead.test:
        return
    before = len(facts)
    try:
        doing = Fold(lead, told, rules, facts)
        if act is _merged or act is _unmerged:
            act(doing, leads)
        else:
            act(doing)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        del facts[before:]
        if lead.version:
            facts.append(Fact(lead.version, "fault", "event_unreadable", rules[lead.version].day(told.time),
                              lead.dims()))  # fmt: skip


def named(told: Told) -> Iterator[str]:
    """Yield the leads whose memory an event needs, beside those in which they rest (`Lead.parked_in`)."""
    yield told.lead_id
    if told.type == "person.merged":
        parked = told.data.get("parked") or {}
        yield from parked
        yield from parked.values()
    elif told.type == "person.unmerged":
        yield from told.data.get("reopened") or ()


# -- the way of a lead -------------------------------------------------------------------------------------------------


def _created(doing: Fold) -> None:
    lead, data, at = doing.lead, doing.data, doing.at
    if data.get("test"):
        lead.test = True
        return
    lead.source, lead.channel, lead.state = data["source"], data["channel"], data["state"]
    lead.campaign, lead.segment = data.get("campaign") or "", data.get("segment") or ""
    lead.contact = lead.entered = at
    doing.count("created")
    doing.count("touched", data.get("kind") or lead.channel)
    doing.count("entered", lead.state)
    lead.touched(at, (lead.source, lead.channel, lead.campaign, ""))
    if not data.get("quiet"):
        lead.began = doing.told.time
        arrived = _moment_of(data["receipt_id"], doing.told.time)
        doing.count("detected", took_s=(doing.told.time - arrived) / 1000, at=arrived)


def _touched(doing: Fold) -> None:
    lead, data = doing.lead, doing.data
    segment = data.get("segment")
    if segment is not None and segment != lead.segment:
        lead.pin()
        lead.segment = segment
    source, channel, campaign = data["source"], data["channel"], data.get("campaign") or ""
    dims = (source, channel, campaign, lead.segment, lead.owner, lead.team, lead.version)
    doing.count_as(dims, "touched", data["kind"], doing.day(doing.at))
    if source != OURS:
        lead.touched(doing.at, (source, channel, campaign, ""))
        if lead.began is None and not data.get("quiet"):
            lead.began = doing.told.time
    elif data["kind"] in WORDS and not lead.done & ANSWERED:
        lead.done |= ANSWERED
        if lead.began is not None:
            now = doing.told.time
            doing.count("first_response", "lead", took_s=(now - lead.began) / 1000, at=now)
            worked = doing.rules[lead.version].worked_s(lead.began, now, pool=lead.team)
            if worked is not None:
                doing.count("first_response_hours", "lead", took_s=worked, at=now)


def _qualified(doing: Fold) -> None:
    if not doing.lead.done & QUALIFIED:
        doing.lead.done |= QUALIFIED
        answers = {"lead.qualified": "passed", "lead.undecided": "unknown"}
        doing.count("qualification", answers.get(doing.told.type) or doing.data["reason"])


def _transitioned(doing: Fold) -> None:
    lead, data, at = doing.lead, doing.data, doing.at
    state = data["to_state"]
    item = f"{data['from_state']}>{data['name']}>{state}"
    entered = lead.entered
    if entered is None:
        doing.count("moved", item)
    else:
        took_s = (at - entered) / 1000
        if took_s < 0:
            doing.count("fault", "moved_before_entered")
            took_s = 0
        doing.count("moved", item, took_s=took_s)
        _left(doing, item, bin_of(took_s))
    lead.state, lead.entered, lead.entered_as = state, at, None
    doing.count("entered", state)
    before, after = data.get("from_department"), data.get("to_department")
    if before and after and before != after:
        service.handed_over(doing, doing.told.lead_id, (before, after))


def _left(doing: Fold, item: str, bin_: int | None) -> None:
    """Count how a stay ended: with the day and the dimensions with which its beginning was counted."""
    lead = doing.lead
    if lead.entered is not None:
        dims = lead.entered_as or lead.dims()
        doing.count_as(dims, "left", item, doing.rules[dims[6]].day(lead.entered), bin_=bin_)


def _migrated(doing: Fold) -> None:
    lead, data = doing.lead, doing.data
    before, after = data["from_journey"], data["journey"]
    doing.count("migrated", f"{before}>{after}")
    renamed = data["from_state"] != data["state"]
    if renamed:
        _left(doing, f"{data['from_state']}>migrate>{data['state']}", None)
        lead.entered_as = None
    else:
        lead.pin()
    lead.version, lead.state = after, data["state"]
    if renamed and lead.entered is not None:
        doing.count("entered", lead.state, at=lead.entered)


def _overdue(doing: Fold) -> None:
    doing.count("overdue", doing.data["state"])


def _routed(doing: Fold) -> None:
    lead, data = doing.lead, doing.data
    _belongs(lead, data["owner"], data["pool"])
    if not lead.done & ASSIGNED:
        lead.done |= ASSIGNED
        if lead.began is not None:
            doing.count("assigned", took_s=(doing.told.time - lead.began) / 1000)


def _queued(doing: Fold) -> None:
    _belongs(doing.lead, None, doing.data["pool"])


def _accepted(doing: Fold) -> None:
    if doing.lead.began is not None:
        doing.count("accepted", took_s=doing.data["after_s"], owner=doing.data["owner"])


def _handed_on(doing: Fold) -> None:
    data = doing.data
    doing.count("handed_on", data["reason"], owner=data["from_owner"])
    _belongs(doing.lead, data["owner"], doing.lead.team)


def _escalated(doing: Fold) -> None:
    _belongs(doing.lead, doing.data["owner"], doing.lead.team)


def _belongs(lead: Lead, owner: str | None, team: str | None) -> None:
    lead.pin()
    lead.owner, lead.team = owner or "", team or ""


# -- people who turn out to be one -------------------------------------------------------------------------------------


def _merged(doing: Fold, leads: MutableMapping[str, Lead]) -> None:
    for lead_id, into_id in sorted(doing.data["parked"].items()):
        lead, into = leads.get(lead_id), leads.get(into_id)
        if lead is None or lead.test or lead.parked_in:
            continue
        _rests(doing, lead, 1)
        lead.parked_in = into_id
        if into is not None and not into.test:
            into.takes_over(lead, lead_id)


def _unmerged(doing: Fold, leads: MutableMapping[str, Lead]) -> None:
    for lead_id in sorted(doing.data["reopened"]):
        lead = leads.get(lead_id)
        if lead is None or not lead.parked_in:
            continue
        _rests(doing, lead, -1)
        into = leads.get(lead.parked_in)
        if into is not None and not into.test:
            into.gives_back(lead, lead_id)
        lead.parked_in = ""


def _rests(doing: Fold, lead: Lead, n: int) -> None:
    """Count that a lead rests from now on, or (-1) that it goes on."""
    if lead.version and lead.state:
        doing.count_as(lead.dims(), "parked", lead.state, doing.rules[lead.version].day(doing.at), n=n)


def _moment_of(thing_id: str, latest: int) -> int:
    """When an id (UUIDv7) was made, but not after `latest`."""
    try:
        made = int(thing_id[:8] + thing_id[9:13], 16)
    except ValueError:
        return latest
    return made if thing_id[14:15] == "7" and made < latest else latest


ACTS: Final[dict[str, Callable[..., None]]] = {
    "lead.created": _created,
    "lead.touched": _touched,
    "lead.qualified": _qualified,
    "lead.undecided": _qualified,
    "lead.disqualified": _qualified,
    "lead.transitioned": _transitioned,
    "lead.migrated": _migrated,
    "lead.overdue": _overdue,
    "lead.routed": _routed,
    "lead.queued": _queued,
    "lead.accepted": _accepted,
    "lead.handed_on": _handed_on,
    "lead.escalated": _escalated,
    "person.merged": _merged,
    "person.unmerged": _unmerged,
    **sales.ACTS,
    **service.ACTS,
}
"""What each type of event means; of others nothing is counted."""
