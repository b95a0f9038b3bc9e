"""Predicted conversion on a real database: learned from real receipts as they were, used by workers, undone again."""

from __future__ import annotations

import json
import random
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, Engine, text

from schema.errors import Permanent
from schema.facts import Facts
from schema.store import predictions
from schema.store.ids import uuid_array
from schema.store.journeys import JourneyBook
from schema.store.rows import as_json
from services.api import shapes
from tests.management import open_site
from tests.spine import NOON, Spine, prepare
from tests.unit.test_learn import history
from workers.batch import Batch
from workers.decide.predict import observe
from workers.learn import examples as learning
from workers.learn.examples import Examples, gather
from workers.learn.train import learn
from workers.models import ModelBook
from workers.moves import move_lead

if TYPE_CHECKING:
    from collections.abc import Iterator

JOURNEY = """\
journey: pumps
people: {ana: {email: ana@example.com}}
sources: {website: {kind: form}, shop: {kind: api}}
route: {pools: {everybody: {members: {ana: 1}}}}
score: {engagement: {on: {form: 10}}, grades: {A: 70, B: 5}}
lifecycle:
  lead: {to: {pay: customer, give_up: lost, promise: promising, win: customer, lose: lost}}
  promising: {to: {win: customer, lose: lost}}
  customer: {outcome: won, final: true}
  lost: {outcome: lost, final: true}
transitions:
  promise: {when: score.predicted >= 0.5}
  pay: {when: '"api" in touchpoint.kinds'}
  give_up: {when: '"event" in touchpoint.kinds'}
"""


@pytest.fixture
def spine(postgres_url: str) -> Iterator[Spine]:
    """A database with a journey whose leads are won and lost by hand, and by what comes from the shop."""
    with prepared(postgres_url, JOURNEY) as spine:
        yield spine


@contextmanager
def prepared(url: str, document: str) -> Iterator[Spine]:
    prepare(url, document)
    spine = Spine(url)
    try:
        yield spine
    finally:
        spine.close()


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same dice every time


def decide(spine: Spine, receipt: str, name: str) -> None:
    lead = spine.lead_of(receipt)["id"]
    move_lead(spine.engine, lead, name, reason=None, actor="ana", now=spine.now)


def a_past(spine: Spine, number: int = 260, seed: int = 1) -> None:
    """Leads of the past: referrals are mostly won, others mostly lost; the contract comes with the outcome."""
    dice = dice_of(seed)
    runtime = spine.runtime()
    outcomes: list[tuple[str, bool]] = []
    for count in range(number):
        spine.passes(timedelta(hours=1))
        mail = f"p{seed}.{count}@nordwind{count}.example"
        referral = dice.random() < 0.5
        spine.arrives({"email": mail, "name": f"Person {count}", "via": "referral" if referral else "search"})
        outcomes.append((mail, dice.random() < (0.8 if referral else 0.15)))
    spine.run(runtime)
    spine.passes(timedelta(hours=1))
    for mail, won in outcomes:
        end = {"email": mail, "country": "DE", "contract": "signed" if won else "none"}
        spine.arrives(end, source="shop", channel="api" if won else "event")
    spine.run(runtime)


def gathered(spine: Spine, lost_after: timedelta | None = None) -> Examples:
    with spine.engine.connect() as connection:
        return gather(connection, JourneyBook(), "pumps", spine.now, lost_after)


def kept(spine: Spine, found: Any) -> str:  # noqa: ANN401 - a Trained
    with spine.engine.begin() as connection:
        predictions.store(connection, found.version, "pumps", found.document, spine.now)
        predictions.activate(connection, found.version, spine.now)
    return str(found.version)


def test_a_lead_is_learned_from_as_it_was_known_before_its_outcome(spine: Spine) -> None:
    a_past(spine, 20)
    examples = gathered(spine)
    assert len(examples.won) == 20
    assert set(map(str, examples.columns["person.custom.via"].values)) == {"referral", "search"}
    assert "person.custom.contract" not in examples.columns
    assert "person.country" not in examples.columns
    assert spine.rows("SELECT count(*) AS n FROM person WHERE country = 'DE'")[0]["n"] == 20
    assert set(examples.columns["touches"].values) == {1.0}


def test_a_lead_is_looked_at_again_while_it_is_undecided(spine: Spine) -> None:
    receipt = spine.arrives({"email": "lena@nordwind.example", "via": "search"})
    spine.run()
    spine.passes(timedelta(days=3))
    spine.arrives({"email": "lena@nordwind.example", "message": "Tell me more about pumps"})
    spine.run()
    spine.passes(timedelta(days=10))
    decide(spine, receipt, "win")
    examples = gathered(spine)
    assert (examples.won, list(examples.lead)) == ([True], [0, 0, 0])
    assert examples.columns["touches"].values == [1.0, 1.0, 2.0]
    assert [round(float(str(day)), 1) for day in examples.columns["days_known"].values] == [0.0, 1.0, 7.0]
    assert [float(str(length)) > 0 for length in examples.columns["lead.message_length"].values] == [False, False, True]


