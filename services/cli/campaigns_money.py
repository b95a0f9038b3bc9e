"""What a campaign cost, what it brought in and what was returned, in words for whoever reads results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHY_NOT: Final[Mapping[str, str]] = {
    "no_cost": "unknown: give the campaign a `cost`",
    "cost_zero": "none: nothing was spent",
    "no_window": "unknown: give the goal a `within`, the time in which purchases count",
    "currencies_differ": "unknown: costs and purchases are in different currencies, which are not added up",
}


def money_in_words(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the lines `cost`, `revenue` and `return` of what `campaign_results.results` gives."""
    told = {"cost": _cost(found["cost"])}
    earned = found["revenue"]
    for each in earned["currencies"] if earned else ():
        told[f"revenue {each['currency']}"] = _revenue(each)
        if each["holdout"]:
            told[f"incremental {each['currency']}"] = _incremental(each["incremental"], each["currency"])
    if not earned or not earned["currencies"]:
        told["revenue"] = "nobody bought anything within the time of the goal" if earned else _WHY_NOT["no_window"]
    if earned and earned["uncounted"]:
        told["not counted"] = f"{earned['uncounted']} purchases, whose amount or currency cannot be read"
    return told | {"return on investment": _return(found["return"])}


def _cost(cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return "the journey does not say"
    each = "" if cost["per_goal"] is None else f", {cost['per_goal']} for each goal"
    return f"{cost['total']} {cost['currency']}{each}"


def _revenue(each: Mapping[str, Any]) -> str:
    refunded = f" ({each['sold']} less {each['refunded']} paid back)" if float(each["refunded"]) else ""
    held = each["holdout"]
    beside = f"; {held['per_person']} a person of those held out" if held else ""
    return f"{each['net']}{refunded} by {each['buyers']} people, {each['per_person']} a person who entered{beside}"


def _incremental(more: Mapping[str, Any] | None, currency: str) -> str:
    if more is None:
        return "too few people are held out, or too few of them bought, to say"
    sure = "" if more["sure"] else "; it may be chance"
    return f"{more['total']} {currency} over those held out (95 % interval {more['low']} to {more['high']}{sure})"


def _return(found: Mapping[str, Any]) -> str:
    if found["reason"]:
        return _WHY_NOT[found["reason"]]
    if found["incremental"] is None:
        return f"{found['plain']:+.0%} of all that they bought; what they had bought anyway is unknown"
    bounds = f"{found['low']:+.0%} to {found['high']:+.0%}"
    more = f"{found['incremental']:+.0%} of what they bought more (95 % interval {bounds})"
    return f"{more}; {found['plain']:+.0%} of all that they bought"
