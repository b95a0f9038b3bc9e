"""
Merging people: two who turn out to be one go on as one of them.

Everything that moves is noted, so that `workers/unmerge` can take it back.

The survivor keeps its row and what it knows; the other's row stays as it was and says who goes on for it. Match keys,
leads, touchpoints, consents, purchases, receipts, enrolments, messages, and what belongs to leads in sales and service,
go over. Decisions, transitions and events stay with their lead.

Where both have an open lead on one journey, the one that has come further goes on, with the touchpoints of both. The
other is parked: closed in the state it is in, its timers off and its owner's place free, with a decision that names the
lead it goes on in. A turn that was taken for it stays taken, as when a lead is declined.

Rows are locked in the order of `workers/people`: people by id, their leads by id, then the pools; keys are only changed
by whoever has locked their person. An arrival that read a key before and locks its person after a merge is postponed
and ends at the survivor. Not a step: it is asked for and answered at once; by rule the sweep asks for it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from schema import lifecycle, tables
from schema.errors import Permanent, ThroughlineError, Transient
from schema.events import PersonMerged
from schema.store import clock, merges, rows
from schema.store.engine import is_transient
from schema.store.ids import is_id, new_id, uuid_array
from schema.store.journeys import JourneyBook
from workers.batch import Batch, Case
from workers.decide.merge import further, united
from workers.identity import campaigns_merged, people, service_merged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Engine

    from workers.runtime import Hinter

ATTEMPTS: Final = 10
"""A transaction that waited for a lead may be older than one that told events of it meanwhile; the next is not."""
RESTS: Final = ("next_step", "due_since", "waits", "waiting_since")
"""What a parked lead lets go of, and has again when it is opened."""
GAINS: Final = ("interests", "attribution", "message", "quiet")
"""What a lead that goes on takes over from one that is parked."""
_BY_RULE_AT_ONCE: Final = 50

_LEADS: Final = text("""
SELECT id, person_id, journey, journey_name, open, owner, transitions, events, created_at, merged_into FROM lead
WHERE person_id = ANY(CAST(:people AS uuid[])) ORDER BY id FOR UPDATE
""")
_RECEIPTS: Final = text("""
UPDATE receipt AS r SET person_id = :survivor FROM touchpoint AS t
WHERE t.lead_id = ANY(CAST(:leads AS uuid[])) AND t.person_id = :merged AND r.id = t.id
""")
_TOUCHES: Final = text("""
UPDATE touchpoint SET person_id = :survivor WHERE lead_id = ANY(CAST(:leads AS uuid[])) AND person_id = :merged
""")
_TOUCHES_OVER: Final = text("UPDATE touchpoint SET lead_id = :going WHERE lead_id = :parked RETURNING id")
_CONSENTS: Final = text("UPDATE consent SET person_id = :survivor WHERE person_id = :merged RETURNING id")
_PURCHASES: Final = text("UPDATE purchase SET person_id = :survivor WHERE person_id = :merged RETURNING id")
_KEYS: Final = text("""
UPDATE person_key SET person_id = :survivor, origin_id = COALESCE(origin_id, CAST(:merged AS uuid))
WHERE person_id = :merged RETURNING kind
""")
_INTO: Final = text("UPDATE person SET merged_into = :survivor WHERE id = :merged")
_LEADS_OVER: Final = text("UPDATE lead SET person_id = :survivor WHERE id = ANY(CAST(:leads AS uuid[]))")
_PARKED: Final = text("""
UPDATE lead AS l SET merged_into = r.into
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id uuid, "into" uuid) WHERE l.id = r.id
""")
_SETTLED: Final = text("""
UPDATE person_suggestion SET due_since = NULL, refused = :refused
WHERE person_id = :person AND other_id = :other AND reason = :reason
""")


class Merger:
    """
    Merges people in one database, and takes it back.

    `hints` hears of leads that became due. On a dry run everything is decided and nothing is kept.
    """

    def __init__(self, engine: Engine, hint: Callable[[str, Sequence[str]], None], *, dry_run: bool = False) -> None:
        self._engine = engine
        self._hint = hint
        self._dry_run = dry_run
        self._book = JourneyBook()

    def merge(
        self,
        survivor: str,
        merged: str,
        *,
        reason: str | None = None,
        actor: str,
        rule: str | None = None,
        now: datetime | None = None,
    ) -> dict[str, Any]:
        """
        Merge one person into another and return `{"merge_id", "survivor", "merged", "at", "leads", "parked", …}`.

        The same merge asked for again gives the same answer and changes nothing.

        :raises Permanent: `person_unknown`; `same_person`; `person_merged`, one of them goes on as somebody else
            already (`person`, `into`); `reason_not_a_code`; `journey_unreadable`
        :raises Transient: `person_busy`
        """
        if survivor == merged:
            raise Permanent("same_person", "A person cannot be merged into themselves.")
        if reason is not None and not lifecycle.is_code(reason):
            raise Permanent("reason_not_a_code", "A reason is a code: small letters, digits and _, as in same_phone.")
        act = partial(_merge, survivor=survivor, merged=merged, reason=reason, actor=actor, rule=rule)
        return self.run(act, now)

    def unmerge(self, person: str, *, actor: str, now: datetime | None = None) -> dict[str, Any]:
        """
        Take back the merge of a person into another, and return `{"merge_id", "survivor", "merged", "leads", …}`.

        Both have again what was theirs. What arrived since stays with whose key brought it.

        :raises Permanent: `person_unknown`; `person_not_merged`; `merge_inner`, a later merge has to be taken back
            first: that of `person`; `journey_unreadable`
        :raises Transient: `person_busy`
        """
        from workers.identity.unmerge import take_back  # noqa: PLC0415 - it is told with the words of this module

        return self.run(partial(take_back, merged=person, actor=actor), now)

    def run(self, act: Callable[[Batch], dict[str, Any] | None], now: datetime | None) -> dict[str, Any]:
        """Have `act` done in a transaction that may tell events of the leads it needs; None: in another one."""
        for _ in range(ATTEMPTS):
            try:
                with self._engine.connect() as connection:
                    batch = Batch(connection, self._book, now or clock.now(), "identify")
                    done = act(batch)
                    if done is not None and not self._dry_run:
                        connection.commit()
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                continue
            if done is not None:
                if not self._dry_run:
                    self._hint_on(batch)
                return done
        raise Transient("person_busy")

    def by_rule(self, now: datetime | None = None) -> list[str]:
        """Merge a portion of those whom arrivals have proven to be one, by their journey's rule; return the merges."""
        done = []
        with self._engine.connect() as connection:
            due = merges.due(connection, _BY_RULE_AT_ONCE)
        for pair in due:
            refused = pair["refused"]
            if refused is None and pair["survivor"] != pair["merged"]:
                try:
                    rule = "+".join(pair["kinds"])
                    made = self.merge(pair["survivor"], pair["merged"], actor="journey", rule=rule, now=now)
                    done.append(made["merge_id"])
                except Transient:
                    continue
                except ThroughlineError as error:
                    refused = error.code
            with self._engine.begin() as connection:
                connection.execute(_SETTLED, {name: pair[name] for name in ("person", "other", "reason")} | {
                    "refused": refused,
                })  # fmt: skip
        return done

    def _hint_on(self, batch: Batch) -> None:
        for case in batch.cases.values():
            if case.lead["due_since"] is not None:
                self._hint(case.lead["next_step"], [case.id])
        if batch.cases:
            self._hint("route", batch.pools.woken)  # a place that became free may have woken others


