"""What a simulation found, as plain values: the JSON of the command, and the tables that its other forms show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from schema.journey import Journey
    from workers.simulate.history import Window
    from workers.simulate.load import Share
    from workers.simulate.run import Result, Summary

Number = float | None

ASPECTS: Final = {
    "qualification": "Qualification",
    "grade": "Grade",
    "pool": "Pool",
    "owner": "Owner",
    "state": "State at the end",
}
_OUTCOMES: Final = {"qualified": "qualified", "incomplete": "asked for more", "disqualified": "disqualified"}
_TOLD: Final = {
    "lead.queued": "had to wait for somebody",
    "lead.reminded": "reminders to accept",
    "lead.handed_on": "handed on to somebody else",
    "lead.escalated": "escalated",
    "lead.overdue": "overdue in a state",
}
_WEEK_S: Final = 7 * 24 * 3600


class Row(msgspec.Struct):
    """One figure in both worlds."""

    label: str
    before: Number
    after: Number


class Section(msgspec.Struct):
    """A table of figures. `note` says what is counted."""

    title: str
    note: str
    rows: list[Row]


class Rule(msgspec.Struct):
    """How often a rule held in both worlds, and how often the outcome hung on it; None: there is no such rule."""

    name: str
    part: str
    held: tuple[int | None, int | None]
    mattered: tuple[int | None, int | None]


def report(
    result: Result,
    before: Journey,
    after: Journey,
    window: Window,
    *,
    against: str,
    draft: str,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """
    Everything that was found, JSON-ready.

    `draft` and `against` say what each journey was asked for as; `names` are those of the leads in examples, if they
    may be shown.
    """
    from schema.journey.diff import differences

    changes = _named(result.changes, names or {})
    return {
        "window": {"from": window.since, "to": window.until},
        "leads": changes["leads"],
        "before": {"journey": before.name, "version": before.version, "asked_for_as": against},
        "after": {"journey": after.name, "version": after.version, "asked_for_as": draft},
        "differences": [difference.facts() for difference in differences(before, after)],
        "changes": changes | {"different": changes["leads"] - changes["same"]},
        "figures": {"before": result.before.figures, "after": result.after.figures},
        "people": _people(result.before, result.after),
        "period": "week" if result.before.period_s == _WEEK_S else "day",
        "fidelity": _fidelity(result.before),
        "notes": list(_notes(result, window, against=against)),
    }


def examples(changes: Mapping[str, Any]) -> list[str]:
    """The ids of the leads that are told as examples."""
    kinds = (kind for found in changes["by"].values() for kind in found)
    return sorted({example["lead"] for kind in kinds for example in kind["examples"]})


def sections(found: Mapping[str, Any]) -> Iterator[Section]:
    """The figures as tables, without what is zero in both worlds."""
    was, becomes = found["figures"]["before"], found["figures"]["after"]

    def rows(*path: str, label: str = "{}", words: Mapping[str, str] | None = None) -> list[Row]:
        one, other = _at(was, path), _at(becomes, path)
        return [
            Row(label.format((words or {}).get(name, name) or "none"), one.get(name, 0), other.get(name, 0))
            for name in dict.fromkeys((*one, *other))
            if one.get(name) or other.get(name)
        ]

    yield Section(
        "Who is qualified",
        "Leads by what qualification says at the end.",
        rows("qualification", words=_OUTCOMES)
        + rows("reasons", label="disqualified for {}")
        + rows("asked", label="asked about {}"),
    )
    mean = Row("mean score", was["score"]["mean"], becomes["score"]["mean"])
    yield Section(
        "How warm they are",
        "Leads by their grade at the end.",
        [mean, *rows("score", "grades", label="grade {}"), *rows("score", "cells", label="cell {}")],
    )
    yield Section(
        "Who gets them",
        "Leads by the pool they are in at the end, and what it took.",
        [
            *rows("pools", label="pool {}"),
            *_nonzero(Row("waiting in a queue at the end", was["waiting"], becomes["waiting"])),
            *rows("told", words=_TOLD),
        ],
    )
    yield Section("Where they are at the end", "Leads by state.", rows("states"))
    made = [_made(figures["rules"]["transitions"]) for figures in (was, becomes)]
    moves = [
        row
        for name in dict.fromkeys((*made[0], *made[1]))
        for row in _nonzero(Row(name, made[0].get(name, 0), made[1].get(name, 0)))
    ]
    by_hand = rows("impossible_by_hand", label="{}, made by hand: no such way")
    yield Section("Moves", "How often each transition was made, by itself or by hand.", moves + by_hand)


def distribution(found: Mapping[str, Any]) -> Section:
    """Leads by score, in tens."""
    bars = [found["figures"][side]["score"]["distribution"] for side in ("before", "after")]
    size = 100 // len(bars[0])
    labels = [f"{place * size}-{place * size + size - 1}" for place in range(len(bars[0]))]
    labels[-1] = f"{100 - size}-100"
    return Section("Scores", "Leads by score.", [Row(*row) for row in zip(labels, *bars, strict=True)])


def rules(found: Mapping[str, Any]) -> list[Rule]:
    """Every criterion, fit rule, kind of touchpoint, pool and transition."""
    was, becomes = (found["figures"][side]["rules"] for side in ("before", "after"))
    return [
        Rule(
            name,
            part,
            (_count(was[part].get(name), held), _count(becomes[part].get(name), held)),
            (_count(was[part].get(name), "mattered"), _count(becomes[part].get(name), "mattered")),
        )
        for part, held in (("criteria", "fail"), ("fit", "leads"), ("engagement", "leads"))
        for name in dict.fromkeys((*was[part], *becomes[part]))
    ]


def _count(rule: Mapping[str, int] | None, name: str) -> int | None:
    return None if rule is None else rule.get(name, 0)


def _at(figures: Mapping[str, Any], path: Iterable[str]) -> Mapping[str, int]:
    value: Any = figures
    for name in path:
        value = value[name]
    return dict(value)


def _made(transitions: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    return {name: count.get("made", 0) for name, count in transitions.items()}


def _nonzero(row: Row) -> list[Row]:
    return [row] if row.before or row.after else []


def _named(changes: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The changes with the names of the people in examples, where there are some to show."""
    if not names:
        return changes
    by = {
        aspect: [
            kind | {"examples": [example | {"name": names.get(example["lead"], "")} for example in kind["examples"]]}
            for kind in kinds
        ]
        for aspect, kinds in changes["by"].items()
    }
    return changes | {"by": by}


