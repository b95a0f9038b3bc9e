"""Contracts: days are the calendar's, moments before the end are never lost or told twice, and what is said is read."""

from __future__ import annotations

import json
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.contract import Told, period, told
from schema.draft import Draft
from schema.journey import Source
from schema.understand import understand
from schema.understood import Raw, Understood
from workers.decide.contract import (
    Course,
    Term,
    after,
    course,
    day_begins,
    first_term,
    last_day_before,
    moments,
    next_term,
    period_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY: Final = timedelta(days=1)
BEFORE: Final = tuple(timedelta(days=days) for days in (90, 60, 30, 7))
ZONES: Final = ("UTC", "Europe/Berlin", "America/Havana", "Pacific/Auckland", "Asia/Beirut", "America/New_York")
YEAR: Final = Term(date(2026, 12, 1), date(2027, 11, 30), "Europe/Berlin", date(2026, 12, 1), "P12M")


def terms(anchor: date, length: str, number: int) -> list[Term]:
    """The first terms of a contract, each made from the one before alone."""
    found = [Term(anchor, after(anchor, anchor, length) - DAY, "UTC", anchor, length, renews_itself=True)]
    while len(found) < number:
        following = next_term(found[-1])
        assert following is not None
        found.append(following)
    return found


# -- days --------------------------------------------------------------------------------------------------------------


def test_a_month_from_the_31st_ends_where_the_month_does_and_comes_back_to_the_31st() -> None:
    starts = [term.starts_on.isoformat() for term in terms(date(2027, 1, 31), "P1M", 6)]
    assert starts == ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31", "2027-06-30"]


def test_a_year_from_a_leap_day_begins_on_the_28th_until_the_next_leap_year() -> None:
    years = terms(date(2024, 2, 29), "P12M", 6)
    assert [term.starts_on.isoformat() for term in years] == [
        "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29", "2029-02-28",
    ]  # fmt: skip
    assert [term.ends_on.isoformat() for term in years][:4] == ["2025-02-27", "2026-02-27", "2027-02-27", "2028-02-28"]


@pytest.mark.parametrize("months", [1, 3, 12])
def test_from_every_day_of_four_years_terms_follow_each_other_without_a_gap_and_keep_their_day(months: int) -> None:
    anchor = date(2024, 1, 1)
    while anchor < date(2028, 1, 1):
        chain = terms(anchor, f"P{months}M", 9)
        for number, (one, other) in enumerate(pairwise(chain)):
            assert other.starts_on == one.ends_on + DAY
            year, month = divmod(anchor.year * 12 + anchor.month - 1 + (number + 1) * months, 12)
            last = monthrange(year, month + 1)[1]
            assert other.starts_on == date(year, month + 1, min(anchor.day, last))
        anchor += DAY


@given(st.dates(date(1990, 1, 1), date(2090, 12, 31)), st.integers(1, 800))
def test_a_term_in_days_is_exactly_so_long(start: date, days: int) -> None:
    one, other = terms(start, f"P{days}D", 2)
    assert (one.ends_on - one.starts_on).days + 1 == days == (other.ends_on - other.starts_on).days + 1


@given(st.dates(date(1990, 1, 1), date(2090, 12, 31)), st.integers(1, 60))
def test_a_term_that_is_known_by_its_days_has_the_period_it_was_made_of(start: date, months: int) -> None:
    [term] = terms(start, f"P{months}M", 1)
    assert after(start, start, period_of(start, term.ends_on)) == term.ends_on + DAY


@given(st.dates(date(1970, 1, 2), date(2037, 12, 31)), st.sampled_from(ZONES))
def test_a_day_begins_with_the_first_moment_that_a_clock_there_shows_it(day: date, zone: str) -> None:
    begins = day_begins(day, zone)
    assert begins.astimezone(ZoneInfo(zone)).date() == day
    assert (begins - timedelta(microseconds=1)).astimezone(ZoneInfo(zone)).date() < day or _turned_back(day, zone)


def _turned_back(day: date, zone: str) -> bool:
    """Whether the clocks went back over midnight, so that the evening before came twice."""
    midnight = datetime.combine(day, datetime.min.time(), ZoneInfo(zone))
    return midnight.replace(fold=0).utcoffset() != midnight.replace(fold=1).utcoffset()


def test_a_day_whose_midnight_the_clocks_skip_begins_at_one() -> None:
    assert day_begins(date(2026, 3, 8), "America/Havana") == datetime(2026, 3, 8, 5, tzinfo=UTC)
    assert day_begins(date(2026, 11, 1), "America/Havana") == datetime(2026, 11, 1, 4, tzinfo=UTC)  # it comes twice


def test_what_is_over_at_a_moment_has_its_last_day_before_it() -> None:
    assert last_day_before(datetime(2027, 1, 1, tzinfo=UTC), "UTC") == date(2026, 12, 31)
    assert last_day_before(datetime(2027, 1, 1, tzinfo=UTC), "Europe/Berlin") == date(2027, 1, 1)
    assert last_day_before(date(2027, 1, 1), "Europe/Berlin") == date(2026, 12, 31)


# -- moments -----------------------------------------------------------------------------------------------------------


def test_moments_before_the_end_are_midnights_there_across_the_change_of_the_clocks() -> None:
    found = [at.astimezone(ZoneInfo("Europe/Berlin")) for at, _ in moments(YEAR, BEFORE)]
    assert [f"{at:%Y-%m-%d %H:%M %Z}" for at in found] == [
        "2027-09-02 00:00 CEST", "2027-10-02 00:00 CEST", "2027-11-01 00:00 CET", "2027-11-24 00:00 CET",
    ]  # fmt: skip


def test_nobody_talks_of_renewing_what_has_only_begun() -> None:
    month = Term(date(2026, 12, 1), date(2026, 12, 31), "UTC", date(2026, 12, 1), "P1M")
    assert [before.days for _, before in moments(month, BEFORE)] == [7]


@settings(max_examples=150)
@given(st.lists(st.integers(0, 420 * 24), min_size=1, max_size=12), st.sampled_from([None, timedelta(days=14)]))
def test_however_late_it_is_looked_each_moment_is_told_or_missed_once_and_there_is_one_end(
    hours: list[int], grace: timedelta | None
) -> None:
    said: list[timedelta] = []
    ended = 0
    last = YEAR.over_at + (grace or timedelta())
    for hour in sorted({*hours, 420 * 24}):
        now = YEAR.begins_at + timedelta(hours=hour)
        if ended:
            break
        found = course(YEAR, BEFORE, grace, said, now)
        come = {before for at, before in moments(YEAR, BEFORE) if at <= now}
        if found.outcome:
            assert found.outcome == "ended"
            assert now >= last
            ended += 1
            continue
        assert now < last
        if found.reminder:
            assert found.reminder.due_at <= now < YEAR.over_at
            assert found.reminder.before == min(come)
            assert {found.reminder.before, *found.reminder.missed} == come - set(said)
        said += found.told
        assert len(said) == len(set(said))
        assert set(said) == come
        assert found.again_at is not None
        assert now < found.again_at <= last
    assert ended == 1


@pytest.mark.parametrize(
    ("renews", "cancelled", "outcome"), [(True, False, "renewed"), (True, True, "ended"), (False, True, "ended")]
)
def test_what_renews_itself_or_was_cancelled_waits_for_its_last_day_alone(
    *, renews: bool, cancelled: bool, outcome: str
) -> None:
    term = YEAR._replace(renews_itself=renews)
    waiting = course(term, BEFORE, timedelta(days=14), (), term.over_at - timedelta(seconds=1), cancelled=cancelled)
    assert waiting == Course(again_at=term.over_at)
    assert course(term, BEFORE, timedelta(days=14), (), term.over_at, cancelled=cancelled).outcome == outcome


def test_of_what_a_file_told_nothing_is_made_up_for_but_what_comes_is_told() -> None:
    now = YEAR.over_at - timedelta(days=20)
    found = course(YEAR, BEFORE, None, (), now, quiet=True)
    assert found.reminder is None
    assert [before.days for before in found.told] == [90, 60, 30]
    assert found.again_at == YEAR.over_at - timedelta(days=7)


# -- what is said ------------------------------------------------------------------------------------------------------


def said(kind: str, /, **custom: Any) -> Told | None:  # noqa: ANN401 - values of any kind
    return told(Understood(Draft(custom=custom), kind))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("P1Y", "P12M"), ("p1m", "P1M"), ("P2W", "P14D"), ("P30D", "P30D"), ("P1Y6M", "P18M"), ("monthly", "P1M"),
        ("Half-yearly", "P6M"), ("12 months", "P12M"), ("1 year", "P12M"), ("year", "P12M"), ("90 days", "P90D"),
        ("2 quarters", "P6M"), ("P1M1D", None), ("P0M", None), ("P", None), ("0 months", None), ("", None),
        ("soon", None), ("P9999M", None), (12, None), (None, None), ("-1 month", None),
    ],
)  # fmt: skip
def test_a_period_is_read_as_systems_write_it(written: Any, read: str | None) -> None:  # noqa: ANN401
    assert period(written) == read


