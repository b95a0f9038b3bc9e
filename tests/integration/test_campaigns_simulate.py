"""What a simulation of campaigns says is what then happens, and nothing happens because of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from schema.journey import load
from schema.store.journeys import JourneyBook
from services.cli.main import app
from tests.mailroom import Mailroom, journey_text
from workers.simulate.campaign_tally import Plan, Tally
from workers.simulate.campaigns import play
from workers.simulate.run import snapshot
from workers.sweep import wake

if TYPE_CHECKING:
    from pathlib import Path

    from tests.spine import Spine

pytestmark = pytest.mark.xdist_group("simulate")

DAY = timedelta(days=1)
TWO_WEEKS = """
mail:
  sender: Ana of Example <sales@example.com>
  postal: Example Ltd, 1 Road, 10115 Berlin
  hours: {mon-fri: '09:00-17:00'}
  assume: Europe/Berlin
  caps: [{most: 1, per: 3d}]
templates:
  hello: {subject: Hello, text: 'Hello {{ person.first_name }}.'}
  again: {subject: Again, text: Again}
  offer: {subject: Offer, text: Offer}
  happy: {subject: Happy birthday, text: Cake}
campaigns:
  warm_up:
    enter: [{event: form}]
    goal: {when: state == "customer", within: 12d}
    steps:
      - wait: 2d
      - send: hello
      - {wait_until: '"email.click" in touchpoint.kinds', timeout: 4d}
      - split: {one: 1, two: 1}
      - {name: one, send: again}
      - exit: enough
      - {name: two, set: {asked: true}}
      - follow_up: Call them
  offers:
    priority: 80
    enter: [{event: form}]
    steps: [{wait: 4d}, {send: offer, capped: skip}]
  thanks:
    kind: service
    enter: [{event: form}]
    goal: {when: state == "customer", within: 5d}
    holdout: 40
    steps: [{wait: 1d}, {send: again}]
  birthday:
    kind: service
    enter: [{date: person.custom.birthday, yearly: true}]
    again: always
    steps: [{send: happy}]
