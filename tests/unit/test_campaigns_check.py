"""What can go wrong with a campaign is found before anybody enters it, where it stands, with what to do about it."""

from __future__ import annotations

import re

import pytest

from schema.journey import load, review
from schema.journey.campaign import ACTIONS, Step
from tests.servers import ROOT

HEAD = """\
journey: small
departments: [marketing]
people: {ana: {email: ana@example.com}}
route: {pools: {everybody: {members: {ana: 1}}}}
score: {fit: [{when: has(person.phone), points: 60}], grades: {A: 50, B: 0}}
lifecycle:
  lead: {to: {sell: customer}}
  customer: {final: true}
"""
MAIL = "mail: {sender: Ana <ana@example.com>, postal: Here 1}\n"
TEMPLATES = "templates: {one: {subject: One, text: One}, two: {subject: Two, text: Two}}\n"
STEPS = "[{send: one}, {wait: 1d}, {send: two}]"


def found(text: str) -> list[str]:
    return [f"{problem.severity}: {problem.line}:{problem.column}: {problem.message}" for problem in review(text)]


def campaign(
    steps: str = STEPS, enter: str = "[{state: lead}]", more: str = "", mail: str = MAIL, templates: str = TEMPLATES
) -> str:
    extra = "".join(f"    {line}\n" for line in more.splitlines())
    return f"{HEAD}{mail}{templates}campaigns:\n  c:\n    enter: {enter}\n{extra}    steps: {steps}\n"


def test_there_is_nothing_to_say_about_a_campaign_in_order() -> None:
    assert found(campaign()) == []
    load(campaign())


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ("[{send: oen}, {send: two}, {send: one}]", "error: 14:20: there is no template oen; did you mean one?"),
        ("[{send: one}, {go: nowhere}, {send: two}]", "error: 14:31: there is no step nowhere"),
        ("[{name: a, send: one}, {go: a}, {send: two}]", "a does not stand further down: steps only lead forward"),
        ("[{name: a, go: a}, {send: one}, {send: two}]", "a does not stand further down"),
        ("[{go: b}, {send: one}, {name: b, send: two}]", "nobody comes to this step"),
        ("[{exit: done}, {send: one}, {send: two}]", "nobody comes to this step"),
        ("[{name: a, send: one}, {name: a, send: two}]", "a stands twice; each step has a name of its own"),
        ("[{name: send_2, send: one}, {send: two}]", "send_2 stands twice"),
        ("[{name: goal, send: one}, {send: two}]", "goal is what waiting for the goal is called"),
        ("[{branch: [{go: b}, {when: has(person.phone), go: b}]}, {name: b, send: one}, {send: two}]", "always taken"),
        (
            "[{branch: [{when: has(person.fone), go: b}]}, {name: b, send: one}, {send: two}]",
            "14:34: has() asks for a field",
        ),
        ("[{split: {b: 1, x: 1}}, {name: b, send: one}, {send: two}]", "there is no step x"),
        ("[{split: {b: 0, c: 1}}, {name: b, send: one}, {name: c, send: two}]", "write 1 or more"),
        (
            "[{follow_up: {text: Call, to: anna}}, {send: one}, {send: two}]",
            "there is no person anna; did you mean ana?",
        ),
        ("[{send: one}, {send: two}, {wait: 3d}]", "warning: 14:46: nothing follows this wait"),
        ("[{send: one, wait: 1d}, {send: two}]", "a step does one thing"),
        ("[{wait_until: has(person.phone)}, {send: one}, {send: two}]", "`wait_until` needs a `timeout`"),
        ("[{wait: 1d, timeout: 3d}, {send: one}, {send: two}]", "are for `wait_until`"),
        ("[{wait: 3}, {send: one}, {send: two}]", "write a number and a unit: 3d, 3h or 3m"),
        ("[{wait: 1d, capped: skip}, {send: one}, {send: two}]", "`capped` is for `send`"),
        ("[{sned: one}, {send: two}]", "unknown key; did you mean send?"),
        ("[{set: {size: [1]}}, {send: one}, {send: two}]", "write a text, a number, true or false"),
        ("[{notify: Big News}, {send: one}, {send: two}]", "write a name in small letters"),
        ("[{send: one}, {wait_until: score.total > 70, timeout: 1d}, {send: two}]", "this can never hold"),
    ],
)
def test_a_step_that_cannot_be_meant_is_found(steps: str, complaint: str) -> None:
    assert any(complaint in problem for problem in found(campaign(steps))), found(campaign(steps))


