"""A small journey whose routing is what the test says: for tests of turns, working hours and queues."""

from __future__ import annotations

import json
from typing import Any

from schema.journey import Journey, load


def document(route: dict[str, Any], people: dict[str, Any] | None = None, **rest: Any) -> str:  # noqa: ANN401
    """The journey as text; people who are only named have nothing but an address."""
    named = {name for pool in route["pools"].values() for name in pool["members"]}
    given = people or {}
    team = {name: {"email": f"{name}@example.com"} | given.get(name, {}) for name in sorted({*named, *given})}
    journey = {
        "journey": "team",
        "people": team,
        "steps": ["route", "advance"],
        "route": route,
        "lifecycle": {"lead": {"to": {"win": "won", "lose": "lost"}}, "won": {"final": True},
                      "lost": {"final": True, "to": {"again": "lead"}}},
    }  # fmt: skip
    return json.dumps(journey | rest)  # which is YAML, too


def team(route: dict[str, Any], people: dict[str, Any] | None = None, **rest: Any) -> Journey:  # noqa: ANN401
    """The same, loaded."""
    return load(document(route, people, **rest))


def one_pool(members: dict[str, int] | None = None, **rest: Any) -> dict[str, Any]:  # noqa: ANN401
    """Routing by one pool for all leads."""
    pool = {"members": members or {"ana": 1, "ben": 1}} | rest.pop("pool", {})
    return {"pools": {"all": pool}} | rest
