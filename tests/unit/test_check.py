"""What can go wrong with a journey is found where it stands, with what to do about it."""

from __future__ import annotations

import pytest

from schema.journey import JourneyInvalid, Problem, load, review, shipped

SMALL = """\
journey: small
people: {ana: {email: ana@example.com}, ben: {email: ben@example.com}}
lists: {dach: [DE, AT, CH]}
qualify: [{name: reachable, require: has(person.email)}]
score:
  fit: [{when: person.country in lists.dach, points: 20}]
  engagement: {cap: 60, on: {form: 30}}
  grades: {A: 70, B: 40}
route: {pools: {everybody: {members: {ana: 1, ben: 1}}}}
lifecycle:
  lead: {to: {win: customer, drop: out}}
  customer: {final: true}
  out: {final: true}
"""


def found(text: str) -> list[Problem]:
    """What review says, once it is sure that `load` agrees: errors refuse a journey, warnings do not."""
    problems = review(text)
    errors = tuple(problem for problem in problems if problem.severity == "error")
    if errors:
        with pytest.raises(JourneyInvalid) as refused:
            load(text)
        assert refused.value.problems == errors
    else:
        load(text)
    return problems


def with_transitions(text: str) -> str:
    return f"{SMALL}transitions: {{{text}}}\n"


def said(text: str) -> str:
    return "\n".join(f"{problem.severity}: {problem.path}: {problem.message}" for problem in found(text))


@pytest.mark.parametrize("name", shipped())
def test_there_is_nothing_to_say_about_a_shipped_journey(name: str) -> None:
    assert found(shipped()[name]) == []


def test_there_is_nothing_to_say_about_a_small_journey() -> None:
    assert found(SMALL) == []


@pytest.mark.parametrize(
    ("guard", "complaint"),
    [
        ("score.total > 50 && score.total < 40", "score.total > 50 and score.total < 40 exclude each other"),
        ("score.total > 50 && score.total <= 50", "exclude each other"),
        ("score.total > 50 && score.total < 51", "exclude each other"),
        ("score.total > 100", "score.total is 0 to 80"),
        ("score.total >= 81", "score.total is 0 to 80"),
        ("score.engagement > 60", "score.engagement is 0 to 60"),
        ("score.fit >= 25", "score.fit is 0 to 20"),
        ("score.total >= 70 && score.fit < 10", "exclude each other"),
        ("person.country == 'DE' && person.country == 'FR'", "exclude each other"),
        ("person.country in lists.dach && person.country == 'FR'", "in lists.dach and"),
        ("person.country == 'DE' && !has(person.country)", "exclude each other"),
        ("score.grade == 'A' && score.total < 70", "exclude each other"),
        ("score.grade == 'B' && score.total >= 70", "exclude each other"),
        ("qualification.passed && qualification.outcome == 'disqualified'", "exclude each other"),
        ("qualification.reason == 'reachable' && qualification.passed", "exclude each other"),
        ("'x' in lead.interests && !('x' in lead.interests)", "exclude each other"),
        ("touchpoint.kind == 'x' && !('x' in touchpoint.kinds)", "exclude each other"),
        ("size(lead.interests) == 0", "ask !has(lead.interests)"),
        ("person.city == ''", "ask !has(person.city)"),
        ("'FR' in lists.dach", "can never hold"),
        ("company.employees < 0", "company.employees is 0 or more"),
        ("score.predicted > 1", "score.predicted is 0 to 1"),
        ("false", "can never hold"),
    ],
)
def test_a_guard_that_can_never_hold_is_an_error(guard: str, complaint: str) -> None:
    (problem,) = found(with_transitions(f'win: {{when: "{guard}"}}'))
    assert (problem.severity, problem.path) == ("error", "transitions.win.when")
    assert "can never hold, so it never moves a lead" in problem.message
    assert complaint in problem.message