@pytest.mark.parametrize("place", [{}, {"data.contract": ...}, {"contract": ...}, {"data": {"subscription": ...}}])
def test_a_contract_is_read_from_its_own_object_or_from_beside_the_rest(place: dict[str, Any]) -> None:
    own = {
        "id": "C-7",
        "start": "2026-12-01",
        "period": "yearly",
        "auto_renew": "yes",
        "amount": "1200",
        "currency": "EUR",
    }
    if not place:
        values: dict[str, Any] = {"contract_" + name if name in {"id", "start"} else name: own[name] for name in own}
    else:
        [(name, inner)] = place.items()
        values = {name: own} if inner is ... else {name: dict.fromkeys(inner, own)}
    found = said("contract.started", **values)
    assert found is not None
    assert (found.what, found.external_id, found.starts) == ("started", "C-7", date(2026, 12, 1))
    assert (found.period, found.renews_itself, found.amount, found.currency) == ("P12M", True, Decimal(1200), "EUR")


def test_a_purchase_begins_a_contract_only_where_it_says_that_it_is_one() -> None:
    stay = {"total": "300", "currency": "EUR", "order_id": "O-1", "start": "2026-12-01", "end": "2026-12-08"}
    assert said("purchase", **stay) is None
    assert said("purchase", **stay, contract={"id": "C-1"}) is None
    found = said("purchase", **stay, contract={"period": "P1M"})
    assert found is not None
    assert (found.what, found.external_id, found.starts, found.period) == ("started", "O-1", None, "P1M")
    assert said("payment.refunded", contract={"period": "P1M"}) is None