@pytest.mark.parametrize(
    ("enter", "more", "complaint"),
    [
        ("[{state: laed}]", "", "error: 13:21: there is no state laed; did you mean lead?"),
        ("[{when: 'score.grade == \"Z\"'}]", "", "there is no grade Z"),
        ("[{when: score.total > 70}]", "", "this can never hold, so it never lets anybody in: score.total is 0 to 60"),
        ("[{when: 'true'}]", "", "always holds"),
        ('[{state: lead, when: state == "customer"}]', "", "this never holds for who comes into lead"),
        ("[{state: lead, event: form}]", "", "give one of `state`, `event` and `date`"),
        ("[{}]", "", "say who enters"),
        ("[]", "", "there must be at least one"),
        ("[{date: person.custom.renewal, before: 3d, after: 3d}]", "", "give either `before` or `after`"),
        ("[{state: lead, before: 3d}]", "", "are for `date`"),
        ("[{date: person.birthday}]", "", "person.birthday is not a field with a date"),
        ("[{date: person.name}]", "", "person.name is not a field with a date"),
        ("[{state: lead}]", 'exit: [{when: state == "lead"}]', "holds for everybody who would enter, so nobody does"),
        ("[{state: lead}]", 'goal: {when: state != "customer"}', "holds for everybody who would enter"),
        (
            "[{state: lead}, {event: form}]",
            'exit: [{when: state == "lead"}]',
            "warning: 14:19: this holds for everybody who would enter by way 1",
        ),
        ("[{state: lead}]", "exit: [{event: form, when: has(person.phone)}]", "give either `when` or `event`"),
        ("[{state: lead}]", 'goal: {when: state == "costumer"}', "there is no state costumer; did you mean customer?"),
        ("[{state: lead}]", "holdout: 10", "without a goal there is nothing to compare"),
        ("[{state: lead}]", "holdout: 60", "write 50 or less"),
        ("[{state: lead}]", "audience: {most: 10, per: 1d, expect: 20}", "more are expected than may enter"),
        (
            "[{state: lead}]",
            "exit: [{event: reply}]",
            "warning: 14:20: reply only comes if a source of yours sends it; did",
        ),
        ("[{event: email.clicked}]", "", "did you mean email.click?"),
        ("[{state: lead}]", "department: marketin", "is not among the departments; did you mean marketing?"),
        ("[{state: lead}]", "again: sometimes", "write once, after_exit, always, or a while as in 30d"),
        ("[{state: lead}]", 'goal: {when: state == "customer", within: 12h}', "longer than the goal counts, 12 hours"),
        ("[{state: lead}]", 'goal: {when: state == "customer", within: 1d}', "when the goal does not count any more"),
    ],
)
def test_a_way_in_or_out_that_cannot_be_meant_is_found(enter: str, more: str, complaint: str) -> None:
    assert any(complaint in problem for problem in found(campaign(STEPS, enter, more))), found(
        campaign(STEPS, enter, more)
    )


def test_who_leaves_for_what_they_did_may_have_come_in_by_the_same() -> None:
    deed = "'\"form\" in touchpoint.kinds'"
    own = "[{event: form}, {event: demo.requested}, {event: email.reply}]"
    assert found(campaign(enter=own, more="exit: [{event: purchase}]")) == []
    assert found(campaign(enter=f"[{{when: {deed}}}]", more=f"exit: [{{when: {deed}}}]")) == []


def test_a_campaign_that_begins_anew_the_moment_it_is_over_is_found() -> None:
    for again, wrong in (("once", False), ("30d", False), ("after_exit", True), ("always", True)):
        text = campaign("[{send: one}, {send: two}]", '[{when: state == "lead"}]', f"again: {again}")
        assert any("round and round" in problem for problem in found(text)) is wrong
    waits = campaign(STEPS, '[{when: state == "lead"}]', "again: always")
    assert found(waits) == []
    around = "[{wait_until: has(person.phone), timeout: 9d}, {send: one}, {send: two}]"
    assert any(
        "round and round" in line for line in found(campaign(around, '[{when: state == "lead"}]', "again: always"))
    )


# -- mail --------------------------------------------------------------------------------------------------------------


def test_who_writes_has_to_say_from_whom_and_marketing_from_where() -> None:
    assert any("say from whom mail is" in problem for problem in found(campaign(mail="")))
    without = "mail: {sender: Ana <ana@example.com>}\n"
    assert any("marketing (c) has to name the postal address" in problem for problem in found(campaign(mail=without)))
    assert found(campaign(mail=without, more="kind: service")) == []
    assert any("write an address" in problem for problem in found(campaign(mail="mail: {sender: Ana}\n")))