@pytest.mark.parametrize(
    "guard",
    [
        "score.total >= 80",
        "score.total >= 40 && score.fit < 10",
        "score.grade == 'A' && score.total >= 75",
        "company.employees > 50 && company.employees < 51",
        "person.custom.budget > 5 || person.custom.budget == 'much'",
        "touchpoint.kind == 'anything.new'",
        "size(lead.interests) > 1 && 'x' in lead.interests",
        "person.email.endsWith('.de') && !person.email.endsWith('.de.de')",
        "score.total + score.fit > 90",
        "has(person.custom.x) && !(person.custom.x > 5) && !(person.custom.x <= 5) || has(person.phone)",
    ],
)
def test_a_guard_that_can_hold_is_let_through(guard: str) -> None:
    assert "never hold, so" not in said(with_transitions(f'win: {{when: "{guard}"}}'))


@pytest.mark.parametrize(
    ("guard", "complaint"),
    [
        ("true", "always holds"),
        ("has(person.phone) || !has(person.phone)", "always holds"),
        ("score.total >= 0", "holds wherever it is known"),
        ("company.employees >= 50 || company.employees < 50", "holds wherever it is known"),
        ("has(person.phone) || score.total > 100", "this part can never hold: score.total is 0 to 80"),
        ("person.country == 'de'", "two capitals, as in DE"),
        ("company.domain == 'Rival.example'", "small letters"),
    ],
)
def test_a_guard_that_says_nothing_is_a_warning(guard: str, complaint: str) -> None:
    (problem,) = found(with_transitions(f'win: {{when: "{guard}"}}'))
    assert (problem.severity, problem.path) == ("warning", "transitions.win.when")
    assert complaint in problem.message


@pytest.mark.parametrize(
    ("guard", "complaint"),
    [
        ("score.grade == 'C'", "there is no grade C; there are A, B"),
        ("score.grade in ['A', 'b']", "there is no grade b"),
        ("qualification.outcome == 'qualifed'", "there is no outcome qualifed; did you mean qualified?"),
        ("qualification.reason == 'reachabel'", "did you mean reachable?"),
        ("owner == 'anna'", "there is no person anna; did you mean ana?"),
        ("pool == 'everyone'", "there is no pool everyone"),
        ("source == 'web'", "there is no source web"),
        ("state != 'custmer'", "did you mean customer?"),
        ("member.name == 'ana'", "known in `fits` of a pool only"),
        ("opportunity.amount > 5", "known in `follow_ups` whose `event` is one of opportunities"),
        ("ticket.kind == 'issue'", "known in `service`, in `surveys`, and in `follow_ups`"),
    ],
)
def test_a_value_that_there_is_not_is_an_error_with_the_nearest_that_there_is(guard: str, complaint: str) -> None:
    problems = found(with_transitions(f'win: {{when: "has(person.phone) && {guard}"}}'))
    assert [problem.severity for problem in problems] == ["error"]
    assert complaint in problems[0].message


def test_a_mistake_in_an_expression_is_pointed_at_in_each_way_of_writing_it() -> None:
    text = (
        SMALL
        + """\
transitions:
  win:
    when: has(person.email) && person.emial == 'x'
  drop:
    when: >-
      has(person.email)

      && "it's" != person.citty
"""
    )
    problems = [(problem.line, problem.column, problem.message) for problem in found(text)]
    assert [(line, column) for line, column, _ in problems] == [(16, 32), (21, 20)]
    lines = text.split("\n")
    assert lines[15][31:].startswith("person.emial")
    assert lines[20][19:].startswith("person.citty")
    quoted = SMALL + "transitions: {win: {when: '\"it''s\" in lead.interests && score.totl > 3'}}"
    (problem,) = found(quoted)
    assert quoted.split("\n")[problem.line - 1][problem.column - 1 :].startswith("score.totl")
    escaped = SMALL + 'transitions: {win: {when: "\\"x\\" in lead.interests\\u0020&& score.totl > 3"}}'
    (problem,) = found(escaped)
    assert escaped.split("\n")[problem.line - 1][problem.column - 1 :].startswith("score.totl")


