"""
Arrivals as tickets hear of them: what opens one, and what goes on with one that there is.

Costs nothing where the journey has no service, and one statement where an arrival could concern a ticket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import structs
from sqlalchemy import text

from schema.errors import Transient
from schema.mail.read import THREAD
from schema.store import rows
from schema.store.ids import uuid_array
from workers.decide import desk
from workers.decide.desk import Heard
from workers.helpdesk import acts
from workers.helpdesk.acts import CUSTOMER, Opening, Said

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from workers.batch import Batch, Case
    from workers.identity.people import Arrival

    Row = dict[str, Any]

_LONGEST_SUBJECT: Final = 300
_LONGEST_ID: Final = 200
_ANSWERS: Final = frozenset({"lead", THREAD})
"""Kinds of keys that only an answer to a mail has."""
_THREADS: Final = text("""
SELECT message_id, ticket_id FROM message WHERE message_id = ANY(CAST(:ids AS text[])) AND ticket_id IS NOT NULL
""")
_FIND: Final = text("""
SELECT * FROM ticket WHERE id = ANY(CAST(:ids AS uuid[]))
UNION ALL
SELECT * FROM ticket WHERE person_id = ANY(CAST(:people AS uuid[])) AND status <> 'closed'
UNION ALL
SELECT t.* FROM jsonb_to_recordset(CAST(:named AS jsonb)) AS r(source text, external_id text)
JOIN ticket AS t ON t.source = r.source AND t.external_id = r.external_id
""")


def take_up(batch: Batch) -> None:
    """Open tickets for the arrivals of a batch, or go on with those that they belong to."""
    concerned = [
        (arrival, case, said) for arrival, case in batch.arrivals if (said := _heard(arrival, case)) is not None
    ]
    if not concerned:
        return
    threads = _threads(batch, [arrival for arrival, _, _ in concerned])
    _gather(batch, concerned, threads)
    for arrival, case, said in concerned:
        named = (threads.get(value, "") for kind, value in arrival.understood.keys if kind == THREAD)
        _take(batch, arrival, case, structs.replace(said, threads=tuple(dict.fromkeys(filter(None, named)))))


def _heard(arrival: Arrival, case: Case) -> Heard | None:
    """What an arrival says that may concern a ticket; None where it cannot."""
    journey = case.newest()
    if journey.service is None:
        return None
    read, receipt = arrival.understood, arrival.receipt
    if receipt["test"] or read.test or read.quiet or case.lead["test"]:
        return None
    answers = any(kind in _ANSWERS for kind, _ in read.keys)
    external_id = _short(arrival.draft.custom.get("ticket_id"), _LONGEST_ID)
    if not (answers or external_id or desk.may_concern(journey.service, read.kind, receipt["source"])):
        return None
    subject = _short(read.data.get("subject") or arrival.draft.custom.get("subject"), _LONGEST_SUBJECT)
    return Heard(
        read.kind,
        receipt["source"],
        receipt["channel"],
        arrival.happened_at,
        subject=subject,
        text=_text(arrival, subject),
        answers=answers,
        external_id=external_id,
        machine=arrival.by_machine or "machine" in read.data,
    )


def _text(arrival: Arrival, subject: str | None) -> str | None:
    """What was written; the subject of a mail, which a first one's message begins with, stands by itself."""
    said = arrival.draft.message or arrival.understood.data.get("text")
    if isinstance(said, str) and subject and said.startswith(subject):
        said = said[len(subject) :].lstrip() or None
    return said if isinstance(said, str) else None


def _short(value: object, most: int) -> str | None:
    """A name as its sender gives it, where it is one."""
    found = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return found[:most] or None


def _threads(batch: Batch, arrivals: Iterable[Arrival]) -> dict[str, str]:
    """The tickets of mails that these arrivals answer, by message id."""
    named = {value for each in arrivals for kind, value in each.understood.keys if kind == THREAD}
    found = batch.connection.execute(_THREADS, {"ids": sorted(named)}) if named else ()
    return {row.message_id: row.ticket_id for row in found}


def _gather(batch: Batch, concerned: Sequence[tuple[Arrival, Case, Heard]], threads: Mapping[str, str]) -> None:
    """Take the tickets into hand that may be meant; those of another lead are read again when that is locked."""
    named = [{"source": said.source, "external_id": said.external_id} for _, _, said in concerned if said.external_id]
    asked = {
        "ids": uuid_array(set(threads.values())),
        "people": uuid_array({case.lead["person_id"] for _, case, _ in concerned if not case.new}),
        "named": rows.as_json(named),
    }
    found = [dict(row) for row in batch.connection.execute(_FIND, asked).mappings()]
    foreign = [row for row in found if row["lead_id"] not in batch.cases]
    batch.tickets.take(row for row in found if row["lead_id"] in batch.cases)
    if foreign:
        batch.tickets.lock_leads(foreign)
        again = batch.tickets.load(row["id"] for row in foreign)
        if any(row["lead_id"] not in batch.cases for row in again):
            raise Transient("lead_busy")  # people were merged in this moment


def _take(batch: Batch, arrival: Arrival, case: Case, heard: Heard) -> None:
    """Open a ticket for an arrival, go on with one, or do neither."""
    person = case.lead["person_id"]
    meant = {heard.external_id} - {None}
    theirs = [
        row
        for row in batch.tickets.rows.values()
        if row["person_id"] == person or row["id"] in heard.threads or row["external_id"] in meant
    ]
    rule = desk.opening(heard, case.facts, case.newest())
    ticket = desk.belongs(heard, theirs, rule[1].kind if rule else None)
    before: Row | None = None
    if ticket is not None and desk.over(ticket, heard.at):
        # What goes on with a ticket that is over goes on in the latest one that refers to it.
        before = batch.tickets.rows[ticket["id"]]
        going = [row for row in theirs if row["refers_to"] == before["id"] and not desk.over(row, heard.at)]
        ticket = max(going, key=lambda row: row["id"], default=None)
    if ticket is None:
        ticket = _open(batch, case, heard, rule, before)
    if ticket is not None:
        row = batch.tickets.rows[ticket["id"]]
        attached = arrival.understood.data.get("attachments")
        said = Said(
            heard.text,
            heard.channel,
            heard.at,
            heard.machine,
            arrival.receipt["id"],
            {"attachments": attached} if attached else {},
        )
        acts.heard(batch.cases[row["lead_id"]], row, said)
        if arrival.understood.message_id:
            batch.tickets.in_thread(row["id"], arrival.understood.message_id)


def _open(batch: Batch, case: Case, heard: Heard, rule: tuple[int, Any] | None, before: Row | None) -> Row | None:
    """Open a ticket by a rule, or because the one that is meant (`before`) is over."""
    if heard.machine or (rule is None and before is None):
        return None
    if before is not None and before["status"] != "closed":
        acts.close(batch.cases[before["lead_id"]], before)
    kinds = case.newest().service
    kind = rule[1].kind if rule else before["kind"] if before else ""
    if kinds is None or kind not in kinds.kinds:
        return None
    wanted = Opening(
        kind,
        heard.source,
        heard.channel,
        rule[1].priority if rule else None,
        heard.subject or (before["subject"] if before else None),
        heard.external_id if before is None else None,
        before["id"] if before else None,
    )
    data = {"rule": rule[0] + 1} if rule else {}
    return acts.open_ticket(case, wanted, actor=CUSTOMER, at=heard.at, data=data)
