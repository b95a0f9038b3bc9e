"""
Failpoints: named places where a fault test can make this very process die, freeze or fail.

`THROUGHLINE_FAILPOINTS` names a folder. A file `<name>.kill`, `<name>.stop` or `<name>.raise` in it arms the point;
whoever reaches the point first removes the file and acts, so each file hits exactly once, across restarts too.
Unset, as always outside tests, a failpoint costs one comparison.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

_FOLDER: Final = os.environ.get("THROUGHLINE_FAILPOINTS", "")

ACTIVE: Final = bool(_FOLDER)
"""Whether this process has any."""

NAMES: Final = (
    "api.before_commit",
    "api.after_commit",
    "api.after_reply",
    "worker.after_lock",
    "worker.before_commit",
    "worker.after_commit",
    "relay.before_publish",
    "relay.after_confirm",
    "relay.after_commit",
)
"""Every failpoint on the way of a lead; the fault tests walk all of them."""

SENDING: Final = (
    "deliver.after_claim",
    "deliver.before_mail_from",
    "deliver.before_end_of_data",
    "deliver.after_end_of_data",
    "deliver.after_answer",
    "deliver.before_settle",
    "deliver.after_settle",
)
"""Those around a message that is handed over."""


class FailpointError(Exception):
    """An armed `.raise` file was reached."""


def reached(name: str) -> None:
    """Die, freeze or raise here if a test has armed the point `name`."""
    if not _FOLDER:
        return
    if _take(f"{name}.kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if _take(f"{name}.stop"):
        os.kill(os.getpid(), signal.SIGSTOP)
    if _take(f"{name}.raise"):
        raise FailpointError(name)


def _take(file: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(_FOLDER, file))  # noqa: PTH108, PTH118 - strings are cheaper on this path
        return True
    return False
