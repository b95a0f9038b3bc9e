"""What events of service mean for the figures: tickets and their clocks, surveys, work for people, hand-overs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema.kpi.bins import bin_of
from workers.figures.memory import key, remember

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.figures.fold import Fold

# -- tickets -----------------------------------------------------------------------------------------------------------


def _known(doing: Fold) -> tuple[str, str, str]:
    """Return kind, desk and owner of the event's ticket, as far as they are known."""
    return doing.lead.tickets.get(key(doing.data["ticket_id"]), ("", "", ""))


def _ticket(doing: Fold, measure: str, *, item: str | None = None, **more: Any) -> None:  # noqa: ANN401 - of `Fold.count`
    """Count something of a ticket, for its desk and whoever sees to it."""
    kind, desk, owner = _known(doing)
    if "owner" in doing.data:
        owner = doing.data["owner"] or ""
    doing.count(measure, doing.data.get("kind", kind) if item is None else item, owner=owner, team=desk, **more)


def _opened(doing: Fold) -> None:
    remember(doing.lead.tickets, doing.data["ticket_id"], (doing.data["kind"], "", ""))
    _ticket(doing, "ticket.opened")


def _assigned(doing: Fold) -> None:
    data = doing.data
    remember(doing.lead.tickets, data["ticket_id"], (_known(doing)[0], data["desk"] or "", data["owner"] or ""))


def _replied(doing: Fold) -> None:
    data = doing.data
    if not data["first"] or data["after_s"] is None:
        return
    _ticket(doing, "first_response", took_s=data["after_s"])
    start = doing.at - data["after_s"] * 1000
    worked = doing.rules[doing.lead.version].worked_s(start, doing.at, desk=_known(doing)[1])
    if worked is not None:
        _ticket(doing, "first_response_hours", took_s=worked)


def _resolved(doing: Fold) -> None:
    _ticket(doing, "ticket.resolved", took_s=doing.data["after_s"])


def _reopened(doing: Fold) -> None:
    _ticket(doing, "ticket.reopened")


def _closed(doing: Fold) -> None:
    _ticket(doing, "ticket.closed")
    doing.lead.tickets.pop(key(doing.data["ticket_id"]), None)


def _clock_ended(doing: Fold) -> None:
    _ticket(doing, "sla.hit" if doing.data["hit"] else "sla.missed", item=doing.data["metric"])


# -- surveys -----------------------------------------------------------------------------------------------------------


def _survey_sent(doing: Fold) -> None:
    doing.count("survey.sent", doing.data["survey"], owner=doing.data["agent"] or "", team="")


def _survey_answered(doing: Fold) -> None:
    """Count the latest answer, on the day of the first one."""
    data, lead = doing.data, doing.lead
    survey, score = data["survey"], data["score"]
    known = lead.surveys.get(key(data["survey_id"]))
    if known is not None:
        day, before, dims = known
        doing.count_as(dims, "survey.answered", survey, day, n=-1, total=-before, bin_=before)
    else:
        dims = (lead.source, lead.channel, lead.campaign, lead.segment, data["agent"] or "", "", lead.version)
        day = doing.day(doing.at)
    if known is not None or data["answer"] == 1:
        remember(lead.surveys, data["survey_id"], (day, score, dims))
        doing.count_as(dims, "survey.answered", survey, day, total=score, bin_=score)


# -- work for people ---------------------------------------------------------------------------------------------------


def _made_by(rule: str | None) -> str:
    return "by_hand" if rule is None else "campaign" if "/" in rule else rule


def _work(doing: Fold, measure: str, item: str) -> None:
    doing.count(measure, item, owner=doing.data["owner"] or "")


def _work_created(doing: Fold) -> None:
    rule = _made_by(doing.data["rule"])
    remember(doing.lead.follow_ups, doing.data["follow_up_id"], rule)
    _work(doing, "follow_up.created", rule)


def _work_done(doing: Fold) -> None:
    _work(doing, "follow_up.done", f"{_made_by(doing.data['rule'])}>{doing.data['outcome']}")
    doing.lead.follow_ups.pop(key(doing.data["follow_up_id"]), None)


def _work_late(doing: Fold) -> None:
    _work(doing, "follow_up.late", doing.lead.follow_ups.get(key(doing.data["follow_up_id"]), ""))


def _work_cancelled(doing: Fold) -> None:
    doing.lead.follow_ups.pop(key(doing.data["follow_up_id"]), None)


# -- hand-overs between departments ------------------------------------------------------------------------------------


def handed_over(doing: Fold, thing_id: str, departments: tuple[str, str], *, taken: bool = False) -> None:
    """Count that something passed from one department to another, and remember that nobody there has taken it up."""
    item, day, dims = ">".join(departments), doing.day(doing.at), doing.lead.dims()
    doing.count_as(dims, "handover", item, day)
    if taken:
        doing.count_as(dims, "taken", item, day, bin_=0)
    else:
        remember(doing.lead.handovers, thing_id, (day, item, dims))


def _handed_over(doing: Fold) -> None:
    data = doing.data
    departments = data["from_department"], data["to_department"]
    handed_over(doing, data["about_id"], departments, taken=data["taken"])


def _taken(doing: Fold) -> None:
    """Count on the day of the hand-over that it was taken up."""
    known = doing.lead.handovers.pop(key(doing.data["about_id"]), None)
    if known is not None:
        day, item, dims = known
        doing.count_as(dims, "taken", item, day, bin_=bin_of(doing.data["after_s"]))


ACTS: Final[dict[str, Callable[[Fold], None]]] = {
    "ticket.opened": _opened,
    "ticket.assigned": _assigned,
    "ticket.replied": _replied,
    "ticket.resolved": _resolved,
    "ticket.reopened": _reopened,
    "ticket.closed": _closed,
    "ticket.clock_ended": _clock_ended,
    "survey.sent": _survey_sent,
    "survey.answered": _survey_answered,
    "follow_up.created": _work_created,
    "follow_up.done": _work_done,
    "follow_up.late": _work_late,
    "follow_up.cancelled": _work_cancelled,
    "handover.made": _handed_over,
    "handover.taken": _taken,
}
