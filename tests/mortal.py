"""
A worker that may die, by a clock that the test moves: what is due is worked off in a process of its own, which may be
killed at a failpoint by SIGKILL.

    python -m tests.mortal FOLDER

reads lines of URL, step and moment, does each in a child that it forks, and answers with what that ended with. With
everything imported and no threads a fork is cheap: there can be a death at every point of every moment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from schema.settings import Settings
from schema.store.engine import make_engine
from schema.store.journeys import JourneyBook
from tests.rig import until
from tests.spine import Heard, Spine
from workers.deliver import Deliverer

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parent.parent
DELIVER: Final = "deliver"
_ALIVE: Final = """
SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'throughline worker'
"""


class Mortal:
    """Works off what is due on a spine's database, once dying at each of the points that are named."""

    def __init__(self, folder: Path) -> None:
        self.deaths = 0
        self.folder = folder
        self._points = folder / "failpoints"
        self._points.mkdir()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mortal", str(self.folder)],
            cwd=ROOT,
            env=os.environ | {"THROUGHLINE_FAILPOINTS": str(self._points)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def work(self, spine: Spine, step: str, points: Sequence[str] = ()) -> None:
        """Do what is due for a step, after a death at each of the points."""
        for point in points:
            self.dies(spine, step, point)
        assert self._ended(spine, step) == 0

    def dies(self, spine: Spine, step: str, point: str) -> None:
        """Begin with what is due for a step, and die at a point."""
        (self._points / f"{point}.kill").touch()
        assert self._ended(spine, step) == -signal.SIGKILL, f"{step} at {point}: nothing was due at {spine.now}"
        until(lambda: not spine.rows(_ALIVE), "the database has noticed the death")
        self.deaths += 1

    def _ended(self, spine: Spine, step: str) -> int:
        assert self._process.stdin
        assert self._process.stdout
        print(spine.url, step, spine.now.isoformat(), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


def main(folder: Path) -> None:
    """Do what is asked for, line by line."""
    out = os.dup(1)
    os.dup2(2, 1)  # what the steps log is not an answer
    book = cache(_book)
    for line in sys.stdin:
        url, step, moment = line.split()
        book(url)
        child = os.fork()
        if not child:
            _work(folder, url, step, datetime.fromisoformat(moment), book(url))
            os._exit(0)
        os.write(out, f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n".encode())


def _book(url: str) -> JourneyBook:
    """The journeys of a database, read here so that no child has to."""
    engine, book = make_engine(url, name="test"), JourneyBook()
    with engine.connect() as connection:
        book.by_name(connection)
    engine.dispose()
    return book


def _work(folder: Path, url: str, step: str, now: datetime, book: JourneyBook) -> None:
    if step == DELIVER:
        settings = Settings(
            data_dir=folder, secret_key="the secret of these tests", base_url="https://mail.example.com"
        )
        Deliverer(make_engine(url, name="worker", hot=True), Heard(), settings).drain(now)
        return
    with closing(Spine(url)) as spine:
        spine.now = now
        spine.run(spine.runtime(book=book), step)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
