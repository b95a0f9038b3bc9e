"""
A worker and a ticker in this very process, on a real broker and by a clock that the test moves.

What `throughline worker` and `throughline ticker` run, put together by the same functions: messages go through the
broker, and what is due at the moved moment is found by the ticker's hints. Only arrivals are put in place by hand, and
nothing waits for real time to pass.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self

from schema.settings import Settings
from schema.store import feed
from services.ticker import run_ticker
from tests.rig import until
from tests.spine import Spine
from workers.app import build
from workers.process import run_worker

if TYPE_CHECKING:
    from pathlib import Path

BASE: Final = "https://mail.example.com"
_MOMENT: Final = timedelta(microseconds=10)
_DUE: Final = """
SELECT 'receipt' AS what FROM receipt WHERE due_since IS NOT NULL
UNION ALL SELECT 'lead' FROM lead WHERE due_since IS NOT NULL OR wake_at <= :now
UNION ALL SELECT 'timer of ' || kind FROM timer WHERE due_at <= :now
UNION ALL SELECT 'enrolment' FROM enrolment WHERE due_at <= :now
UNION ALL SELECT 'send' FROM send WHERE due_at <= :now OR state = 'sending'
"""


class Working(Spine):
    """The way of a lead on one database, done by a worker that hears a broker."""

    def __init__(self, url: str, broker_url: str, folder: Path) -> None:
        super().__init__(url)
        self.folder = folder
        self.settings = Settings(
            database_url=url,
            broker_url=broker_url,
            data_dir=folder,
            base_url=BASE,
            secret_key="the secret of these tests",
            sweep_every_s=0.05,
            sweep_after_s=_MOMENT.total_seconds(),
            smtp_connections=1,
        )
        self._stop = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        broker, _, hints = build(self.settings, self.url, clock=lambda: self.now)
        self.hint = hints.send
        ended: list[int] = []
        given = (self.engine, self.settings, self.hint)
        threads = [
            threading.Thread(target=lambda: ended.append(run_worker(broker, set(), 2, stop=self._stop))),
            threading.Thread(target=run_ticker, args=given, kwargs={"stop": self._stop}),
        ]
        for thread in threads:
            thread.start()

        def end() -> None:
            self._stop.set()
            for thread in threads:
                thread.join()
            hints.close()
            broker.close()
            assert ended == [0], "the worker ended in order"

        self._stack.callback(self.close)
        self._stack.callback(end)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def due(self) -> list[str]:
        """What is due now, or on its way."""
        return [row["what"] for row in self.rows(_DUE, now=self.now)]

    def settle(self) -> None:
        """Wait until everything is done that is due now."""
        until(self._done, f"everything is done that is due at {self.now}: {self.due()}", 20)

    def _done(self) -> bool:
        """Tell whether all is done; the least time goes by, so that the sweep finds what a worker had to pass over."""
        self.now += _MOMENT
        return not self.due()

    def comes(self, payload: dict[str, Any] | bytes, **named: str) -> str:
        """Have something arrive and be worked off; return its receipt."""
        receipt = self.arrives(payload, **named)
        self.hint("identify", [receipt])
        self.settle()
        return receipt

    def waits(self, until_or_for: datetime | timedelta) -> None:
        """Move the clock on, and let everything happen that is due by then."""
        self.now = until_or_for if isinstance(until_or_for, datetime) else self.now + until_or_for
        self.settle()

    def feed(self) -> list[dict[str, Any]]:
        """Read all events, as whoever listens downstream does; there are no more than one page of them."""
        [told] = self.rows("SELECT count(*) AS events FROM event")
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

            def read() -> list[dict[str, Any]]:
                found = feed.read(connection, feed.Cursor(), limit=feed.LARGEST_PAGE).events
                return found if len(found) >= told["events"] else []

            return list(until(read, "the feed has all events"))
