"""
Another help desk's log, read from a file: rows that say which case, what was done and when, gathered into cases.

The customers come in as the rows of any other file do (a receipt each, quietly), then their tickets are replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from schema.errors import Permanent
from services.cli.place import database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Engine

    from schema.journey import Journey
    from schema.settings import Settings
    from services.importing.reading import Row
    from workers.helpdesk.replay import Done

_NEEDED: Final = ("case", "activity", "time")
_KNOWN: Final = (*_NEEDED, "customer", "agent", "text")
_LONGEST: Final = {"case": 200, "activity": 100, "customer": 254, "agent": 100, "text": 20_000}
_MOST_ROWS: Final = 2_000_000
"""Rows of one file: they are gathered in memory, since those of a case may stand anywhere."""


@dataclass(slots=True)
class Log:
    """What a file says: by case, what was done and whose case it is; and rows that were left out, by code."""

    rows: int = 0
    done: dict[str, list[Done]] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    first_refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, code: str, line: int, number: int = 1) -> None:
        """Count what is left out, with where it stood first."""
        self.refused[code] = self.refused.get(code, 0) + number
        self.first_refused.setdefault(code, line)


def columns_of(given: Iterable[str]) -> dict[str, str]:
    """
    Read `COLUMN=meaning` for each, several with commas; return the column of each meaning.

    :raises Permanent: `map_invalid`
    """
    found: dict[str, str] = {}
    for each in (part.strip() for written in given for part in written.split(",")):
        column, sign, meaning = each.rpartition("=")
        if not (sign and column) or meaning not in _KNOWN or meaning in found:
            words = f"Write each --map as COLUMN=meaning, with one of {', '.join(_KNOWN)} at most once: CaseID=case."
            raise Permanent("map_invalid", words)
        found[meaning] = column
    if missing := [name for name in _NEEDED if name not in found]:
        words = f"Say which column is {' and which is '.join(missing)}, as in --map CaseID=case."
        raise Permanent("map_invalid", words)
    return found


def read(rows: Iterable[Row], columns: Mapping[str, str], zone: ZoneInfo) -> Log:
    """
    Gather the rows of a file into cases; rows that cannot be used are counted.

    :raises Permanent: `file_too_large`, `columns_unknown`
    """
    from workers.helpdesk.replay import Done

    log = Log()
    for row in rows:
        log.rows += 1
        if log.rows > _MOST_ROWS:
            words = f"The file has more than {_MOST_ROWS:,} rows: import it in parts, by case."
            raise Permanent("file_too_large", words)
        if row.error:
            log.refuse(row.error, row.number)
            continue
        cells = {name: _cell(row.values.get(column), _LONGEST.get(name, 100)) for name, column in columns.items()}
        at = _moment(cells["time"], zone)
        if not cells["case"] or not cells["activity"]:
            log.refuse("case_missing" if not cells["case"] else "activity_missing", row.number)
        elif at is None:
            log.refuse("time_invalid", row.number)
        else:
            done = Done(at, cells["activity"], cells.get("agent") or None, cells.get("text") or None)
            log.done.setdefault(cells["case"], []).append(done)
            if cells.get("customer"):
                log.customers.setdefault(cells["case"], cells["customer"])
    for done_ in log.done.values():
        done_.sort(key=lambda each: each.at)
    return log


def _cell(value: object, longest: int) -> str:
    found = "" if value is None else str(value).strip().replace("\x00", "")
    return found[:longest]


def _moment(value: str, zone: ZoneInfo) -> datetime | None:
    """A moment as the file writes it; one that names no zone is of the file's."""
    from schema.draft import moment

    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found_, _ = moment(value)
        return found_
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


class _Customers:
    """Whose cases they are, as the rows of a file that is imported."""

    columns = ("case", "customer", "occurred_at")

    def __init__(self, log: Log) -> None:
        self._log = log

    def __iter__(self) -> Iterator[Row]:
        from services.importing.reading import Row

        for number, (case, done) in enumerate(self._log.done.items(), 2):
            customer = self._log.customers.get(case, "")
            values: dict[str, Any] = {"case": case, "occurred_at": done[0].at.isoformat()}
            values |= {"email": customer} if "@" in customer else {"external_id": customer or f"case:{case}"}
            yield Row(number, values, msgspec.json.encode(values))

    def key(self, case: str, source: str) -> tuple[str, str]:
        """The match key of a case's customer."""
        from schema import contact

        customer = self._log.customers.get(case, "")
        if "@" in customer:
            return "email", contact.email(customer).match_key or customer
        return f"external:{source}", customer or f"case:{case}"


