"""
Measures of a run: percentiles, and what processes used of the machine, by name of the part they belong to.

A part is a process with all its descendants. CPU is user and system time, that of children who have ended included.
Memory is each process's own peak, added up; what the processes of a part share (PostgreSQL's buffers) counts once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import psutil
from sqlalchemy import Connection, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HERE: Final = {None, "", "localhost", "127.0.0.1", "::1"}
_PORTS: Final = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of `values` that at least `percent` of them do not exceed; NaN of none (nearest rank)."""
    if not values:
        return math.nan
    return sorted(values)[max(math.ceil(percent / 100 * len(values)), 1) - 1]


def p50_p99(values: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile, to a hundredth."""
    return {"p50": round(percentile(values, 50), 2), "p99": round(percentile(values, 99), 2)}


class Meter:
    """Reads what each part's processes used."""

    def __init__(self, parts: Mapping[str, psutil.Process]) -> None:
        self._parts = dict(parts)
        self._peak_mb = dict.fromkeys(self._parts, 0.0)

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds each part has used since it started."""
        return {name: sum(map(_cpu_s, _family(root))) for name, root in self._parts.items()}

    def cpu_by_command_s(self, part: str) -> dict[str, float]:
        """Return the same for one part of ours, by the `throughline` command that each process runs."""
        found: dict[str, float] = defaultdict(float)
        for process in _family(self._parts[part]):
            found[_command(process)] += _cpu_s(process)
        return found

    def peak_mb(self) -> dict[str, float]:
        """Return each part's most resident memory in MiB, as far as seen by this and earlier calls."""
        for name, root in self._parts.items():
            memory = [_memory_kb(process.pid) for process in _family(root)]
            own = sum(max(peak - shared, 0) for peak, shared in memory)
            now = (own + max((shared for _, shared in memory), default=0)) / 1024
            self._peak_mb[name] = max(self._peak_mb[name], now)
        return dict(self._peak_mb)


def used(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what was used in between, part by part."""
    return {name: cpu - before.get(name, 0.0) for name, cpu in after.items()}


def postmaster(connection: Connection) -> psutil.Process | None:
    """Return the server process behind `connection`; None where it runs on another machine or out of sight."""
    pid, database = connection.execute(text("SELECT pg_backend_pid(), current_database()")).one()
    with suppress(psutil.Error):
        backend = psutil.Process(pid)
        # A process of that number may be anybody's; PostgreSQL's says in its title which database it serves.
        if database in " ".join(backend.cmdline()):
            return backend.parent()
    return None


def listener(url: str) -> psutil.Process | None:
    """Return the process that listens where a broker URL points; None where that is elsewhere or out of sight."""
    parts = urlsplit(url)
    if parts.hostname not in _HERE:
        return None
    port = parts.port or _PORTS.get(parts.scheme)
    with suppress(psutil.Error):
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.pid and found.laddr and found.laddr.port == port:
                return psutil.Process(found.pid)
    return None


def _family(root: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return []


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error, ValueError, IndexError):
        line = process.cmdline()
        return line[line.index("services.cli.main") + 1]
    return "other"


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _memory_kb(pid: int) -> tuple[int, int]:
    """Return the most memory that was resident, and how much of what is now is shared by intent."""
    with suppress(OSError):
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return _kb(lines, "VmHWM"), _kb(lines, "RssShmem")
    return 0, 0


def _kb(lines: Mapping[str, str], name: str) -> int:
    return int(lines.get(name, "0 kB").split()[0])
