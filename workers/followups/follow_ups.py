"""
Follow-ups: work for people, with a due time.

`hear` goes with every batch: what happened to its leads makes the work that their journeys' rules say, takes open work
along with a lead or a ticket that changes hands, and ends what nobody needs any more. `look` reminds, tells what is
late and escalates it. `ask` is for steps of campaigns. What people do about their work: `workers/followups/by_hand.py`.

The same occasion makes one follow-up only, by `uq_follow_up_occasion`; while one is open, its rule makes no other about
the same. Whoever changes one has its lead locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.events import (
    FollowUpAssigned,
    FollowUpCancelled,
    FollowUpCreated,
    FollowUpEscalated,
    FollowUpLate,
    FollowUpReminded,
)
from schema.journey.follow_up import FELL_AWAY
from schema.store import opportunities, rows
from schema.store.ids import new_id, uuid_array
from schema.ticketing import asked
from workers import timers
from workers.decide import follow_up, opportunity
from workers.decide.follow_up import ENDS, News, Work
from workers.decide.seen import Seen
from workers.happening import About, happen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import RowMapping

    from workers.batch import Batch, Case

KIND: Final = "follow_up"
"""Of its timers."""
LEAD_CLOSED: Final = "lead_closed"
"""The reason of work about a lead that came to a final state."""
_ASSIGNED: Final = "ticket.assigned"

_COLUMNS: Final = (
    "id", "lead_id", "person_id", "journey_name", "journey", "rule", "occasion", "text", "about_kind", "about_id",
    "role", "owner", "department", "created_at", "created_by", "due_at", "first_due_at", "remind_at", "updated_at",
)  # fmt: skip
# Where the server knows nothing about a table yet, OFFSET keeps it from reading all that is open.
_INSERT: Final = rows.insert_statement(
    tables.follow_up,
    _COLUMNS,
    """
    WHERE r.rule IS NULL OR NOT EXISTS (
        SELECT FROM follow_up AS f WHERE f.lead_id = r.lead_id AND f.rule = r.rule AND f.about_id = r.about_id
          AND f.outcome IS NULL OFFSET 0
    )
    ON CONFLICT DO NOTHING RETURNING id
    """,
)
_OPEN: Final = """
CROSS JOIN LATERAL (
    SELECT id, about_kind, about_id, role, owner, outcome FROM follow_up WHERE lead_id = r.lead_id OFFSET 0
) AS f
WHERE f.outcome IS NULL AND
"""
_OVER: Final = text(f"""
UPDATE follow_up AS t SET outcome = '{FELL_AWAY}', reason = o.reason, done_at = :now, done_by = 'journey',
    updated_at = :now, changes = changes + 1