def test_the_name_of_what_happens_here_is_no_name_for_a_source() -> None:
    assert said(f"{SMALL}sources: {{throughline: {{kind: form}}}}\n") == (
        "error: sources.throughline: throughline is the source of what happens here itself: give this one another name"
    )


def test_all_mistakes_of_a_file_are_told_at_once_and_none_that_only_follows_from_another() -> None:
    text = """\
journey: many
people:
  ana: {email: ana, calendar: ofice}
calendars: {office: {mon-fri: '09:00-17:00'}}
qualify: [{name: a, require: company.emploees > 3 && person.country == 3}]
score: {engagement: {half_life: 30}, grades: {A: 7, B: 9}}
route: {pools: {everybody: {members: {ana: 1, anna: 1}}}, escalate_to: ane, accept_within: 2h}
lifecycle:
  lead: {to: {win: custmer}, label: }
  customer: {final: yes}
"""
    assert [str(problem) for problem in found(text)] == [
        "3:16: people.ana.email: 'ana' cannot stand here; write an e-mail address",
        "3:31: people.ana.calendar: there is no calendar ofice; did you mean office?",
        "5:30: qualify[0].require: company.emploees is not a field; did you mean company.employees?",
        "5:54: qualify[0].require: person.country is text; write it in quotes",
        "6:33: score.engagement.half_life: write a number and a unit: 30d, 30h or 30m",
        "6:56: score.grades.B: grades go down: the best first, each with a lower score than the last",
        "7:47: route.pools.everybody.members.anna: anna is not among the people; did you mean ana?",
        "7:72: route.escalate_to: ane is not among the people; did you mean ana?",
        "9:20: lifecycle.lead.to.win: there is no state custmer; did you mean customer?",
        "9:30: lifecycle.lead.label: nothing stands here: write a value, or leave this out",
        "10:21: lifecycle.customer.final: write true or false",
    ]


@pytest.mark.parametrize(
    ("transitions", "complaint"),
    [
        ("win: {when: score.total > 30}, drop: {when: score.total > 30}", "win has the same `when` and comes first"),
        ("win: {when: score.total > 30}, drop: {when: score.total > 40}", "whenever it could, win does"),
        ("win: {when: has(person.phone) || score.fit > 3}, drop: {when: score.fit == 20}", "whenever it could, win"),
        ("win: {after: 3d}, drop: {after: 5d}", "win comes first, whatever the lead is"),
        ("win: {after: 3d}, drop: {after: 3d, when: has(person.phone)}", "win comes first"),
        ("win: {after: 5d, when: has(person.phone)}, drop: {after: 3d}", "drop is over sooner"),
    ],
)
def test_of_two_moves_of_which_one_can_never_be_made_that_one_is_an_error(transitions: str, complaint: str) -> None:
    (problem,) = found(with_transitions(transitions))
    assert problem.severity == "error"
    assert complaint in problem.message


@pytest.mark.parametrize(
    "transitions",
    [
        "win: {when: score.total > 30}, drop: {when: score.total < 40}",
        "win: {when: score.total > 40}, drop: {when: score.total > 30}",
        "win: {when: qualification.passed}, drop: {when: has(person.phone)}",
        "win: {when: '\"purchase\" in touchpoint.kinds'}, drop: {when: score.total < 10}",
    ],
)
def test_of_two_moves_that_can_both_be_made_the_later_is_a_warning_with_an_example(transitions: str) -> None:
    (problem,) = found(with_transitions(transitions))
    assert (problem.severity, problem.path) == ("warning", "transitions.drop.when")
    assert "can happen at the same time as win in lead (for example when" in problem.message