"""


def crowd(spine: Spine, folder: Path) -> Mailroom:
    """People from several places; some said no, some never said, some have no name, some have their birthday."""
    room = Mailroom(spine, folder, more=TWO_WEEKS)
    for number in range(12):
        fields: dict[str, Any] = {"country": ("DE", "US", "JP", "")[number % 4]}
        if number % 5 == 0:
            fields["birthday"] = f"1990-11-{24 + number // 5}"
        if number % 6 == 5:
            fields["name"] = ""
        consent = {"marketing": number % 4 != 3} if number % 7 else {}
        room.lead(consent=consent, **fields)
        spine.passes(timedelta(hours=7))
    spine.run(step="nurture")
    return room


def foretold(room: Mailroom, until: datetime, **more: Any) -> Tally:  # noqa: ANN401 - of a plan
    draft = more.pop("draft", None)
    plan = Plan(room.spine.now, until, pepper=room.settings.pepper(), **more)
    with snapshot(room.spine.url) as connection:
        return play(connection, JourneyBook(), plan, draft, lambda _: None)


def lives(room: Mailroom, until: datetime) -> None:
    """What the workers do, whenever something is due."""
    spine = room.spine
    due = """
    SELECT min(at) AS at FROM (
        SELECT min(due_at) AS at FROM enrolment WHERE due_at IS NOT NULL
        UNION ALL SELECT min(due_at) FROM send WHERE state = 'planned'
        UNION ALL SELECT min(wake_at) FROM lead WHERE wake_at IS NOT NULL AND due_since IS NULL
    ) AS waiting
    """
    while (at := spine.rows(due)[0]["at"]) is not None and at < until:
        spine.now = max(at, spine.now)
        for step in wake(spine.engine, spine.now):
            spine.run(step=step or "advance")
        spine.run(step="nurture")
        room.deliver()
        spine.run(step="nurture")


def why(send: dict[str, Any]) -> str:
    return f"{send['reason']}: {send['data']['missing']}" if "missing" in send["data"] else str(send["reason"])


def test_what_is_foretold_is_what_happens(spine: Spine, tmp_path: Path) -> None:
    room = crowd(spine, tmp_path)
    until = spine.now + 14 * DAY
    before = counted(spine)

    tally = foretold(room, until)
    assert counted(spine) == before
    since = spine.now
    lives(room, until)

    said = Counter(
        (campaign, step, day)
        for (_, campaign), found in tally.items()
        for step, told in found.steps.items()
        for day in told.days.elements()
    )
    done = spine.rows("SELECT * FROM send WHERE settled_at >= :since", since=since)
    assert said == Counter((s["campaign"], s["step"], s["claimed_at"].date()) for s in done if s["state"] == "sent")
    skipped = {
        (campaign, step, why_not): times
        for (_, campaign), found in tally.items()
        for step, told in found.steps.items()
        for why_not, times in told.skipped.items()
    }
    assert skipped == Counter((s["campaign"], s["step"], why(s)) for s in done if s["state"] == "skipped")
    missing = "field_missing: person.first_name"
    assert {reason for _, _, reason in skipped} >= {"no_consent", "withdrawn", missing, "capped"}
    ends = spine.rows("SELECT campaign, outcome, reason FROM enrolment WHERE ended_at >= :since", since=since)
    assert {
        (campaign, end): times for (_, campaign), found in tally.items() for end, times in found.ends.items()
    } == Counter((e["campaign"], f"{e['outcome']}: {e['reason']}" if e["reason"] else e["outcome"]) for e in ends)
    assert sum(said.values()) > 8


def counted(spine: Spine) -> list[int]:
    tables = ("enrolment", "enrolment_step", "send", "event", "decision", "touchpoint")
    return [spine.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in tables]  # noqa: S608 - our own names


def test_who_would_enter_a_draft_is_told_before_it_is_switched_on(spine: Spine, tmp_path: Path) -> None:
    room = Mailroom(spine, tmp_path)
    for _ in range(3):
        room.lead(country="DE")
    room.lead(country="US")
    text = journey_text(
        "mail: {sender: A <a@example.com>, postal: Here 1}\ntemplates: {hello: {subject: Hi, text: Hi}}\ncampaigns:\n"
        '  home: {enter: [{when: person.country == "DE"}], steps: [{wait: 1d}, {send: hello}]}\n'
    )
    tally = foretold(room, spine.now + 2 * DAY, draft=load(text))
    home = tally["default", "home"]
    assert home.entering == {"when": 3}
    assert home.steps["send_2"].days.total() == 3
    assert [told.what for told in home.examples[0].story] == ["entered", "sent", "finished"]
    assert foretold(room, spine.now + 2 * DAY, draft=load(text), running_only=True) == {}


def test_a_campaign_that_is_paused_stands_still_in_the_simulation_too(spine: Spine, tmp_path: Path) -> None:
    room = crowd(spine, tmp_path)
    soon = foretold(room, spine.now + timedelta(microseconds=1), running_only=True)["default", "warm_up"]
    assert soon.left + soon.ends.total() == soon.running
    assert soon.left > 1
    spine.do(
        "INSERT INTO campaign_state (journey_name, campaign, paused_at) VALUES ('default', 'warm_up', :now)",
        now=spine.now,
    )
    tally = foretold(room, spine.now + 14 * DAY)
    warm_up = tally["default", "warm_up"]
    assert warm_up.stands_still == warm_up.running == warm_up.left > 0
    assert not warm_up.steps
    assert tally["default", "offers"].steps["send_2"].days.total() > 0


def throughline(spine: Spine, *arguments: str, folder: Path) -> Result:
    environment = {"THROUGHLINE_DATABASE_URL": spine.url, "THROUGHLINE_SECRET_KEY": "s" * 32}
    return CliRunner().invoke(app, [*arguments, "--data-dir", str(folder)], env=environment)


def test_the_command_says_it_in_words_and_as_json_without_a_name_or_an_address(spine: Spine, tmp_path: Path) -> None:
    crowd(spine, tmp_path)
    said = throughline(spine, "campaigns", "simulate", "birthday", "--next", "366d", folder=tmp_path)
    assert said.exit_code == 0, said.output
    assert "would enter: 3 by date person.custom.birthday" in said.stdout
    assert "this is what happens if nobody does" in said.stdout
    told = throughline(spine, "campaigns", "simulate", "--next", "1d", "--json", folder=tmp_path)
    assert {each["name"] for each in json.loads(told.stdout)["campaigns"]} >= {"offers", "warm_up"}
    assert "Stone" not in said.stdout + told.stdout
    assert "@" not in said.stdout + told.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("warm_upp",), "did you mean warm_up?"),
        (("--next", "soon"), "a number and a unit"),
        (("--next", "999d"), "at most 366 days"),
    ],
)
def test_what_cannot_be_foretold_is_said_plainly(
    arguments: tuple[str, ...], complaint: str, spine: Spine, tmp_path: Path
) -> None:
    Mailroom(spine, tmp_path, more=TWO_WEEKS)
    said = throughline(spine, "campaigns", "simulate", *arguments, folder=tmp_path)
    assert said.exit_code == 1
    assert complaint in str(said.exception)
