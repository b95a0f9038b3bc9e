"""Whose work something is, and that what one hand-over gives to a department the next one takes from there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schema.journey import load
from workers.decide.handover import (
    NOWHERE,
    Place,
    of_opportunity,
    of_state,
    of_subject,
    of_ticket,
    passes,
    works_for,
)

DEPARTMENTS = st.one_of(st.none(), st.sampled_from(["marketing", "sales", "service"]))
JOURNEY = load("""\
journey: small
departments: [marketing, sales, service, finance]
people: {ana: {email: ana@example.com}, fay: {email: fay@example.com, department: finance}}
route: {pools: {all: {members: {ana: 1}}}}
lifecycle: {lead: {department: marketing, system: Website, to: {go: waiting}}, waiting: {final: true}}
pipelines:
  new: {department: sales, stages: {talk: {probability: 20, system: CRM}, deal: {probability: 60}}}
contracts: {department: sales}
service:
  department: service
  system: Helpdesk
  kinds: {question: {}}
  desks: {bills: {department: finance, when: 'ticket.priority == "high"', members: {fay: 1}}, all: {members: {ana: 1}}}
""")


@given(DEPARTMENTS, st.lists(DEPARTMENTS, max_size=12), st.integers(0, 12))
def test_however_something_moves_what_one_hand_over_gives_the_next_one_takes(
    holder: str | None, stops: list[str | None], cut: int
) -> None:
    found, last = passes(holder, [(department, number) for number, department in enumerate(stops)])

    assert all(given_to == taken_from for (_, given_to, _), (taken_from, _, _) in pairwise(found))
    assert all(taken_from != given_to == stops[number] for taken_from, given_to, number in found)
    # Whoever has it last is the last one that was said; it began with whoever had it, else the first one that was said.
    known = [holder, *stops]
    said = [department for department in known if department is not None]
    assert last == (said[-1] if said else None)
    assert not found or (found[0][0], found[-1][1]) == (said[0], last)
    # Nothing is lost or told twice where it goes on in another batch.
    first, between = passes(holder, [(department, number) for number, department in enumerate(stops[:cut])])
    rest, end = passes(between, [(department, number + cut) for number, department in enumerate(stops[cut:])])
    assert (first + rest, end) == (found, last)


def test_whose_work_something_is_is_said_by_the_journey_and_by_where_its_owner_works() -> None:
    assert of_state(JOURNEY, "lead") == Place("marketing", "Website")
    assert of_state(JOURNEY, "waiting") == of_state(JOURNEY, "gone") == NOWHERE
    assert (works_for(JOURNEY, "fay"), works_for(JOURNEY, "ana"), works_for(JOURNEY, None)) == ("finance", None, None)
    assert of_ticket(JOURNEY, "all", "ana") == Place("service", "Helpdesk")
    assert of_ticket(JOURNEY, "bills", None) == of_ticket(JOURNEY, "all", "fay") == Place("finance", "Helpdesk")
    assert of_opportunity(JOURNEY, "new", "talk", None) == Place("sales", "CRM")
    assert of_opportunity(JOURNEY, "new", "deal", "fay") == Place("finance", None)
    lead = Place("marketing", "Website")
    of = {kind: of_subject(JOURNEY, kind, lead).department for kind in ("ticket", "opportunity", "contract", "survey")}
    assert of == {"ticket": "service", "opportunity": "sales", "contract": "sales", "survey": "marketing"}
