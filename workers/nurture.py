"""
Nurture: how far does somebody who is in a campaign go now?

    hears   enrolments whose time has come, or to whose lead something happened
    reads   the enrolment, its lead with person, company and touchpoints, what became of its messages
    writes  the enrolment, once; the steps it took, the messages to send, answers of the person that a step sets
            the work for people that a step asks for (`workers/followups/follow_ups.py`)
    tells   campaign.exited, campaign.notified, campaign.held, follow_up.requested; and `deliver` of messages

Each person's way is a row of its own: what goes wrong with one is set aside alone. What is planned for one campaign
step and person is planned once, whatever happens (`uq_send_once`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.events import CampaignExited, CampaignHeld, CampaignNotified, FollowUpRequested
from schema.store import campaigns, rows
from schema.store.ids import new_id, uuid_array
from workers.campaigns.enrolments import keep_changed
from workers.decide.follow_up import Work
from workers.decide.nurture import Enrolled, Sent, walk
from workers.followups import follow_ups
from workers.runtime import step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from sqlalchemy import RowMapping

    from schema.journey import Journey
    from workers.batch import Batch, Case
    from workers.decide.nurture import Walk

    Walked = tuple[RowMapping, Walk]

SERVICE_LANE: Final = 0
MARKETING_LANE: Final = 1

_SENT: Final = text("""
SELECT s.enrolment_id, s.step, s.state, s.reason
FROM jsonb_to_recordset(CAST(:enrolments AS jsonb)) AS e(id uuid, person_id uuid)
JOIN send AS s ON s.person_id = e.person_id AND s.enrolment_id = e.id
""")
# Never waited for: who has a person in hand may be waiting for the lead that we have.
_PEOPLE: Final = text("""
SELECT id FROM person WHERE id = ANY(CAST(:people AS uuid[])) ORDER BY id FOR UPDATE SKIP LOCKED
""")
_ANSWER: Final = text("""
UPDATE person AS p SET custom = p.custom || r.custom, updated_at = :now
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, custom jsonb) WHERE p.id = r.id
""")


@step("nurture", subject="enrolment")
def nurture(batch: Batch) -> None:
    """Take every enrolment in hand as far as it goes now."""
    held = _hold(batch)
    going = [row for row in batch.enrolments if (row["journey_name"], row["campaign"]) not in held]
    sent = _sent(batch, going)
    walked = [(row, _walk(batch, row, sent[row["id"]])) for row in going]
    walked = _answered(batch, walked)
    for row, found in walked:
        _tell(batch.cases[row["lead_id"]], row, found)
    follow_ups.ask(batch, (task for row, found in walked for task in _tasks(batch, row, found)))
    _record(batch, walked)
    keep_changed(batch)


def _hold(batch: Batch) -> Collection[tuple[str, str]]:
    """Hold campaigns that more people entered than were expected; nobody begins with one before it is approved."""
    begun: dict[tuple[str, str], RowMapping] = {}
    for row in batch.enrolments:
        if row["number"] == 0:
            begun.setdefault((row["journey_name"], row["campaign"]), row)
    held = set()
    for place, row in begun.items():
        audience = _journey(batch, row).campaigns[row["campaign"]].audience
        if audience is None:
            continue
        campaign = campaigns.Place(*place, _journey(batch, row))
        if not campaigns.exceeds(batch.connection, campaign, audience, batch.now):
            continue
        held.add(place)
        if campaigns.hold(batch.connection, campaign, audience, batch.now):
            told = CampaignHeld(row["campaign"], audience.most, int(audience.per.total_seconds()))
            batch.cases[row["lead_id"]].tell(told)
    return held


def _sent(batch: Batch, enrolments: Sequence[RowMapping]) -> Mapping[str, dict[str, Sent]]:
    """Return what became of the messages of these enrolments, by step."""
    found: dict[str, dict[str, Sent]] = defaultdict(dict)
    wanted = [{"id": row["id"], "person_id": row["person_id"]} for row in enrolments]
    for row in batch.connection.execute(_SENT, {"enrolments": rows.as_json(wanted)}):
        found[row.enrolment_id][row.step] = Sent(row.state, row.reason)
    return found


def _walk(batch: Batch, row: RowMapping, sent: Mapping[str, Sent]) -> Walk:
    enrolled = Enrolled(**{name: row[name] for name in Enrolled.__struct_fields__})
    return walk(enrolled, batch.cases[row["lead_id"]].facts, _journey(batch, row), batch.now, sent)


def _answered(batch: Batch, walked: Sequence[Walked]) -> list[Walked]:
    """Write the answers that steps set; who is in other hands is left as they were, and due."""
    setting = {row["person_id"] for row, found in walked if found.sets}
    if not setting:
        return list(walked)
    free = set(batch.connection.execute(_PEOPLE, {"people": uuid_array(setting)}).scalars())
    done = [(row, found) for row, found in walked if not found.sets or row["person_id"] in free]
    batch.postponed += [row["id"] for row, found in walked if found.sets and row["person_id"] not in free]
    answers: dict[str, dict[str, Any]] = defaultdict(dict)
    for row, found in done:
        if found.sets:
            answers[row["person_id"]] |= found.sets
            _look_anew(batch.cases[row["lead_id"]])
    changed = [{"id": person, "custom": custom} for person, custom in answers.items()]
    batch.connection.execute(_ANSWER, {"rows": rows.as_json(changed), "now": batch.now})
    return done


def _look_anew(case: Case) -> None:
    """Have an open lead qualified or scored again, now that more is known of its person."""
    if case.lead["open"] and case.lead["next_step"] is None:
        case.go(case.begins_at())


def _tell(case: Case, row: RowMapping, found: Walk) -> None:
    who = {"campaign": row["campaign"], "enrolment_id": row["id"], "person_id": row["person_id"]}
    for notice in found.notifies:
        case.tell(CampaignNotified(**who, step=notice.step, name=notice.name))
    for task in found.follow_ups:
        due_at = task.due_at.isoformat()
        case.tell(FollowUpRequested(**who, step=task.step, text=task.text, to=task.to, due_at=due_at))
    if found.outcome:
        steps = row["number"] + len(found.done)
        case.tell(
            CampaignExited(**who, outcome=found.outcome, reason=found.reason, steps=steps, journey=row["journey"])
        )


def _tasks(batch: Batch, row: RowMapping, found: Walk) -> Iterator[tuple[Case, Work]]:
    """The work for people that steps ask for, known by enrolment and step."""
    for task in found.follow_ups:
        work = Work(
            rule=f"{row['campaign']}/{task.step}",
            occasion=f"{row['id']} {task.step}",
            text=task.text,
            about_kind="lead",
            about_id=row["lead_id"],
            role="owner" if task.owned else "person",
            owner=task.to,
            due_at=task.due_at,
            remind_at=None,
        )
        yield batch.cases[row["lead_id"]], work


def _record(batch: Batch, walked: Sequence[Walked]) -> None:
    steps: list[dict[str, Any]] = []
    sends: list[dict[str, Any]] = []
    for row, found in walked:
        steps += _steps(batch, row, found)
        sends += _sends(batch, row, found)
    rows.together(
        batch.connection,
        rows.Write(tables.enrolment_step, steps),
        rows.Write(tables.send, sends, "ON CONFLICT DO NOTHING"),
        rows.Write(tables.enrolment, [_moved(batch, row, found) for row, found in walked], key="id"),
    )
    batch.hints["deliver"] += [send["id"] for send in sends]


def _moved(batch: Batch, row: RowMapping, found: Walk) -> dict[str, Any]:
    return {
        "id": row["id"],
        "step": found.step,
        "since": found.since,
        "listens_since": found.listens_since,
        "due_at": found.due_at,
        "number": row["number"] + len(found.done),
        "attempts": 0,
        "arms": found.arms,
        "outcome": found.outcome,
        "reason": found.reason,
        "goal_at": batch.now if found.outcome == "goal" else None,
        "ended_at": batch.now if found.outcome else None,
    }


def _steps(batch: Batch, row: RowMapping, found: Walk) -> list[dict[str, Any]]:
    return [
        {
            "enrolment_id": row["id"],
            "number": number,
            "step": done.step,
            "action": done.action,
            "at": batch.now,
            "outcome": done.outcome,
            "explanation": done.explanation,
        }
        for number, done in enumerate(found.done, row["number"] + 1)
    ]


def _sends(batch: Batch, row: RowMapping, found: Walk) -> list[dict[str, Any]]:
    campaign = _journey(batch, row).campaigns[row["campaign"]]
    service = campaign.kind == "service"
    return [
        {
            "id": new_id(),
            "journey_name": row["journey_name"],
            "journey": row["journey"],
            "campaign": row["campaign"],
            "step": planned.step,
            "template": planned.template,
            "enrolment_id": row["id"],
            "person_id": row["person_id"],
            "lead_id": row["lead_id"],
            "entry_key": row["entry_key"],
            "lane": SERVICE_LANE if service else MARKETING_LANE,
            "priority": campaign.priority,
            "purpose": None if service else campaign.purpose,
            "capped": planned.capped,
            "state": "planned",
            "planned_at": batch.now,
            "due_at": batch.now,
        }
        for planned in found.sends
    ]


def _journey(batch: Batch, row: RowMapping) -> Journey:
    return batch.book.version(batch.connection, row["journey"])
