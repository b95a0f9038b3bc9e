"""Provenance: what is known of somebody is the same in whatever order it was told."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schema.provenance import MOST_OTHERS, Said, answered, entry_of, first, named, shown, weighed
from schema.store.ids import new_id

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
Telling = tuple[Said, dict[str, Any]]

_words = st.sampled_from(["Ana", "Ana Pons", "A. P.", "Anna", "Ana María", "Ann", "An", "Anny"])
_tellings = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.booleans(),
        st.fixed_dictionaries(
            {},
            optional={
                "name": _words,
                "country": st.sampled_from(["DE", "AT"]),
                "interests": st.lists(st.sampled_from(["crm", "billing", "mail"]), unique=True, min_size=1),
                "custom": st.dictionaries(st.sampled_from(["budget", "seats"]), st.integers(0, 3), min_size=1),
            },
        ),
    ),
    min_size=1,
    max_size=9,
)


def person_of(tellings: list[Telling]) -> dict[str, Any]:
    """Somebody as they are after arrivals were taken in this order."""
    person: dict[str, Any] = {"name": None, "country": None, "interests": [], "custom": {}, "preferences": {}}
    person |= dict.fromkeys(["email", "phone", "language", "company_name", "company_employees", "company_id"])
    (begins, values), *later = tellings
    person |= {"provenance": first(values, begins)} | values
    for said, values in later:
        entries = {}
        for name in ("name", "country"):
            if value := values.get(name):
                stands = weighed(person[name], entry_of(person["provenance"], name), value, said.entry())
                if stands:
                    person[name], entries[name] = stands
        for name, grow in (("interests", named), ("custom", partial(answered, "custom"))):
            if value := values.get(name):
                person[name], more = grow(person[name], value, person["provenance"], said.entry())
                entries |= more
        person["provenance"] |= entries
    return person


@given(_tellings, st.randoms())
def test_a_person_is_the_same_in_whatever_order_their_arrivals_are_taken(
    raw: list[tuple[int, bool, dict[str, Any]]], chance: random.Random
) -> None:
    told = [(Said(new_id(), NOON + timedelta(hours=hour), corrects), values) for hour, corrects, values in raw]
    otherwise = list(told)
    chance.shuffle(otherwise)

    one, other = person_of(told), person_of(otherwise)

    assert {name: one[name] for name in one if name != "provenance"} == {
        name: other[name] for name in other if name != "provenance"
    }
    assert shown(one) == shown(other)


def test_what_the_person_says_anew_replaces_what_they_said_and_the_older_value_stays_visible() -> None:
    early, late = Said("r1", NOON, True), Said("r2", NOON + timedelta(days=1), True)

    stands, entry = weighed("A. Pons", early.entry(), "Ana Pons", late.entry()) or (None, {})

    assert (stands, entry["receipt"]) == ("Ana Pons", "r2")
    assert entry["others"] == [{"value": "A. Pons", "receipt": "r1", "at": NOON.isoformat()}]


def test_a_program_fills_what_is_empty_and_replaces_nothing() -> None:
    person, program = Said("r1", NOON, True), Said("r2", NOON + timedelta(days=1), False)

    assert weighed(None, None, "DE", program.entry()) == ("DE", program.entry())
    stands, entry = weighed("Ana", person.entry(), "ANA P", program.entry()) or (None, {})

    assert (stands, entry["receipt"]) == ("Ana", "r1")
    assert [other["value"] for other in entry["others"]] == ["ANA P"]


def test_of_two_programs_the_first_is_believed_and_the_person_more_than_either() -> None:
    first_one, second, herself = (
        Said("r1", NOON, False),
        Said("r2", NOON + timedelta(days=1), False),
        Said("r0", NOON - timedelta(days=9), True),
    )

    stands, entry = weighed("one", first_one.entry(), "two", second.entry()) or (None, {})
    assert stands == "one"
    stands, entry = weighed(stands, entry, "hers", herself.entry()) or (None, {})

    assert stands == "hers"
    assert [other["value"] for other in entry["others"]] == ["one", "two"]


def test_somebody_known_from_before_keeps_their_name_until_they_say_another() -> None:
    program, herself = Said("r1", NOON, False), Said("r2", NOON, True)

    kept, _ = weighed("Ana", None, "Anna", program.entry()) or (None, {})
    assert kept == "Ana"

    said, entry = weighed("Ana", None, "Anna", herself.entry()) or (None, {})
    assert said == "Anna"
    assert entry["others"] == [{"value": "Ana", "receipt": "", "at": None, "fills": True}]


def test_of_a_hundred_names_only_the_best_few_are_kept() -> None:
    person = person_of([(Said(new_id(), NOON + timedelta(hours=n), True), {"name": f"Ana {n}"}) for n in range(100)])

    assert person["name"] == "Ana 99"
    assert [other["value"] for other in person["provenance"]["name"]["others"]] == [
        f"Ana {n}" for n in range(98, 98 - MOST_OTHERS, -1)
    ]


def test_the_same_word_again_changes_nothing_but_when_it_was_last_said() -> None:
    early, late = Said("r1", NOON, True), Said("r2", NOON + timedelta(days=1), True)

    assert weighed("Ana", late.entry(), "Ana", early.entry()) is None
    assert weighed("Ana", early.entry(), "Ana", late.entry()) == ("Ana", late.entry())


def test_an_answer_to_an_old_question_that_comes_late_does_not_undo_the_newer_one() -> None:
    late = Said("r2", NOON, False)
    kept = first({"custom": {"budget": "20000"}}, late)

    answers, entries = answered(
        "custom",
        {"budget": "20000"},
        {"budget": "none", "seats": 5},
        kept,
        Said("r1", NOON - timedelta(1), True).entry(),
    )

    assert answers == {"budget": "20000", "seats": 5}
    assert list(entries) == ["custom.seats"]
