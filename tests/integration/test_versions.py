"""Versions of a journey: one is active, going back is one command, and what nobody here can read waits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from schema.errors import Permanent
from schema.journey import JourneyInvalid, default_journey, default_text, load_stored
from schema.store import journeys, ops, switch
from schema.store.journeys import JourneyBook, Unreadable
from tests.spine import NOON
from workers.sweep import owing

if TYPE_CHECKING:
    from schema.journey import Journey
    from tests.spine import Spine

SMALL = """\
journey: NAME
people: {ana: {email: ana@example.com}, ben: {email: ben@example.com}}
sources: {SOURCE: {kind: form}}
route: {pools: {everybody: {members: {ana: 1, ben: 1}}}}
lifecycle:
  asked: {to: {win: won, lose: gone}}
  won: {final: true}
  gone: {final: true}
"""
ANA = {"email": "ana@kiln.example", "name": "Ana Pons"}


def small(name: str = "default", source: str = "website", **more: str) -> str:
    """Return a short journey; `more` are further keys at its top."""
    extra = "".join(f"{key}: {value}\n" for key, value in more.items())
    return SMALL.replace("NAME", name).replace("SOURCE", source) + extra


def store(spine: Spine, document: str) -> Journey:
    with spine.engine.begin() as connection:
        return journeys.store(connection, document, spine.now)


def switch_on(spine: Spine, document: str, actor: str = "key:1") -> switch.Switched:
    spine.passes(timedelta(minutes=1))
    with spine.engine.begin() as connection:
        return switch.activate(connection, journeys.store(connection, document, spine.now), spine.now, actor=actor)


def go_back(spine: Spine, name: str = "default") -> switch.Switched:
    spine.passes(timedelta(minutes=1))
    with spine.engine.begin() as connection:
        return switch.roll_back(connection, name, spine.now, actor="key:2")


def active(spine: Spine) -> dict[str, str]:
    return {row["name"]: row["version"] for row in spine.rows("SELECT name, version FROM journey_active")}


def log(spine: Spine) -> list[tuple[str, str]]:
    return [
        (row["version"], row["actor"])
        for row in spine.rows("SELECT version, actor FROM journey_activation ORDER BY number")
    ]


# -- activation --------------------------------------------------------------------------------------------------------


def test_new_leads_enter_the_version_that_is_active_and_others_stay_with_theirs(spine: Spine) -> None:
    before = spine.arrives(ANA)
    spine.run()
    switched = switch_on(spine, small())
    after = spine.arrives({"email": "eve@kiln.example"})
    spine.run()

    assert spine.lead_of(before)["journey"] == default_journey().version == switched.before
    assert spine.lead_of(after)["journey"] == switched.journey.version
    assert switched.staying == {default_journey().version: 1}
    assert switched.differences
    versions = spine.rows("SELECT DISTINCT journey FROM decision WHERE lead_id = :id", id=spine.lead_of(after)["id"])
    assert versions == [{"journey": switched.journey.version}]


def test_an_activation_is_logged_with_who_asked_and_the_same_again_is_none(spine: Spine) -> None:
    first = log(spine)
    switched = switch_on(spine, small())
    again = switch_on(spine, small(), actor="key:9")

    assert (switched.changed, again.changed) == (True, False)
    assert log(spine) == [*first, (switched.journey.version, "key:1")]


def test_two_active_journeys_cannot_have_one_source(spine: Spine) -> None:
    with pytest.raises(Permanent, match="website is a source of the active journey default already") as refused:
        switch_on(spine, small("partners"))

    assert refused.value.code == "source_claimed"
    assert refused.value.facts == {"sources": ["website"], "journeys": ["partners", "default"]}
    assert active(spine) == {"default": default_journey().version}
    switch_on(spine, small("partners", "portal"))
    assert active(spine).keys() == {"default", "partners"}


def test_of_two_journeys_that_want_a_source_at_the_same_moment_one_gets_it(spine: Spine) -> None:
    one, other = store(spine, small("one", "fair")), store(spine, small("other", "fair"))
    with spine.engine.connect() as first, spine.engine.connect() as second, ThreadPoolExecutor(1) as thread:
        journeys.activate(first, one, spine.now)
        waiting = thread.submit(journeys.activate, second, other, spine.now)
        first.commit()
        with pytest.raises(Permanent, match="fair is a source of the active journey one"):
            waiting.result(timeout=30)

    assert "other" not in active(spine)


def test_a_source_is_also_kept_from_others_by_a_version_that_cannot_be_read(spine: Spine) -> None:
    journey = store(spine, small("partners", "portal"))
    switch_on(spine, small("partners", "portal"))
    from_the_future(spine, journey.version, "journey: partners\nsources: {portal: {kind: telepathy}}\n")

    with pytest.raises(Permanent, match="portal is a source of the active journey partners"):
        switch_on(spine, small("default", "portal"))


# -- going back --------------------------------------------------------------------------------------------------------


def test_going_back_activates_the_version_before_and_again_the_one_before_that(spine: Spine) -> None:
    first = active(spine)["default"]
    second = switch_on(spine, small()).journey.version
    third = switch_on(spine, small(label="Third")).journey.version

    assert (go_back(spine).journey.version, active(spine)["default"]) == (second, second)
    assert (go_back(spine).journey.version, active(spine)["default"]) == (first, first)
    with pytest.raises(Permanent) as refused:
        go_back(spine)
    assert refused.value.code == "nothing_before"
    assert [version for version, _ in log(spine)] == [first, second, third, second, first]
    assert log(spine)[-1] == (first, "key:2")


def test_what_was_rolled_back_is_not_gone_back_to(spine: Spine) -> None:
    first = active(spine)["default"]
    switch_on(spine, small(label="Mistake"))
    go_back(spine)
    switch_on(spine, small(label="Better"))

    assert go_back(spine).journey.version == first


def test_a_version_that_was_switched_on_again_by_hand_is_gone_back_from_to_the_one_before(spine: Spine) -> None:
    second = switch_on(spine, small()).journey.version
    switch_on(spine, default_text())

    assert go_back(spine).journey.version == second


def test_nothing_of_an_unknown_name_is_gone_back_to(spine: Spine) -> None:
    with pytest.raises(Permanent) as refused:
        go_back(spine, "nobody")
    assert refused.value.code == "journey_unknown"


def test_going_back_does_not_take_a_source_that_another_journey_has_by_now(spine: Spine) -> None:
    switch_on(spine, small(source="fair"))
    switch_on(spine, small("partners"))

    with pytest.raises(Permanent) as refused:
        go_back(spine)
    assert refused.value.code == "source_claimed"


# -- the list ----------------------------------------------------------------------------------------------------------


def test_versions_tell_when_they_were_active_and_how_many_open_leads_follow_them(spine: Spine) -> None:
    for number in range(3):
        spine.arrives({"email": f"p{number}@kiln.example"})
    spine.run()
    second = switch_on(spine, small()).journey.version
    back = go_back(spine).journey.version

    with spine.engine.connect() as connection:
        found = {entry["version"]: entry for entry in journeys.versions(connection)}

    assert (found[back]["active"], found[second]["active"]) == (True, False)
    assert (found[back]["open_leads"], found[second]["open_leads"]) == (3, 0)
    assert [(entry["until"], entry["rollback"]) for entry in found[second]["activations"]] == [(spine.now, False)]
    assert [entry["rollback"] for entry in found[back]["activations"]] == [False, True]
    assert found[back]["activations"][0]["at"] == NOON
    assert found[back]["activations"][1]["until"] is None


def test_open_leads_of_a_version_are_counted_by_an_index(spine: Spine) -> None:
    spine.do("""
        INSERT INTO person (id, created_at, updated_at) SELECT gen_random_uuid(), now(), now()
        FROM generate_series(1, 5000)
    """)
    for number in range(5):
        store(spine, small(label=f"Version {number}"))
    spine.do("""
        INSERT INTO lead (id, person_id, journey, journey_name, state, open, source, channel, created_at, updated_at)
        SELECT gen_random_uuid(), p.id, j.version, 'default', j.initial_state, true, 'website', 'form', now(), now()
        FROM (SELECT id, row_number() OVER () AS n FROM person) AS p
        JOIN (SELECT *, row_number() OVER () AS n FROM journey) AS j ON j.n = 1 + p.n % 6
    """)
    spine.do("ANALYZE")
    plan = "\n".join(
        row["QUERY PLAN"]
        for row in spine.rows(f"EXPLAIN {journeys._VERSIONS.text}", version=None)  # noqa: SLF001
    )
    assert "ix_lead_journey" in plan
    assert "Seq Scan on lead" not in plan


# -- versions that this code cannot read -------------------------------------------------------------------------------


def from_the_future(spine: Spine, version: str, document: str = "journey: default\ntelepathy: {since: birth}\n") -> str:
    """Have the database hold another document for a version, as newer code might have; return the one it held."""
    [row] = spine.rows("SELECT document FROM journey WHERE version = :version", version=version)
    spine.do("UPDATE journey SET document = :document WHERE version = :version", version=version, document=document)
    return str(row["document"])


def waiting_lead(spine: Spine, email: str = "ana@kiln.example") -> str:
    """Let somebody arrive whose lead is due at `qualify`, by a worker that serves nothing else."""
    receipt = spine.arrives({"email": email})
    spine.runtime(serves={"identify"}).hear("identify", [receipt], now=spine.now)
    spine.hints.hints.clear()
    return receipt


def dead_letters(spine: Spine) -> list[dict[str, Any]]:
    return spine.rows("SELECT * FROM dead_letter")


def test_a_lead_of_a_version_that_cannot_be_read_waits_and_its_neighbours_go_on(spine: Spine) -> None:
    old = waiting_lead(spine)
    document = from_the_future(spine, spine.lead_of(old)["journey"])
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, small(), spine.now), spine.now)
    new = waiting_lead(spine, "eve@kiln.example")
    runtime = spine.runtime()
    for _ in range(6):
        spine.passes(timedelta(hours=1))
        spine.run(runtime, "qualify", [spine.lead_of(old)["id"], spine.lead_of(new)["id"]])

    lead = spine.lead_of(old)
    assert (lead["next_step"], lead["attempts"], lead["due_since"]) == ("qualify", 0, NOON)
    assert spine.lead_of(new)["next_step"] is None
    assert dead_letters(spine) == []

    # A worker that knows better comes.
    spine.do("UPDATE journey SET document = :document WHERE version = :v", document=document, v=lead["journey"])
    spine.run(step="qualify")
    assert spine.lead_of(old)["next_step"] is None
    assert spine.lead_of(old)["owner"]


def test_leads_that_wait_do_not_fill_the_batches_of_others(spine: Spine) -> None:
    old = [waiting_lead(spine, f"p{number}@kiln.example") for number in range(5)]
    from_the_future(spine, spine.lead_of(old[0])["journey"])
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, small(), spine.now), spine.now)
    spine.passes(timedelta(seconds=1))
    new = waiting_lead(spine, "eve@kiln.example")

    assert spine.runtime(batch_size=2).hear("qualify", now=spine.now) == 1
    assert spine.lead_of(new)["next_step"] is None


def test_an_arrival_waits_while_the_active_version_cannot_be_read_and_those_of_other_journeys_go_on(
    spine: Spine,
) -> None:
    switch_on(spine, small("partners", "portal"))
    document = from_the_future(spine, default_journey().version)
    waits = [spine.arrives({"email": f"p{number}@kiln.example"}) for number in range(3)]
    goes = spine.arrives({"email": "eve@kiln.example"}, source="portal")
    runtime = spine.runtime(batch_size=2)
    for _ in range(6):
        spine.passes(timedelta(hours=1))
        spine.run(runtime, ids=[*waits[:1], goes])

    assert spine.receipt(goes)["status"] == "processed"
    assert [(spine.receipt(receipt)["status"], spine.receipt(receipt)["attempts"]) for receipt in waits] == [
        ("pending", 0),
    ] * 3
    assert dead_letters(spine) == []

    spine.do(
        "UPDATE journey SET document = :document WHERE version = :v", document=document, v=default_journey().version
    )
    spine.run()
    assert {spine.receipt(receipt)["status"] for receipt in waits} == {"processed"}


def test_an_arrival_for_a_lead_whose_version_cannot_be_read_waits_and_its_neighbours_go_on(spine: Spine) -> None:
    first = spine.arrives(ANA)
    spine.run()
    document = from_the_future(spine, spine.lead_of(first)["journey"])
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, small(), spine.now), spine.now)
    again = spine.arrives(ANA | {"message": "Still there?"})
    runtime = spine.runtime(batch_size=1)
    for _ in range(6):
        spine.passes(timedelta(hours=1))
        new = spine.arrives({"email": f"{spine.now:%H}@kiln.example"})
        spine.run(runtime, ids=[again])
        assert spine.receipt(new)["status"] == "processed"

    assert (spine.receipt(again)["status"], spine.receipt(again)["attempts"]) == ("pending", 0)
    assert dead_letters(spine) == []

    version = spine.lead_of(first)["journey"]
    spine.do("UPDATE journey SET document = :document WHERE version = :v", document=document, v=version)
    spine.run(ids=[again])
    assert spine.receipt(again)["status"] == "merged"


def test_a_version_that_this_code_takes_for_another_is_not_followed(spine: Spine) -> None:
    waiting = waiting_lead(spine)
    from_the_future(spine, spine.lead_of(waiting)["journey"], small(label="Not what it was"))

    with spine.engine.connect() as connection, pytest.raises(Unreadable) as refused:
        JourneyBook().version(connection, spine.lead_of(waiting)["journey"])
    assert refused.value.facts["reason"] == "other_version"


def test_a_version_that_cannot_be_read_is_told_once_a_minute_and_tried_again(spine: Spine) -> None:
    version = store(spine, small(label="Told once")).version
    document = from_the_future(spine, version)
    hasty, patient = JourneyBook(again_s=0), JourneyBook()
    with spine.engine.connect() as connection, structlog.testing.capture_logs() as lines:
        for _ in range(3):
            assert not hasty.readable(connection, version)
            assert not patient.readable(connection, version)
        spine.do("UPDATE journey SET document = :document WHERE version = :v", document=document, v=version)
        assert hasty.readable(connection, version)
        assert not patient.readable(connection, version)
        assert patient.unreadable() == [version]

    [line] = [line for line in lines if line["event"] == "journey.unreadable"]
    assert (line["version"], line["reason"]) == (version, "invalid")


def test_a_sweep_looks_behind_leads_that_wait_for_a_version(spine: Spine) -> None:
    old = waiting_lead(spine)
    from_the_future(spine, spine.lead_of(old)["journey"])
    with spine.engine.begin() as connection:
        journeys.activate(connection, journeys.store(connection, small(), spine.now), spine.now)
    spine.passes(timedelta(seconds=1))
    new = waiting_lead(spine, "eve@kiln.example")
    spine.do("UPDATE lead SET next_step = 'score' WHERE id = :id", id=spine.lead_of(new)["id"])

    with spine.engine.connect() as connection:
        assert owing(connection, spine.now + timedelta(seconds=1), JourneyBook(), most=1) == ["qualify", "score"]


def test_operators_see_which_version_the_queues_wait_for(spine: Spine) -> None:
    old = waiting_lead(spine)
    spine.arrives({"email": "eve@kiln.example"})
    version = spine.lead_of(old)["journey"]
    from_the_future(spine, version)

    with spine.engine.connect() as connection:
        queues = {queue["name"]: queue["unreadable"] for queue in ops.queues(connection)}

    assert (queues["qualify"], queues["identify"], queues["score"]) == ([version], [version], [])


def test_a_check_that_is_new_does_not_stop_the_leads_that_are_under_way(spine: Spine) -> None:
    document = small(label="Dead end").replace("gone: {final: true}", "gone: {}")
    version = load_stored(document).version
    spine.do(
        "INSERT INTO journey VALUES (:version, 'default', :document, 'asked', now())",
        version=version,
        document=document,
    )

    with spine.engine.begin() as connection:
        assert JourneyBook().version(connection, version).initial == "asked"
        with pytest.raises(JourneyInvalid, match="gone"):
            journeys.stored(connection, version)
