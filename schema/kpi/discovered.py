"""
The discovered process: which activity follows which, how often and how long after, read off any log.

A log has entries of a case, an activity and a time. Within a case entries are in order of time, and those of the same
moment in the order of the log. One activity follows another where nothing of the same case lies between them (a
directly-follows graph). Everything is exact: counts, sums, and percentiles by nearest rank. Pure;
`schema/store/discovered.py` has the database count the same.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VARIANTS: Final = 20
"""So many of the ways that cases take are told, the most frequent first."""
MOST_FOLLOWS: Final = 5_000
"""Pairs that are told at most, the most frequent first."""
MOST_ACTIVITIES: Final = 1_000
LONGEST_VARIANT: Final = 100
"""Activities that are told of one way."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND: Final = 1_000_000


class Entry(NamedTuple):
    """One entry of a log: in `case`, `activity` happened `at`."""

    case: str
    activity: str
    at: datetime


class Activity(NamedTuple):
    """An activity: how often, in how many cases, and how many cases begin and end with it."""

    name: str
    n: int
    cases: int
    starts: int
    ends: int


class Follow(NamedTuple):
    """`then` came right after `first`, `n` times; how long that took in seconds: the exact sum, and percentiles."""

    first: str
    then: str
    n: int
    total_s: Decimal
    p50_s: float
    p90_s: float
    longest_s: float


class Variant(NamedTuple):
    """A way that `n` cases took, and how long it took from its first activity to its last; `length` of activities."""

    activities: Sequence[str]
    length: int
    n: int
    p50_s: float
    p90_s: float


class Process(NamedTuple):
    """What a log shows. `follows`, `activities` and `variants` come in order of how often; ties by name."""

    cases: int
    entries: int
    first_at: datetime | None
    last_at: datetime | None
    p50_s: float | None
    p90_s: float | None
    activities: Sequence[Activity]
    follows: Sequence[Follow]
    variants: Sequence[Variant]
    all_activities: int
    all_follows: int
    all_variants: int

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values; `from` and `to` name the two activities of a pair."""
        return {
            "cases": self.cases,
            "entries": self.entries,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "p50_s": self.p50_s,
            "p90_s": self.p90_s,
            "activities": [each._asdict() for each in self.activities],
            "follows": [{"from": each.first, "to": each.then, **_rest(each)} for each in self.follows],
            "variants": [
                each._asdict() | {"share": each.n / self.cases, "activities": list(each.activities)}
                for each in self.variants
            ],
            "of": {"activities": self.all_activities, "follows": self.all_follows, "variants": self.all_variants},
        }


EMPTY: Final = Process(0, 0, None, None, None, None, [], [], [], 0, 0, 0)


def discover(log: Iterable[Entry]) -> Process:
    """Read the process off a log, whose entries come in the log's own order; those of a case may stand anywhere."""
    by_case: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for case, activity, at in log:
        by_case[case].append(((at - _EPOCH) // _MICROSECOND, activity))
    if not by_case:
        return EMPTY
    took: dict[tuple[str, str], list[int]] = defaultdict(list)
    ways: dict[tuple[str, ...], list[int]] = defaultdict(list)
    often: Counter[str] = Counter()
    for own in by_case.values():
        own.sort(key=itemgetter(0))  # stable: the same moment keeps the order of the log
        for (before, was), (moment, activity) in pairwise(own):
            took[was, activity].append(moment - before)
        way = tuple([activity for _, activity in own])
        often.update(way)
        ways[way].append(own[-1][0] - own[0][0])
    for spans in (*took.values(), *ways.values()):
        spans.sort()
    whole = sorted(span for spans in ways.values() for span in spans)
    return Process(
        len(by_case),
        often.total(),
        _EPOCH + min(own[0][0] for own in by_case.values()) * _MICROSECOND,
        _EPOCH + max(own[-1][0] for own in by_case.values()) * _MICROSECOND,
        _rank(whole, 0.5),
        _rank(whole, 0.9),
        _activities(often, ways)[:MOST_ACTIVITIES],
        sorted((_follow(pair, spans) for pair, spans in took.items()), key=_order_of_follow)[:MOST_FOLLOWS],
        _variants(ways),
        len(often),
        len(took),
        len(ways),
    )


def _activities(often: Mapping[str, int], ways: Mapping[tuple[str, ...], Sequence[int]]) -> list[Activity]:
    cases: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for way, spans in ways.items():
        starts[way[0]] += len(spans)
        ends[way[-1]] += len(spans)
        for name in set(way):
            cases[name] += len(spans)
    found = [Activity(name, number, cases[name], starts[name], ends[name]) for name, number in often.items()]
    return sorted(found, key=lambda each: (-each.n, each.name))


def _follow(pair: tuple[str, str], spans: Sequence[int]) -> Follow:
    total = Decimal(sum(spans)) / _SECOND
    return Follow(*pair, len(spans), total, _rank(spans, 0.5), _rank(spans, 0.9), spans[-1] / _SECOND)


def _order_of_follow(each: Follow) -> tuple[int, str, str]:
    return -each.n, each.first, each.then


def _variants(ways: Mapping[tuple[str, ...], Sequence[int]]) -> list[Variant]:
    most = sorted(ways.items(), key=lambda item: (-len(item[1]), item[0]))[:VARIANTS]
    return [
        Variant(list(way[:LONGEST_VARIANT]), len(way), len(spans), _rank(spans, 0.5), _rank(spans, 0.9))
        for way, spans in most
    ]


def _rank(spans: Sequence[int], share: float) -> float:
    """The percentile by nearest rank of sorted microseconds, in seconds; the database's `percentile_disc`."""
    return spans[max(math.ceil(share * len(spans)), 1) - 1] / _SECOND


def _rest(each: Follow) -> dict[str, Any]:
    told = each._asdict()
    del told["first"], told["then"]
    return told