FROM (
    SELECT f.id, r.reason FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(lead_id uuid, about_id uuid, reason text)
    {_OPEN} CASE WHEN r.about_id IS NULL THEN f.about_kind = 'lead' ELSE f.about_id = r.about_id END
) AS o
WHERE t.id = o.id RETURNING t.id, t.lead_id, t.owner, o.reason
""")  # noqa: S608 - made of texts of ours
# What is the agent's of something is the lead's owner's while nobody has it.
_HANDED_ON: Final = text(f"""
UPDATE follow_up AS t SET owner = o.owner, updated_at = :now, changes = changes + 1
FROM (
    SELECT f.id, r.owner, f.owner AS "left", r.about_id IS NOT NULL AS agent
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(lead_id uuid, about_id uuid, owner text)
    {_OPEN} f.owner IS DISTINCT FROM r.owner AND CASE WHEN r.about_id IS NULL
          THEN f.role = 'owner' OR (f.role = 'agent' AND f.owner IS NULL)
          ELSE f.role = 'agent' AND f.about_id = r.about_id END
) AS o
WHERE t.id = o.id
RETURNING t.id, t.lead_id, t.owner, o."left", o.agent, t.about_kind, t.department, t.journey, t.changes
""")  # noqa: S608 - made of texts of ours
_DUE: Final = text("SELECT * FROM follow_up WHERE id = ANY(CAST(:ids AS uuid[])) AND outcome IS NULL ORDER BY id")


# -- what happens ------------------------------------------------------------------------------------------------------


def hear(batch: Batch) -> None:
    """
    Take up what happened to the leads of a batch.

    Costs some comparisons for each, and a statement only where work is made, or something came to an end or changed
    hands that may have some.
    """
    over: list[dict[str, Any]] = []
    handed: list[dict[str, Any]] = []
    made: list[tuple[Case, Work]] = []
    known = _known(batch)
    for case in batch.cases.values():
        if case.happened or case.had is not None:
            over += _over(case)
            handed += _handed_on(case)
        if case.journey.follow_ups and not case.lead["test"]:
            made += ((case, work) for work in _set_off(case, known))
    if over:
        _end(batch, over)
    if handed:
        _hand_on(batch, handed)
    if made:
        make(batch, made, "journey")


def _over(case: Case) -> Iterator[dict[str, Any]]:
    """What ends open work of a lead."""
    # One that is parked since its person is somebody else's now came into no state: its work goes on.
    if case.came_into and case.had is not None and case.had["open"] and not case.lead["open"]:
        yield {"lead_id": case.id, "about_id": None, "reason": LEAD_CLOSED}
    for each in case.happened:
        if each.kind in ENDS:
            yield {"lead_id": case.id, "about_id": each.about.id, "reason": ENDS[each.kind]}


def _handed_on(case: Case) -> Iterator[dict[str, Any]]:
    """Who has the lead, or something of it, from now on."""
    if case.had is not None and case.had["owner"] != case.lead["owner"]:
        yield {"lead_id": case.id, "about_id": None, "owner": case.lead["owner"]}
    assigned = {each.about.id: each.about.owner for each in case.happened if each.kind == _ASSIGNED}
    for about_id, owner in assigned.items():
        if owner is not None:
            yield {"lead_id": case.id, "about_id": about_id, "owner": owner}


def _known(batch: Batch) -> dict[str, dict[str, Any]]:
    """What rules may ask of the tickets and opportunities to which something happened, by id; read where one asks."""
    cases: dict[str, Case] = {}
    wanted: dict[str, set[str]] = {"ticket": set(), "opportunity": set()}
    for case in batch.cases.values():
        for rule in case.journey.follow_ups.values() if case.happened else ():
            roots = {path.partition(".")[0] for path in rule.when.paths} if rule.when else set()
            for each in case.happened if roots & wanted.keys() else ():
                if each.kind in rule.event and each.about.kind in roots & wanted.keys():
                    wanted[each.about.kind].add(each.about.id)
                    cases[each.about.id] = case
    found = {}
    if wanted["ticket"]:
        found = {row["id"]: asked(row) for row in batch.tickets.load(sorted(wanted["ticket"]))}
    if wanted["opportunity"]:
        for row in opportunities.some(batch.connection, wanted["opportunity"]):
            found[row["id"]] = opportunity.asked(row, cases[row["id"]].journey.pipelines.get(row["pipeline"]))
    return found


def _set_off(case: Case, known: Mapping[str, Mapping[str, Any]]) -> Sequence[Work]:
    """The work that the rules of a lead's journey make of what happened to it in this run."""
    happened = [
        News(each.kind, f"{each.kind} {each.about.id} {each.key}", *each.about, known.get(each.about.id))
        for each in case.happened
    ]
    entered = None
    if not case.lead["quiet"]:
        happened += _touched(case)
        if case.came_into:
            entered = f"state {case.id} {case.lead['transitions']}"
    if not happened and not entered:
        return ()
    return follow_up.work(case.facts, case.journey, case.batch.now, happened, entered)


def _touched(case: Case) -> list[News]:
    """What people did, once the lead has been looked at for it: before, nobody knows enough to ask."""
    if not case.heard or not any(touch.new and not touch.ours for touch in case.facts.touchpoints):
        return []
    asked = {kind for rule in case.journey.follow_ups.values() for kind in rule.event}
    new = [touch for touch in case.facts.touchpoints if touch.new and not touch.ours and touch.kind in asked]
    by_people = {touch.id for touch in Seen(case.facts, case.journey).touches} if new else set()
    return [News(touch.kind, touch.id, "lead", case.id) for touch in new if touch.id in by_people]


def make(batch: Batch, wanted: Sequence[tuple[Case, Work]], by: str) -> list[str]:
    """Write work, each occasion once, and tell it; return the ids of what is new."""
    given = {new_id(): each for each in wanted}
    made = [_row(work_id, case, work, by) for work_id, (case, work) in given.items()]
    for row in made:
        row["department"] = batch.handovers.work(given[row["id"]][0], row)
    new = list(batch.connection.execute(_INSERT, {"rows": rows.as_json(made)}).scalars())
    for row in made:
        if row["id"] in new:
            case = given[row["id"]][0]
            _wait(case, row)
            batch.handovers.follow_up(case, row, 0, "made", by)
            case.tell(
                FollowUpCreated(
                    follow_up_id=row["id"],
                    person_id=row["person_id"],
                    rule=row["rule"],
                    about=row["about_kind"],
                    about_id=row["about_id"],
                    owner=row["owner"],
                    due_at=row["due_at"].isoformat(),
                )
            )
    return new