def merge_by_rule(engine: Engine, hints: Hinter, now: datetime) -> list[str]:
    """Merge a portion of those whom their journey has merged; return the merges."""
    return Merger(engine, hints.send).by_rule(now)


# -- what both ways share ----------------------------------------------------------------------------------------------


def two_people(batch: Batch, first: str, second: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Lock the rows of two people, always in the same order, and return them."""
    ids = sorted({first, second})
    locked = people.lock(batch, ids) if all(map(is_id, ids)) else {}
    if len(locked) < len(ids):
        raise Permanent("person_unknown", "There is no such person.")
    return locked[first], locked[second]


def leads_of(batch: Batch, *whose: str) -> list[dict[str, Any]]:
    """Lock all leads of people and return what merging looks at."""
    found = batch.connection.execute(_LEADS, {"people": uuid_array(whose)}).mappings()
    return [dict(row) for row in found]


def take_in_hand(batch: Batch, leads: Iterable[Mapping[str, Any]]) -> bool:
    """
    Take locked leads into hand; False: this transaction is too old for one of them.

    :raises Permanent: `journey_unreadable`
    """
    wanted = list(leads)
    if not all(batch.book.readable(batch.connection, lead["journey"]) for lead in wanted):
        raise Permanent("journey_unreadable", "A lead of theirs follows a journey version that this code cannot read.")
    return not wanted or not batch.load(lead["id"] for lead in wanted)


def look_again(case: Case) -> None:
    """Have an open lead looked at again, as after another touch."""
    if case.lead["open"] and case.lead["next_step"] != case.journey.steps[0]:
        case.go(case.begins_at())


def gain(case: Case, other: Mapping[str, Any]) -> None:
    """Have a lead take over what it did not know from another, or from an arrival."""
    lead = case.lead
    lead["interests"] = list(dict.fromkeys([*lead["interests"], *other["interests"]]))
    lead["attribution"] = other["attribution"] | lead["attribution"]
    lead["message"] = lead["message"] or other["message"]
    if not other["quiet"]:
        case.wake()


# -- merging -----------------------------------------------------------------------------------------------------------


def _merge(
    batch: Batch, *, survivor: str, merged: str, reason: str | None, actor: str, rule: str | None
) -> dict[str, Any] | None:
    into, row = two_people(batch, survivor, merged)
    if row["merged_into"] == survivor:
        return merges.told(batch.connection, merged)
    for one in (into, row):
        if one["merged_into"]:
            facts = {"person": one["id"], "into": one["merged_into"]}
            raise Permanent("person_merged", "This person goes on as another already; merge that one.", **facts)
    leads = leads_of(batch, survivor, merged)
    over = [lead["id"] for lead in leads if lead["person_id"] == merged]
    pairs = _pairs(leads)
    anchor = _anchor(leads, survivor, [going for going, _ in pairs])
    if not take_in_hand(batch, [lead for lead in leads if lead["open"] or lead is anchor]):
        return None
    merge_id = new_id()
    note = {"merge": merge_id, "survivor": survivor, "merged": merged, "asked_by": actor}
    before = {name: into[name] for name in tables.person.c.keys() if name != "created_at"}  # noqa: SIM118 - of columns
    changes, told = united(into, row)
    moved: dict[str, Any] = {"leads": over, "anchor": anchor and anchor["id"]}
    moved["events"] = {lead["id"]: lead["events"] for lead in leads}
    moved["parked"] = _park(batch, pairs, note)
    for case in batch.cases.values():
        if case.lead["open"]:
            case.decided("merged", reason, note)
            look_again(case)
    rests = {str(parked["id"]): str(going["id"]) for going, parked in pairs}
    answer: dict[str, Any] = {
        "merge_id": merge_id,
        "survivor": survivor,
        "merged": merged,
        "at": batch.now.isoformat(),
        "leads": over,
        "parked": rests,
        "fields": told,
    }
    if anchor:
        batch.cases[anchor["id"]].tell(
            PersonMerged(merge_id, survivor, merged, over, rests, told, rule, f"/v1/people/{merged}/unmerge")
        )
    if changes:
        batch.people[survivor] |= changes | {"updated_at": batch.now}
        people.change(batch, survivor)
    batch.record()
    whose = {"survivor": survivor, "merged": merged, "leads": uuid_array(over)}
    touchpoints = _carry_over(batch.connection, whose, pairs, moved)
    moved |= campaigns_merged.merged(batch.connection, whose, batch.now)
    moved["service"] = service_merged.merged(batch.connection, whose, rests, batch.now)
    rows.insert(
        batch.connection,
        tables.person_merge,
        [
            {
                "id": merge_id,
                "survivor_id": survivor,
                "merged_id": merged,
                "at": batch.now,
                "actor": actor,
                "reason": reason,
                "rule": rule,
                "moved": moved,
                "before": before,
                "touchpoints": uuid_array(touchpoints),
                "told": answer,
            }
        ],
    )
    return answer


def _pairs(leads: Sequence[dict[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Return the open leads that meet on one journey: which goes on, and which is parked."""
    met: dict[str, dict[str, Any]] = {}
    pairs = []
    for lead in leads:
        if lead["open"]:
            first = met.setdefault(lead["journey_name"], lead)
            if first is not lead:
                pairs.append(further(first, lead))
    return pairs


def _anchor(
    leads: Sequence[dict[str, Any]], survivor: str, going: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The lead at which the merge is told: one that goes on for both, else the survivor's latest."""
    ranked = sorted(leads, key=lambda lead: (lead["person_id"] == survivor, lead["created_at"], lead["id"]))
    return going[0] if going else ranked[-1] if ranked else None


def _park(
    batch: Batch, pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], note: Mapping[str, Any]
) -> dict[str, Any]:
    """Close the leads that go on in others; return what they and those others were, for the way back."""
    kept = {}
    for going, parked in pairs:
        case, onward = batch.cases[parked["id"]], batch.cases[going["id"]]
        kept[case.id] = {
            "into": onward.id,
            "was": {name: case.lead[name] for name in RESTS},
            "onward": {name: onward.lead[name] for name in GAINS},
        }
        case.decided("merged", None, {**note, "goes_on_in": onward.id})
        case.lead |= {"open": False, "waits": {}}
        case.go(None)
        gain(onward, case.lead)
    return kept


def _carry_over(
    connection: Connection,
    whose: Mapping[str, str],
    pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]],
    moved: dict[str, Any],
) -> list[str]:
    """Give the survivor what was the other's; return the touchpoints that changed their lead."""
    connection.execute(_RECEIPTS, whose)
    connection.execute(_TOUCHES, whose)
    touchpoints: list[str] = []
    for going, parked in pairs:
        over = connection.execute(_TOUCHES_OVER, {"going": going["id"], "parked": parked["id"]})
        touchpoints += over.scalars()
    moved["consents"] = list(connection.execute(_CONSENTS, whose).scalars())
    moved["purchases"] = list(connection.execute(_PURCHASES, whose).scalars())
    moved["keys"] = sorted(connection.execute(_KEYS, whose).scalars())
    connection.execute(_INTO, whose)
    connection.execute(_LEADS_OVER, whose)
    into = [{"id": parked["id"], "into": going["id"]} for going, parked in pairs]
    if into:
        connection.execute(_PARKED, {"rows": rows.as_json(into)})
    return touchpoints
