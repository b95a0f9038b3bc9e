"""
Figures for Prometheus: what this process counted, and what the database says about all of them.

Counters are this process's own; gauges come from the database at each scrape and are the same whichever process is
asked. Labels are names of ours, never personal data.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from schema.store import account, canaries, clock, feed, mailboxes, ops, sends

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

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


def gauges(connection: Connection, sources: Collection[str]) -> list[Metric]:
    """Read every figure that is the database's; `sources` are those there are now."""
    queues = ops.queues(connection)
    return [
        _by_queue("throughline_due", "Rows that are due and wait for a worker.", queues, "waiting"),
        _by_queue("throughline_in_work", "Rows that a worker has taken.", queues, "in_work"),
        _by_queue("throughline_due_oldest_seconds", "Age of the oldest due row.", queues, "oldest_s"),
        _by_queue("throughline_dead_letters", "Open dead letters.", queues, "dead"),
        *_outbox(connection),
        *_sends(connection),
        *_account(connection),
        *_canaries(connection, sources),
        *_mailboxes(connection),
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


def _account(connection: Connection) -> Iterator[Metric]:
    """Yield what the latest look at the account found; nothing before the first one."""
    found = account.latest(connection)
    if found is None:
        return
    now = clock.now()
    age = (now - found["at"]).total_seconds()
    yield GaugeMetricFamily("throughline_unaccounted", "Receipts and leads that are lost.", found["unaccounted"])
    yield GaugeMetricFamily("throughline_account_age_seconds", "Since the account was last looked at.", age)
    kinds = GaugeMetricFamily("throughline_unaccounted_by_kind", "The same, by kind.", labels=["kind"])
    for kind, told in found["found"].items():
        kinds.add_metric([kind], told["count"])
    yield kinds
    silent = GaugeMetricFamily(
        "throughline_source_silent_seconds",
        "How long a source says nothing that should; none stands here while all is well.",
        labels=["source"],
    )
    for source, since in found["silent"].items():
        silent.add_metric([source], (now - datetime.fromisoformat(since)).total_seconds())
    yield silent


def _canaries(connection: Connection, sources: Collection[str]) -> Iterator[Metric]:
    """Yield how the ways in are; nothing where none was tried."""
    standing = canaries.standing(connection, sources, clock.now())
    age = "Since the last canary was sent that came through."
    for name, words, figure in (
        ("throughline_canary_age_seconds", age, "age_s"),
        ("throughline_canary_late", "1: the last canary did not come through in time.", "late"),
    ):
        family = GaugeMetricFamily(name, words, labels=["source", "path"])
        for way in standing:
            family.add_metric([way["source"], way["path"]], float(way[figure]))
        yield family


def _mailboxes(connection: Connection) -> Iterator[Metric]:
    """Yield how the mailboxes are that are fetched, by their source; nothing where there are none."""
    found = mailboxes.mailboxes(connection)
    for name, words, figure in (
        ("throughline_mailbox_alarms", "Mailboxes that cannot be read until somebody looks at them.", "alarm"),
        ("throughline_mailbox_skipped", "Mails that could not be kept and are still in their mailbox.", "skipped"),
    ):
        family = GaugeMetricFamily(name, words, labels=["source"])
        for source in sorted({box["source"] for box in found}):
            family.add_metric([source], sum(int(box[figure]) for box in found if box["source"] == source))
        if found:
            yield family


def _outbox(connection: Connection) -> Iterator[Metric]:
    """Yield how far the relay is behind; nothing where no relay ever ran."""
    backlog = feed.backlog(connection, "amqp", MOST_COUNTED)
    if backlog is None:
        return
    behind = max(0.0, (clock.now() - backlog.since).total_seconds()) if backlog.since else 0.0
    yield GaugeMetricFamily("throughline_outbox_unsent", f"Events not sent, up to {MOST_COUNTED}.", backlog.events)
    yield GaugeMetricFamily("throughline_outbox_lag_seconds", "Age of the oldest event not sent.", behind)
