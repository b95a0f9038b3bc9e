"""
Predict: how likely is a lead to be won, going by what became of those before it?

`observe` says what is known about a lead as named values; training and prediction both look through it, so that they
see the same. A model is a document of plain numbers: for each feature what its value adds to the log-odds of being won.
What it adds is measured from the average lead, so 0 means "no different from the others".
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from schema import contact
from schema.errors import Permanent
from schema.facts import Facts, Touch

Value = str | float | bool | list[str]
"""What a feature can be: a text (a category), a number, a yes or no, or several texts."""

FORMAT: Final = 1
"""Of a model's document; another one is not read."""
MOST_TOLD: Final = 8
"""Features that an explanation names one by one, those that add most; the rest is summed up."""
OTHER: Final = "(other)"
"""How a value is told that too few leads had to learn from it."""
_LONGEST_TEXT: Final = 100
_LARGEST: Final = 1e15
"""Beyond it a number counts as this much: no quantity is larger, and sums of them stay finite."""
_MOST_VALUES: Final = 200
_MOST_LISTED: Final = 50
_DEEPEST: Final = 3
_DAY_S: Final = 86_400
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def observe(facts: Facts, now: datetime) -> dict[str, Value]:
    """
    What is known about the lead at `now` (with a time zone), by feature; what is not known is absent.

    Never a name, an address, a number or a text somebody wrote: of those only whether they are there, and how long.
    Texts come in lower case. Nothing that our own rules decided is looked at: it would teach the model our habits.
    """
    seen: dict[str, Value] = {"source": facts.source, "channel": facts.channel}
    person, company, lead = facts.person, facts.company, facts.lead
    for name in ("country", "language"):
        if value := person.get(name):
            seen[f"person.{name}"] = tidy(str(value))
    seen["person.phone"] = bool(person.get("phone"))
    seen["person.name"] = bool(person.get("name"))
    seen["person.mailbox"] = _mailbox(person.get("email"))
    seen["company.known"] = bool(company.get("name") or company.get("domain"))
    _spread("company.employees", company.get("employees"), seen, 0)
    seen["lead.message_length"] = float(len(lead.get("message") or ""))
    _spread("lead.interests", lead.get("interests"), seen, 0)
    _spread("lead.attribution", lead.get("attribution"), seen, 0)
    _spread("person.preferences", person.get("preferences"), seen, 0)
    _spread("person.custom", person.get("custom"), seen, 0)
    _deeds(facts.touchpoints, now, seen)
    return seen


def tidy(text: str) -> str:
    """The form that texts are compared in: lower case, single spaces; of a web address host and path alone."""
    text = " ".join(text[: 2 * _LONGEST_TEXT].split()).casefold()
    if text.startswith(("http://", "https://")):
        text = text.partition("//")[2].partition("?")[0].partition("#")[0].removeprefix("www.").rstrip("/")
    return text[:_LONGEST_TEXT]


def as_number(value: object) -> float | None:
    """A number, also one written as text, at most `_LARGEST`; None for anything else, and for what is not finite."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return max(-_LARGEST, min(_LARGEST, number)) if math.isfinite(number) else None


def as_category(value: object) -> str | None:
    """A text, yes or no, or number as the name of a category; None for anything else and for nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value or None
    number = as_number(value)
    return None if number is None else f"{number:.12g}"


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """What one feature adds to the log-odds; `value` is a category that many leads share, a number, or None."""

    feature: str
    value: str | float | None
    log_odds: float

    def explain(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"feature": self.feature, "value": self.value, "log_odds": round(self.log_odds, 4)}


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """
    The probability of being won, 0 to 1, by the model `version`.

    `base` is the log-odds of the average lead; with what all `contributions` add it is that of `probability`.
    """

    probability: float
    version: str
    base: float
    contributions: tuple[Contribution, ...]

    def explain(self) -> dict[str, Any]:
        """The record for the table `decision`: what adds or takes away most, and the sum of the rest."""
        ranked = sorted(self.contributions, key=lambda part: (-abs(part.log_odds), part.feature))
        return {
            "probability": round(self.probability, 6),
            "model": self.version,
            "base": round(self.base, 4),
            "because": [part.explain() for part in ranked[:MOST_TOLD]],
            "others": round(math.fsum(part.log_odds for part in ranked[MOST_TOLD:]), 4),
        }


Weigh = Callable[[Value | None], tuple[str | float | None, float]]
"""Of a feature's value: how it is told, and its log-odds. Any value at all gives some."""