@pytest.mark.parametrize(
    "transitions",
    [
        "win: {when: score.total > 30}, drop: {when: score.total <= 30}",
        "win: {when: qualification.passed}, drop: {when: '!qualification.passed'}",
        "win: {when: '\"purchase\" in touchpoint.kinds'}, drop: {when: '\"goodbye\" in touchpoint.kinds'}",
        "win: {when: score.total > 30}, drop: {after: 30d}",
        "win: {when: score.total > 30}, drop: {trigger: manual, when: score.total > 30}",
        "win: {when: score.grade == 'A'}, drop: {when: score.total < 70}",
    ],
)
def test_two_moves_that_do_not_meet_are_in_order(transitions: str) -> None:
    assert found(with_transitions(transitions)) == []


def lifecycle(states: str, transitions: str) -> str:
    return f"{SMALL.partition('lifecycle:')[0]}lifecycle: {{{states}}}\ntransitions: {{{transitions}}}\n"


TWO = "a: {to: {go: b}}, b: {to: {back: a}}"


@pytest.mark.parametrize(
    ("states", "transitions", "severity"),
    [
        (TWO, "go: {when: score.total > 3}, back: {when: score.total < 9}", "error"),
        (TWO, "go: {after: 3d}, back: {after: 2d}", "warning"),
        (TWO, "go: {after: 3d}, back: {when: score.total < 9}", "warning"),
        (
            "a: {to: {go: b}}, b: {to: {on: c}}, c: {to: {back: a}}",
            "go: {when: score.fit > 3}, on: {when: has(person.phone)}, back: {when: score.fit > 4}",
            "error",
        ),
    ],
)
def test_a_circle_of_moves_without_news_is_found(states: str, transitions: str, severity: str) -> None:
    circles = [problem for problem in found(lifecycle(states, transitions)) if "in a circle" in problem.message]
    assert {problem.severity for problem in circles} == {severity}


@pytest.mark.parametrize(
    "transitions",
    [
        "go: {when: score.total > 3}, back: {when: score.total <= 3}",
        "go: {when: score.total > 3}, back: {when: 'touchpoint.kind == \"visit\"'}",
        "go: {after: 3d}, back: {when: '\"visit\" in touchpoint.kinds'}",
        "go: {after: 3d}",
    ],
)
def test_a_circle_that_waits_for_something_is_none(transitions: str) -> None:
    assert found(lifecycle(TWO, transitions)) == []


@pytest.mark.parametrize(
    ("states", "transitions", "complaint"),
    [
        ("a: {to: {go: b}}, b: {final: true, sla: 3d}", "", "warning: lifecycle.b.sla: nothing is owed"),
        ("a: {to: {go: b}}, b: {final: true, to: {go: b}}", "go: {after: 3d}", "error: transitions.go: leads from b"),
        ("a: {to: {go: b}}, b: {final: true, to: {x: a}}", "x: {after: 3d}", "error: transitions.x: b is final, but x"),
        ("a: {to: {migrate: b}}, b: {final: true}", "", "error: lifecycle.a.to.migrate: migrate is reserved"),
        ("a: {final: true}", "", "warning: lifecycle.a: a lead starts in the first state, which is final"),
        ("a: {to: {go: b}}, b: {}", "", "error: lifecycle.b: a lead would stay here for ever"),
        ("a: {to: {go: b}}, b: {final: true}, c: {final: true}", "", "error: lifecycle.c: no lead can get here"),
    ],
)
def test_a_state_in_which_a_lead_is_stuck_or_lost_is_found(states: str, transitions: str, complaint: str) -> None:
    assert complaint in said(lifecycle(states, transitions))


