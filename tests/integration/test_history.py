"""The history checker turns red: each kind of damage is found, and an undamaged history has nothing to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from schema.store import feed
from tests.history import Acknowledged, Verdict, check, out_of_order
from tests.management import settle

if TYPE_CHECKING:
    from tests.spine import Spine


def history(spine: Spine) -> list[Acknowledged]:
    """Let three people arrive and go the whole way."""
    told = [
        Acknowledged(f"m-{n}", spine.arrives({"email": f"m-{n}@kiln.example", "country": "DE", "interests": "crm"}))
        for n in range(3)
    ]
    spine.run()
    return told


def events(spine: Spine) -> list[dict[str, Any]]:
    settle(spine.engine)
    with spine.engine.connect() as connection:
        return feed.read(connection, feed.Cursor(), limit=1000).events


def test_a_history_that_kept_its_promises_is_clean(spine: Spine) -> None:
    told = history(spine)

    assert check(spine.engine, told, events(spine)) == Verdict()


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        ("DELETE FROM receipt WHERE id = :receipt", "lost"),
        ("DELETE FROM touchpoint WHERE id = :receipt", "lost"),
        (
            """UPDATE receipt SET status = 'pending', due_since = now(), lead_id = NULL, person_id = NULL
            WHERE id = :receipt""",
            "stuck",
        ),
        ("UPDATE lead SET next_step = 'route', due_since = NULL", "stuck"),
        (
            """INSERT INTO receipt (id, source, channel, content_type, body, trace, received_at, status, reason)
            SELECT gen_random_uuid(), source, channel, content_type, body, trace, received_at, 'rejected', 'x'
            FROM receipt WHERE id = :receipt""",
            "doubled",
        ),
        (
            """INSERT INTO person (id, email, created_at, updated_at)
            SELECT gen_random_uuid(), email, created_at, updated_at FROM person LIMIT 1""",
            "doubled",
        ),
        ("UPDATE decision SET step = 'score' WHERE step = 'route'", "doubled"),
        ("DELETE FROM decision WHERE step = 'score'", "broken"),
        ("UPDATE pool SET turn = turn + 1", "broken"),
        ("DELETE FROM event WHERE sequence = 2", "broken"),
    ],
)
def test_damage_is_found(spine: Spine, damage: str, kind: str) -> None:
    told = history(spine)
    before = events(spine)
    spine.do(damage, **({"receipt": told[0].receipt} if ":receipt" in damage else {}))

    verdict = check(spine.engine, told, before)

    assert getattr(verdict, kind), verdict


def test_an_event_that_is_told_twice_or_left_out_or_too_early_is_found(spine: Spine) -> None:
    told = history(spine)
    found = events(spine)

    assert check(spine.engine, told, [*found, found[0]]).doubled
    assert check(spine.engine, told, found[:-1]).lost
    assert out_of_order(list(reversed(found)))
