"""People who are merged while campaigns write to them: one of the two enrolments goes on, and nothing comes twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.campaigning import WARM_UP, activate, arrive, enrolled, settle
from workers.identity.merge import Merger

if TYPE_CHECKING:
    from tests.spine import Spine

CHOSEN = WARM_UP.replace("[{state: lead}]", '[{state: lead, when: person.country == "DE"}]')


def person_of(spine: Spine, lead: str) -> str:
    (row,) = spine.rows("SELECT person_id FROM lead WHERE id = :lead", lead=lead)
    return str(row["person_id"])


def sends(spine: Spine) -> list[tuple[str, str, str, str | None]]:
    found = spine.rows("SELECT person_id, step, state, reason FROM send ORDER BY planned_at, id")
    return [(row["person_id"], row["step"], row["state"], row["reason"]) for row in found]


@pytest.fixture
def merger(spine: Spine) -> Merger:
    activate(spine, CHOSEN)
    return Merger(spine.engine, spine.hints.send)


def test_of_two_who_are_in_one_campaign_only_the_survivor_goes_on(spine: Spine, merger: Merger) -> None:
    ana, ann = (person_of(spine, arrive(spine, number)) for number in (1, 2))
    assert settle(spine) == 2
    spine.passes(timedelta(days=3))
    spine.run(step="nurture")
    assert [(person, step) for person, step, state, _ in sends(spine) if state == "planned"] == [
        (ana, "second"),
        (ann, "second"),
    ]

    merger.merge(ana, ann, actor="ops", now=spine.now)
    spine.run()
    first, second = enrolled(spine)
    assert (first["person_id"], first["outcome"]) == (ana, None)
    assert (second["person_id"], second["outcome"], second["reason"]) == (ann, "exited", "merged")
    assert (ann, "second", "skipped", "merged") in sends(spine)
    assert settle(spine) == 1

    merger.unmerge(ann, actor="ops", now=spine.now)
    spine.run()
    assert [row["outcome"] for row in enrolled(spine)] == [None, "exited"]


def test_who_alone_is_in_a_campaign_stays_in_it_as_the_survivor_and_is_given_back(spine: Spine, merger: Merger) -> None:
    ana = person_of(spine, arrive(spine, 1, country="FR"))
    ann = person_of(spine, arrive(spine, 2))
    (before,) = enrolled(spine)
    assert before["person_id"] == ann

    merger.merge(ana, ann, actor="ops", now=spine.now)
    spine.run()
    (during,) = enrolled(spine)
    assert (during["person_id"], during["outcome"]) == (ana, None)
    assert [(person, state) for person, _, state, _ in sends(spine)] == [(ana, "planned")]

    merger.unmerge(ann, actor="ops", now=spine.now)
    spine.run()
    (after,) = enrolled(spine)
    assert (after["person_id"], after["outcome"]) == (ann, None)
    assert [(person, state) for person, _, state, _ in sends(spine)] == [(ann, "planned")]
    assert settle(spine) == 1
