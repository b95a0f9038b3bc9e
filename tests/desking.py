"""What tests of tickets share: a journey with a service, customers who write, and what became of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from schema.store import journeys
from workers.helpdesk.by_hand import TicketService

if TYPE_CHECKING:
    from datetime import timedelta

    from tests.spine import Spine

JOURNEY: Final = """\
journey: default
people:
  ana: {email: ana@example.com, capacity: {tickets: 2}}
  ben: {email: ben@example.com}
  cem: {email: cem@example.com}
sources:
  website: {kind: form}
  help: {kind: email, address: help@example.com}
  product: {kind: events}
  chat: {kind: api}
score: {engagement: {on: {form: 10}}}
route: {pools: {everybody: {members: {cem: 1}}}}
lifecycle:
  lead: {to: {win: customer}}
  customer: {to: {serve: serviced}}
  serviced: {final: true}
transitions:
  serve: {when: '"service.delivered" in touchpoint.kinds'}
service:
  kinds:
    question: {served: true}
    complaint: {priority: high, root_cause: [product, delivery]}
  opens:
    - {sources: help, when: 'ticket.subject.contains("complaint")', kind: complaint}
    - {on: form, when: 'lead.message.contains("broken")', kind: complaint, priority: urgent}
    - {on: [email, form], kind: question}
  close_after: 5d
  desks:
    complaints: {when: 'ticket.kind == "complaint"', members: {ana: 1}}
    support: {members: {ana: 1, ben: 1}}
"""
MAIL: Final = """\
mail: {sender: Help <help@example.com>, postal: Street 1}
"""


def activate(spine: Spine, more: str = "", *, text: str = JOURNEY) -> str:
    """Activate the journey with a service; return the version."""
    with spine.engine.begin() as connection:
        journey = journeys.store(connection, text + more, spine.now)
        journeys.activate(connection, journey, spine.now)
    return journey.version


def service(spine: Spine) -> TicketService:
    """What agents do, on the spine's database."""
    return TicketService(spine.engine, spine.hints.send)


def writes(spine: Spine, number: int = 1, message: str = "How does this work?", **more: Any) -> str:  # noqa: ANN401
    """Have a customer send the form; return the receipt when everything has settled."""
    receipt = spine.arrives({"email": f"c{number}@kiln.example", "message": message} | more)
    spine.run(ids=[receipt])
    return receipt


def mails(spine: Spine, body: bytes, **headers: str) -> str:
    """Have a mail arrive at the help desk; return the receipt when everything has settled."""
    receipt = spine.arrives(body, source="help", channel="email")
    spine.do("UPDATE receipt SET headers = CAST(:kept AS jsonb) WHERE id = :id", kept=json.dumps(headers), id=receipt)
    spine.run(ids=[receipt])
    return receipt


def mail(subject: str, text: str = "It does not work.", *, sender: str = "bea@kiln.example", **headers: str) -> bytes:
    """A mail, with more headers: `In_Reply_To`."""
    given = {"From": sender, "To": "help@example.com", "Subject": subject}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in given.items()).encode() + b"\r\n" + text.encode()


def tickets(spine: Spine) -> list[dict[str, Any]]:
    """Read all tickets, in the order in which they were opened."""
    return spine.rows("SELECT * FROM ticket ORDER BY id")


def entries(spine: Spine, ticket: str) -> list[tuple[str, str]]:
    """Read what was said and done about a ticket: kind and actor."""
    found = spine.rows("SELECT kind, actor FROM ticket_entry WHERE ticket_id = :id ORDER BY number", id=ticket)
    return [(row["kind"], row["actor"]) for row in found]


def passes(spine: Spine, time: timedelta) -> None:
    """Let time pass, and everything happen that is due then."""
    spine.passes(time)
    spine.run(step="followup")


def told(spine: Spine, kind: str) -> list[dict[str, Any]]:
    """Read the data of events of a type, in order."""
    found = spine.rows("SELECT data FROM event WHERE type = :kind ORDER BY time, lead_id, sequence", kind=kind)
    return [row["data"] for row in found]
