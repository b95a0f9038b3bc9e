"""What events of sales and of campaigns mean for the figures: purchases, wins, opportunities, contracts, messages."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from workers.figures import attribution
from workers.figures.memory import WON, key, remember
from workers.figures.rules import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from workers.figures.fold import Fold
    from workers.figures.memory import Dims

# -- purchases and wins ------------------------------------------------------------------------------------------------


def _purchased(doing: Fold) -> None:
    lead, data = doing.lead, doing.data
    known = lead.purchases.get(key(data["purchase_id"]))
    dims = known or lead.dims()
    if data.get("was") is not None:
        _bought(doing, dims, data["was"], -1)
    if known is None:
        remember(lead.purchases, data["purchase_id"], dims)
    _bought(doing, dims, data, 1)
    if data["kind"] != "refund":
        win(doing, doing.at, _amount(data["amount"]), data["currency"])


def _bought(doing: Fold, dims: Dims, sold: Mapping[str, Any], n: int) -> None:
    """Count a purchase, or (-1) that it was not what it was counted as."""
    at = min(milliseconds(datetime.fromisoformat(sold["at"])), doing.told.time)
    amount = _amount(sold["amount"]) or 0
    item = f"{sold['kind']}>{sold['currency'] or ''}"
    doing.count_as(dims, "purchased", item, doing.rules[dims[6]].day(at), n=n, total=n * amount)


def win(doing: Fold, at: int, amount: Decimal | None, currency: str | None) -> None:
    """Count that a lead was won, if it was not before, and share that out among what led to it."""
    lead = doing.lead
    if lead.done & WON:
        return
    if lead.contact is None:
        doing.count("won", at=at)
    elif at < lead.contact:
        doing.count("won", at=at)
        doing.count("fault", "won_before_contact", at=at)
    else:
        doing.count("won", took_s=(at - lead.contact) / 1000, at=at)
    if not lead.touches:  # its beginning is not known
        lead.touched(at, (lead.source, lead.channel, lead.campaign, ""))
    before = [each for each in lead.touches if each[0] < at] or lead.touches[:1]
    _credit(doing, before, at, amount, currency)
    lead.done |= WON
    lead.touches, lead.places = [], []


def _credit(doing: Fold, touches: list[tuple[int, int]], at: int, amount: Decimal | None, currency: str | None) -> None:
    """Share a win out among touchpoints: each share counts for where that touchpoint came from."""
    lead, day = doing.lead, doing.day(at)
    times = [time for time, _ in touches]
    places = [lead.places[number] for _, number in touches]
    for model, shares in attribution.all_shares(times).items():
        for (source, channel, campaign, _), share in zip(places, shares, strict=True):
            if share:
                dims = (source, channel, campaign, lead.segment, lead.owner, lead.team, lead.version)
                doing.count_as(dims, "credit", model, day, total=share)
                if amount is not None:
                    part = (amount * share).scaleb(-6)
                    doing.count_as(dims, "credit_amount", f"{model}>{currency or ''}", day, total=part)


def _amount(told: str | float | None) -> Decimal | None:
    """Read an exact amount. Raises ArithmeticError or ValueError for what is none."""
    if told is None:
        return None
    amount = Decimal(str(told))
    if not amount.is_finite():
        raise ValueError("an amount is a number")
    return amount


# -- opportunities -----------------------------------------------------------------------------------------------------


def _opened(doing: Fold) -> None:
    data = doing.data
    remember(doing.lead.opportunities, data["opportunity_id"], doing.at)
    doing.count("opportunity.opened", data["pipeline"], owner=data["owner"] or "", team=data["pipeline"])


def _changed(doing: Fold) -> None:
    data = doing.data
    if data["from_stage"] != data["stage"]:
        opened = doing.lead.opportunities.get(key(data["opportunity_id"]))
        took_s = None if opened is None else (doing.at - opened) / 1000
        item = f"{data['pipeline']}>{data['from_stage']}>{data['stage']}"
        doing.count("opportunity.moved", item, took_s=took_s, owner=data["owner"] or "", team=data["pipeline"])


def _won(doing: Fold) -> None:
    doing.count("opportunity.won", doing.data["pipeline"], took_s=doing.data["after_s"],
                owner=doing.data["owner"] or "", team=doing.data["pipeline"])  # fmt: skip
    _closed(doing, "won")
    win(doing, doing.at, _amount(doing.data["amount"]), doing.data["currency"])


def _lost(doing: Fold) -> None:
    item = f"{doing.data['pipeline']}>{doing.data['reason']}"
    doing.count("opportunity.lost", item, took_s=doing.data["after_s"],
                owner=doing.data["owner"] or "", team=doing.data["pipeline"])  # fmt: skip
    _closed(doing, "lost")


def _closed(doing: Fold, outcome: str) -> None:
    data = doing.data
    amount = _amount(data["amount"])
    if amount is not None:
        doing.count("opportunity.amount", f"{data['pipeline']}>{outcome}>{data['currency'] or ''}", total=amount,
                    owner=data["owner"] or "", team=data["pipeline"])  # fmt: skip


def _reopened(doing: Fold) -> None:
    data = doing.data
    doing.count("opportunity.reopened", data["pipeline"], owner=data["owner"] or "", team=data["pipeline"])


# -- contracts ---------------------------------------------------------------------------------------------------------


def _term(measure: str) -> Callable[[Fold], None]:
    """Count a term that begins, or is over: on its day, or when it was told if that was before."""

    def count(doing: Fold) -> None:
        data = doing.data
        over = measure == "contract.ended"
        day = min(date.fromisoformat(data["ends_on" if over else "starts_on"]).toordinal(), doing.day(doing.at))
        dims = doing.lead.dims()
        doing.count_as(dims, measure, "cancelled" if over and data["cancelled"] else "", day)
        amount = None if over else _amount(data["amount"])
        if amount is not None:
            doing.count_as(dims, "contract.value", data["currency"] or "", day, total=amount)

    return count


def _renewal_due(doing: Fold) -> None:
    doing.count("contract.renewal_due")


# -- campaigns and their messages --------------------------------------------------------------------------------------


def _campaign_entered(doing: Fold) -> None:
    doing.count("campaign.entered", doing.data["campaign"])


def _campaign_exited(doing: Fold) -> None:
    doing.count("campaign.exited", f"{doing.data['campaign']}>{doing.data['outcome']}")


def _message(doing: Fold) -> None:
    doing.count(doing.told.type, f"{doing.data['campaign']}>{doing.data['step']}")


ACTS: Final[dict[str, Callable[[Fold], None]]] = {
    "purchase.recorded": _purchased,
    "opportunity.opened": _opened,
    "opportunity.changed": _changed,
    "opportunity.won": _won,
    "opportunity.lost": _lost,
    "opportunity.reopened": _reopened,
    "contract.started": _term("contract.started"),
    "contract.renewed": _term("contract.renewed"),
    "contract.ended": _term("contract.ended"),
    "contract.renewal_due": _renewal_due,
    "campaign.entered": _campaign_entered,
    "campaign.exited": _campaign_exited,
    "message.sent": _message,
    "message.failed": _message,
    "message.unknown": _message,
}
