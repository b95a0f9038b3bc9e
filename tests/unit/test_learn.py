"""Learning from history: what it finds is true and calibrated, and what it must not learn from is left out by name."""

from __future__ import annotations

import math
import random
import re
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from schema.errors import Permanent
from workers.decide.predict import Model, Value, probability
from workers.learn.encode import make_matrix
from workers.learn.examples import Examples
from workers.learn.measure import measure
from workers.learn.table import read_table
from workers.learn.train import TooLittleHistory, Trained, learn, version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same dice every time


def truth(seen: dict[str, Value]) -> float:
    """Log-odds of the world that the examples come from."""
    employees = seen.get("employees")
    return (
        -1.5
        + {"referral": 1.6, "website": 0.0, "fair": -1.2}[str(seen["channel"])]
        + (0.8 * math.log10(float(employees) + 1) - 0.8 if isinstance(employees, int) else -0.6)
        + (0.9 if "pumps" in str(seen.get("interests")) else 0.0)
    )


def lead(dice: random.Random) -> dict[str, Value]:
    seen: dict[str, Value] = {"channel": dice.choices(["website", "referral", "fair"], [6, 2, 2])[0]}
    if dice.random() < 0.7:
        seen["employees"] = int(10 ** dice.uniform(0, 4))
    if dice.random() < 0.6:
        seen["interests"] = dice.sample(["pumps", "fans", "valves"], dice.randint(1, 2))
    return seen


def history(number: int = 2000, also: Callable[..., None] | None = None, seed: int = 7) -> Examples:
    dice = dice_of(seed)
    examples = Examples()
    for count in range(number):
        seen = lead(dice)
        won = dice.random() < probability(truth(seen))
        if also:
            also(seen, won, count, dice)
        examples.add_lead(won=won, arrived=START + timedelta(hours=count))
        examples.add_row(seen)
    return examples


@cache
def trained(number: int = 2000) -> tuple[Examples, Trained]:
    examples = history(number)
    return examples, learn(examples)


def rows_of(examples: Examples) -> list[dict[str, Value]]:
    rows: list[dict[str, Value]] = [{} for _ in examples.lead]
    for name, column in examples.columns.items():
        for row, value in zip(column.rows, column.values, strict=True):
            rows[row][name] = value
    return rows


def left_out(model: Trained) -> dict[str, str]:
    return {part["name"]: part["code"] for part in model.document["report"]["left_out"]}


def learned_from(model: Trained) -> set[str]:
    return {part["name"] for part in model.document["features"]}


def model_of(found: Trained) -> Model:
    return Model.read(found.document, found.version)


# -- what is learned ---------------------------------------------------------------------------------------------------


def test_a_prediction_is_exactly_what_the_fitted_procedure_says() -> None:
    def of_every_kind(seen: dict[str, Value], won: bool, count: int, dice: random.Random) -> None:  # noqa: FBT001
        if dice.random() < 0.2 + 0.2 * won:
            seen["touches.email.click"] = float(dice.randint(1, 5))
        if dice.random() < 0.5:
            seen["email"] = f"person{count}@example.com"
        odd: list[Value] = [1, "1", True, 0.0, "", [], ["a"], "nan", 1e300]
        seen["odd"] = dice.choice(odd)

    examples = history(also=of_every_kind)
    found = learn(examples)
    kinds = {part["name"]: part["kind"] for part in found.document["features"]}
    assert kinds == {
        "channel": "category", "email": "given", "employees": "number", "interests": "several", "odd": "category",
        "touches.email.click": "number",
    }  # fmt: skip
    told = [model_of(found).weigh(row).probability for row in rows_of(examples)]
    assert np.abs(told - found.fitted.probabilities(make_matrix(examples, found.fitted.encoders))).max() < 1e-9


def test_told_probabilities_are_those_of_the_world_the_leads_come_from() -> None:
    found = trained(6000)[1]
    dice = dice_of(99)
    fresh = [lead(dice) for _ in range(3000)]
    wrong = [abs(model_of(found).weigh(seen).probability - probability(truth(seen))) for seen in fresh]
    assert sum(wrong) / len(wrong) < 0.03
    test = found.document["report"]["test"]
    assert test["calibration_error"] < 0.04
    assert 0.70 < test["auc_95"][0] < test["auc"] < test["auc_95"][1] < 0.85
    assert test["log_loss"] < test["log_loss_base"]
    assert test["top_fifth"]["lift"] > 1.8


def test_the_average_lead_is_told_the_share_that_is_won() -> None:
    examples, found = trained()
    contributions = [
        part.log_odds
        for seen in (lead(dice_of(n)) for n in range(2000))
        for part in model_of(found).weigh(seen).contributions
    ]
    assert abs(sum(contributions) / 2000) < 0.1
    assert abs(probability(found.document["base"]) - sum(examples.won) / len(examples.won)) < 0.1


def test_the_factors_say_what_helps_and_what_does_not() -> None:
    factors = {factor["feature"]: factor for factor in trained()[1].document["report"]["factors"]}
    assert factors["channel"]["up"][0]["value"] == "referral"
    assert factors["channel"]["down"][0]["value"] == "fair"
    assert factors["employees"]["up"][0]["value"] > 1000
    assert factors["interests"]["up"][0] == {"value": "pumps", "odds": factors["interests"]["up"][0]["odds"]}


