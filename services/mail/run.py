"""Both ways that mail comes in, as one process over one receiver."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schema.errors import Permanent
from schema.store.engine import make_async_engine, make_engine
from services.mail.door import Door, Limits
from services.mail.listen import listen
from services.mail.poll import Poller, places_of
from services.mail.secure import Certificate, Logins
from services.receive import Receiver
from services.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from schema.settings import Settings
    from services.receive import Submission

_STOP_S: Final = 5.0


def run_mail(settings: Settings, url: str, on_received: Callable[[Sequence[str]], None], stop: threading.Event) -> None:
    """
    Take mail in until `stop` is set, with receipts in the database `url`; `on_received` hears the ids of new ones.

    Raises Permanent for settings that mean nothing.
    """
    asyncio.run(_run(settings, url, on_received, stop))


async def _run(
    settings: Settings, url: str, on_received: Callable[[Sequence[str]], None], stop: threading.Event
) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    threading.Thread(
        target=lambda: (stop.wait(), loop.call_soon_threadsafe(stopping.set)), name="stop", daemon=True
    ).start()
    places = places_of(settings.imap_urls.get_secret_value())
    logins = Logins(settings.mail_logins.get_secret_value())
    certificate = _certificate(settings)
    intake = make_async_engine(url, name="intake", hot=True, pool_size=2)
    following = make_async_engine(url, name="mail", pool_size=1)
    cursors = make_engine(url, name="mailbox", pool_size=2)
    receiver = Receiver(intake, max_waiting=settings.max_waiting, on_received=on_received)
    pepper = settings.pepper()

    def hand_over(submission: Submission) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(receiver.receive(submission), loop)

    threads = [
        threading.Thread(
            target=Poller(place, cursors, pepper, settings.mail_largest_bytes, hand_over, stop).run,
            name="imap",
            daemon=True,
        )
        for place in places
    ]
    async with AsyncExitStack() as stack:
        for engine in (intake, following):
            stack.push_async_callback(engine.dispose)
        stack.callback(cursors.dispose)
        await stack.enter_async_context(receiver)
        if settings.mail_listen:
            sources = await stack.enter_async_context(Sources(following))
            lmtp = settings.mail_listen.startswith("lmtp:")
            door = Door(receiver, sources, pepper, Limits.of(settings), logins, lmtp=lmtp)
            server = await listen(settings.mail_listen, door, certificate)
            stack.callback(server.close)
        for thread in threads:
            thread.start()
        await stopping.wait()
        await asyncio.to_thread(_join, threads)


def _certificate(settings: Settings) -> Certificate | None:
    chain, key = settings.mail_certificate, settings.mail_certificate_key
    if bool(chain) != bool(key):
        raise Permanent(
            "mail_certificate_incomplete",
            "THROUGHLINE_MAIL_CERTIFICATE and THROUGHLINE_MAIL_CERTIFICATE_KEY belong together: set both or neither.",
        )
    return Certificate(Path(chain), Path(key)) if chain else None


def _join(threads: Sequence[threading.Thread]) -> None:
    """Let the mailboxes finish the portion in hand."""
    for thread in threads:
        thread.join(_STOP_S)
