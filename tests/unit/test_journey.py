"""A journey file is read as people mean it, and everything wrong with it is said at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.journey import JourneyInvalid, default_journey, default_text, load

SMALL = """\
journey: small
people: {ana: {email: ana@example.com, speaks: [no]}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {to: {win: customer}}
  customer: {final: true}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(JourneyInvalid) as caught:
        load(text)
    return [str(problem) for problem in caught.value.problems]


def test_the_shipped_journey_can_be_switched_on() -> None:
    journey = default_journey()
    assert journey.initial == "lead"
    assert {kind.kind for kind in journey.sources.values()} >= {"form", "api", "email", "events"}
    assert ("lost", "win_back", "opportunity") in journey.moves
    assert set(journey.lifecycle) >= {
        "lead", "opportunity", "disqualified", "customer", "lost", "renewed", "inactive", "serviced",
        "additional_service", "feedback_provided",
    }  # fmt: skip


def test_what_is_left_out_has_its_usual_value() -> None:
    journey = load(SMALL)
    assert journey.sources["website"].kind == "form"
    assert journey.sources["api"].dedupe.window == timedelta(hours=24)
    assert journey.score.engagement.half_life == timedelta(days=30)
    assert journey.moves == {("lead", "win", "customer")}


def test_no_and_on_and_a_time_of_day_are_what_they_look_like() -> None:
    text = SMALL + "score: {engagement: {on: {form: 3}}}\nlists: {codes: [no, on, off, yes, 09:00, 2026-11-21]}\n"
    journey = load(text)
    assert journey.people["ana"].speaks == ("no",)
    assert journey.score.engagement.on["form"].points == 3
    assert journey.lists["codes"] == ("no", "on", "off", "yes", "09:00", "2026-11-21")


def test_the_shape_of_the_design_is_understood() -> None:
    text = SMALL.replace(
        "{members: {ana: 1}}", "{members: {ana: 2}, hours: {tz: Europe/Berlin, mon-fri: '09:00-18:00'}}"
    ).replace("speaks: [no]", "tz: Europe/Berlin, skills: [crm], capacity: {open: 40}")
    text += """
departments: [marketing, sales, service]
sources:
  website: {kind: form, map: {email: email, team_size: employees}, dedupe: {window: 24h}}
  inbox:   {kind: email, address: sales@example.com}
  product: {kind: events, map: {"data.account.email": email}}
score:
  fit:        [{when: 'company.employees >= 50', points: 20}]
  engagement: {half_life: 30d, cap: 60, on: {form: 20, email.reply: 15, page.pricing: {points: 5, max: 3, per: 7d}}}
  grades:     {A: 70, B: 45, C: 20}
transitions:
  win: {label: Won, when: 'qualification.passed && score.total >= 45', system: Throughline}
campaigns: {}
"""
    journey = load(text)
    assert journey.score.engagement.on["page.pricing"].per == timedelta(days=7)
    assert [journey.score.grade(total) for total in (70, 69, 45, 19)] == ["A", "B", "B", ""]
    assert journey.transition("win").trigger == "automatic"


def test_comments_and_spacing_leave_the_version_as_it_is_and_the_order_of_pools_does_not() -> None:
    spaced = "# a remark\n" + SMALL.replace("{members: {ana: 1}}", "{members: {ana:   1}}")
    assert load(SMALL).version == load(spaced).version
    assert len(load(SMALL).version) == 12
    a, b = "a: {when: has(person.phone), members: {ana: 1}},", "b: {when: has(person.city), members: {ana: 1}},"
    one, other = SMALL.replace("{everybody:", f"{{{a} {b} c:"), SMALL.replace("{everybody:", f"{{{b} {a} c:")
    assert load(one).version != load(other).version


def test_every_problem_is_reported_with_its_line() -> None:
    text = SMALL.replace("email: ana@example.com", "mail: ana").replace("customer}", "custmer}") + "qualifi: []\n"
    found = problems(text)
    assert found == [
        "2:10: people.ana.email: this key is missing",
        "2:16: people.ana.mail: unknown key; did you mean email?",
        "5:20: lifecycle.lead.to.win: there is no state custmer; did you mean customer?",
        "7:1: qualifi: unknown key; did you mean qualify?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ana: 1", "bob: 1", "bob is not among the people"),
        ("ana: 1", "ana: 0", "write 1 or more"),
        ("ana: 1", "ana: '1'", "write a whole number"),
        ("{ana: 1}", "{}", "there must be at least one"),
        ("win: customer", "win: custumer", "did you mean customer?"),
        ("win: customer", "win: lead", "no lead can get here"),
        ("customer: {final: true}", "customer: {}", "a lead would stay here for ever"),
        ("customer: {final: true}", "customer: {final: yes}", "write true or false"),
        ("email: ana@", "tz: Mars/Base, email: ana@", "no such time zone"),
        ("journey: small", "journey: small\njourney: x", "stands here twice (first on line 1)"),
        ("journey: small", "journey: &x small", "cannot start with & or *"),
        ("journey: small", "journey: !!str small", "cannot start with !"),
        ("{members: {ana: 1}}", "{when: 'true', members: {ana: 1}}", "the last pool takes whatever is left"),
        ("{everybody:", "{all: {members: {ana: 1}}, everybody:", "everybody never gets one"),
    ],
)
def test_a_journey_that_loses_leads_is_refused(old: str, new: str, problem: str) -> None:
    assert old in SMALL
    assert any(problem in found for found in problems(SMALL.replace(old, new)))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("departments: [sales]\nlists: {a: [1]}", "lists.a[0]: write text"),
        ("qualify: [{name: a}]", "give either `require`"),
        ("qualify: [{name: a, require: 'true'}, {name: a, reject: 'true'}]", "name of an earlier criterion"),
        ("qualify: [{name: a, require: true}]", "write an expression in quotes"),
        ("qualify: [{name: a, require: 'company.x > 3'}]", "7:31: qualify[0].require: company.x is not a field"),
        ("score: {grades: {A: 20, B: 20}}", "grades go down"),
        ("score: {engagement: {half_life: 30}}", "write a number and a unit"),
        ("score: {engagement: {half_life: 0d}}", "write a number and a unit"),
        ("score: {engagement: {on: {form: {points: 3, per: 7d}}}}", "`per` needs `max`"),
        ("transitions: {wn: {label: Won}}", "no state uses this transition; did you mean win?"),
        ("transitions: {win: {trigger: automatic}}", "`trigger: automatic` needs `when`"),
        ("campaigns: {spring: {}}", "campaigns.spring.enter: this key is missing"),
        ("sources: {web: {kind: form, redirect: ['javascript:alert(1)']}}", "write an address"),
    ],
)
def test_a_part_that_cannot_be_meant_is_refused(more: str, problem: str) -> None:
    assert any(problem in found for found in problems(SMALL + more + "\n"))