def test_the_same_history_gives_the_same_version_and_more_history_another() -> None:
    found = trained()[1]
    assert learn(history()).version == found.version == version_of(found.document)
    assert learn(history(2100)).version != found.version


def test_a_lead_that_was_looked_at_often_weighs_no_more_than_another() -> None:
    def twice(number: int) -> Examples:
        examples = history(number)
        doubled = Examples(won=list(examples.won), arrived=list(examples.arrived))
        for row, of in enumerate(examples.lead):
            for _ in range(3 if of % 2 else 1):
                for name, column in examples.columns.items():
                    if row in (places := dict(zip(column.rows, column.values, strict=True))):
                        doubled.columns[name].rows.append(len(doubled.lead))
                        doubled.columns[name].values.append(places[row])
                doubled.lead.append(of)
        return doubled

    plain, weighed = learn(history(600)), learn(twice(600))
    assert weighed.document["base"] == pytest.approx(plain.document["base"], abs=0.02)


def test_figures_are_those_of_the_textbook() -> None:
    told, won = np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])
    every, first = np.ones(4), np.ones(4, dtype=bool)
    found = measure(told, won, every, first, 0.5)
    assert (found["auc"], found["leads"], found["won"]) == (0.75, 4, 2)
    assert found["log_loss"] == pytest.approx(-sum(map(math.log, (0.9, 0.6, 0.35, 0.8))) / 4, abs=1e-5)
    assert found["log_loss_base"] == pytest.approx(math.log(2), abs=1e-5)
    assert found["brier"] == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4, abs=1e-5)
    assert found["top_fifth"] == {"lift": 2.0, "holds": 0.4}
    assert found["log_loss"] < found["log_loss_base"]
    assert not found["better"]  # four leads could be chance


# -- what it must not be learned from ----------------------------------------------------------------------------------


def test_what_is_only_filled_in_after_the_outcome_is_left_out() -> None:
    def later(seen: dict[str, Value], won: bool, _count: int, dice: random.Random) -> None:  # noqa: FBT001
        if won and dice.random() < 0.3:
            seen["contract_value"] = dice.randint(1000, 9000)
        if not won and dice.random() < 0.5:
            seen["lost_reason"] = dice.choice(["price", "timing"])
        seen["status"] = "customer" if won else dice.choice(["cold", "gone"])
        seen["invoices"] = float(won) * 3 + dice.random()
        if dice.random() < 0.5:
            seen["budget"] = dice.choice(["high", "low"])

    found = learn(history(also=later))
    assert left_out(found) == dict.fromkeys(["contract_value", "lost_reason", "status", "invoices"], "leak")
    assert learned_from(found) == {"channel", "employees", "interests", "budget"}
    assert found.document["report"]["test"]["auc"] < 0.85
    asked = learn(history(also=later), leave_out=["budget"], keep=["contract_value"])
    assert "contract_value" in learned_from(asked)
    assert left_out(asked)["budget"] == "asked"


def test_a_channel_that_never_converts_is_no_leak() -> None:
    def barren(seen: dict[str, Value], won: bool, _count: int, dice: random.Random) -> None:  # noqa: FBT001
        seen["list"] = "own" if won else dice.choice(["own", "bought"])

    assert "list" in learned_from(learn(history(also=barren)))


def test_who_somebody_is_is_left_out_but_not_whether_it_was_said() -> None:
    def personal(seen: dict[str, Value], _won: bool, count: int, dice: random.Random) -> None:  # noqa: FBT001
        seen["row"] = count
        seen["customer_id"] = dice.randint(10**6, 10**9)
        seen["contact"] = f"person{count}@example.com"
        seen["full_name"] = dice.choice(["Ana", "Ben"])
        seen["ref"] = f"{dice.randrange(16**8):08x}"
        seen["remark"] = f"we would like to hear more about offer {count}"
        seen["signed_up"] = f"2026-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
        seen["town"] = f"town {dice.randrange(400)}"
        if dice.random() < probability(truth(seen)):
            seen["hotline"] = f"+49 30 {dice.randrange(10**6):06}"

    found = learn(history(also=personal))
    assert left_out(found) == {
        "row": "identifier", "customer_id": "identifier", "contact": "personal", "full_name": "personal",
        "ref": "identifier", "remark": "text", "signed_up": "date", "town": "rare", "hotline": "personal",
    }  # fmt: skip
    assert learned_from(found) == {"channel", "employees", "interests", "hotline"}
    hotline = next(part for part in found.document["features"] if part["name"] == "hotline")
    assert (hotline["kind"], hotline["given"] > hotline["missing"]) == ("given", True)


def test_a_value_that_few_leads_share_does_not_stand_in_a_model() -> None:
    def places(seen: dict[str, Value], _won: bool, count: int, _dice: random.Random) -> None:  # noqa: FBT001
        seen["town"] = "berlin" if count % 3 else f"hamlet {count % 300}"

    found = learn(history(also=places))
    town = next(part for part in found.document["features"] if part["name"] == "town")
    assert set(town["weights"]) == {"berlin"}
    assert "hamlet" not in str(found.document)