def test_answers_that_no_source_takes_in_are_a_warning_where_there_are_sources_of_mail() -> None:
    inbox = "sources: {inbox: {kind: email, address: Sales@example.com}}\n"
    lost = [line for line in found(campaign(mail=MAIL + inbox)) if "answers go to" in line]
    assert len(lost) == 1
    assert lost[0].endswith(
        "answers go to ana@example.com, which no source takes in: is `reply_to: Sales@example.com` meant?"
    )
    heard = "mail: {sender: Ana <ana@example.com>, postal: Here 1, reply_to: sales+here@example.com}\n"
    assert found(campaign(mail=heard + inbox)) == []


@pytest.mark.parametrize(
    ("mail", "complaint"),
    [
        ("calendar: offic", "there is no calendar offic; did you mean office?"),
        ("hours: {tz: UTC}", "names no days, so this is never open"),
        ("hours: {mon-fri: '09:00-18:00'}", "name the zones to take for them in `assume`"),
        (
            "hours: {mon-fri: '09:00-16:00'}, assume: [Europe/Berlin, Asia/Tokyo]",
            "these hours never come, by the clocks",
        ),
        ("hours: {mon-fri: '09:00-18:00'}, assume: Europe/Berlln", "did you mean Europe/Berlin?"),
        ("calendar: office, hours: {mon: '09:00-17:00'}", "give either `hours` or `calendar`"),
        ("caps: [{most: 0, per: 7d}]", "write 1 or more"),
    ],
)
def test_hours_and_caps_that_let_nothing_through_are_found(mail: str, complaint: str) -> None:
    text = campaign(mail=MAIL.replace("}", f", {mail}}}"))
    office = "calendars: {office: {mon-fri: '09:00-17:00'}}\n" if "calendar" in mail else ""
    assert any(complaint in problem for problem in found(text + office)), found(text + office)


def test_mail_counts_as_working_by_a_calendar() -> None:
    mail = MAIL.replace("}", ", calendar: office, assume: Europe/Berlin}")
    assert found(campaign(mail=mail) + "calendars: {office: {mon-fri: '09:00-17:00'}}\n") == []


def test_a_message_that_a_cap_never_lets_through_is_found() -> None:
    mail = MAIL.replace("}", ", caps: [{most: 1, per: 7d}]}")
    for capped, wrong in (("skip", "is always skipped"), ("abort", "is always the end of it")):
        text = campaign(f"[{{send: one}}, {{wait: 1d}}, {{send: two, capped: {capped}}}]", mail=mail)
        assert any(wrong in problem for problem in found(text))
    for steps in (
        "[{send: one}, {wait: 7d}, {send: two, capped: skip}]",
        "[{send: one}, {wait: 1d}, {send: two, capped: defer}]",
        "[{send: one, capped: skip}, {wait: 1d}, {send: two, capped: skip}]",
        "[{wait_until: has(person.phone), timeout: 1d, otherwise: b}, {send: one}, {name: b, send: two, capped: skip}]",
    ):
        assert found(campaign(steps, mail=mail)) == []


def written(*lines: str) -> str:
    """A campaign whose first message has these lines, the first of them in line 15 from column 7."""
    block = "".join(f"      {line}\n" for line in lines)
    return campaign(
        templates=f"templates:\n  two: {{subject: Two, text: Two}}\n  one:\n    subject: One\n    text: |\n{block}"
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "{{ person.frist_name | default: 'you' }}",
            "error: 16:10: person.frist_name is not a field of a message; did",
        ),
        ("'person.fon' {{ person.fon | default: 1 }}", "error: 16:23: person.fon is not a field of a message"),
        ("{{ person.first_name }}", "warning: 16:10: who has no person.first_name does not get this: give a default"),
        ("{{ touchpoint.kind | default: 'x' }}", "error: 16:10: touchpoint.kind is not a field of a message"),
        ("{{ person.interests.cars }}", "error: 16:10: person.interests.cars is not a field of a message"),
        ("{{ person.name", "error: 16:7: expected '}}', found end of file"),
        ("{% if person.phone %}x", "error: 16:7: {% if %} has no end: write {% endif %} where it ends"),
        ("{% if person.phone %}{% for i in person.interests %}x{% endif %}", "error: 16:28: {% for %} has no end"),
        ("x{% endif %}", "error: 16:11: {% endif %} ends nothing that began above"),
        ("{% fo i in person.interests %}", "error: 16:10: there is no tag fo; did you mean for?"),
        ("{{ person.name | upcse }}", "error: 16:24: there is no filter upcse; did you mean upcase?"),
        ("{{ person.name | shout }}", "error: 16:24: there is no filter shout; there are default, upcase"),
        (
            "Hello {person.first_name}",
            "warning: 16:13: this is no field and is sent as it stands: a field has two braces",
        ),
        (
            "[x](sun.example/a)",
            "error: 16:11: sun.example/a is no address for a link: write it whole, as in https://sun",
        ),
        ("[x](/a) here", "error: 16:11: /a is no address for a link: write it whole, as in https://example.com/page"),
        ("[x](htps://sun.example)", "error: 16:11: htps://sun.example is no address for a link"),
        ("[x]()", "error: 16:11: this link leads nowhere"),
        ("[x](https://sun.example/our prices)", "error: 16:11: an address has no blank in it, so this is no link"),
    ],
)
def test_a_mistake_in_a_template_is_found_where_it_stands(text: str, complaint: str) -> None:
    lines = found(written("Hello", text))
    assert [line for line in lines if complaint in line], lines


