"""Ids: UUID version 7, so that they are unguessable enough, sort by time and keep indexes dense."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import uuid_utils

if TYPE_CHECKING:
    from collections.abc import Iterable

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


def new_id() -> str:
    """Return a fresh UUIDv7 as text."""
    return str(uuid_utils.uuid7())


def is_id(value: str) -> bool:
    """Tell whether `value` is an id as we write them (lower-case, with hyphens)."""
    return _UUID.match(value) is not None


def uuid_array(ids: Iterable[str]) -> str:
    """Write ids as a PostgreSQL array literal: one text parameter, parsed by the server."""
    return "{" + ",".join(ids) + "}"
