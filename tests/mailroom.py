"""
Sending as tests tell it: leads who agreed to mail, messages planned for them, and a place where the mail arrives.

`Mailroom` works on a spine with a journey that has mail, templates and campaigns. Messages are planned as the step
`nurture` does it, and sent by a `Deliverer` driven by hand, into a folder or to a mail server of the test.
"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schema import tables
from schema.journey import default_text
from schema.settings import Settings
from schema.store import consents, journeys, rows
from schema.store.ids import new_id
from tests.rig import until
from workers.deliver import Deliverer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from email.message import EmailMessage
    from pathlib import Path

    from schema.journey import Journey
    from tests.spine import Spine
    from workers.sending.transport import Transport

BASE = "https://mail.example.com"
NURTURE = """
mail:
  sender: Ana of Example <sales@example.com>
  postal: Example Ltd, 1 Road, 10115 Berlin
  caps: [{most: 2, per: 1d}]
templates:
  hello:
    subject: 'Hello {{ person.first_name | default: "there" }}'
    text: |
      Hello {{ person.first_name | default: "there" }},

      [Read this](https://example.com/guide?a=1&b=2)
  strict: {subject: Your plan, text: 'Your plan is {{ person.custom.plan }}.'}
  receipt: {subject: Your order, text: 'Thank you.'}
campaigns:
  welcome: {enter: [{event: never.happens}], steps: [{send: hello}]}
  news: {purpose: newsletter, priority: 90, enter: [{event: never.happens}], steps: [{send: hello}]}
  orders: {kind: service, enter: [{event: never.happens}], steps: [{send: receipt}]}
"""


_OWN = re.compile(r"^(?:mail|templates|campaigns|surveys):.*\n(?:[ #].*\n|\n)*", re.MULTILINE)


def journey_text(more: str = NURTURE) -> str:
    """The default journey, with this mail, these templates and campaigns instead of its own, and nobody asked."""
    return _OWN.sub("", default_text() + "\n") + more


@dataclass
class Lead:
    """Somebody who can be written to."""

    lead_id: str
    person_id: str
    email: str


class Mailroom:
    """Leads, planned messages and a way out."""

    def __init__(self, spine: Spine, folder: Path, *, more: str = "", **settings: Any) -> None:  # noqa: ANN401
        self.spine = spine
        self.folder = folder
        usual: dict[str, Any] = {"secret_key": "the secret of these tests", "base_url": BASE, "smtp_rate": 0}
        self.settings = Settings(data_dir=folder, **(usual | settings))
        self.journey = self.activate(journey_text(more or NURTURE))
        self._runtime = spine.runtime()
        self._number = 0

    def activate(self, document: str) -> Journey:
        """Switch a journey on."""
        with self.spine.engine.begin() as connection:
            journey = journeys.store(connection, document, self.spine.now)
            journeys.activate(connection, journey, self.spine.now)
        return journey

    def lead(self, address: str = "", *, consent: dict[str, bool] | None = None, **fields: Any) -> Lead:  # noqa: ANN401
        """Let somebody send the form, who by default agrees to marketing."""
        self._number += 1
        address = address or f"lead{self._number}@firm{self._number}.example"
        said = {"email": address, "name": "Bea Stone", "message": "Please call me back about your prices."} | fields
        receipt = self.spine.arrives(said)
        self.spine.run(self._runtime)
        until(lambda: self.spine.receipt(receipt)["lead_id"], "the form has become a lead")  # others may work here too
        row = self.spine.lead_of(receipt)
        lead = Lead(row["id"], row["person_id"], address)
        self.says(lead, {"marketing": True} if consent is None else consent)
        return lead

    def says(self, lead: Lead, consent: dict[str, bool]) -> None:
        """Keep an answer of theirs."""
        with self.spine.engine.begin() as connection:
            for purpose, yes in consent.items():
                state = "given" if yes else "withdrawn"
                consents.record(connection, lead.person_id, purpose, state, actor="person", now=self.spine.now)

    def plan(self, lead: Lead, campaign: str = "welcome", template: str = "hello", **more: Any) -> str:  # noqa: ANN401
        """Plan a message, as a campaign does; by hand, without an enrolment."""
        return self.plan_all([lead], campaign, template, **more)[0]

    def plan_all(self, leads: list[Lead], campaign: str, template: str, **more: Any) -> list[str]:  # noqa: ANN401
        """Plan a message to each."""
        found = self.journey.campaigns[campaign]
        service = found.kind == "service"
        planned = [
            {
                "id": new_id(),
                "journey_name": self.journey.name,
                "journey": self.journey.version,
                "campaign": campaign,
                "step": f"send_{template}",
                "template": template,
                "person_id": lead.person_id,
                "lead_id": lead.lead_id,
                "entry_key": "once",
                "lane": 0 if service else 1,
                "priority": found.priority,
                "purpose": None if service else found.purpose,
                "capped": "defer",
                "state": "planned",
                "planned_at": self.spine.now,
                "due_at": self.spine.now,
            }
            | more
            for lead in leads
        ]
        with self.spine.engine.begin() as connection:
            rows.insert(connection, tables.send, planned)
        return [row["id"] for row in planned]

    def deliverer(self, transport: Callable[[], Transport] | None = None, **more: Any) -> Deliverer:  # noqa: ANN401
        return Deliverer(self.spine.engine, self.spine.hints, self.settings, transport=transport, **more)

    def deliver(self, now: datetime | None = None, transport: Callable[[], Transport] | None = None) -> int:
        """Send what is due."""
        return self.deliverer(transport).drain(now or self.spine.now)

    def send(self, send_id: str) -> dict[str, Any]:
        """Read a send."""
        return self.spine.rows("SELECT * FROM send WHERE id = :id", id=send_id)[0]

    def fate(self, send_id: str) -> tuple[str, str | None]:
        """What became of a send, and why."""
        row = self.send(send_id)
        return row["state"], row["reason"]

    @property
    def mails(self) -> list[EmailMessage]:
        """What went into the folder."""
        return [read(file.read_bytes()) for file in sorted((self.folder / "outbox").glob("*.eml"))]


def read(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, policy=email.policy.default)


def plain(mail: EmailMessage) -> str:
    """The plain text of a mail."""
    part = mail.get_body(("plain",))
    assert part
    return str(part.get_content())


def page(mail: EmailMessage) -> str:
    """The HTML of a mail."""
    part = mail.get_body(("html",))
    assert part
    return str(part.get_content())