def _row(work_id: str, case: Case, work: Work, by: str) -> dict[str, Any]:
    return {
        "id": work_id,
        "lead_id": case.id,
        "person_id": case.lead["person_id"],
        "journey_name": case.journey.name,
        "journey": case.journey.version,
        "rule": work.rule or None,
        "occasion": work.occasion,
        "text": work.text,
        "about_kind": work.about_kind,
        "about_id": work.about_id,
        "role": work.role,
        "owner": work.owner,
        "department": None,
        "created_at": case.batch.now,
        "created_by": by,
        "due_at": work.due_at,
        "first_due_at": work.due_at,
        "remind_at": work.remind_at,
        "updated_at": case.batch.now,
    }


def _end(batch: Batch, over: Sequence[Mapping[str, Any]]) -> None:
    for row in batch.connection.execute(_OVER, {"rows": rows.as_json(over), "now": batch.now}):
        timers.at(batch, KIND, row.id, row.lead_id, None)
        batch.handovers.over(row.id)
        batch.cases[row.lead_id].tell(FollowUpCancelled(row.id, row.owner, row.reason))


def _hand_on(batch: Batch, handed: Sequence[Mapping[str, Any]]) -> None:
    passed = []
    for found in batch.connection.execute(_HANDED_ON, {"rows": rows.as_json(handed), "now": batch.now}).mappings():
        row, case = dict(found), batch.cases[found["lead_id"]]
        case.tell(FollowUpAssigned(row["id"], row["owner"], row["left"], "agent" if row["agent"] else "lead_owner"))
        batch.handovers.follow_up(case, row, row["changes"], "assigned", "journey", row["left"])
        if row["department"] != found["department"]:
            passed.append({"id": row["id"], "department": row["department"]})
    rows.update(batch.connection, tables.follow_up, "id", passed)


# -- what time brings --------------------------------------------------------------------------------------------------


def look(batch: Batch, due: Sequence[RowMapping]) -> None:
    """Remind, tell what is late and escalate it, now that these timers went off; their leads are in hand."""
    found = batch.connection.execute(_DUE, {"ids": uuid_array(row["id"] for row in due)}).mappings()
    changed = [_looked_at(batch.cases[row["lead_id"]], dict(row)) for row in found if row["lead_id"] in batch.cases]
    rows.update(batch.connection, tables.follow_up, "id", changed)


def _looked_at(case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """Do what is to be done about one of them; return its columns as they are now."""
    batch = case.batch
    journey = batch.book.version(batch.connection, row["journey"])
    found = follow_up.look(row, journey, batch.now)
    due_at = row["due_at"].isoformat()
    if found.remind:
        row["reminded_at"] = batch.now
        case.tell(FollowUpReminded(row["id"], row["owner"], due_at))
    if found.late:
        row["late_at"] = batch.now
        case.tell(FollowUpLate(row["id"], row["owner"], due_at))
        happen(case, "follow_up.late", about(row), key=row["id"], data={"follow_up": row["id"], "rule": row["rule"]})
    if found.escalate and found.escalate.escalate:
        asked = found.escalate.escalate
        to = case.lead["owner"] if asked.to == "owner" else asked.to
        row |= {"escalated_at": batch.now, "escalated_to": to}
        assigned = asked.assign and to is not None and to != row["owner"]
        case.tell(FollowUpEscalated(row["id"], row["owner"], to, assigned))
        if assigned:
            case.tell(FollowUpAssigned(row["id"], to, row["owner"], "escalated"))
            had = row["owner"]
            row |= {"owner": to, "role": "person", "updated_at": batch.now, "changes": row["changes"] + 1}
            batch.handovers.follow_up(case, row, row["changes"], "escalated", "journey", had)
    timers.at(batch, KIND, row["id"], row["lead_id"], found.at)
    return {name: row[name] for name in _LOOKED_AT}


_LOOKED_AT: Final = (
    "id", "owner", "department", "role", "reminded_at", "late_at", "escalated_at", "escalated_to", "updated_at",
    "changes",
)  # fmt: skip


def about(row: Mapping[str, Any]) -> About:
    """What work is about, and whose it is."""
    return About(row["about_kind"], row["about_id"], row["owner"])


def _wait(case: Case, row: Mapping[str, Any]) -> None:
    """Have new work looked at when it is time for it."""
    at = min(filter(None, (row["remind_at"], row["due_at"])))
    timers.at(case.batch, KIND, row["id"], case.id, at)


# -- campaigns ---------------------------------------------------------------------------------------------------------


def ask(batch: Batch, wanted: Iterable[tuple[Case, Work]]) -> None:
    """Make the work that steps of campaigns ask for; tests of a sender stay outside."""
    given = [(case, work) for case, work in wanted if not case.lead["test"]]
    if given:
        make(batch, given, "campaign")