def replay(  # noqa: PLR0913 - what the command is given
    settings: Settings,
    file: Path,
    *,
    source: str,
    columns: Sequence[str],
    kind: str,
    zone: str,
    journey: str | None,
    dry_run: bool,
    resolving: Sequence[str] = (),
) -> dict[str, Any]:
    """
    Replay a log, and return how many rows, tickets and entries there were.

    The activities `resolving` resolve their case, and what comes after opens it again. Cases without a `customer` get
    somebody of their own, known by the case.

    :raises Permanent: `map_invalid`, `activity_unknown`, `zone_unknown`, `source_unknown`, `kind_unknown`,
        `journey_not_named`; as `Rows`
    """
    from schema.store import journeys
    from schema.store.engine import make_engine
    from schema.store.journeys import JourneyBook
    from services.importing.reading import Rows

    wanted = columns_of(columns)
    found = Rows(file)
    if unknown := [column for column in wanted.values() if column not in found.columns]:
        there = ", ".join(found.columns[:20])
        words = f"The file has no column {' and none called '.join(unknown)}; it has {there}."
        raise Permanent("columns_unknown", words)
    log = read(found, wanted, _zone(zone))
    _check_activities(log, resolving)
    with database(settings) as url:
        engine = make_engine(url, name="cli", pool_size=2)
        try:
            with engine.connect() as connection:
                name = journey or journeys.active_name(connection)
                active = JourneyBook().version(connection, journeys.active_version(connection, name))
            _check(active, source, kind)
            report = _report(log)
            if dry_run:
                return report | {"tickets": len(log.done), "entries": sum(map(len, log.done.values())), "dry_run": True}
            _bring_customers(settings, url, file, log, source)
            _replay(engine, active, source, log, report, kind=kind, resolving=resolving)
        finally:
            engine.dispose()
    return report


def _report(log: Log) -> dict[str, Any]:
    moments = [each.at for done in log.done.values() for each in (done[0], done[-1])]
    return {
        "rows": log.rows,
        "cases": len(log.done),
        "tickets": 0,
        "known": 0,
        "entries": 0,
        "first_at": min(moments, default=None),
        "last_at": max(moments, default=None),
        "refused": log.refused,
        "first_refused": log.first_refused,
    }


def _check(journey: Journey, source: str, kind: str) -> None:
    files = [name for name, each in journey.sources.items() if each.kind == "import"]
    if source not in files:
        there = f"there are {', '.join(files)}" if files else "add one, as in helpdesk: {kind: import}"
        raise Permanent("source_unknown", f"The journey has no source {source} of kind import; {there}.")
    kinds = list(journey.service.kinds) if journey.service else []
    if kind not in kinds:
        there = f"there are {', '.join(kinds)}" if kinds else "the journey has no `service`"
        raise Permanent("kind_unknown", f"There is no kind of ticket {kind}; {there}.")


def _check_activities(log: Log, resolving: Sequence[str]) -> None:
    from schema.journey.fields import nearest

    there = sorted({each.activity for done in log.done.values() for each in done})
    for name in resolving:
        if name not in there:
            known = nearest(name, there) or f"; there are {', '.join(there[:20])}"
            raise Permanent("activity_unknown", f"The file has no activity `{name}`{known}.")


def _bring_customers(settings: Settings, url: str, file: Path, log: Log, source: str) -> None:
    from schema.importing import ImportMap
    from services.cli.imports import be_quiet, load
    from services.importing.run import Order

    be_quiet(settings)
    plan = ImportMap(kind="ticket.imported", fields={"external_id": "external_id"}, ignore=("case",))
    order = Order(source, plan, quiet=True, id_column="case")
    load(settings, url, order, file, _Customers(log), total=len(log.done))


def _replay(
    engine: Engine,
    journey: Journey,
    source: str,
    log: Log,
    report: dict[str, Any],
    *,
    kind: str,
    resolving: Sequence[str],
) -> None:
    from schema.store import clock
    from workers.helpdesk.replay import Case, replay

    customers = _Customers(log)
    cases = [Case(case, customers.key(case, source), done) for case, done in log.done.items()]
    for portion in replay(engine, journey, source, cases, kind=kind, now=clock.now(), resolving=resolving):
        report["tickets"] += portion.tickets
        report["known"] += portion.known
        report["entries"] += portion.entries
        for case, code in portion.refused.items():
            log.refuse(code, 0, len(log.done[case]))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Permanent("zone_unknown", "There is no such time zone; write it as in Europe/Berlin.") from error
