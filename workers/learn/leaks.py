"""
What only looks like knowledge: features that were written down after the outcome, and those that are no features.

A field that is only ever there for won leads says what became of them, not what will. It cannot be told from the data
when it was filled in, so what separates the outcomes too well is left out, and said to be.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from sklearn.metrics import roc_auc_score

from schema.draft import moment
from schema.draft_words import ALIASES, normal_name
from workers.decide.predict import as_category, as_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workers.decide.predict import Value
    from workers.learn.examples import Examples

FEWEST: Final = 20
"""Leads that share a value before anything is learned from it; also what keeps a single lead's value to itself."""
TOO_GOOD: Final = 0.98
"""Area under the curve of one feature alone that no honest one has."""
_EXPECTED: Final = 10.0
"""Leads of the other outcome that would have to be there by chance, before it means something that there are none."""
_AS_GOOD_AS_NONE: Final = 0.02
_MOSTLY: Final = 0.95
_HALF: Final = 0.5
_WORDS_OF_A_SENTENCE: Final = 4.0
_PERSONAL: Final = {"name", "first_name", "last_name", "email", "phone", "message", "website"}
_PERSONAL_WORDS: Final = {
    *("ip", "ipaddress", "street", "address", "strasse", "straße", "birthday", "birthdate", "dateofbirth"),
    *("geburtsdatum", "iban", "vat", "vatid", "ssn"),
}
_PHONE: Final = re.compile(r"(\+|00?[1-9])[\d\s()/-]{6,}\Z")
_ID_NAME: Final = re.compile(r"(^|[._ -])(id|uuid|guid|key|nr|no|number|nummer)\Z", re.IGNORECASE)


class LeftOut(NamedTuple):
    """
    A feature that is not learned from, and why in words.

    `code`: `leak`, `personal`, `identifier`, `text`, `date`, `rare`, `same`, `asked`. `given`: whether it is there at
    all is learned from.
    """

    name: str
    code: str
    reason: str
    given: bool = False


class Kept(NamedTuple):
    """A feature to learn from: `category`, `number` or `several`."""

    name: str
    kind: str