@pytest.mark.parametrize(
    ("steps", "guard", "complaint"),
    [
        ("[score, advance]", "qualification.passed", "qualification.passed is never known: the step qualify is not"),
        ("[qualify, advance]", "score.total > 3 || has(person.phone)", "score.total is never known: the step score"),
        ("[qualify, advance]", "owner == 'ana'", "owner is never known: the step route is not among the steps"),
    ],
)
def test_what_a_left_out_step_would_find_out_is_never_known(steps: str, guard: str, complaint: str) -> None:
    (problem,) = found(with_transitions(f"win: {{when: {guard}}}") + f"steps: {steps}\n")
    assert problem.severity == "error"
    assert complaint in problem.message


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("require: has(person.email)", "require: score.total > 3", "score finds it out later"),
        ("when: person.country in lists.dach", "when: has(person.phone) && owner == 'ana'", "route finds it out later"),
    ],
)
def test_what_is_found_out_only_later_is_a_warning(old: str, new: str, complaint: str) -> None:
    assert old in SMALL
    (problem,) = [problem for problem in found(SMALL.replace(old, new)) if not problem.path.startswith("lists")]
    assert problem.severity == "warning"
    assert complaint in problem.message


def routed(pools: str, people: str = "ana: {email: a@b.example}, ben: {email: b@b.example}", more: str = "") -> str:
    return f"""\
journey: routed
people: {{{people}}}
route: {{pools: {{{pools}}}{more}}}
lifecycle: {{lead: {{to: {{win: won}}}}, won: {{final: true}}}}
"""


REST = "rest: {members: {ana: 1, ben: 1}}"
NINE = "{tz: Europe/Berlin, mon-fri: '09:00-17:00'}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            routed("a: {when: company.employees > 5, members: {ana: 1}}, "
                   f"b: {{when: company.employees > 9, members: {{ben: 1}}}}, {REST}"),
            "error: route.pools.b: never gets a lead: a takes all of its leads",
        ),
        (
            routed("a: {when: company.employees > 5, members: {ana: 1}}, b: {when: company.employees < 7, "
                   f"members: {{ben: 1}}}}, c: {{when: has(company.employees), members: {{ben: 1}}}}, {REST}"),
            "error: route.pools.c: never gets a lead: a, b together",
        ),
        (routed(f"a: {{members: {{ana: 1}}}}, {REST}"), "error: route.pools.a: takes every lead, so rest"),
        (routed("a: {when: 'has(person.phone)', members: {ana: 1, ben: 1}}"), "route.pools.a.when: the last pool"),
        (routed("a: {members: {ana: 1}}"), "warning: people.ben: ben is in no pool"),
        (routed("a: {members: {ana: 1, bem: 1}}"), "error: route.pools.a.members.bem: bem is not among the people; d"),
        (routed(REST, more=", escalate_to: cem"), "error: route.escalate_to: cem is not among the people"),
        (routed(REST, more=", escalate_to: ana"), "warning: route.escalate_to: `escalate_to` needs `accept_within`"),
        (
            routed(f"a: {{hours: {NINE}, members: {{ana: 1, ben: 1}}}}",
                   "ana: {email: a@b.example, hours: {sat: '09:00-17:00'}}, "
                   "ben: {email: b@b.example, tz: Asia/Tokyo, hours: {mon-fri: '08:00-15:00'}}"),
            "error: route.pools.a: nobody in this pool ever works in its hours",
        ),
        (
            routed(f"a: {{hours: {NINE}, members: {{ana: 1, ben: 1}}}}",
                   "ana: {email: a@b.example, hours: {sat: '09:00-17:00'}}, ben: {email: b@b.example}"),
            "warning: route.pools.a.members.ana: ana never works in the hours of this pool",
        ),
        (routed("a: {hours: {tz: Europe/Berlin}, members: {ana: 1, ben: 1}}"), "route.pools.a.hours: names no days"),
        (
            routed(f"a: {{fits: '\"de\" in member.speaks', members: {{ana: 1, ben: 1}}, when: 'true'}}, {REST}",
                   "ana: {email: a@b.example, speaks: [en]}, ben: {email: b@b.example, speaks: [fr]}"),
            "error: route.pools.a.fits: nobody in this pool can ever meet this",
        ),
        (
            routed(f"a: {{fits: '\"de\" in member.speaks', members: {{ana: 1, ben: 1}}, when: 'true'}}, {REST}",
                   "ana: {email: a@b.example, speaks: [en]}, ben: {email: b@b.example, speaks: [de]}"),
            "warning: route.pools.a.members.ana: ana can never meet `fits`",
        ),
        (
            routed(f"a: {{fits: '\"x\" in member.skills', members: {{ana: 1, ben: 1}}, when: 'true'}}, {REST}",
                   "ana: {email: a@b.example, skills: [x]}, ben: {email: b@b.example}"),
            "warning: route.pools.a.fits: ben without `skills` counts as fitting",
        ),
        (
            routed(f"a: {{fits: 'has(person.phone)', when: 'has(person.city)', members: {{ana: 1}}}}, {REST}"),
            "warning: route.pools.a.fits: does not ask about the member",
        ),
        (
            routed(REST, "ana: {email: a@b.example, calendar: ofice}, ben: {email: b@b.example, calendar: office}")
            + f"calendars: {{office: {NINE}}}",
            "error: people.ana.calendar: there is no calendar ofice; did you mean office?",
        ),
        (routed(REST) + f"calendars: {{office: {NINE}}}", "warning: calendars.office: nobody works by this"),
        (routed(REST) + "calendars: {office: {tz: UTC}}", "error: calendars.office: names no days"),
    ],
)  # fmt: skip
def test_a_pool_that_gets_nothing_or_gives_nothing_is_found(text: str, complaint: str) -> None:
    assert complaint in said(text)


