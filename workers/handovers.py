"""
Hand-overs: work that passes from one department to another, and that somebody there takes it up.

    hears   moves of leads, what is done to tickets, opportunities and follow-ups, acceptances; all within a batch
    writes  handover; whose work a ticket, an opportunity or a follow-up is, with its own row
    tells   handover.made (a lead's own moves say it), handover.taken

`workers/decide/handover.py` says whose work something is. What somebody does about something is also the first thing
done about its lead, where that waits for the same department. `settle` is part of recording a batch: where no work
passed on and nobody did anything, it costs a comparison for each move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text

from schema import tables
from schema.events import HandoverMade, HandoverTaken
from schema.store import handovers as store
from schema.store import rows
from schema.store.ids import uuid_array
from schema.tables.handover import OPEN
from workers.decide import handover as decide
from workers.decide.handover import NOWHERE, Place, passes, works_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from schema.journey import Journey
    from workers.batch import Batch, Case

    Row = dict[str, Any]

JOURNEY: Final = "journey"
_NOBODY: Final = frozenset({JOURNEY, "customer", "campaign"})
"""Who is nobody of a department."""
_MIGRATE: Final = "migrate"
"""The move of a lead that follows another version from then on: nobody has done anything about it."""
# Where the server knows nothing about the table yet, OFFSET keeps it from reading all that is open.
TAKEN: Final = text(f"""
UPDATE handover AS t SET taken_at = GREATEST(t.at, :now), taken_by = o.actor
FROM (
    SELECT h.about_id, h.number, r.actor
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(lead_id uuid, about_id uuid, department text, actor text)
    CROSS JOIN LATERAL (SELECT * FROM handover WHERE about_id = ANY(ARRAY[r.about_id, r.lead_id]) OFFSET 0) AS h
    WHERE h.lead_id = r.lead_id AND h.to_department = r.department AND {OPEN}
) AS o
WHERE t.about_id = o.about_id AND t.number = o.number
RETURNING t.about_kind, t.about_id, t.number, t.lead_id, t.to_department, t.at, t.taken_at, t.taken_by
""")  # noqa: S608 - made of texts of ours
_BEFORE: Final = text("""
SELECT lead_id, journey, from_state, to_state FROM transition
WHERE lead_id = ANY(CAST(:ids AS uuid[])) ORDER BY lead_id, number
""")


class Handovers:
    """The hand-overs of one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._made: list[Row] = []
        self._acts: dict[tuple[str, str, str], Row] = {}
        self._over: set[str] = set()

    # -- what is heard of ----------------------------------------------------------------------------------------------

    def acted(self, case: Case, about_id: str, department: str | None, actor: str) -> None:
        """Somebody did something about what is a department's work: theirs, if theirs is said, else that one's."""
        own = works_for(case.journey, actor) or department
        if own is not None and actor not in _NOBODY and not case.new:
            self._acts[case.id, about_id, own] = {
                "lead_id": case.id,
                "about_id": about_id,
                "department": own,
                "actor": actor,
            }

    def accepted(self, case: Case, owner: str) -> None:
        """The owner of a lead accepted it."""
        self.acted(case, case.id, decide.of_state(case.journey, case.facts.state).department, owner)

    def over(self, about_id: str) -> None:
        """Nobody is to take up something any more."""
        self._over.add(about_id)

    def opportunity(self, row: Row, what: str, actor: str, before: str | None) -> None:
        """Somebody or the journey did something to an opportunity in hand, whose own owner was `before`."""
        case = self._batch.cases[row["lead_id"]]
        place = decide.of_opportunity(case.journey, row["pipeline"], row["stage"], row["owner"])
        opened = what == "opened"
        self.acted(case, row["id"], place.department if opened else row["department"], actor)
        if opened:
            rules = case.journey.pipelines[row["pipeline"]]
            # What the journey opens begins where its state is, wherever the lead has come since.
            holder = decide.of_state(case.journey, rules.state) if rules.state and actor == JOURNEY else NOWHERE
            self._begin(case, "opportunity", row, row["changes"], what, actor, place, case.journey, holder)
        elif row["owner"] != before:
            self._go(case, "opportunity", row, row["changes"], "assigned", actor, place, case.journey, before)

    def work(self, case: Case, row: Row) -> str | None:
        """Whose work a follow-up is when it is made."""
        _, holder, place = self._subject(case, row)
        return passes(holder.department or self._lead(case).department, [(place.department, None)])[1]

    def follow_up(self, case: Case, row: Row, number: int, what: str, actor: str, before: str | None = None) -> None:
        """A follow-up was made, or came from one owner to another; its row is to be written."""
        journey, holder, place = self._subject(case, row)
        if what == "made":
            self._begin(case, "follow_up", row, number, what, actor, place, journey, holder)
        else:
            place = Place(works_for(journey, row["owner"]), place.system)
            self._go(case, "follow_up", row, number, what, actor, place, journey, before)

    def _subject(self, case: Case, row: Row) -> tuple[Journey, Place, Place]:
        """By which version a follow-up is somebody's work, who has what it is about, and whose it is to be."""
        journey = self._batch.book.version(self._batch.connection, row["journey"])
        lead = self._lead(case)
        subject = decide.of_subject(journey, row["about_kind"], lead)
        own = works_for(journey, row["owner"])
        # Of a contract nobody has the work before it is talked about; it begins with whoever has the lead.
        holder = lead if row["about_kind"] == "contract" else subject
        return journey, holder, Place(own or subject.department, subject.system)

    # -- what comes of it ----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Find out what passed on in this batch, and have it written and told; before events are written."""
        self._leads()
        self._tickets()
        if self._acts:
            self._take()
        if self._over:
            store.end(self._batch.connection, self._over, self._batch.now)
        for row in self._last():
            self._batch.write(tables.handover, row)
        self._made, self._acts, self._over = [], {}, set()

    def _take(self) -> None:
        wanted = {"rows": rows.as_json(list(self._acts.values())), "now": self._batch.now}
        found = self._batch.connection.execute(TAKEN, wanted)
        for row in sorted(found, key=lambda row: (row.about_id, row.number)):
            after_s = int((row.taken_at - row.at).total_seconds())
            told = HandoverTaken(row.about_kind, row.about_id, row.number, row.to_department, row.taken_by, after_s)
            self._batch.cases[row.lead_id].tell(told)

    def _last(self) -> Iterator[Row]:
        """What was made, told in its order; of one thing all but the last went on and were not taken."""
        latest = {row["about_id"]: row["number"] for row in self._made}
        for row in self._made:
            case = self._batch.cases[row["lead_id"]]
            if row["taken_at"] is None and row["number"] != latest[row["about_id"]]:
                row["ended_at"] = row["at"]
            if row["about_kind"] == "lead":
                row["to_owner"] = case.lead["owner"]
            if row["about_kind"] != "lead" or row["what"] == _MIGRATE:
                case.tell(_made(row))
            yield row

    def _leads(self) -> None:
        """Take up the moves of leads."""
        moved: dict[str, list[Mapping[str, Any]]] = {}
        for row in self._batch.transitions():
            case = self._batch.cases[row["lead_id"]]
            if not case.lead["test"]:
                moved.setdefault(case.id, []).append(row)
        unknown = []
        for lead_id, moves in moved.items():
            case = self._batch.cases[lead_id]
            first, migrated = moves[0], case.had is not None and case.had["journey"] != case.lead["journey"]
            holder = None if migrated else decide.of_state(case.journey, first["from_state"]).department
            if holder is not None or case.new:
                self._moved(case, moves, holder)
            elif any(decide.of_state(case.journey, move["to_state"]).department for move in moves):
                unknown.append(lead_id)
        if unknown:
            before = self._before(unknown)
            for lead_id in unknown:
                self._moved(self._batch.cases[lead_id], moved[lead_id], before.get(lead_id))

    def _before(self, leads: Sequence[str]) -> dict[str, str]:
        """Who had leads whose state does not say it, or that followed another version: the last one that was said."""
        found: dict[str, str] = {}
        for lead_id in leads:
            case = self._batch.cases[lead_id]
            if case.had is not None and (department := self._of(case.had["journey"], case.had["state"])):
                found[lead_id] = department
        asked = [lead_id for lead_id in leads if lead_id not in found]
        known = self._batch.connection.execute(_BEFORE, {"ids": uuid_array(asked)}) if asked else ()
        for row in known:
            for state in (row.from_state, row.to_state):
                if department := self._of(row.journey, state):
                    found[row.lead_id] = department
        return found

    def _of(self, version: str, state: str) -> str | None:
        """Whose work a state is in a version; None too where this code cannot read it."""
        book, connection = self._batch.book, self._batch.connection
        if not book.readable(connection, version):
            return None
        return decide.of_state(book.version(connection, version), state).department

    def _moved(self, case: Case, moves: Sequence[Mapping[str, Any]], holder: str | None) -> None:
        journey, passed = case.journey, False
        for move in moves:
            before = holder
            there = decide.of_state(journey, move["to_state"])
            found, holder = passes(before, [(there.department, move)])
            transition = journey.transition(move["name"])
            if move["name"] != _MIGRATE:
                self.acted(case, case.id, transition.department or before, move["actor"])
            for taken_from, given_to, _ in found:
                left = decide.of_state(journey, move["from_state"])
                row = self._row(case, "lead", case.id, move["number"], move["name"], move["actor"])
                row |= {"from_department": taken_from, "to_department": given_to}
                row |= {"system": transition.system or left.system, "to_system": there.system}
                row["from_owner"] = case.had["owner"] if case.had else None
                by = works_for(journey, move["actor"]) or transition.department
                self._keep(case, row, by, final=journey.lifecycle[move["to_state"]].final)
                passed = True
        if not case.new and (passed or (holder is not None and not case.lead["open"])):
            self._over.add(case.id)

    def _tickets(self) -> None:
        """Take up what was done to tickets."""
        done = self._batch.tickets.entries()
        for before, row in self._batch.tickets.changed() if done else ():
            entries = done.get(row["id"])
            case = self._batch.cases.get(row["lead_id"])
            if case is None or not entries:
                continue
            place, journey = NOWHERE, None
            if before is None or (before["desk"], before["owner"]) != (row["desk"], row["owner"]):
                journey = self._batch.desks.journey(case, row)
                place = decide.of_ticket(journey, row["desk"], row["owner"]) if journey else NOWHERE
            whose = place.department if before is None else row["department"]
            for entry in entries:
                # Counted by another version, nobody has done anything for the customer.
                if not entry["machine"] and "journey" not in entry["data"]:
                    self.acted(case, row["id"], whose, entry["actor"])
            if journey is None:
                continue
            number = row["entries"]
            if before is None:
                self._begin(case, "ticket", row, number, "opened", row["opened_by"], place, journey)
            else:
                what = "desk" if before["desk"] != row["desk"] else "assigned"
                # Whoever has it come to another desk: who has it then follows by itself.
                by = {entry["kind"]: entry["actor"] for entry in entries}
                actor = by.get("changed" if what == "desk" else "assigned") or entries[-1]["actor"]
                self._go(case, "ticket", row, number, what, actor, place, journey, before["owner"])

    # -- what they share -----------------------------------------------------------------------------------------------

    def _lead(self, case: Case) -> Place:
        return decide.of_state(case.journey, case.facts.state)

    def _begin(  # noqa: PLR0913, PLR0917 - what a hand-over is
        self,
        case: Case,
        kind: str,
        row: Row,
        number: int,
        what: str,
        actor: str,
        place: Place,
        journey: Journey,
        holder: Place = NOWHERE,
    ) -> None:
        """Something new of a lead is whose `place` says; it comes from its `holder`, else from whoever has the lead."""
        row["department"] = holder.department or self._lead(case).department
        self._pass(case, kind, row, number, what, actor, place, journey, case.lead["owner"])

    def _go(  # noqa: PLR0913, PLR0917 - what a hand-over is
        self,
        case: Case,
        kind: str,
        row: Row,
        number: int,
        what: str,
        actor: str,
        place: Place,
        journey: Journey,
        owner: str | None,
    ) -> None:
        """Something that there was is whose `place` says from now on; `owner` had it before."""
        if self._pass(case, kind, row, number, what, actor, place, journey, owner):
            self._over.add(row["id"])

    def _pass(  # noqa: PLR0913, PLR0917 - what a hand-over is
        self,
        case: Case,
        kind: str,
        row: Row,
        number: int,
        what: str,
        actor: str,
        place: Place,
        journey: Journey,
        owner: str | None,
    ) -> bool:
        """Have something be whose `place` says; whether it was another department's."""
        found, row["department"] = passes(row["department"], [(place.department, what)])
        for taken_from, given_to, _ in found:
            made = self._row(case, kind, row["id"], number, what, actor)
            made |= {"journey": journey.version, "from_department": taken_from, "to_department": given_to}
            made |= {"system": place.system, "to_system": place.system}
            made |= {"from_owner": owner, "to_owner": row["owner"]}
            own = given_to if actor == row["owner"] else works_for(journey, actor)
            self._keep(case, made, own)
        return bool(found)

    def _row(self, case: Case, kind: str, about_id: str, number: int, what: str, actor: str) -> Row:
        return {
            "about_kind": kind,
            "about_id": about_id,
            "number": number,
            "lead_id": case.id,
            "journey": case.journey.version,
            "at": self._batch.now,
            "what": what,
            "from_department": None,
            "to_department": None,
            "actor": actor,
            "from_owner": None,
            "to_owner": None,
            "system": None,
            "to_system": None,
            "taken_at": None,
            "taken_by": None,
            "ended_at": None,
        }

    def _keep(self, case: Case, row: Row, own: str | None, *, final: bool = False) -> None:
        """Keep a hand-over; whoever fetches work to their `own` department has taken it, of some nobody waits."""
        if case.lead["test"]:
            return
        at: datetime = row["at"]
        if row["actor"] not in _NOBODY and own == row["to_department"]:
            row |= {"taken_at": at, "taken_by": row["actor"]}
        elif final or case.lead["quiet"]:
            row["ended_at"] = at
        self._made.append(row)


def _made(row: Row) -> HandoverMade:
    return HandoverMade(
        row["about_kind"],
        row["about_id"],
        row["number"],
        row["what"],
        row["from_department"],
        row["to_department"],
        row["to_owner"],
        row["system"],
        row["actor"],
        row["taken_at"] is not None,
    )
