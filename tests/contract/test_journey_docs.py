"""
What docs/journey.md says about the language is what the language is.

The tables of keys, fields and KPIs are made from the model. When one of these tests fails because the language has
changed, run `python -m tests.contract.test_journey_docs`, which writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

import pytest
import typer.main
from pydantic import BaseModel

from schema.draft_words import GROUPS, OWN
from schema.facts import Facts, Touch
from schema.journey import Expression, Unknown, View, load, reading
from schema.journey.campaign import (
    Audience,
    Campaign,
    Cap,
    Cost,
    Enter,
    Exit,
    FollowUp,
    Goal,
    Mail,
    Step,
    Template,
    Way,
    Wording,
)
from schema.journey.contract import Contracts, Health, HealthRule, Offer
from schema.journey.expressions import Reads
from schema.journey.fields import FIELDS
from schema.journey.follow_up import Escalate, FollowUpRule
from schema.journey.keys import KEYS
from schema.journey.kpi import Kpis
from schema.journey.model import (
    KPIS,
    Again,
    Capacity,
    Criterion,
    Engagement,
    FitRule,
    Grid,
    Group,
    Identity,
    Journey,
    Machines,
    Person,
    Pool,
    Route,
    ScoreRules,
    State,
    TouchPoints,
    Transition,
)
from schema.journey.parts import Calendar
from schema.journey.phrases import NOUNS
from schema.journey.pipeline import Pipeline, Stage
from schema.journey.service import Desk, Escalation, Opens, Service, Sla, TicketKind
from schema.journey.source import Consent, Dedupe, FormField, Source, SpamRules
from schema.journey.survey import Survey
from schema.journey.target import Target, TargetOf
from schema.journey.words import short
from services.cli.main import app
from tests.servers import ROOT
from workers.decide.advance import next_moves
from workers.decide.qualify import judge
from workers.decide.route import choose
from workers.decide.score import warmth

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PAGE: Final = ROOT / "docs" / "journey.md"
PARTS: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("The file", Journey),
    ("`people.<name>`", Person),
    ("`people.<name>.capacity`", Capacity),
    ("`calendars.<name>`, and `hours`", Calendar),
    ("`sources.<name>`", Source),
    ("`sources.<name>.dedupe`", Dedupe),
    ("`sources.<name>.fields`, each", FormField),
    ("`sources.<name>.consent`", Consent),
    ("`sources.<name>.spam`", SpamRules),
    ("`identity`", Identity),
    ("`qualify`, each", Criterion),
    ("`requalify.<reason>`", Again),
    ("`score`", ScoreRules),
    ("`score.fit`, each", FitRule),
    ("`score.engagement`", Engagement),
    ("`score.engagement.on.<kind>`", TouchPoints),
    ("`score.groups.<name>`", Group),
    ("`score.grid`", Grid),
    ("`score.machines`", Machines),
    ("`route`", Route),
    ("`route.pools.<name>`", Pool),
    ("`lifecycle.<state>`", State),
    ("`transitions.<name>`", Transition),
    ("`mail`", Mail),
    ("`mail.caps`, each", Cap),
    ("`templates.<name>`", Template),
    ("`templates.<name>.languages.<code>`", Wording),
    ("`campaigns.<name>`", Campaign),
    ("`campaigns.<name>.enter`, each", Enter),
    ("`campaigns.<name>.exit`, each", Exit),
    ("`campaigns.<name>.goal`", Goal),
    ("`campaigns.<name>.audience`", Audience),
    ("`campaigns.<name>.cost`", Cost),
    ("`campaigns.<name>.steps`, each", Step),
    ("`branch`, each", Way),
    ("`follow_up`", FollowUp),
    ("`follow_ups.<name>`", FollowUpRule),
    ("`follow_ups.<name>.escalate`", Escalate),
    ("`contracts`", Contracts),
    ("`health`", Health),
    ("`health.rules`, each", HealthRule),
    ("`offers.<name>`", Offer),
    ("`pipelines.<name>`", Pipeline),
    ("`pipelines.<name>.stages.<name>`", Stage),
    ("`service`", Service),
    ("`service.kinds.<name>`", TicketKind),
    ("`service.opens`, each", Opens),
    ("`service.desks.<name>`", Desk),
    ("`service.slas.<name>`", Sla),
    ("`service.slas.<name>.escalate`, each", Escalation),
    ("`surveys.<name>`", Survey),
    ("`kpis`", Kpis),
    ("`kpis.targets.<name>`", Target),
    ("`kpis.targets.<name>.of`", TargetOf),
)
SHORT: Final = {
    Again: "`never`, `news` or a duration is short for a mapping: `unreachable: news`, `no_need: 90d`.",
    Calendar: "Beside these keys, days or spans of days with their times: `mon-fri: '09:00-18:00'`.",
    TouchPoints: "A number alone is short for `{points: …}`: `form: 30`.",
    FormField: "A name alone is short for `{name: …}`: `fields: [email, name, message]`.",
    Source: "Our fields, for the right side of `map`: "
    + ", ".join(f"`{name}`" for name in sorted(OWN) if "." not in name and name not in GROUPS)
    + "; and below "
    + ", ".join(f"`{group}.`" for group in GROUPS)
    + " any name.",
    Step: "A step does one thing: it has one of `send`, `wait`, `wait_until`, `branch`, `split`, `set`, `follow_up`, "
    "`notify`, `exit` and `go`.",
    FollowUp: "A text alone is short for `{text: …}`: `follow_up: Call them`.",
    Transition: "A transition that is only named in a state's `to`, and not here, is made by people.",
}
"""What a table cannot say."""


def keys() -> str:
    """The reference of all keys."""
    return "\n\n".join("\n".join(_part(title, model)) for title, model in PARTS)


def _part(title: str, model: type[BaseModel]) -> Iterator[str]:
    yield from (f"### {title}", "")
    if model in SHORT:
        yield from (SHORT[model], "")
    yield from ("| key | meaning | if left out |", "|---|---|---|")
    for name, field in model.model_fields.items():
        yield f"| `{name}` | {KEYS[model.__name__][name]}{_choices(field.annotation)} | {_usual(name, field)} |"


def _choices(annotation: Any) -> str:  # noqa: ANN401 - an annotation can be anything
    """The words that a key can have, where there are only some."""
    if get_origin(annotation) is Literal:
        return " One of " + ", ".join(f"`{choice}`" for choice in get_args(annotation)) + "."
    return next((found for inner in get_args(annotation) if (found := _choices(inner))), "")


def _usual(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "has to be there"
    if name == "trigger":
        return "`automatic` with `when` or `after`, else `manual`"
    default = field.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, timedelta):
        return f"`{short(default)}`"
    if default and isinstance(default, tuple) and all(isinstance(item, str) for item in default):
        return f"`[{', '.join(default)}]`"
    return f"`{default}`" if isinstance(default, int | str | Decimal) and default != "" else ""


def fields() -> str:
    """The table of what questions can ask about."""
    rows = [f"| `{name}` | {kind} | {NOUNS[name]} |" for name, kind in FIELDS.items()]
    return "\n".join(["| field | kind | what it is |", "|---|---|---|", *rows])


def kpis() -> str:
    """The table of KPIs."""
    return "\n".join(["| KPI | meaning |", "|---|---|", *(f"| `{name}` | {words} |" for name, words in KPIS.items())])


MADE: Final = {"keys": keys, "fields": fields, "kpis": kpis}


def filled(page: str) -> str:
    """The page with every table made anew."""
    for name, make in MADE.items():
        before, mark, after = page.partition(f"<!-- {name} -->\n")
        ends = re.search(r"\n(?:## |### KPIs|`qualification)|\Z", after)
        assert ends
        page = f"{before}{mark}\n{make()}\n{after[ends.start() :]}"
    return page


@pytest.mark.parametrize("name", sorted(MADE))
def test_the_tables_of_the_page_are_those_of_the_language(name: str) -> None:
    assert MADE[name]() in PAGE.read_text(encoding="utf-8")


def test_every_part_of_the_language_has_a_table() -> None:
    assert {model.__name__ for _, model in PARTS} == KEYS.keys()


def test_the_first_journey_of_the_page_can_be_switched_on_and_does_what_the_page_says() -> None:
    text = next(block for block in _blocks("yaml") if block.startswith("journey: tours"))
    journey, now = load(text), datetime(2026, 11, 20, 12, tzinfo=UTC)
    group = {"name": "Ten friends", "custom": {"seats": "10"}}
    facts = Facts("l1", "booking", "form", journey.initial, person=group, lead={"message": "A week by the sea"})
    facts.touchpoints, facts.entered_at = [Touch("form", now, "t1")], now
    facts.know(qualification=judge(facts, journey, now).facts())
    facts.know(score=warmth(facts, journey, now).facts())
    assert facts.score
    assert (facts.score["total"], facts.score["grade"]) == (60, "A")
    assert choose(facts, journey, {}, now).owner == "mia"
    assert next_moves(facts, journey, now).state == "offered"
    facts.know(state="offered")
    assert next_moves(facts, journey, now + timedelta(days=29)).state is None
    assert next_moves(facts, journey, now + timedelta(days=30)).state == "gone"


def test_every_question_of_the_page_is_one_and_every_function_is_there() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("**Signs and functions.**")[2].partition("**Fields.**")[0]
    questions = [row.split("`")[1].replace("\\|", "|") for row in table.splitlines() if row.startswith("| `")]
    for question in questions:
        assert Expression(question, {"competitors": ["rival.example"]}).source == question
    functions = reading._FUNCTIONS | reading._METHODS  # noqa: SLF001 - the language has no other list of them
    assert {name for name in functions if not any(f"{name}(" in question for question in questions)} == set()


def test_the_three_answers_are_as_the_page_has_them() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("\\|", "|")
    table = page.partition("**Three answers.**")[2].partition("**Signs")[0]
    rows = [
        [cell.strip() for cell in row.split(" | ")] for row in table.splitlines() if re.match(r"\| (true|fal|unk)", row)
    ]
    assert len(rows) == 5
    for first, second, both, either, negated in [[cell.strip("| ") for cell in row] for row in rows]:
        custom = {name: value == "true" for name, value in (("a", first), ("b", second)) if value != "unknown"}
        for question, wanted in (
            ("person.custom.a && person.custom.b", both),
            ("person.custom.a || person.custom.b", either),
            ("!person.custom.a", negated),
        ):
            expression = Expression(question)
            answer = expression.evaluate(View(Reads(expression.paths), {"person": {"custom": custom}}))
            assert ("unknown" if isinstance(answer, Unknown) else str(answer).lower()) == wanted


def test_commands_that_the_page_names_are_there() -> None:
    journeys: Any = typer.main.get_group(app).commands["journey"]
    known = journeys.commands
    named = re.findall(r"throughline journey (\w+)", PAGE.read_text(encoding="utf-8"))
    assert set(named) - set(known) == set()
    assert {"check", "show", "diff", "simulate", "activate", "rollback", "migrate", "schema"} <= set(named)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
