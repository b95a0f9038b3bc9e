"""
Inputs: what the decisions of one run started from, small enough to be kept with them, complete enough to repeat them.

A run is what happens to one lead in one go: an arrival, or a wait that is over. Its first decision keeps the inputs;
what the later ones start from follows from those before. Of a person, company and lead only what rules read is kept; of
what they only ask the presence of, that it is there; of what they only ask the size of, the size. Touchpoints are kept
by the run in which they were new, so that each is kept once.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from schema.facts import Facts, Touch
from schema.journey.fields import kind
from workers.decide.staff import Absence, Staff, roster
from workers.decide.turns import Ledger

if TYPE_CHECKING:
    from schema.journey import Journey
    from workers.decide.route import Routing

ROOTS: Final = ("person", "company", "lead")
PLAIN_TOUCH: Final = 3
"""Values that a touchpoint is kept as: id, kind, moment; a fourth says that a machine did it."""
_MOST_TOUCHES: Final = 500
"""As many touchpoints, the latest, are known to a decision."""
_ASKED: Final = re.compile(r"\b(has|size)\(\s*([a-z]\w*(?:\.\w+)+)\s*\)")
_PATH: Final = re.compile(r"[a-z]\w*(?:\.\w+)+")
_TEXT: Final = re.compile(r"""r?"(?:\\.|[^"\\])*"|r?'(?:\\.|[^'\\])*'""")


class _Spare(NamedTuple):
    """Fields whose values need not be kept, by root: those asked for presence alone, and those asked for size."""

    present: dict[str, tuple[str, ...]]
    sized: dict[str, tuple[str, ...]]


def _spare(sources: Collection[str]) -> _Spare:
    asked: dict[str, set[str]] = {}
    read: set[str] = set()
    for source in sources:
        plain = _TEXT.sub('""', source)
        for how, path in _ASKED.findall(plain):
            asked.setdefault(path, set()).add(how)
        read |= set(_PATH.findall(_ASKED.sub("", plain)))
    present: dict[str, list[str]] = {}
    sized: dict[str, list[str]] = {}
    for path, how in asked.items():
        root, _, name = path.partition(".")
        # Only fields of their own: what stands below a map may be read with the map.
        if (
            root in ROOTS
            and "." not in name
            and not any(other == path or other.startswith(f"{path}.") for other in read)
        ):
            if how == {"has"}:
                present.setdefault(root, []).append(name)
            elif kind(path) in {"text", "list"}:
                sized.setdefault(root, []).append(name)
    return _Spare({root: tuple(names) for root, names in present.items()}, {r: tuple(n) for r, n in sized.items()})


_spares: dict[str, _Spare] = {}
_MOST_SPARES: Final = 64


def _spared(journey: Journey) -> _Spare:
    """The same for a journey, worked out once for each version."""
    found = _spares.get(journey.version)
    if found is None:
        if len(_spares) >= _MOST_SPARES:
            _spares.clear()
        found = _spares[journey.version] = _spare([expression.source for expression in journey.expressions()])
    return found


def inputs(facts: Facts, journey: Journey, step: str, now: datetime) -> dict[str, Any]:
    """What a run that begins with `step` at `now` starts from; JSON-ready, without what is not there."""
    values = facts.context(journey).values
    told: dict[str, Any] = {"step": step, "state": facts.state}
    spare = _spared(journey)
    for root in ROOTS:
        if seen := values.get(root):
            told[root] = _without(seen, spare.present.get(root), spare.sized.get(root))
    for name in ("source", "channel"):
        if name in values:
            told[name] = values[name]
    new = [touch for touch in facts.touchpoints if touch.new]
    if new:
        told["touches"] = [_written(touch) for touch in new]
    if len(facts.touchpoints) > len(new):
        told["known"] = len(facts.touchpoints) - len(new)
    if facts.entered_at is not None and facts.entered_at != now:
        told["entered_at"] = facts.entered_at
    for name in (
        "qualification",
        "score",
        "owner",
        "pool",
        "overdue",
        "recycled",
        "assignment",
        "waiting_since",
        "quiet",
    ):
        if value := getattr(facts, name):
            told[name] = value
    return told


def _without(seen: dict[str, Any], present: Collection[str] | None, sized: Collection[str] | None) -> dict[str, Any]:
    """The fields that rules read, without the values that need not be kept."""
    kept = {name: value for name, value in seen.items() if value != {}}
    for name in present or ():
        if name in kept:
            kept[name] = True
    for name in sized or ():
        if name in kept:
            kept[name] = _size(kept[name])
    return kept


def _size(value: Any) -> Any:  # noqa: ANN401 - a text or a list, or whatever stands there instead
    """As `size()` has it, which counts a text's bytes in UTF-8."""
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    return len(value) if isinstance(value, list) else value


def _written(touch: Touch) -> list[Any]:
    written = [touch.id, touch.kind, touch.occurred_at]
    return [*written, True] if touch.machine else written


