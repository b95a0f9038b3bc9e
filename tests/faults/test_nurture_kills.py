"""SIGKILL while people enter campaigns and go on in them: nobody is left out, and nobody is taken or mailed twice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from schema.failpoints import NAMES
from tests.campaigning import JOURNEY
from tests.history import Verdict
from tests.rig import Clients, Rig, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CAMPAIGN = """\
  hello:
    kind: service
    enter: [{state: lead}]
    steps:
      - {name: told, notify: began}
      - {name: ways, split: {one: 1, other: 1}}
      - {name: one, notify: first_way}
      - {name: other, notify: nearly}
      - {name: mail, send: welcome}
      - {name: after, wait: 1d}
      - {name: again, send: news}
"""


def test_workers_killed_while_people_enter_and_go_on_leave_nobody_out_and_take_nobody_twice(
    start: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = start(send_lease_s="5")
    file = tmp_path / "journey.yaml"
    file.write_text(JOURNEY + CAMPAIGN)
    rig.run("journey", "activate", str(file))

    with Clients(rig) as clients:
        for point in [name for name in NAMES if name.startswith("worker.")] * 2:
            armed = rig.arm(point, "kill")
            clients.post(25)
            rig.was_reached(armed)
        clients.post(5)
        until(partial(quiet, rig), "nobody is due, nowhere")
        assert rig.check(clients.acknowledged) == Verdict()

    leads = asked(rig, "SELECT id FROM lead")
    assert len(leads) == len(clients.acknowledged)
    assert sorted(row.lead_id for row in asked(rig, "SELECT lead_id FROM enrolment")) == sorted(row.id for row in leads)
    assert not asked(rig, "SELECT lead_id, step FROM send GROUP BY lead_id, step HAVING count(*) > 1")
    assert len(asked(rig, "SELECT FROM send WHERE step = 'mail'")) == len(leads)
    gaps = "SELECT FROM enrolment AS e WHERE number <> (SELECT count(*) FROM enrolment_step WHERE enrolment_id = e.id)"
    assert not asked(rig, gaps)
    for kind in ("campaign.entered", "campaign.notified"):
        twice = f"SELECT FROM event WHERE type = '{kind}' GROUP BY lead_id, data->>'step' HAVING count(*) > 1"
        assert not asked(rig, twice), kind
    assert not asked(rig, "SELECT FROM dead_letter")


def quiet(rig: Rig) -> bool:
    """Tell whether nothing is due that leads to more: neither leads, nor people in campaigns, nor messages."""
    due = "SELECT FROM enrolment WHERE due_at <= now()"
    going_out = "SELECT FROM send WHERE state = 'sending' OR due_at <= now()"
    return rig.settled() and not asked(rig, f"{due} UNION ALL {going_out}") and rig.settled()


def asked(rig: Rig, query: str) -> list[Any]:
    with rig.engine.connect() as connection:
        return list(connection.execute(text(query)))