def test_what_a_message_may_say_is_let_through() -> None:
    fine = (
        "{{ person.interests[0] | default: 'x' }} {{ person.interests.first | default: 'x' }} {{ unsubscribe_url }}",
        "[a]({{ preferences_url }}) [b](https://a.b/?e={{ person.email }}&x=1) [c](mailto:a@b.c) ![d](https://a.b/c.png)",
        "[e]({{ person.custom.page | default: 'https://a.b' }} 'title') [f](tel:+4930123) [g](HTTPS://a.b/x_(y))",
        "{{ lead.created_at | date: '%d.%m.%Y' }} {% for each in person.interests %}{{ each }}{% endfor %} {x}",
    )
    assert found(written(*fine)) == []
    html = 'subject: One, text: One, html: \'<a href="/a">x</a> <a href="https://a.b">y</a>\''
    told = found(campaign(templates=TEMPLATES.replace("subject: One, text: One", html)))
    assert [re.sub(r"^error: 10:\d+: ", "", line) for line in told] == [
        "/a is no address for a link: write it whole, as in https://example.com/page"
    ]


def test_what_a_template_says_in_another_language_is_checked_too() -> None:
    german = "text: One, languages: {de: {subject: Eins, text: 'Hallo {{ person.naem }}'}}}"
    (told,) = found(campaign(templates=TEMPLATES.replace("text: One}", german)))
    assert "person.naem is not a field of a message; did you mean person.name?" in told
    some = TEMPLATES.replace("text: One}", "text: One, languages: {de: {subject: Eins, text: Eins}}}").replace(
        "text: Two}", "text: Two, languages: {fr: {subject: Deux, text: Deux}}}"
    )
    assert [re.sub(r"^warning: 10:\d+: ", "", line) for line in found(campaign(templates=some))] == [
        "other templates are also in fr; who speaks that gets the words above here",
        "other templates are also in de; who speaks that gets the words above here",
    ]
    page = TEMPLATES.replace("text: One}", "text: One, html: <p>x</p>, languages: {de: {subject: Eins, text: Eins}}}")
    assert "these words have none: people get the usual one" in found(campaign(templates=page))[0]
    for wrong in ("languages: {german: {subject: a, text: b}}", "languages: {de: {subject: a}}"):
        assert found(campaign(templates=TEMPLATES.replace("text: One}", f"text: One, {wrong}}}")))


def test_a_template_that_asks_first_needs_no_default() -> None:
    body = "{% if owner.name %}{{ owner.name }}{% endif %} {{ person.custom.size | default: 'x' }} {{ person.email }}"
    templates = f'templates: {{two: {{subject: Two, text: Two}}, one: {{subject: One, text: "{body}"}}}}\n'
    assert found(campaign(templates=templates)) == []


def test_a_template_that_no_campaign_sends_is_found() -> None:
    more = TEMPLATES.replace("}}", "}, tree: {subject: Three, text: Three}}")
    assert found(campaign(templates=more)) == ["warning: 10:77: no campaign or survey sends this"]
    assert found(campaign(templates=more.replace("tree:", "opt_in:"))) == []


def test_the_campaign_of_the_page_is_in_order() -> None:
    page = (ROOT / "docs" / "campaigns.md").read_text(encoding="utf-8")
    example, languages = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert found(example) == []
    assert found(campaign("[{send: first}]", templates=languages)) == []
    steps = re.findall(r"^\| `(\w+):", page.partition("## Steps")[2].partition("## Ending")[0], flags=re.MULTILINE)
    assert {*steps, "go"} == {*ACTIONS}


def test_names_of_steps_are_their_own_or_what_they_do_and_their_place() -> None:
    journey = load(campaign("[{wait: 1d}, {name: hello, send: one}, {send: two}]"))
    assert journey.campaigns["c"].names == ("wait_1", "hello", "send_3")
    assert Step.model_validate({"exit": "done"}).action == "exit"
