"""Digests: what is due today, by mail, once each working morning and only to who has anything to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from schema.settings import Settings
from schema.store import staff
from tests.mailroom import Mailroom, journey_text, plain
from workers.followups.by_hand import FollowUps
from workers.sweep import Sweeper

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spine import Spine

HOUR = timedelta(hours=1)
ANA = "email: ana@example.com, tz: Europe/Berlin, speaks: [de, en]"


@pytest.fixture
def room(spine: Spine, tmp_path: Path) -> Mailroom:
    room = Mailroom(spine, tmp_path)
    room.journey = room.activate(
        journey_text().replace(ANA, f"{ANA}, digest: '08:00', hours: {{mon-fri: '09:00-17:00'}}")
    )
    spine.now = datetime(2026, 11, 19, 12, tzinfo=UTC)  # a Thursday
    return room


def sweep(room: Mailroom) -> list[str]:
    """The digests there are after a sweep of a process that knows nothing yet."""
    Sweeper(room.spine.engine, room.spine.hints, Settings()).sweep(room.spine.now)
    return [row["entry_key"] for row in room.spine.rows("SELECT entry_key FROM send WHERE staff = 'ana' ORDER BY id")]


def owe(room: Mailroom, text: str, due_at: datetime, owner: str = "ana") -> str:
    lead = room.lead(name="Jo <Kiln>")
    work = FollowUps(room.spine.engine, room.spine.hints.send)
    row = work.add(lead.lead_id, text, owner=owner, due_at=due_at, actor="key:1", now=room.spine.now)
    return str(row["id"])


def test_who_has_something_to_do_gets_one_mail_on_each_working_morning(room: Mailroom) -> None:
    friday = datetime(2026, 11, 20, 7, tzinfo=UTC)  # eight in Berlin
    owe(room, "Call *them*", friday - 15 * HOUR)
    owe(room, "Write to them", friday + 3 * HOUR)
    owe(room, "Not today", friday + 24 * HOUR)
    owe(room, "Somebody else's", friday, "ben")
    room.spine.now = friday - timedelta(minutes=1)
    assert sweep(room) == []
    room.spine.now = friday
    assert [sweep(room) for _ in range(2)] == [["2026-11-20"]] * 2

    assert (room.deliver(), room.deliver()) == (1, 0)

    [mail] = room.mails
    assert (mail["To"], mail["Subject"]) == ("ana@example.com", "1 überfällig, 1 heute fällig")
    assert (mail["Auto-Submitted"], mail["List-Unsubscribe"]) == ("auto-generated", None)
    assert plain(mail).split("\r\n\r\n") == [
        "Überfällig:\r\n2026-11-19 17:00 Call *them* (Jo <Kiln>, lead1@firm1.example)",
        "Heute fällig:\r\n11:00 Write to them (Jo <Kiln>, lead2@firm2.example)\r\n",
    ]
    assert room.spine.rows("SELECT 1 FROM message WHERE direction = 'out'") == []
    for day in range(1, 4):
        room.spine.now = friday + timedelta(days=day)
        sweep(room)
    assert sweep(room) == ["2026-11-20", "2026-11-23"]  # not on the weekend


def test_nobody_gets_a_mail_that_says_nothing_or_comes_when_they_are_away_or_too_late(room: Mailroom) -> None:
    friday = datetime(2026, 11, 20, 7, tzinfo=UTC)
    room.spine.now = friday
    assert sweep(room) == []  # nothing is due
    work = owe(room, "Call them", friday + HOUR)
    with room.spine.engine.begin() as connection:
        staff.go_away(connection, "ana", "leave", friday - HOUR, friday + HOUR, "x", friday)
    assert sweep(room) == []
    room.spine.now = friday + 4 * HOUR
    assert sweep(room) == []
    room.spine.now = friday + 2 * HOUR
    assert sweep(room) == ["2026-11-20"]

    FollowUps(room.spine.engine, room.spine.hints.send).cancel(work, "x", actor="key:1", now=room.spine.now)
    assert room.deliver() == 0
    [send] = room.spine.rows("SELECT state, reason FROM send WHERE staff IS NOT NULL")
    assert send == {"state": "skipped", "reason": "nothing_due"}