def test_what_was_known_is_what_the_worker_knew(spine: Spine) -> None:
    first = {
        "email": "lena@nordwind.example", "phone": "+49 30 1234567", "country": "Germany", "language": "de",
        "company": "Nordwind", "employees": "50-100", "interests": "pumps, fans", "utm_source": "Spring Fair",
        "via": "referral", "budget": 500, "plan": {"size": "L", "seats": [1, 2]}, "preference_tone": "brief",
    }  # fmt: skip
    receipt = spine.arrives(first)
    spine.run()
    spine.passes(timedelta(hours=5))
    spine.arrives({"email": "lena@nordwind.example", "via": "search", "interests": "valves", "message": "Soon, please"})
    spine.run()
    lead = spine.lead_of(receipt)["id"]
    with spine.engine.connect() as connection:
        batch = Batch(connection, JourneyBook(), spine.now, "score")
        batch.load([lead])
        facts = batch.cases[lead].facts
        heard = learning._heard(connection, [lead])[lead]  # noqa: SLF001 - the two ways of knowing are compared
        known = list(learning.known_at(lead, heard, batch.cases[lead].journey, [spine.now]))
    ((replayed, _),) = known
    assert isinstance(replayed, Facts)
    assert observe(replayed, spine.now) == observe(facts, spine.now)
    assert observe(facts, spine.now)["person.custom.via"] == "search"


def test_what_is_recorded_together_with_the_outcome_is_not_looked_at(spine: Spine) -> None:
    spine.arrives({"email": "lena@nordwind.example"})
    spine.run()
    spine.passes(timedelta(hours=2))
    spine.arrives({"email": "lena@nordwind.example", "paid": "yes"}, source="shop", channel="api")
    spine.run()
    examples = gathered(spine)
    assert examples.won == [True]
    assert "touches.api" not in examples.columns
    assert "person.custom.paid" not in examples.columns
    spine.arrives({"email": "rita@rival.example", "paid": "yes"}, source="shop", channel="api")
    spine.passes(timedelta(seconds=5))
    spine.run()
    assert gathered(spine).at_once == 1


def test_what_is_dated_back_after_the_outcome_is_not_looked_at(postgres_url: str) -> None:
    with prepared(postgres_url, JOURNEY.replace("won, final: true}", "won, to: {lapse: lost}}")) as spine:
        receipt = spine.arrives({"email": "lena@nordwind.example"})
        spine.run()
        spine.passes(timedelta(days=9))
        decide(spine, receipt, "win")
        spine.passes(timedelta(days=1))
        back = (spine.now - timedelta(days=9)).isoformat()
        spine.arrives({"email": "lena@nordwind.example", "timestamp": back, "stage": "closed won"})
        spine.run()
        assert len(spine.rows("SELECT id FROM lead")) == 1
        examples = gathered(spine)
    assert list(examples.lead) == [0, 0, 0]
    assert "person.custom.stage" not in examples.columns


def test_silence_counts_as_lost_only_when_asked_and_only_where_it_was_long_enough(spine: Spine) -> None:
    old = spine.arrives({"email": "old@nordwind.example"})
    won = spine.arrives({"email": "won@nordwind.example"})
    spine.run()
    spine.passes(timedelta(days=1))
    decide(spine, won, "win")
    spine.passes(timedelta(days=100))
    quick = spine.arrives({"email": "quick@nordwind.example"})
    spine.run()
    spine.passes(timedelta(days=1))
    decide(spine, quick, "win")
    assert spine.lead_of(old)["open"]
    without = gathered(spine)
    assert (sorted(without.won), without.undecided) == ([True, True], 1)
    silent = gathered(spine, timedelta(days=60))
    assert (sorted(silent.won), silent.undecided) == ([False, True], 1)


def test_a_journey_that_does_not_say_what_won_means_is_told_so(postgres_url: str) -> None:
    silent = JOURNEY.replace("outcome: won, ", "").replace("outcome: lost, ", "")
    with prepared(postgres_url, silent) as spine, pytest.raises(Permanent, match="outcome: won"):
        gathered(spine)


def test_workers_use_the_active_model_and_guards_can_ask_for_it(spine: Spine) -> None:
    a_past(spine)
    found = learn(gathered(spine), journey="pumps")
    assert found.better
    version = kept(spine, found)
    good = spine.arrives({"email": "new@nordwind.example", "via": "referral"})
    bad = spine.arrives({"email": "other@nordwind.example", "via": "search"})
    spine.run()
    likely, unlikely = spine.lead_of(good), spine.lead_of(bad)
    assert unlikely["predicted"] < 0.4
    assert likely["predicted"] > 0.6
    assert (likely["state"], unlikely["state"]) == ("promising", "lead")
    told = spine.rows("SELECT explanation FROM decision WHERE lead_id = :id AND step = 'score'", id=likely["id"])
    prediction = told[0]["explanation"]["prediction"]
    assert prediction["model"] == version
    assert prediction["because"][0]["feature"] == "person.custom.via"
    assert prediction["because"][0]["value"] == "referral"
    assert len(json.dumps(prediction)) < 2000
    event = spine.rows("SELECT data FROM event WHERE lead_id = :id AND type = 'lead.scored'", id=likely["id"])[0]
    assert event["data"]["predicted"] == likely["predicted"]


