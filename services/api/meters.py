"""
Figures for Prometheus: what this process counted, and what the database says about all of them.

Counters are this process's own; gauges come from the database at each scrape and are the same whichever process is
asked. Labels are names of ours, never personal data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from schema.store import clock, feed, ops, sends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric
    from sqlalchemy import Connection

MOST_COUNTED: Final = 100_000
"""Unsent events are counted up to here: a scrape must stay cheap while the exchange is away for days."""

_registry: Final = CollectorRegistry()
ProcessCollector(registry=_registry)
ACCEPTED: Final = Counter(
    "throughline_intake_accepted",
    "Intake requests answered after their commit, by this process.",
    registry=_registry,
)
REFUSED: Final = Counter(
    "throughline_intake_refused",
    "Intake requests refused, by this process, by problem code.",
    ["code"],
    registry=_registry,
)


def gauges(connection: Connection) -> list[Metric]:
    """Read every figure that is the database's."""
    queues = ops.queues(connection)
    return [
        _by_queue("throughline_due", "Rows that are due and wait for a worker.", queues, "waiting"),
        _by_queue("throughline_in_work", "Rows that a worker has taken.", queues, "in_work"),
        _by_queue("throughline_due_oldest_seconds", "Age of the oldest due row.", queues, "oldest_s"),
        _by_queue("throughline_dead_letters", "Open dead letters.", queues, "dead"),
        *_outbox(connection),
        *_sends(connection),
    ]


def _sends(connection: Connection) -> Iterator[Metric]:
    """Messages that are due in each lane, and those of which nobody knows whether they went out."""
    found = sends.counts(connection, clock.now(), MOST_COUNTED)
    due = GaugeMetricFamily("throughline_sends_due", "Messages that are due to be sent.", labels=["lane"])
    due.add_metric(["service"], found["service_due"])
    due.add_metric(["marketing"], found["marketing_due"])
    yield due
    unknown = "Messages that may have gone out, and wait for somebody to say so."
    yield GaugeMetricFamily("throughline_sends_unknown", unknown, value=found["unknown"])


def page(found: Iterable[Metric]) -> bytes:
    """Write the gauges and this process's counters as Prometheus reads them."""
    snapshot = CollectorRegistry()
    snapshot.register(_Found(found))
    return generate_latest(snapshot) + generate_latest(_registry)


class _Found:
    """Figures already read, as a collector."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterator[Metric]:
        return iter(self._found)


def _by_queue(name: str, words: str, queues: list[dict[str, Any]], figure: str) -> Metric:
    family = GaugeMetricFamily(name, words, labels=["queue"])
    for queue in queues:
        family.add_metric([queue["name"]], queue[figure])
    return family


def _outbox(connection: Connection) -> Iterator[Metric]:
    """Yield how far the relay is behind; nothing where no relay ever ran."""
    backlog = feed.backlog(connection, "amqp", MOST_COUNTED)
    if backlog is None:
        return
    behind = max(0.0, (clock.now() - backlog.since).total_seconds()) if backlog.since else 0.0
    yield GaugeMetricFamily("throughline_outbox_unsent", f"Events not sent, up to {MOST_COUNTED}.", backlog.events)
    yield GaugeMetricFamily("throughline_outbox_lag_seconds", "Age of the oldest event not sent.", behind)