# -- time, and too little of it ----------------------------------------------------------------------------------------


def test_what_has_changed_its_meaning_since_is_found_out_by_the_newest_leads() -> None:
    dice = dice_of(3)
    examples = Examples()
    for count in range(1500):
        sign = dice.random() < 0.5
        won = dice.random() < (0.6 if sign == (count < 1200) else 0.1)
        examples.add_lead(won=won, arrived=START + timedelta(hours=count))
        examples.add_row({"sign": sign})
    found = learn(examples)
    assert found.document["report"]["test"]["auc"] < 0.4
    assert not found.better


def test_where_nothing_tells_leads_apart_the_model_is_not_better() -> None:
    dice = dice_of(5)
    examples = Examples()
    for count in range(1000):
        examples.add_lead(won=dice.random() < 0.3, arrived=START + timedelta(hours=count))
        examples.add_row({"colour": dice.choice(["red", "blue"])})
    assert not learn(examples).better


def test_the_order_of_the_rows_is_not_the_order_of_time() -> None:
    examples = history(600)
    backwards, rows = Examples(), rows_of(examples)
    for of in reversed(range(600)):
        backwards.add_lead(won=examples.won[of], arrived=examples.arrived[of])
        backwards.add_row(rows[of])
    first, second = (learn(each).document["report"]["test"] for each in (examples, backwards))
    assert (first["from"], first["won"]) == (second["from"], second["won"])
    assert first["auc"] == pytest.approx(second["auc"], abs=1e-3)


@pytest.mark.parametrize(
    ("won", "lost", "words"),
    [
        (31, 804, "31 won and 804 lost leads. Needed are 50 of each and 200 together: 19 more won."),
        (20, 10, "30 more won, 40 more lost and 100 others."),
        (60, 70, "70 more of either."),
    ],
)
def test_too_little_history_is_said_with_how_much_is_missing(won: int, lost: int, words: str) -> None:
    examples = Examples()
    for count in range(won + lost):
        examples.add_lead(won=count < won, arrived=START + timedelta(hours=count))
        examples.add_row({"channel": "website"})
    with pytest.raises(TooLittleHistory, match=re.escape(words)):
        learn(examples)


@pytest.mark.parametrize(
    ("first", "words"), [(True, "before the newest hold 0 won"), (False, "three fifths hold 0 won")]
)
def test_a_part_of_time_without_wins_cannot_be_learned_from_or_tested_on(first: bool, words: str) -> None:  # noqa: FBT001
    examples = Examples()
    for count in range(1000):
        examples.add_lead(won=count < 300 if first else count >= 700, arrived=START + timedelta(hours=count))
        examples.add_row({"channel": "website"})
    with pytest.raises(TooLittleHistory, match=f"{words} and .* lost. Needed are 10"):
        learn(examples)


def test_a_feature_that_no_lead_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(Permanent, match=r"named chanel. There is: channel, employees, interests"):
        learn(history(300), leave_out=["chanel"])


# -- a table of somebody's own -----------------------------------------------------------------------------------------


def table(folder: Path, text: str) -> Path:
    file = folder / "leads.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_table_is_read_with_its_outcomes_and_moments(tmp_path: Path) -> None:
    file = table(
        tmp_path,
        "\ufeffid;Origin;won;at\n1; Paid  Search ;yes;2026-01-02\n2;N/A;no;2026-01-01\n3;x;;2026-01-01\n4;x;no;\n",
    )
    with pytest.raises(Permanent, match="write dates as"):
        read_table(file, "won", "at")
    examples = read_table(file, "won")
    assert (examples.won, examples.undecided) == ([True, False, False], 1)
    assert list(examples.columns["Origin"].values) == ["paid search", "x"]
    assert "won" not in examples.columns
    assert any("order of time" in note for note in examples.notes)


def test_a_date_where_there_is_one_for_those_won_says_who_was_won(tmp_path: Path) -> None:
    file = table(tmp_path, "origin,closed\na,2026-02-03 10:00:00\nb,\n")
    assert read_table(file, "closed").won == [True, False]


@pytest.mark.parametrize(
    ("text", "won", "code"),
    [
        ("a,won\n", "won", "table_empty"),
        ("a,won\n1,yes\n", "one", "column_unknown"),
        ("a,won\n1,perhaps\n2,yes\n", "won", "won_unclear"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused_with_the_reason(
    tmp_path: Path, text: str, won: str, code: str
) -> None:
    with pytest.raises(Permanent) as refused:
        read_table(table(tmp_path, text), won)
    assert refused.value.code == code


def test_what_is_no_table_of_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "leads.csv").write_bytes(b"\xff\xfe\x00a,b\n")
    with pytest.raises(Permanent, match="not a CSV file"):
        read_table(tmp_path / "leads.csv", "won")
    with pytest.raises(Permanent, match="Cannot read"):
        read_table(tmp_path / "nothing.csv", "won")
