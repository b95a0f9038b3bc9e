"""People who turn out to be one are merged, by hand or by rule, and it can be taken back."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from schema.errors import Permanent
from schema.journey import default_text
from schema.provenance import entry_of
from schema.settings import Settings
from schema.store import journeys, merges
from workers.identity.merge import Merger, merge_by_rule
from workers.moves import move_lead
from workers.sweep import Sweeper

if TYPE_CHECKING:
    from tests.spine import Spine

ANA = {"email": "ana@kiln.example", "name": "Ana Pons", "company": "Kiln", "interests": "crm", "message": "Hello"}
ANN = {"email": "ann@kiln.example", "name": "Ann Pons", "country": "DE", "interests": "billing", "budget": "20000"}
_EVERYTHING = {
    "person": "SELECT * FROM person ORDER BY id",
    "person_key": "SELECT * FROM person_key ORDER BY kind, value",
    "touchpoint": "SELECT * FROM touchpoint ORDER BY id",
    "receipt": "SELECT id, person_id, lead_id, status FROM receipt ORDER BY id",
    "consent": "SELECT * FROM consent ORDER BY id",
    "purchase": "SELECT * FROM purchase ORDER BY id",
    "transition": "SELECT * FROM transition ORDER BY lead_id, number",
    "lead": "SELECT id, person_id, merged_into, state, open, interests, attribution, message, quiet, owner, pool, "
    "assignment, created_at, transitions, entered_at, test FROM lead ORDER BY id",
}
"""What merging moves; a lead is looked at again afterwards, so what it is due for and was decided is not here."""


@dataclass
class Two:
    """Two people, each with a lead, and what merges them."""

    spine: Spine
    first: str
    second: str

    @property
    def merger(self) -> Merger:
        return Merger(self.spine.engine, self.spine.hints.send)

    def merge(self, survivor: str | None = None, merged: str | None = None, *, run: bool = True) -> dict[str, Any]:
        done = self.merger.merge(survivor or self.first, merged or self.second, actor="ops", now=self.spine.now)
        if run:  # the lead that goes on is looked at again
            self.spine.run()
        return done

    def unmerge(self, merged: str | None = None, *, run: bool = True) -> dict[str, Any]:
        done = self.merger.unmerge(merged or self.second, actor="ops", now=self.spine.now)
        if run:
            self.spine.run()
        return done


def arrives(spine: Spine, payload: dict[str, Any], **where: str) -> str:
    """Have something arrive and be taken; return whose it is."""
    receipt = spine.arrives(payload, **where)
    spine.run()
    spine.passes(timedelta(minutes=1))
    return str(spine.receipt(receipt)["person_id"])


def lead_of(spine: Spine, person: str) -> dict[str, Any]:
    """The only lead of somebody that is not parked."""
    [lead] = spine.rows("SELECT * FROM lead WHERE person_id = :person AND merged_into IS NULL", person=person)
    return lead


def everything(spine: Spine) -> dict[str, list[dict[str, Any]]]:
    return {name: spine.rows(query) for name, query in _EVERYTHING.items()}


@pytest.fixture
def two(spine: Spine) -> Two:
    return Two(spine, arrives(spine, ANA), arrives(spine, ANN))


def test_who_is_merged_goes_on_as_the_survivor_with_all_that_was_theirs(two: Two, spine: Spine) -> None:
    going = lead_of(spine, two.first)

    done = two.merge()

    [survivor, merged] = spine.rows("SELECT * FROM person ORDER BY id")
    assert (survivor["name"], survivor["country"], survivor["custom"]) == ("Ana Pons", "DE", {"budget": "20000"})
    assert survivor["interests"] == ["crm", "billing"]
    assert entry_of(survivor["provenance"], "country") == entry_of(merged["provenance"], "country") is not None
    assert (merged["merged_into"], merged["name"]) == (two.first, "Ann Pons")
    assert {row["person_id"] for row in spine.rows("SELECT person_id FROM person_key")} == {two.first}
    assert {row["person_id"] for row in spine.rows("SELECT person_id FROM receipt")} == {two.first}
    assert {(row["person_id"], row["lead_id"]) for row in spine.rows("SELECT * FROM touchpoint")} == {
        (two.first, going["id"])
    }
    assert list(done["parked"].values()) == [going["id"]]


def test_of_two_open_leads_the_other_rests_and_names_the_one_it_goes_on_in(two: Two, spine: Spine) -> None:
    done = two.merge()

    [(rests, goes_on)] = done["parked"].items()
    [parked] = spine.rows("SELECT * FROM lead WHERE id = :id", id=rests)
    assert (parked["merged_into"], parked["open"], parked["due_since"], parked["wake_at"]) == (
        goes_on,
        False,
        None,
        None,
    )
    [decision] = spine.rows("SELECT * FROM decision WHERE lead_id = :id AND outcome = 'merged'", id=rests)
    assert decision["explanation"]["goes_on_in"] == goes_on
    [lead] = spine.rows("SELECT * FROM lead WHERE id = :id", id=goes_on)
    assert (lead["open"], lead["interests"]) == (True, ["crm", "billing"])
    steps = spine.rows("SELECT step, outcome FROM decision WHERE lead_id = :id ORDER BY number", id=goes_on)
    after = [row["step"] for row in steps][[row["outcome"] for row in steps].index("merged") + 1 :]
    assert "score" in after or "qualify" in after
    with pytest.raises(Permanent, match="goes on in"):
        move_lead(spine.engine, rests, "qualify", reason=None, actor="ops", now=spine.now)


def test_the_lead_that_has_come_further_goes_on_even_if_it_was_the_merged_persons(two: Two, spine: Spine) -> None:
    further = lead_of(spine, two.second)
    spine.do("UPDATE lead SET qualification = '{\"passed\": true}' WHERE id = :id", id=further["id"])
    spine.do(
        "INSERT INTO transition (lead_id, number, journey, from_state, name, to_state, at, actor) "
        "VALUES (:id, :number, :journey, :state, 'qualify', 'opportunity', :now, 'ops')",
        id=further["id"], number=further["transitions"] + 1, journey=further["journey"], state=further["state"],
        now=spine.now,
    )  # fmt: skip
    spine.do(
        "UPDATE lead SET state = 'opportunity', transitions = transitions + 1 WHERE id = :id",
        id=further["id"],
    )

    done = two.merge()

    assert list(done["parked"].values()) == [further["id"]]
    assert lead_of(spine, two.first)["id"] == further["id"]


def test_an_owner_has_a_place_more_when_a_lead_rests(two: Two, spine: Spine) -> None:
    before = spine.rows("SELECT count(*) AS n FROM lead WHERE open AND owner IS NOT NULL")
    two.merge()
    after = spine.rows("SELECT count(*) AS n FROM lead WHERE open AND owner IS NOT NULL")
    assert (before, after) == ([{"n": 2}], [{"n": 1}])


def test_the_merge_is_told_once_without_personal_data(two: Two, spine: Spine) -> None:
    done = two.merge()
    again = two.merge()

    [told] = spine.rows("SELECT * FROM event WHERE type = 'person.merged'")
    assert again == done
    assert told["lead_id"] in done["parked"].values()
    assert (told["data"]["survivor"], told["data"]["merged"]) == (two.first, two.second)
    assert set(told["data"]["fields"]) == {"country", "interests", "custom"}
    assert not {"Ann", "billing", "20000", "kiln"} & set(str(told["data"]).replace("'", " ").split())
    assert len(spine.rows("SELECT FROM person_merge")) == 1


def test_what_is_merged_and_taken_back_is_as_it_was(two: Two, spine: Spine) -> None:
    before = everything(spine)
    two.merge(run=False)
    assert everything(spine) != before

    done = two.unmerge(run=False)

    assert everything(spine) == before
    assert done["arrivals_since"] == {"survivor": 0, "merged": 0}
    [told] = spine.rows("SELECT * FROM event WHERE type = 'person.unmerged'")
    assert told["data"]["reopened"] == done["reopened"] != []
    [kept] = spine.rows("SELECT actor, undone_by, undone_at FROM person_merge")
    assert (kept["actor"], kept["undone_by"], kept["undone_at"]) == ("ops", "ops", spine.now)


def test_what_arrives_after_a_merge_stays_with_whose_key_brought_it(two: Two, spine: Spine) -> None:
    leads = {person: lead_of(spine, person)["id"] for person in (two.first, two.second)}
    two.merge()
    for_first = spine.arrives({"email": "ana@kiln.example", "phone": "+49 30 901820", "message": "More"})
    for_second = spine.arrives({"email": "ann@kiln.example", "language": "fr", "interests": "phones"})
    spine.run()
    assert {spine.receipt(each)["person_id"] for each in (for_first, for_second)} == {two.first}

    done = two.unmerge()

    assert done["arrivals_since"] == {"survivor": 1, "merged": 1}
    for receipt, person in ((for_first, two.first), (for_second, two.second)):
        [touch] = spine.rows("SELECT * FROM touchpoint WHERE id = :id", id=receipt)
        assert (touch["person_id"], touch["lead_id"]) == (person, leads[person])
        assert spine.receipt(receipt)["person_id"] == person
    [first, second] = spine.rows("SELECT * FROM person ORDER BY id")
    assert (first["phone"], first["language"], first["country"]) == ("+4930901820", None, None)
    assert (second["phone"], second["language"], second["country"]) == (None, "fr", "DE")
    assert second["interests"] == ["billing", "phones"]
    keys = {row["value"]: row["person_id"] for row in spine.rows("SELECT * FROM person_key")}
    assert keys["+4930901820"] == two.first


def test_a_key_that_came_with_a_merged_persons_key_goes_back_with_it(two: Two, spine: Spine) -> None:
    two.merge()
    arrives(spine, {"email": "ann@kiln.example", "phone": "+49 30 901820"})
    two.unmerge()
    keys = {row["value"]: row for row in spine.rows("SELECT * FROM person_key")}
    assert keys["+4930901820"]["person_id"] == two.second
    assert {row["origin_id"] for row in keys.values()} == {None}


def test_a_lead_begun_after_a_merge_belongs_to_whose_key_began_it(two: Two, spine: Spine) -> None:
    [(rests, goes_on)] = two.merge()["parked"].items()
    move_lead(spine.engine, goes_on, "lose", reason="price", actor="ops", now=spine.now)
    began = spine.arrives({"email": "ann@kiln.example", "message": "Again"})
    spine.run()
    lead = spine.lead_of(began)["id"]
    assert lead not in {rests, goes_on}

    back = two.unmerge()

    assert (back["reopened"], back["parked"]) == ([], {rests: lead})
    assert lead_of(spine, two.second)["id"] == lead
    assert lead_of(spine, two.first)["id"] == goes_on
    [parked] = spine.rows("SELECT * FROM lead WHERE id = :id", id=rests)
    assert (parked["open"], parked["merged_into"], parked["person_id"]) == (False, lead, two.second)


def test_a_parked_lead_is_opened_although_the_other_was_closed_since(two: Two, spine: Spine) -> None:
    [(rests, goes_on)] = two.merge()["parked"].items()
    move_lead(spine.engine, goes_on, "lose", reason="price", actor="ops", now=spine.now)
    began = spine.arrives({"email": "ana@kiln.example", "message": "Again"})
    spine.run()

    back = two.unmerge()

    assert (back["reopened"], back["parked"]) == ([rests], {})
    assert lead_of(spine, two.second)["id"] == rests
    assert {row["id"] for row in spine.rows("SELECT id FROM lead WHERE person_id = :id", id=two.first)} == {
        goes_on,
        spine.lead_of(began)["id"],
    }


def test_merges_are_taken_back_in_the_opposite_order(two: Two, spine: Spine) -> None:
    third = arrives(spine, {"email": "anna@kiln.example", "language": "de"})
    start = everything(spine)
    two.merge(run=False)
    middle = everything(spine)
    two.merge(two.first, third, run=False)

    with pytest.raises(Permanent) as refused:
        two.unmerge(two.second, run=False)
    assert (refused.value.code, refused.value.facts["person"]) == ("merge_inner", third)

    two.unmerge(third, run=False)
    assert everything(spine) == middle
    two.unmerge(two.second, run=False)
    assert everything(spine) == start


def test_a_merge_inside_another_is_not_taken_back_before_it(two: Two, spine: Spine) -> None:
    third = arrives(spine, {"email": "anna@kiln.example", "language": "de"})
    start = everything(spine)
    two.merge(two.first, two.second, run=False)
    middle = everything(spine)
    two.merge(third, two.first, run=False)
    with spine.engine.connect() as connection:
        assert merges.survivor(connection, two.second) == third

    with pytest.raises(Permanent) as refused:
        two.unmerge(two.second, run=False)
    assert (refused.value.code, refused.value.facts["person"]) == ("merge_inner", two.first)

    two.unmerge(two.first, run=False)
    assert everything(spine) == middle
    two.unmerge(two.second, run=False)
    assert everything(spine) == start


@pytest.mark.parametrize(
    ("survivor", "merged", "code"),
    [("first", "first", "same_person"), ("first", "nobody", "person_unknown"), ("nobody", "first", "person_unknown")],
)
def test_a_merge_that_makes_no_sense_is_refused(two: Two, survivor: str, merged: str, code: str) -> None:
    ids = {"first": two.first, "nobody": "0" * 8 + two.first[8:]}
    with pytest.raises(Permanent) as refused:
        two.merge(ids[survivor], ids[merged])
    assert refused.value.code == code


def test_who_is_merged_is_neither_merged_again_nor_a_survivor(two: Two, spine: Spine) -> None:
    third = arrives(spine, {"email": "anna@kiln.example"})
    two.merge()
    for survivor, merged in ((two.second, two.first), (third, two.second), (two.second, third)):
        with pytest.raises(Permanent) as refused:
            two.merge(survivor, merged)
        assert (refused.value.code, refused.value.facts["into"]) == ("person_merged", two.first)
    with pytest.raises(Permanent) as not_merged:
        two.unmerge(third)
    assert not_merged.value.code == "person_not_merged"


def test_opposite_merges_at_once_make_one_person_and_no_circle(two: Two, spine: Spine) -> None:
    ways = [(two.first, two.second), (two.second, two.first)] * 4

    def go(way: tuple[str, str]) -> str:
        try:
            Merger(spine.engine, spine.hints.send).merge(*way, actor="ops", now=spine.now)
        except Permanent as refused:
            return refused.code
        return "done"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(go, ways))

    assert set(told) == {"done", "person_merged"}
    assert len(spine.rows("SELECT FROM person WHERE merged_into IS NOT NULL")) == 1
    assert len(spine.rows("SELECT FROM person_merge")) == 1


def test_arrivals_that_race_merges_end_at_the_survivor_and_nothing_is_lost(two: Two, spine: Spine) -> None:
    runtimes = [spine.runtime(batch_size=5) for _ in range(2)]
    receipts = [
        spine.arrives({"email": address, "message": str(number)})
        for number in range(40)
        for address in ("ana@kiln.example", "ann@kiln.example")
    ]

    def merge_and_back(_: object) -> None:
        for _ in range(4):
            two.merger.merge(two.first, two.second, actor="ops", now=spine.now)
            two.merger.unmerge(two.second, actor="ops", now=spine.now)
        two.merger.merge(two.first, two.second, actor="ops", now=spine.now)

    with ThreadPoolExecutor(3) as pool:
        merging = pool.submit(merge_and_back, None)
        for _ in range(12):
            list(pool.map(lambda runtime: runtime.hear("identify", now=spine.now), runtimes))
        merging.result()
    spine.run()

    touches = spine.rows("SELECT id, person_id, lead_id FROM touchpoint")
    assert len(touches) == len(receipts) + 2
    assert {touch["person_id"] for touch in touches} == {two.first}
    assert {spine.receipt(receipt)["person_id"] for receipt in receipts} == {two.first}
    assert spine.rows("SELECT count(*) AS n FROM lead WHERE open") == [{"n": 1}]
    two.unmerge()
    for address, person in (("ana@kiln.example", two.first), ("ann@kiln.example", two.second)):
        found = spine.rows(
            "SELECT t.person_id FROM touchpoint AS t JOIN receipt AS r USING (id) "
            "WHERE convert_from(r.body, 'UTF8') LIKE :address",
            address=f"%{address}%",
        )
        assert {row["person_id"] for row in found} == {person}


_LATER = st.lists(
    st.tuples(
        st.sampled_from(["ana@kiln.example", "ann@kiln.example"]),
        st.sampled_from(
            [{}, {"phone": "+49 30 901820"}, {"country": "AT"}, {"interests": "phones"}, {"name": "A. P."}]
        ),
    ),
    max_size=4,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=_LATER, between=_LATER)
def test_two_people_know_the_same_whether_they_were_merged_in_between_or_not(
    spine: Spine, before: list[tuple[str, dict[str, str]]], between: list[tuple[str, dict[str, str]]]
) -> None:
    """Who is merged and parted again knows what somebody knows who never was."""

    def known(mark: str, *, merging: bool) -> list[dict[str, Any]]:
        def sent(told: list[tuple[str, dict[str, str]]]) -> None:
            for address, more in told:
                own = {"phone": more["phone"] + mark} if "phone" in more else {}
                arrives(spine, {"email": mark + address} | more | own)

        people = Two(spine, arrives(spine, ANA | {"email": mark + ANA["email"]}), "")
        people.second = arrives(spine, ANN | {"email": mark + ANN["email"]})
        sent(before)
        if merging:
            people.merge()
        sent(between)
        if merging:
            people.unmerge()
        return spine.rows(
            "SELECT name, phone IS NULL AS has_no_phone, country, language, interests, preferences, custom, "
            "merged_into FROM person WHERE id IN (:one, :two) ORDER BY id",
            one=people.first,
            two=people.second,
        )

    _MARKS.append("")
    number = 1000 + 2 * len(_MARKS)
    assert known(str(number), merging=True) == known(str(number + 1), merging=False)


_MARKS: list[str] = []


# -- by rule -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def ruled(spine: Spine, request: pytest.FixtureRequest) -> None:
    """A journey whose source `api` names people by an id, and in which `identity` says when they are merged."""
    document = default_text().replace("{kind: api, label: Other systems}", "{kind: api, map: {customer: external_id}}")
    document = document.replace("\nsources:", f"\nidentity: {{merge: {request.param}}}\nsources:", 1)
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, document, spine.now), spine.now)


never = pytest.mark.parametrize("ruled", ["[]"], indirect=True)
proven = pytest.mark.parametrize("ruled", ["[external_id, email]"], indirect=True)


def _both(spine: Spine) -> tuple[str, str]:
    """Somebody known by an external id, and somebody by an address, whom a third arrival names together."""
    known = arrives(spine, {"customer": "7", "name": "Ana Pons"}, source="api", channel="api")
    other = arrives(spine, {"email": "ana@kiln.example"})
    both = arrives(spine, {"customer": "7", "email": "ana@kiln.example"}, source="api", channel="api")
    assert both == known != other
    return known, other


@never
@pytest.mark.usefixtures("ruled")
def test_an_arrival_with_keys_of_two_people_goes_to_the_first_and_is_noted(spine: Spine) -> None:
    known, other = _both(spine)

    assert merge_by_rule(spine.engine, spine.hints, spine.now) == []

    [noted] = spine.rows("SELECT * FROM person_suggestion")
    assert (noted["person_id"], noted["other_id"], noted["reason"]) == (known, other, "keys")
    [told] = spine.rows("SELECT explanation FROM decision WHERE explanation ? 'also_keys_of'")
    assert told["explanation"]["also_keys_of"] == [{"person": other, "on": ["email"]}]
    with spine.engine.connect() as connection:
        assert [one["id"] for one in merges.suggestions(connection, known)] == [other]
        assert [one["id"] for one in merges.suggestions(connection, other)] == [known]


@proven
@pytest.mark.usefixtures("ruled")
def test_a_journey_that_says_so_has_them_merged(spine: Spine) -> None:
    known, other = _both(spine)

    [done] = merge_by_rule(spine.engine, spine.hints, spine.now)

    [kept] = spine.rows("SELECT * FROM person_merge")
    assert (kept["id"], kept["survivor_id"], kept["merged_id"], kept["actor"]) == (done, known, other, "journey")
    assert kept["rule"] == "email+external:api"
    assert merge_by_rule(spine.engine, spine.hints, spine.now) == []


@proven
@pytest.mark.usefixtures("ruled")
def test_a_merge_that_was_undone_by_hand_is_not_made_again_by_rule(spine: Spine) -> None:
    known, other = _both(spine)
    merge_by_rule(spine.engine, spine.hints, spine.now)
    Two(spine, known, other).unmerge()
    arrives(spine, {"customer": "7", "email": "ana@kiln.example"}, source="api", channel="api")

    assert merge_by_rule(spine.engine, spine.hints, spine.now) == []

    [noted] = spine.rows("SELECT * FROM person_suggestion")
    assert (noted["refused"], noted["due_since"]) == ("undone_by_hand", None)
    assert spine.rows("SELECT FROM person WHERE merged_into IS NOT NULL") == []


def test_the_sweep_merges_whom_the_rule_says_once(spine: Spine) -> None:
    one, two = arrives(spine, ANA), arrives(spine, ANN)
    third = arrives(spine, {"email": "anna@kiln.example"})
    for other in (two, third):
        spine.do(
            "INSERT INTO person_suggestion (person_id, other_id, reason, kinds, receipt_id, at, due_since) "
            "VALUES (:one, :other, 'keys', '[\"email\"]', :one, :now, :now)",
            one=one,
            other=other,
            now=spine.now,
        )

    sweeper = Sweeper(spine.engine, spine.hints, Settings())
    sweeper.sweep(spine.now)
    sweeper.sweep(spine.now)

    assert {row["merged_into"] for row in spine.rows("SELECT merged_into FROM person WHERE id <> :one", one=one)} == {
        one
    }
    assert spine.rows("SELECT DISTINCT due_since, refused FROM person_suggestion") == [
        {"due_since": None, "refused": None}
    ]


# -- many touchpoints, consents and purchases --------------------------------------------------------------------------


def test_who_has_ten_thousand_touchpoints_is_merged_and_parted_exactly(two: Two, spine: Spine) -> None:
    rests, goes_on = lead_of(spine, two.second), lead_of(spine, two.first)
    spine.do(
        "INSERT INTO touchpoint (id, person_id, lead_id, kind, channel, source, occurred_at, recorded_at) "
        "SELECT gen_random_uuid(), :person, :lead, 'page', 'event', 'product', :now, :now "
        "FROM generate_series(1, 10000)",
        person=two.second,
        lead=rests["id"],
        now=spine.now,
    )
    before = everything(spine)

    done = two.merge(run=False)

    assert done["parked"] == {rests["id"]: goes_on["id"]}
    assert spine.rows("SELECT count(*) AS n FROM touchpoint WHERE lead_id = :id", id=goes_on["id"]) == [{"n": 10002}]
    two.unmerge(run=False)
    assert everything(spine) == before


def test_consents_and_purchases_go_over_and_back_with_those_that_came_since(two: Two, spine: Spine) -> None:
    arrives(spine, {"email": "ann@kiln.example", "marketing_consent": "yes"})
    before = everything(spine)
    assert [row["person_id"] for row in before["consent"]] == [two.second]

    two.merge()
    assert {row["person_id"] for row in spine.rows("SELECT * FROM consent")} == {two.first}
    since = {
        person: spine.arrives({"email": address, "marketing_consent": "no"})
        for person, address in ((two.first, "ana@kiln.example"), (two.second, "ann@kiln.example"))
    }
    spine.run()
    two.unmerge()

    for person, receipt in since.items():
        [kept] = spine.rows("SELECT person_id FROM consent WHERE receipt_id = :id", id=receipt)
        assert kept["person_id"] == person
    assert len(spine.rows("SELECT FROM consent WHERE person_id = :id", id=two.second)) == 2


def test_what_the_lead_did_in_the_meantime_stays_its_history(two: Two, spine: Spine) -> None:
    two.merge()
    moved = spine.rows("SELECT * FROM transition")
    decided = spine.rows("SELECT lead_id, number FROM decision")
    assert moved
    two.unmerge()
    assert spine.rows("SELECT * FROM transition")[: len(moved)] == moved
    assert {(row["lead_id"], row["number"]) for row in decided} <= {
        (row["lead_id"], row["number"]) for row in spine.rows("SELECT lead_id, number FROM decision")
    }


def test_merging_finds_everything_by_an_index(two: Two, spine: Spine) -> None:
    for number in range(150):
        spine.arrives({"email": f"p{number}@firm.example", "phone": f"+49 30 90{number:05}"})
    spine.run()
    spine.do("ANALYZE")
    seen: dict[str, Any] = {}

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:  # noqa: ANN401
        seen.setdefault(statement, parameters)

    event.listen(spine.engine, "before_cursor_execute", note)
    two.merger.merge(two.first, two.second, actor="ops", now=spine.now)
    two.merger.unmerge(two.second, actor="ops", now=spine.now)
    with spine.engine.connect() as connection:
        merges.suggestions(connection, two.first)
    event.remove(spine.engine, "before_cursor_execute", note)

    with spine.engine.connect() as connection:
        connection.exec_driver_sql("SET enable_seqscan = off")  # a table of few rows is read whole, whatever there is
        for statement, parameters in seen.items():
            if statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "INSERT", "DELETE")):
                plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
                assert not re.findall(r"Seq Scan on (?!journey|pool|prediction)\w+", plan), plan
        connection.rollback()
