"""
Reading an arrival: which reader takes it, by its channel.

    form, api        a payload by its source's mapping
    hook             a provider's own shape (`schema/providers`), then as a payload
    event            a CloudEvent or a call in the Segment dialect (`schema/incoming`)
    email            a message (`schema/mail`)
    import           one row of a file

Pure: whoever asks first whether something can be read gets the answer that the worker will come to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schema import payload
from schema.draft import draft
from schema.incoming import read_event
from schema.journey import Source
from schema.understood import Raw, Understood

Reader = Callable[[Raw, Source], Understood]


def understand(raw: Raw, source: Source) -> Understood:
    """
    What an arrival says.

    :raises payload.Refused: it cannot be read at all; it waits in quarantine with that code
    """
    return READERS.get(raw.channel, _payload)(raw, source)


def _payload(raw: Raw, source: Source) -> Understood:
    mode = payload.Mode.STRICT if raw.channel == "api" else payload.Mode.LENIENT
    fields = payload.decode(raw.body, raw.content_type, mode=mode)
    read = draft(fields, source.map, region=source.region)
    return Understood(read, kind=read.kind or raw.channel, occurred_at=read.occurred_at)


READERS: Final[dict[str, Reader]] = {"form": _payload, "api": _payload, "import": _payload, "event": read_event}
