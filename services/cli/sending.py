"""The way hints go out of a process that hears none: the API and the ticker."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from workers.broker import make_broker
from workers.hints import Hints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schema.settings import Settings


@contextmanager
def sending(settings: Settings, url: str) -> Iterator[Hints]:
    """Yield the sender of this process; what it still has is sent at the end, as far as two seconds go."""
    broker = make_broker(settings.model_copy(update={"database_url": url}))
    hints = Hints(broker)
    try:
        yield hints
    finally:
        hints.close()
        broker.close()
