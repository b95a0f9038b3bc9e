"""An agent's answer as a mail to the customer: planned with the answer, in the ticket's conversation, sent once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from schema import tables
from schema.errors import Permanent
from schema.mailing.message import ANSWER
from schema.store import sends
from schema.store.ids import new_id

if TYPE_CHECKING:
    from workers.batch import Case

    Row = dict[str, Any]

_PRIORITY: Final = 90


def plan(case: Case, ticket: Row, entry: Row) -> None:
    """
    Have an answer sent to the customer, before all marketing; the entry says by which send.

    :raises Permanent: `mail_not_configured`, the journey does not say from whom mail is; `no_address`
    """
    if case.journey.mail is None:
        raise Permanent("mail_not_configured", "The journey has no `mail`: it does not say from whom mail is.")
    if not case.facts.person.get("email"):
        raise Permanent("no_address", "Nobody knows an e-mail address of this customer.")
    send_id = new_id()
    entry["data"] = {**entry["data"], "send": send_id}
    case.batch.write(
        tables.send,
        {
            "id": send_id,
            "journey_name": case.lead["journey_name"],
            "journey": case.journey.version,
            "campaign": ANSWER,
            "step": ANSWER,
            "template": ANSWER,
            "person_id": case.lead["person_id"],
            "lead_id": case.id,
            "entry_key": f"{ticket['id']}/{entry['number']}",
            "lane": sends.SERVICE,
            "priority": _PRIORITY,
            "data": {"ticket": ticket["id"], "entry": entry["number"]},
            "state": "planned",
            "planned_at": case.batch.now,
            "due_at": case.batch.now,
        },
    )
    case.batch.hints["deliver"].append(send_id)
