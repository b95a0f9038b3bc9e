"""
Hints: what travels on a queue.

A hint says "look at these leads"; it never says what to do, and nothing is lost with it: what is due is a row in
PostgreSQL. On the wire it is the single argument of a standard Dramatiq message, `{"v": 1, "ids": [...]}`, on a
queue named as its actor. Ids only, never personal data.

Readers are tolerant: fields they do not know are ignored. A version they do not know is refused, because the
meaning of `ids` may have changed; the row stays due and is found by workers that know better.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from schema.errors import Permanent

STEPS: tuple[str, ...] = ("identify", "qualify", "score", "route", "advance")
"""The steps a lead may take, each a queue, an actor and a module of `workers`; a journey says which, in what order."""

QUEUES: tuple[str, ...] = (
    *STEPS,
    "nurture",
    "followup",
    "kpi",
    "deliver",
    "sweep",
)
"""Every queue there is; each is heard by the actor of the same name."""

VERSION = 1

_Shape = TypeVar("_Shape")


class HintError(Permanent):
    """A hint nobody here can read: `hint_malformed` or `hint_version_unknown`. Log it and go on."""


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """
    Look at these rows.

    No ids means: look again at whatever is due. `trace` is a W3C `traceparent`, kept only where one hint stems
    from one arrival.
    """

    v: int = VERSION
    ids: list[str] = []
    trace: str | None = None


class _Envelope(msgspec.Struct):
    v: int


def encode(hint: Hint) -> dict[str, Any]:
    """Return the hint as it travels: a plain dict that any JSON encoder takes."""
    wire: dict[str, Any] = {"v": hint.v, "ids": hint.ids}
    return wire if hint.trace is None else {**wire, "trace": hint.trace}


def decode(wire: object) -> Hint:
    """
    Read what travelled.

    Raises `HintError`: `hint_version_unknown` (with `v`) before anything else is looked at, `hint_malformed`
    where the shape is wrong. The offending value is not repeated.
    """
    version = _convert(wire, _Envelope).v
    if version != VERSION:
        raise HintError("hint_version_unknown", v=version)
    return _convert(wire, Hint)


def _convert(wire: object, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(wire, shape)
    except msgspec.ValidationError:
        raise HintError("hint_malformed") from None