def test_without_a_model_nothing_is_predicted_and_a_guard_that_asks_waits(spine: Spine) -> None:
    receipt = spine.arrives({"email": "new@nordwind.example", "via": "referral"})
    spine.run()
    assert (spine.lead_of(receipt)["predicted"], spine.lead_of(receipt)["state"]) == (None, "lead")


def test_retraining_makes_a_new_version_and_the_old_one_can_be_used_again(spine: Spine) -> None:
    a_past(spine)
    first = learn(gathered(spine), journey="pumps")
    kept(spine, first)
    assert learn(gathered(spine), journey="pumps").version == first.version
    a_past(spine, 40, seed=2)
    second = learn(gathered(spine), journey="pumps")
    assert second.version != first.version
    kept(spine, second)
    receipt = spine.arrives({"email": "new@nordwind.example", "via": "referral"})
    spine.run()
    assert model_that_said(spine, receipt) == second.version
    with spine.engine.begin() as connection:
        predictions.activate(connection, first.version, spine.now)
        listed = {model["version"]: model["active"] for model in predictions.models(connection)}
    assert listed == {first.version: True, second.version: False}
    again = spine.arrives({"email": "newer@nordwind.example", "via": "referral"})
    spine.run()
    assert model_that_said(spine, again) == first.version


def test_a_running_worker_follows_the_switch(spine: Spine) -> None:
    documents = {name: {"format": 1, "base": base, "features": []} for name, base in (("first", -1.0), ("second", 1.0))}
    with spine.engine.connect() as connection:
        book = ModelBook(fresh_s=0.0)
        assert book.active(connection, "pumps") is None
        for version, document in documents.items():
            predictions.store(connection, version, "pumps", document, spine.now)
            predictions.activate(connection, version, spine.now)
            model = book.active(connection, "pumps")
            assert model
            assert (model.version, model.base) == (version, document["base"])
        predictions.deactivate(connection, "pumps")
        assert book.active(connection, "pumps") is None
        assert book.active(connection, "fans") is None


def model_that_said(spine: Spine, receipt: str) -> str:
    lead = spine.lead_of(receipt)["id"]
    rows = spine.rows("SELECT explanation FROM decision WHERE lead_id = :id AND step = 'score'", id=lead)
    return str(rows[-1]["explanation"]["prediction"]["model"])


def test_a_model_that_this_release_cannot_read_stops_no_lead(spine: Spine) -> None:
    with spine.engine.begin() as connection:
        predictions.store(connection, "future", "pumps", {"format": 99}, spine.now)
        predictions.activate(connection, "future", spine.now)
    receipt = spine.arrives({"email": "new@nordwind.example"})
    spine.run()
    lead = spine.lead_of(receipt)
    assert (lead["predicted"], lead["next_step"]) == (None, None)


def test_reading_history_reads_no_table_from_end_to_end(spine: Spine) -> None:
    a_past(spine, 20)
    plans: list[str] = []

    def explained(connection: Connection) -> None:
        marks = as_json(learning.outcomes(connection, JourneyBook(), "pumps"))
        labels = {"rows": marks, "most": 10, "before": "ffffffff-ffff-ffff-ffff-ffffffffffff"}
        leads = [row["id"] for row in spine.rows("SELECT id FROM lead LIMIT 10")]
        for statement, parameters in (
            (learning._LABELS, labels),  # noqa: SLF001 - its plan is what is looked at
            (learning._HEARD, {"ids": uuid_array(leads)}),  # noqa: SLF001
        ):
            found = connection.execute(text(f"EXPLAIN {statement.text}"), parameters)
            plans.append("\n".join(found.scalars()))

    engine: Engine = spine.runtime().engine
    with engine.connect() as connection:
        explained(connection)
    assert all("Seq Scan" not in plan for plan in plans)
    assert len(plans) == 2


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_models_are_listed_and_shown_to_whoever_may_read_journeys(postgres_server: str) -> None:
    found = learn(history(300), journey="default")
    with open_site(postgres_server) as site:
        with site.seed.engine.begin() as connection:
            predictions.store(connection, found.version, "default", found.document, NOON)
            predictions.activate(connection, found.version, NOON)
        (listed,) = shapes.Predictions.model_validate(site.get("/v1/predictions")).items
        assert (listed.version, listed.journey, listed.active) == (found.version, "default", True)
        assert listed.test["auc"] == found.document["report"]["test"]["auc"]
        shown = shapes.PredictionModel.model_validate(site.get(f"/v1/predictions/{found.version}"))
        assert shown.document == found.document
        for unknown in ("0123456789ab", "%00"):
            assert site.get(f"/v1/predictions/{unknown}", status=404)["code"] == "prediction_not_found"