def test_people_who_meet_only_while_clocks_differ_are_free() -> None:
    pool = "a: {hours: {tz: America/New_York, mon-fri: '09:00-10:00'}, members: {ana: 1}}"
    person = "ana: {email: a@b.example, tz: Europe/Berlin, hours: {mon-fri: '14:00-15:00'}}"
    assert found(routed(pool, person)) == []


def scored(score: str) -> str:
    before, _, after = SMALL.partition("score:\n")
    return f"{before}score: {score}\n{after[after.index('route:') :]}"


@pytest.mark.parametrize(
    ("score", "complaint"),
    [
        (
            "{grades: {A: 70}, engagement: {cap: 60, on: {form: 20}}}",
            "warning: score.grades.A: no lead gets A: fit gives",
        ),
        (
            "{grades: {A: 70}, engagement: {on: {form: {points: 20, max: 3}}}}",
            "warning: score.grades.A: no lead gets A",
        ),
        ("{grades: {A: 50}, engagement: {on: {form: {points: 9, max: 1, per: 30d}}}}", "warning: score.grades.A"),
        (
            "{grades: {A: 50}, fit: [{when: has(person.phone), points: 60, group: g}], groups: {g: {cap: 40}}}",
            "no lead",
        ),
        ("{grid: {fit: {A: 50, B: 50}, engagement: {'1': 5}}, engagement: {on: {form: 9}}}", "error: score.grid.fit.B"),
        ("{grid: {fit: {A: 0}, engagement: {'1': 5, '2': 7}}, engagement: {on: {form: 9}}}", "error: score.grid.engag"),
        (
            "{fit: [{when: has(person.phone), points: 5, group: contat}], groups: {contact: {}}}",
            "did you mean contact?",
        ),
        (
            "{fit: [{when: has(person.phone), points: 5}], groups: {contact: {}}}",
            "warning: score.groups.contact: no rule",
        ),
        (
            "{fit: [{when: has(person.phone), points: 5, group: g}], groups: {g: {}}, engagement: {on: *}}".replace(
                "*", "{form: {points: 3, group: g}}"
            ),
            "warning: score.groups.g: g is used by fit and by engagement",
        ),
        (
            "{fit: [{when: has(person.phone), points: 0}, {when: has(person.city), points: 1}]}",
            "warning: score.fit[0].poi",
        ),
        ("{fit: [{when: has(person.phone), points: -5}]}", "error: score: no rule gives points"),
        ("{engagement: {cap: 0, on: {form: 5}}}", "error: score.engagement.cap: with a cap of 0 nothing"),
        ("{fit: [{when: has(person.phone), points: 5, group: g}], groups: {g: {cap: 0}}}", "these points never count"),
    ],
)
def test_points_that_add_up_to_nothing_are_found(score: str, complaint: str) -> None:
    assert complaint in said(scored(score))