def lifecycle(states: str, transitions: str) -> str:
    return SMALL.partition("lifecycle:")[0] + f"lifecycle: {{{states}}}\ntransitions: {{{transitions}}}\n"


def test_a_circle_that_turns_by_itself_is_refused_and_one_that_waits_for_something_new_is_not() -> None:
    states = "a: {to: {go: b}}, b: {to: {back: a}}"
    turning = "go: {when: 'score.total > 3'}, back: {when: 'score.total < 9'}"
    assert any("circle" in found for found in problems(lifecycle(states, turning)))
    waiting = turning.replace("score.total < 9", 'touchpoint.kind == "visit"')
    assert load(lifecycle(states, waiting)).initial == "a"


def test_a_final_state_is_left_by_people_only() -> None:
    states = "a: {to: {go: b}}, b: {final: true, to: {back: a}}"
    assert any("b is final" in found for found in problems(lifecycle(states, "back: {when: 'score.total < 9'}")))
    assert load(lifecycle(states, "back: {when: 'score.total < 9', trigger: manual}")).automatic["b"] == ()


def test_of_two_moves_with_the_same_guard_the_second_is_found() -> None:
    states = "a: {to: {go: b, leave: c}}, b: {final: true}, c: {final: true}"
    same = "go: {when: 'score.total > 3'}, leave: {when: 'score.total > 3'}"
    assert any("never happens in a: go has the same" in found for found in problems(lifecycle(states, same)))


@pytest.mark.parametrize("text", ["", "[]", "x", "a: [1", "\x00", "a: 1\n---\nb: 2", "{" * 30, "a: " + "x" * 300_000])
def test_what_is_no_journey_at_all_is_refused_in_words(text: str) -> None:
    assert problems(text)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_file_is_a_journey_or_a_list_of_problems(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SMALL) - 1))
    damage = data.draw(st.text(alphabet="{}[]:,'\"#&*!-\n\tab0\ud800é", max_size=3))
    try:
        said = load(SMALL[:at] + damage + SMALL[at + 1 :]).version
    except JourneyInvalid as invalid:
        said = str(invalid)
    assert said


def test_the_shipped_text_is_under_the_eyes_of_whoever_learns_from_it() -> None:
    assert default_text().startswith("# The journey that is shipped")


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ("[qualify, scoore, route, advance]", "there is no step scoore; did you mean score"),
        ("[qualify, score, score, advance]", "score stands twice"),
        ("[qualify, score, route]", "the last step has to be advance"),
    ],
)
def test_the_steps_of_a_journey_are_known_each_once_and_end_with_advance(steps: str, complaint: str) -> None:
    with pytest.raises(JourneyInvalid) as refused:
        load(f"{default_text()}\nsteps: {steps}\n")
    assert any(complaint in problem.message for problem in refused.value.problems)


def test_a_journey_may_leave_steps_out() -> None:
    journey = load(f"{SMALL}\nsteps: [qualify, advance]\n")
    assert journey.after("qualify") == "advance"
    assert journey.after("advance") is None


def form(given: str) -> str:
    return f"{SMALL}sources: {{site: {{kind: form, {given}}}}}\n"


def test_a_form_has_the_fields_it_names_with_the_usual_types() -> None:
    site = load(form("fields: [email, {name: topic, options: [a, b]}, {name: message, required: true}]")).sources
    assert [(field.name, field.kind, field.required) for field in site["site"].fields] == [
        ("email", "email", False), ("topic", "select", False), ("message", "textarea", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("fields: [email, email]", "email stands twice"),
        ("fields: [_token]", "starting with a letter"),
        ("fields: [{name: a, type: select}]", "needs `options`"),
        ("fields: [{name: a, type: text, options: [b]}]", "`options` are for"),
        ("fields: [name], double_opt_in: true", "without an e-mail field"),
        ("consent: {text: Yes}", "version"),
        ("spam: {points: {linkz: 3}}", "there is no such reason; did you mean links"),
        ("spam: {hold: 0}", "write 1 or more"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(given: str, complaint: str) -> None:
    assert complaint in "\n".join(problems(form(given)))


@pytest.mark.parametrize("given", ["fields: [email]", "consent: {text: Yes, version: a}", "double_opt_in: true"])
def test_only_forms_have_what_is_for_forms(given: str) -> None:
    text = form(given).replace("kind: form", "kind: api")
    assert "is for sources of kind form" in "\n".join(problems(text))