class Model(msgspec.Struct, frozen=True, gc=False):
    """A model made ready: `features` are names with the functions that weigh their values."""

    version: str
    base: float
    features: tuple[tuple[str, Weigh], ...]

    @classmethod
    def read(cls, document: Mapping[str, Any], version: str) -> Model:
        """
        Make a document ready.

        :raises Permanent: `model_unreadable`, it is not a document of this format
        """
        try:
            kinds = _KINDS if document["format"] == FORMAT else {}
            features = tuple((str(part["name"]), kinds[part["kind"]](part)) for part in document["features"])
            return cls(version, float(document["base"]), features)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            sentence = "This prediction model was made by another release and cannot be read."
            raise Permanent("model_unreadable", sentence, version=version) from error

    def weigh(self, seen: Mapping[str, Value]) -> Prediction:
        """The prediction for values as `observe` gives them, or the columns of a table."""
        parts = []
        for name, weigh in self.features:
            told, log_odds = weigh(seen.get(name))
            parts.append(Contribution(name, told, log_odds))
        log_odds = self.base + math.fsum([part.log_odds for part in parts])
        return Prediction(probability(log_odds), self.version, self.base, tuple(parts))


def predict(facts: Facts, model: Model, now: datetime) -> Prediction:
    """How likely the lead is to be won, by what is known at `now` (with a time zone). Never raises for a value."""
    return model.weigh(observe(facts, now))


def probability(log_odds: float) -> float:
    """The probability with these log-odds, without overflow."""
    if log_odds >= 0:
        return 1 / (1 + math.exp(-log_odds))
    odds = math.exp(max(log_odds, -700.0))
    return odds / (1 + odds)


def _category(part: Mapping[str, Any]) -> Weigh:
    weights = {str(name): (str(name), float(weight)) for name, weight in part["weights"].items()}
    missing, other = (None, float(part["missing"])), (OTHER, float(part["other"]))

    def weigh(value: Value | None) -> tuple[str | None, float]:
        name = value if type(value) is str else as_category(value)
        return weights.get(name, other) if name else missing

    return weigh


def _number(part: Mapping[str, Any]) -> Weigh:
    """Straight lines between points; outside of them the first or last."""
    points = [(float(at), float(weight)) for at, weight in part["points"]]
    missing = (None, float(part["missing"]))
    places = [at for at, _ in points]
    if not points:
        raise ValueError("a number needs a point")

    def weigh(value: Value | None) -> tuple[float | None, float]:
        number = as_number(value)
        if number is None:
            return missing
        index = bisect_right(places, number)
        if index == 0 or index == len(points):
            return number, points[max(0, index - 1)][1]
        (left, low), (right, high) = points[index - 1 : index + 1]
        return number, low + (high - low) * (number - left) / (right - left)

    return weigh


def _several(part: Mapping[str, Any]) -> Weigh:
    weights = {str(name): float(weight) for name, weight in part["weights"].items()}
    base, missing = float(part["base"]), float(part["missing"])

    def weigh(value: Value | None) -> tuple[str | None, float]:
        if value is None:
            return None, missing
        listed = value if isinstance(value, list) else [value]
        items = sorted({item for item in map(as_category, listed) if item and item in weights})
        return ", ".join(items) or OTHER, base + math.fsum([weights[item] for item in items])

    return weigh


def _given(part: Mapping[str, Any]) -> Weigh:
    given, missing = ("given", float(part["given"])), (None, float(part["missing"]))
    return lambda value: missing if value is None else given


_KINDS: Final[dict[str, Callable[[Mapping[str, Any]], Weigh]]] = {
    "category": _category,
    "number": _number,
    "several": _several,
    "given": _given,
}


def _mailbox(email: object) -> str:
    """`own` for an address at somebody's own domain, `free` at a provider that gives them to anybody, or `none`."""
    host = email.rpartition("@")[2] if isinstance(email, str) else ""
    if not host:
        return "none"
    return "free" if contact.is_free_mail(host) else "own"


def _spread(name: str, value: object, seen: dict[str, Value], depth: int) -> None:
    """Put a value under its name, the members of a mapping each under its own."""
    if value is None or len(seen) >= _MOST_VALUES:
        return
    if isinstance(value, str):
        if text := tidy(value):
            seen[name] = text
    elif isinstance(value, bool | int | float):
        seen[name] = value
    elif isinstance(value, dict):
        if depth < _DEEPEST:
            for key in sorted(map(str, value)) if len(value) > _MOST_VALUES else value:
                _spread(f"{name}.{key}", value.get(key), seen, depth + 1)
    elif isinstance(value, list | tuple):
        texts = [tidy(item) for item in value[:_MOST_LISTED] if isinstance(item, str)]
        if texts:
            seen[name] = texts


def _deeds(touches: Iterable[Touch], now: datetime, seen: dict[str, Value]) -> None:
    """How often they got in touch, how, when first and when last; what a program did does not count."""
    times = []
    for touch in touches:
        if not touch.machine and touch.occurred_at <= now:
            times.append(touch.occurred_at)
            name = f"touches.{touch.kind}"
            seen[name] = float(seen.get(name, 0.0)) + 1.0  # type: ignore[arg-type]  # a count, nothing else is named so
    seen["touches"] = float(len(times))
    if times:
        first = min(times)
        seen["arrival.weekday"], seen["arrival.hour"] = _DAYS[first.weekday()], float(first.hour)
        seen["days_known"] = (now - first).total_seconds() / _DAY_S
        seen["days_quiet"] = (now - max(times)).total_seconds() / _DAY_S
