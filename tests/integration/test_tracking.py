"""Opens and clicks: noticed where the journey wants it, never leading anywhere else, and told apart from machines."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema.mailing.read import machine
from schema.mailing.tokens import make_token, read_token
from schema.store import clock
from tests.door import Door, api_thread
from tests.mailroom import NURTURE, Mailroom, page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = timedelta(hours=1)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
TARGET = "https://example.com/guide?a=1&b=2"


@pytest.fixture
def api(database_url: str) -> Iterator[Door]:
    with api_thread(database_url) as door:
        yield door


@pytest.fixture
def room(api: Door, tmp_path: Path) -> Mailroom:
    api.spine.now = clock.now() - HOUR
    return Mailroom(api.spine, tmp_path)


def sent(room: Mailroom) -> tuple[str, str, str]:
    """A message that was sent an hour ago: its id, and the paths of its link and its picture."""
    send = room.plan(room.lead())
    room.deliver()
    html = page(room.mails[-1])
    link = re.search(r"https://mail\.example\.com(/l/[\w-]+)", html)
    picture = re.search(r"https://mail\.example\.com(/o/[\w-]+\.gif)", html)
    assert link
    assert picture
    return send, link[1], picture[1]


def touches(room: Mailroom) -> list[tuple[str, str | None]]:
    found = room.spine.rows(
        "SELECT kind, data ->> 'machine' AS machine FROM touchpoint WHERE channel = 'mailing' ORDER BY id"
    )
    return [(row["kind"], row["machine"]) for row in found]


def test_what_somebody_opened_and_followed_is_kept_with_message_and_lead(api: Door, room: Mailroom) -> None:
    send, link, picture = sent(room)
    opened, followed = api.send("GET", picture, user_agent=FIREFOX), api.send("GET", link, user_agent=FIREFOX)
    api.send("GET", link, user_agent=FIREFOX)
    api.settle()

    assert (opened.status, opened.headers["Content-Type"]) == (200, "image/gif")
    assert (followed.status, followed.headers["Location"]) == (302, TARGET)
    assert touches(room) == [("email.open", None), ("email.click", None)]
    row = room.send(send)
    assert row["opened_at"]
    assert row["clicked_at"]
    assert room.spine.rows("SELECT DISTINCT status FROM receipt WHERE channel = 'mailing'") == [{"status": "merged"}]


def test_a_scanner_is_told_apart_and_still_led_on(api: Door, room: Mailroom) -> None:
    send, link, picture = sent(room)
    assert api.send("HEAD", link, user_agent=FIREFOX).headers["Location"] == TARGET
    api.send("GET", picture, user_agent="Barracuda Sentinel (EE)")
    api.settle()
    assert {why for _, why in touches(room)} == {"head", "agent"}
    assert (room.send(send)["opened_at"], room.send(send)["clicked_at"]) == (None, None)
    api.send("GET", link, user_agent=FIREFOX)
    api.settle()

    assert room.send(send)["clicked_at"]


def test_no_token_leads_anywhere_but_where_its_message_does(api: Door, room: Mailroom) -> None:
    send, link, picture = sent(room)
    pepper = room.settings.pepper()
    assert make_token(pepper, "link", send) == link.removeprefix("/l/")
    for wrong in (
        "/l/" + make_token(pepper, "link", send, 1),
        "/l/" + make_token(b"another", "link", send),
        "/l/" + make_token(pepper, "picture", send),
        link + "?url=https://evil.example",
        link.removesuffix(link[-2:]) + "xx",
        picture.replace("/o/", "/l/").removesuffix(".gif"),
    ):
        answer = api.send("GET", wrong, user_agent=FIREFOX)
        assert answer.headers["Location"] in {None, TARGET}
        assert answer.status == (302 if "?url" in wrong else 404)


def test_a_token_says_the_same_for_ever_and_only_for_its_use() -> None:
    send = "0198a6c4-0000-7000-8000-000000000001"
    token = make_token(b"pepper", "link", send, 7)
    assert len(token) == 43
    assert read_token(b"pepper", "link", token) == (send, 7)
    assert read_token(b"pepper", "unsubscribe", token) is None
    assert read_token(b"other", "link", token) is None
    for wrong in ("", "é", token + "A", token[:-1], "!" * 43):
        assert read_token(b"pepper", "link", wrong) is None


@pytest.mark.parametrize(
    ("method", "agent", "since", "links", "why"),
    [
        ("GET", FIREFOX, HOUR, 1, ""),
        (
            "GET",
            "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
            HOUR,
            0,
            "",
        ),
        ("HEAD", FIREFOX, HOUR, 1, "head"),
        ("GET", "", HOUR, 1, "agent"),
        ("GET", "Mozilla/5.0", HOUR, 0, "agent"),
        ("GET", "python-requests/2.32", HOUR, 1, "agent"),
        ("GET", "Googlebot/2.1", HOUR, 1, "agent"),
        ("GET", FIREFOX, timedelta(seconds=2), 1, "too_soon"),
        ("GET", FIREFOX, HOUR, 3, "burst"),
    ],
)
def test_machines_show_themselves(method: str, agent: str, since: timedelta, links: int, why: str) -> None:
    assert machine(method, agent, since, links) == why


def test_tracking_can_be_off(api: Door, tmp_path: Path) -> None:
    api.spine.now = clock.now() - HOUR
    room = Mailroom(api.spine, tmp_path, more=NURTURE.replace("  caps:", "  opens: false\n  clicks: false\n  caps:"))
    send = room.plan(room.lead())
    room.deliver()

    html = page(room.mails[-1])
    assert "/l/" not in html
    assert "/o/" not in html
    assert 'href="https://example.com/guide?a=1&amp;b=2"' in html
    assert room.send(send)["links"] is None


def test_a_closed_lead_is_not_opened_by_a_scanner_or_a_reader(api: Door, room: Mailroom) -> None:
    _, link, _ = sent(room)
    room.spine.do("ALTER TABLE lead DISABLE TRIGGER ALL")
    room.spine.do("UPDATE lead SET state = 'lost', open = false, due_since = NULL")
    room.spine.do("ALTER TABLE lead ENABLE TRIGGER ALL")
    api.send("GET", link, user_agent=FIREFOX)
    api.settle()

    counts: list[dict[str, Any]] = room.spine.rows("SELECT count(*) AS n FROM lead")
    assert counts[0]["n"] == 1