def test_the_end_of_a_period_as_a_moment_is_the_first_one_that_does_not_belong_to_it() -> None:
    moment = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    found = said("contract.started", subscription={"id": "s", "current_period_end": moment}, start="2026-12-01")
    assert found is not None
    term = first_term(found, "UTC", date(2026, 12, 1))
    assert term is not None
    assert (term.starts_on, term.ends_on, term.period) == (date(2026, 12, 1), date(2026, 12, 31), "P1M")


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())))
def test_whatever_a_system_sends_as_a_contract_is_read_or_flagged(value: Any) -> None:  # noqa: ANN401
    for kind in ("contract.started", "contract.renewed", "contract.cancelled", "purchase"):
        names = ("id", "start", "end", "renews_on", "period", "auto_renew", "amount", "currency", "products", "reason")
        found = said(kind, contract=dict.fromkeys(names, value))
        if found is not None:
            first_term(found, "Europe/Berlin", date(2026, 12, 1))
            next_term(YEAR, found)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({"period": "P12M"}, (date(2026, 12, 1), date(2027, 11, 30))),
        ({"last_day": date(2027, 1, 31)}, (date(2026, 12, 1), date(2027, 1, 31))),
        ({"last_day": date(2026, 6, 30)}, (date(2026, 6, 30), date(2026, 6, 30))),
        ({"starts": date(2026, 1, 1), "next_start": date(2027, 1, 1)}, (date(2026, 1, 1), date(2026, 12, 31))),
        ({"starts": date(2027, 1, 1), "last_day": date(2026, 12, 31)}, None),
        ({"starts": date(2027, 1, 1)}, None),
        ({"period": "P36600D", "starts": date(2290, 1, 1)}, None),
    ],
)
def test_the_first_term_is_made_of_what_is_known(days: dict[str, Any], expected: Sequence[date] | None) -> None:
    found = first_term(Told("started", **days), "UTC", date(2026, 12, 1))
    assert (found and (found.starts_on, found.ends_on)) == expected


def test_a_renewal_with_days_of_its_own_counts_its_months_from_them() -> None:
    early = next_term(YEAR, Told("renewed", starts=date(2027, 11, 15), period="P1M"))
    assert early is not None
    assert (early.starts_on, early.ends_on, early.anchor_on) == (
        date(2027, 11, 15), date(2027, 12, 14), date(2027, 11, 15),
    )  # fmt: skip
    assert next_term(YEAR, Told("renewed", last_day=date(2027, 1, 1))) is None


def test_a_subscription_is_a_contract_and_its_next_invoice_renews_it() -> None:
    def stripe(kind: str, **thing: Any) -> Told | None:  # noqa: ANN401 - values of any kind
        event = {"object": "event", "id": "evt_1", "type": kind, "livemode": True, "data": {"object": thing}}
        raw = Raw("hook", "application/json", json.dumps(event).encode(), {}, datetime.now(UTC))
        return told(understand(raw, Source(kind="hook", provider="stripe")))

    days = {"current_period_start": 1796083200, "current_period_end": 1798761600}  # December 2026
    for thing in (days, {"items": {"data": [days]}}):
        begun = stripe("customer.subscription.created", id="sub_1", customer="c", cancel_at_period_end=False, **thing)
        assert begun is not None
        assert (begun.what, begun.external_id, begun.renews_itself) == ("started", "sub_1", True)
        term = first_term(begun, "UTC", date(2026, 12, 1))
        assert term is not None
        assert (term.starts_on, term.ends_on, term.period) == (date(2026, 12, 1), date(2026, 12, 31), "P1M")
    paid = {"subscription": "sub_1", "billing_reason": "subscription_cycle", "amount_paid": 900, "currency": "eur"}
    renewed = stripe("invoice.paid", id="in_2", customer="c", **paid)
    assert renewed is not None
    assert (renewed.what, renewed.external_id, renewed.names_term) == ("renewed", "sub_1", False)
    ended = stripe("customer.subscription.deleted", id="sub_1", customer="c", status="canceled", **days)
    assert ended is not None
    assert (ended.what, ended.external_id, ended.next_start) == ("ended", "sub_1", None)