class Incomplete(LookupError):
    """These inputs do not hold everything that was known."""


def facts(told: Mapping[str, Any], journey: Journey, earlier: Collection[Touch], now: datetime) -> Facts:
    """
    The facts that a run started from, for the same decisions; `told` are its inputs as they were kept.

    `earlier` are the touchpoints of the runs before. Which lead it was makes no difference to any decision.

    Raises `Incomplete` where some touchpoints are not among them.
    """
    spare = _spared(journey)
    new = {
        row[0]: Touch(row[1], moment(row[2]), row[0], machine=len(row) > PLAIN_TOUCH) for row in told.get("touches", ())
    }
    old = [touch for touch in earlier if touch.id not in new]
    old.sort(key=lambda touch: touch.occurred_at)
    known = told.get("known", 0)
    if len(old) < known or (len(old) > known and len(old) + len(new) <= _MOST_TOUCHES):
        raise Incomplete
    return Facts(
        lead_id="",
        source=told.get("source", ""),
        channel=told.get("channel", ""),
        state=told["state"],
        person=_restored("person", told, spare),
        company=_restored("company", told, spare),
        lead=_restored("lead", told, spare),
        touchpoints=[*old[len(old) - known :], *new.values()],
        qualification=told.get("qualification"),
        score=told.get("score"),
        owner=told.get("owner"),
        pool=told.get("pool"),
        entered_at=moment(told["entered_at"]) if "entered_at" in told else now,
        overdue=told.get("overdue", False),
        recycled=told.get("recycled", 0),
        quiet=told.get("quiet", False),
        assignment=told.get("assignment"),
        waiting_since=moment(told["waiting_since"]) if "waiting_since" in told else None,
    )


def _restored(root: str, told: Mapping[str, Any], spare: _Spare) -> dict[str, Any]:
    """The fields of a root with stand-ins for values that were not kept."""
    values = dict(told.get(root, {}))
    for name in spare.sized.get(root, ()):
        if isinstance(values.get(name), int):
            values[name] = ["x"] * values[name] if kind(f"{root}.{name}") == "list" else "x" * values[name]
    return {
        name: moment(value) if kind(f"{root}.{name}") == "moment" and isinstance(value, str) else value
        for name, value in values.items()
    }


def moment(value: datetime | str) -> datetime:
    """A moment as it comes from JSON."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value)


# -- working people ----------------------------------------------------------------------------------------------------


def staffed(found: Routing, facts: Facts, journey: Journey, staff: Staff) -> dict[str, Any]:
    """What was known about people's work when a lead was routed, as far as it could matter; mostly nothing."""
    rostered = roster(journey)
    told: dict[str, Any] = {}
    if facts.previous_owner:
        told["previous"] = list(facts.previous_owner)
    if not (staff.away or staff.ahead or rostered.limited or rostered.windows):
        return told
    people = {*(journey.route.pools[found.pool].members if found.pool in journey.route.pools else ())}
    people |= {name for name in (facts.owner, found.owner, *(facts.previous_owner or ())[:1]) if name}
    told["away"] = {name: [list(spell) for spell in staff.away[name]] for name in people if name in staff.away}
    told["open"] = {name: staff.open[name] for name in people & rostered.limited if staff.open.get(name)}
    told["latest"] = dict(_latest(people, rostered.windows, staff))
    ahead = staff.ahead.get((journey.version, found.pool or ""), {})
    told["ahead"] = {name: since for name, since in ahead.items() if name in people}
    return {name: value for name, value in told.items() if value}


def _latest(people: Collection[str], windows: Mapping[str, int], staff: Staff) -> Iterator[tuple[str, datetime]]:
    """Of people who take only so many in a while and had as many: the moment of the one that is so many ago."""
    for name in people:
        recent = staff.recent.get(name, ())
        if name in windows and len(recent) >= windows[name]:
            yield name, recent[-windows[name]]


def staff(told: Mapping[str, Any], pool: str | None, journey: Journey) -> Staff:
    """What was known about people's work, from what `staffed` kept of it."""
    windows = roster(journey).windows
    return Staff(
        away={
            name: [Absence(moment(start), moment(end) if end else None) for start, end in spells]
            for name, spells in told.get("away", {}).items()
        },
        open=dict(told.get("open", {})),
        recent={name: [moment(at)] * windows[name] for name, at in told.get("latest", {}).items()},
        ahead={(journey.version, pool or ""): {name: moment(at) for name, at in told.get("ahead", {}).items()}},
    )


def ledger(explanation: Mapping[str, Any]) -> Ledger:
    """The ledger of a pool before a turn, from how everybody stood in the explanation of that turn."""
    members = explanation.get("members", ())
    play = [member for member in members if not member.get("out")] or members
    return Ledger(
        (explanation.get("turn") or 1) - 1,
        {member["person"]: member["turns"] for member in play},
        {member["person"]: member["weight"] for member in play},
        {member["person"]: member["credit"] for member in members if member.get("credit")},
    )