def _people(before: Summary, after: Summary) -> dict[str, Any]:
    names = sorted({*before.people, *after.people})
    totals = [sum(share.total for share in side.people.values()) for side in (before, after)]
    return {
        name: {
            "before": _share(before.people.get(name), totals[0]),
            "after": _share(after.people.get(name), totals[1]),
        }
        for name in names
    }


def _share(share: Share | None, total: int) -> dict[str, Any] | None:
    if share is None:
        return None
    return {
        "given": share.total,
        "share": round(share.total / total, 4) if total else 0.0,
        "open_before": share.before,
        "peak_open": share.peak,
        "given_by_period": list(share.given),
        "open_by_period": list(share.open),
    }


def _fidelity(before: Summary) -> dict[str, Any]:
    """How often the simulation of the journey as it is comes to what was recorded."""
    told = before.figures["fidelity"]
    compared = {
        name: told["leads"] if name == "state" else told["compared"]
        for name in ("state", "qualification", "grade", "owner")
    }
    return {
        name: {"compared": number, "same": number - told["differs"].get(name, 0)} for name, number in compared.items()
    }


def _notes(result: Result, window: Window, *, against: str) -> Iterator[str]:
    yield "What is known of people and companies is what is known today, not what was known then."
    yield "Which arrivals belong to one lead is taken as it was recorded."
    yield (
        "Moves made by hand are made again at the same moment where the journey has them; what people would have "
        "done otherwise is not guessed."
    )
    yield (
        "Opportunities, tickets and their clocks, contracts, health, follow-ups, surveys and campaigns are not played: "
        "what they told is taken as it was recorded, and a change of their rules makes no difference here "
        "(`throughline campaigns simulate` plays campaigns)."
    )
    yield "Turns begin even in both worlds: who exactly gets a lead may differ from what was recorded, shares do not."
    if result.after.model:
        yield f"Conversion is predicted by today's model {result.after.model}, which may have learned from these leads."
    anew = result.after.figures["began_anew"], result.before.figures["began_anew"]
    if any(anew):
        yield (
            f"Something came in about a lead that had ended there already, {anew[1]:,} times before and {anew[0]:,} "
            "times with the draft: that began a new lead."
        )
    if result.after.foreign:
        yield (
            f"{result.after.foreign:,} older leads are left out: they are in states that the draft does not know "
            "(`throughline journey migrate` moves them)."
        )
    if result.before.foreign:
        yield f"{result.before.foreign:,} older leads are left out: they are in states that {against} does not know."
    if window.most:
        yield f"Only the first {window.most:,} leads of the window were looked at."