def judge_columns(
    examples: Examples,
    leave_out: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> tuple[list[Kept], list[LeftOut]]:
    """Which features are learned from, and which are not; `keep` goes before every suspicion but that of privacy."""
    kept: list[Kept] = []
    left: list[LeftOut] = []
    for name, column in sorted(examples.columns.items()):
        if name in leave_out:
            left.append(LeftOut(name, "asked", "you asked for it"))
            continue
        latest = {examples.lead[row]: value for row, value in zip(column.rows, column.values, strict=True)}
        suspicion = None if name in keep else _leak(name, latest, examples.won)
        found = suspicion or _kind(name, latest, len(examples.won))
        (left if isinstance(found, LeftOut) else kept).append(found)  # type: ignore[arg-type] # each list has its own
    return kept, left


def _leak(name: str, latest: Mapping[int, Value], won: Sequence[bool]) -> LeftOut | None:
    """Whether the feature, by being there or by its value, gives the outcome away."""
    presence = _pure([won[lead] for lead in latest], won)
    absence = _pure([outcome for lead, outcome in enumerate(won) if lead not in latest], won)
    if presence or absence:
        side = f"there for leads that were {presence}" if presence else f"missing for leads that were {absence}"
        return LeftOut(name, "leak", f"only {side}: it seems to be filled in after the outcome")
    groups: dict[str, list[bool]] = defaultdict(list)
    for lead, value in latest.items():
        if not isinstance(value, list) and (category := as_category(value)) is not None:
            groups[category].append(won[lead])
    if any(_pure(group, won) == "won" for group in groups.values()):
        return LeftOut(
            name, "leak", "one of its values is only there for leads that were won: it seems to be the result"
        )
    if _area(latest, groups, won) > TOO_GOOD:
        return LeftOut(name, "leak", "by itself it tells won from lost: it seems to be the result")
    return None


def _pure(group: Sequence[bool], won: Sequence[bool]) -> str:
    """`won` or `lost` where all of a group are that and chance would not have it so, else nothing."""
    if len(group) < FEWEST or len(group) == len(won):
        return ""
    share = sum(won) / len(won)
    wins = sum(group)
    for side, there, expected in (
        ("lost", wins, share * len(group)),
        ("won", len(group) - wins, (1 - share) * len(group)),
    ):
        if expected >= _EXPECTED and there <= _AS_GOOD_AS_NONE * expected:
            return side
    return ""


def _area(latest: Mapping[int, Value], groups: Mapping[str, Sequence[bool]], won: Sequence[bool]) -> float:
    """How well the feature alone sorts leads, 0.5 to 1: a number by its size, a category by its own share of won."""
    numbers = {lead: number for lead, value in latest.items() if (number := as_number(value)) is not None}
    if len(numbers) >= _MOSTLY * len(latest):
        outcomes = [won[lead] for lead in numbers]
        if min(sum(outcomes), len(outcomes) - sum(outcomes)) < FEWEST:
            return _HALF
        area = float(roc_auc_score(outcomes, list(numbers.values())))
        return max(area, 1 - area)
    base = sum(won) / len(won)
    shares = {name: sum(group) / len(group) for name, group in groups.items() if len(group) >= FEWEST}
    marks = [shares.get(as_category(latest.get(lead)) or "", base) for lead in range(len(won))]
    return float(roc_auc_score(won, marks)) if shares else _HALF


def _kind(name: str, latest: Mapping[int, Value], leads: int) -> Kept | LeftOut:
    """What a feature's values are; those that say who somebody is, or nothing about others, are left out."""
    given = FEWEST <= len(latest) <= leads - FEWEST
    values = list(latest.values())
    if sum(isinstance(value, list) for value in values) > _HALF * len(values):
        return Kept(name, "several")
    texts = [value for value in values if isinstance(value, str)]
    last = name.rpartition(".")[2]
    alias = ALIASES.get(normal_name(last), "")
    free_to_name = not name.startswith(("lead.", "person.", "company.")) or ".custom." in name
    if (free_to_name and (alias in _PERSONAL or normal_name(last) in _PERSONAL_WORDS)) or _says_who(texts):
        return LeftOut(name, "personal", "it says who somebody is", given)
    numbers = [number for value in values if (number := as_number(value)) is not None]
    if len(numbers) >= _MOSTLY * len(values) and not all(isinstance(value, bool) for value in values):
        return (
            LeftOut(name, "identifier", "it numbers the leads", given)
            if _numbers_leads(last, numbers)
            else Kept(name, "number")
        )
    return _text_kind(name, texts, values, given=given)


def _text_kind(name: str, texts: Sequence[str], values: Sequence[Value], *, given: bool) -> Kept | LeftOut:
    sample = texts[:1000]
    if sample and sum(moment(text)[0] is not None for text in sample) >= _MOSTLY * len(values[:1000]):
        return LeftOut(name, "date", "a date says when, not who", given)
    own = len(set(texts)) > _HALF * len(values)
    if own and sum(text.count(" ") + 1 for text in texts) > _WORDS_OF_A_SENTENCE * len(texts):
        return LeftOut(name, "text", "somebody wrote it in their own words", given)
    if own and len(texts) >= FEWEST:
        return LeftOut(name, "identifier", "nearly every lead has a value of its own", given)
    shared = Counter(map(as_category, values)).most_common(1)
    if not shared or shared[0][1] < FEWEST:
        return LeftOut(name, "rare", f"no value is shared by {FEWEST} leads", given)
    return Kept(name, "category")


def _says_who(texts: Sequence[str]) -> bool:
    """Whether most are e-mail addresses or telephone numbers."""
    told = sum("@" in text or _PHONE.match(text) is not None for text in texts)
    return told > _HALF * len(texts) if texts else False


def _numbers_leads(name: str, numbers: Sequence[float]) -> bool:
    """Whether numbers are those of the leads themselves: whole, each another, rising or called so."""
    if len(numbers) < FEWEST or len(set(numbers)) < len(numbers) or not all(map(float.is_integer, numbers)):
        return False
    steps = [later > earlier for earlier, later in pairwise(numbers)]
    rising = sum(steps) / len(steps)
    return max(rising, 1 - rising) >= _MOSTLY or _ID_NAME.search(name) is not None
