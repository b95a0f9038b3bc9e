"""
Reading an arrival: which reader takes it, by its channel.

    form             a payload by its source's mapping, weighed as spam (`schema/form`)
    opt_in           the consent of a form, confirmed (`schema/opt_in`)
    api              a payload by its source's mapping
    hook             a provider's own shape (`schema/providers`), then as a payload
    event            a CloudEvent or a call in the Segment dialect (`schema/incoming`)
    email            a message (`schema/mail`)
    import           one row of a file (`schema/importing`)
    mailing          what somebody did with a mail of ours (`schema/mailing`)

Pure: whoever asks first whether something can be read gets the answer that the worker will come to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schema import payload
from schema.draft import draft
from schema.form import read_form
from schema.importing import read_import
from schema.incoming import read_event
from schema.journey import Source
from schema.mail.read import read_mail
from schema.mailing.read import CHANNEL as MAILING
from schema.mailing.read import read_mailing
from schema.opt_in import read_confirmation
from schema.providers import read_hook
from schema.understood import Raw, Understood

ABOUT: Final = "about-lead"
"""The header under which a receipt keeps whose lead it is about, where its sender was asked for nothing else."""
KIND: Final = "touch-kind"
"""The header under which a receipt keeps what happened, where its way in says so."""
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
    lead = raw.headers.get(ABOUT)
    return Understood(
        read,
        kind=raw.headers.get(KIND) or read.kind or raw.channel,
        occurred_at=read.occurred_at,
        keys=[("lead", lead)] if lead else [],
    )


READERS: Final[dict[str, Reader]] = {
    "form": read_form,
    "opt_in": read_confirmation,
    "api": _payload,
    "import": read_import,
    MAILING: read_mailing,
    "event": read_event,
    "email": read_mail,
    "hook": read_hook,
}