@pytest.mark.parametrize(
    "score",
    [
        "{grades: {A: 100}, engagement: {on: {form: 5}}}",
        "{grades: {A: 90}, engagement: {on: {form: {points: 5, max: 3, per: 7d}}}}",
        "{grades: {A: 60}, fit: [{when: has(person.phone), points: 60}]}",
    ],
)
def test_points_that_are_enough_are_in_order(score: str) -> None:
    assert [problem for problem in found(scored(score)) if problem.path.startswith("score")] == []


def test_a_score_without_any_rules_is_a_warning() -> None:
    text = with_transitions("win: {when: score.total > 3}")
    before, _, after = text.partition("score:\n")
    assert "warning: score: there are no rules" in said(before + "score: {}\n" + after[after.index("route:") :])


AGAIN = "lead: {to: {no: out}}, out: {final: true, to: {again: lead}}"
NO = "no: {when: 'qualification.outcome == \"disqualified\"'}"


def requalified(policy: str, states: str = AGAIN, transitions: str = f"{NO}, again: {{trigger: requalify}}") -> str:
    text = f"requalify: {{{policy}}}\n{lifecycle(states, transitions)}"
    return text.replace("name: reachable,", "name: reachable, reason: unreachable,")


def test_somebody_who_was_disqualified_has_a_way_back() -> None:
    assert found(requalified("unreachable: news, otherwise: 90d")) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            requalified("unreachabel: news"),
            "error: requalify.unreachabel: no criterion has the reason unreachabel; did",
        ),
        (requalified("reachable: news"), "no criterion has the reason reachable; did you mean unreachable?"),
        (
            requalified("unreachable: news", transitions=f"{NO}, again: {{}}"),
            "error: requalify.unreachable: no way leads back",
        ),
        (requalified("unreachable: never"), "warning: transitions.again.trigger: nobody is ever looked at again"),
        (
            requalified(
                "unreachable: news", transitions="no: {when: qualification.passed}, again: {trigger: requalify}"
            ),
            "warning: transitions.again.trigger: nobody who is disqualified gets to out",
        ),
        (
            requalified("unreachable: news").replace("require: has(person.email)", "require: 'true'")
            + "steps: [advance]",
            "error: transitions.again.trigger: nobody is ever disqualified: there are no criteria",
        ),
        (requalified("unreachable: 2"), "error: requalify.unreachable: write never, news, a duration as in 90d"),
    ],
)
def test_a_way_back_that_nobody_can_take_is_found(text: str, complaint: str) -> None:
    assert complaint in said(text)


@pytest.mark.parametrize(
    ("lists", "complaint"),
    [
        ("dach: [DE], rivals: [a.example]", "warning: lists.rivals: no expression asks about this list"),
        ("dach: []", "warning: lists.dach: this list is empty"),
        ("dach: [DE, AT, DE]", "warning: lists.dach[2]: DE stands in this list twice"),
    ],
)
def test_a_list_that_says_nothing_is_a_warning(lists: str, complaint: str) -> None:
    text = SMALL.replace("lists: {dach: [DE, AT, CH]}", f"lists: {{{lists}}}")
    assert complaint in said(text)


def test_a_file_with_very_many_mistakes_is_told_the_first_hundred() -> None:
    rules = "".join(f"    - {{when: company.x{number} > 3, points: 5}}\n" for number in range(300))
    problems = found(SMALL.replace("  fit: [{when: person.country in lists.dach, points: 20}]\n", f"  fit:\n{rules}"))
    assert len(problems) == 101
    assert problems[-1].message == "and 200 more"
