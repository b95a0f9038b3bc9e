"""
Money: what a campaign cost, what those who entered it bought since, and what it brought in over what it cost.

Purchases count that somebody made after entering, within the time of the campaign's goal, on whatever journey; each
once, however often they entered. A refund goes with the purchase it pays back; one that names none counts when it was
made. Amounts are exact, and those of different currencies are never added up. A purchase counts for every campaign that
its person is in.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema.lift import Amounts, Lift, welch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, RowMapping

    from schema.journey.campaign import Campaign
    from schema.store.campaigns import Place

_NONE: Final = Decimal(0)
_CENT, _FINE = Decimal("0.01"), Decimal("0.0001")
_PEOPLE: Final = text("""
SELECT holdout, count(*) AS people FROM (
    SELECT DISTINCT holdout, person_id FROM enrolment WHERE journey_name = :journey AND campaign = :campaign
) AS entered GROUP BY holdout
""")
_BOUGHT: Final = text("""
WITH counted AS (
    SELECT DISTINCT e.holdout, e.person_id, p.id, p.kind, p.amount,
        CASE WHEN p.amount IS NOT NULL THEN p.currency END AS currency
    FROM enrolment AS e JOIN purchase AS p ON p.person_id = e.person_id
    LEFT JOIN purchase AS paid
        ON p.kind = 'refund' AND paid.source = p.source AND paid.external_id = p.order_id AND paid.kind <> 'refund'
    WHERE e.journey_name = :journey AND e.campaign = :campaign
      AND COALESCE(paid.at, p.at) > e.entered_at
      AND COALESCE(paid.at, p.at) <= e.entered_at + make_interval(secs => :within)
), spent AS (
    SELECT holdout, currency, count(*) FILTER (WHERE kind <> 'refund') AS purchases, count(*) AS told,
        sum(amount) FILTER (WHERE kind <> 'refund') AS sold, sum(amount) FILTER (WHERE kind = 'refund') AS refunded,
        sum(CASE kind WHEN 'refund' THEN -amount ELSE amount END) AS net
    FROM counted GROUP BY holdout, currency, person_id
)
SELECT holdout, currency, count(*) FILTER (WHERE purchases > 0) AS buyers, sum(purchases) AS purchases,
    sum(told) AS told, COALESCE(sum(sold), 0) AS sold, COALESCE(sum(refunded), 0) AS refunded,
    COALESCE(sum(net), 0) AS net, COALESCE(sum(net * net), 0) AS squares
FROM spent GROUP BY holdout, currency ORDER BY currency, holdout
""")


def cost(campaign: Campaign | None, sent: int, goals: int) -> dict[str, Any] | None:
    """Return what it has cost after so many messages, and for each goal reached; None where nobody says."""
    if campaign is None or campaign.cost is None:
        return None
    said = campaign.cost
    total = said.fixed + said.per_send * sent
    return {
        "fixed": _plain(said.fixed),
        "per_send": _plain(said.per_send),
        "total": _plain(total),
        "per_goal": _plain((total / goals).quantize(_FINE)) if goals else None,
        "currency": said.currency,
    }


def revenue(connection: Connection, place: Place, campaign: Campaign | None) -> dict[str, Any] | None:
    """
    Return what those who entered bought, by currency, beside what those bought who are held out.

    `incremental` is what they bought more than as many of those held out, with its 95 % interval: the difference of
    the two means, by Welch, times how many got the campaign. `uncounted` are purchases whose amount or currency cannot
    be read. None where the goal has no time in which it counts.
    """
    within = _within(campaign)
    if within is None:
        return None
    people = {row.holdout: row.people for row in connection.execute(_PEOPLE, place.key)}
    given = place.key | {"within": within.total_seconds()}
    found = list(connection.execute(_BOUGHT, given).mappings())
    currencies = dict.fromkeys(row["currency"] for row in found if row["currency"] is not None)
    return {
        "within_s": int(within.total_seconds()),
        "people": people.get(False, 0),
        "held_out": people.get(True, 0),
        "uncounted": int(sum(row["told"] for row in found if row["currency"] is None)),
        "currencies": [_currency(name, found, people) for name in currencies],
    }


def returned(spent: Mapping[str, Any] | None, earned: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Return the return on investment: what came in beyond the cost, as a share of the cost.

    `plain` takes all that those who got it bought; `incremental`, with its interval, only what they bought more than
    those held out. Where there is none, `reason` says why.
    """
    reason = _why_not(spent, earned)
    if reason or not spent or not earned:
        return {"plain": None, "incremental": None, "low": None, "high": None, "reason": reason}
    total = Decimal(spent["total"])
    brought: Mapping[str, Any] = next(iter(earned["currencies"]), {"net": "0", "incremental": None})
    more = brought["incremental"]

    def share(amount: str) -> float:
        return float((Decimal(amount) - total) / total)

    return {
        "plain": share(brought["net"]),
        "incremental": share(more["total"]) if more else None,
        "low": share(more["low"]) if more else None,
        "high": share(more["high"]) if more else None,
        "reason": None,
    }


def _why_not(spent: Mapping[str, Any] | None, earned: Mapping[str, Any] | None) -> str | None:
    if spent is None:
        return "no_cost"
    if not Decimal(spent["total"]):
        return "cost_zero"
    if earned is None:
        return "no_window"
    return "currencies_differ" if {each["currency"] for each in earned["currencies"]} - {spent["currency"]} else None


def _within(campaign: Campaign | None) -> timedelta | None:
    return campaign.goal.within if campaign and campaign.goal else None


def _currency(name: str, found: Sequence[RowMapping], people: Mapping[bool, int]) -> dict[str, Any]:
    rows = {row["holdout"]: row for row in found if row["currency"] == name}
    with_it, without = (_group(rows.get(held), people.get(held, 0)) for held in (False, True))
    both = [Amounts(people.get(held, 0), *_sums(rows.get(held))) for held in (False, True)]
    return {
        "currency": name,
        **with_it,
        "holdout": without if people.get(True) else None,
        "incremental": _incremental(welch(*both), people.get(False, 0)),
    }


def _sums(row: RowMapping | None) -> tuple[Decimal, Decimal]:
    return (row["net"], row["squares"]) if row else (_NONE, _NONE)


def _group(row: RowMapping | None, people: int) -> dict[str, Any]:
    net = row["net"] if row else _NONE
    return {
        "buyers": int(row["buyers"]) if row else 0,
        "purchases": int(row["purchases"]) if row else 0,
        **{name: _plain(row[name] if row else _NONE) for name in ("sold", "refunded", "net")},
        "per_person": _plain((net / people).quantize(_FINE)) if people else None,
    }


def _incremental(found: Lift | None, people: int) -> dict[str, Any] | None:
    if found is None:
        return None
    scaled = {
        "total": found.difference * people,
        "low": found.low * people,
        "high": found.high * people,
    }
    return {
        "per_person": _plain(Decimal(found.difference).quantize(_FINE)),
        **{name: _plain(Decimal(value).quantize(_CENT)) for name, value in scaled.items()},
        "level": 0.95,
        "sure": found.sure,
    }


def _plain(amount: Decimal) -> str:
    return format(amount, "f")
