"""
Values that nobody has thought of, for the tests that send them: JSON of any shape, with the texts that break things.

`settled` is the law that holds for all of it: an answer, never 5xx, and what was stored has become something.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from schema.draft_words import ALIASES

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from tests.door import Answer, Door

examples: Final = settings(
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The same in every run; enough to find a new mistake and few enough to wait for."""
UNSETTLED: Final = """
SELECT (SELECT count(*) FROM receipt WHERE status = 'pending' OR due_since IS NOT NULL) AS receipts,
    (SELECT count(*) FROM lead WHERE due_since IS NOT NULL) AS leads, (SELECT count(*) FROM dead_letter) AS dead
"""

CHARACTERS = st.characters(codec=None)  # lone surrogates, controls and all
TEXTS = st.text(CHARACTERS, max_size=40) | st.sampled_from(
    [
        "ana@example.com",
        "ana@exa\u0000mple.com",
        "+49 30 901820",
        "00\u0661\u0662",
        "2026-02-30T25:61",
        "11-50",
        "ﬁrst\u202e",
        "%s%n{0}",
        "x" * 40_000,
    ]
)
NAMES = st.sampled_from([*ALIASES, "person.email", "a.b", "__proto__", "utm_source", "pref_x", ""]) | TEXTS
NUMBERS = st.integers() | st.integers(2**63 - 2, 2**64 + 2) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
KNOWN = st.fixed_dictionaries(
    {},
    optional={
        "email": st.integers(1, 30).map("g{}@example.com".format),
        "name": TEXTS,
        "message": TEXTS,
        "country": st.sampled_from(["DE", "Germany", "XX"]),
        "consent": st.dictionaries(NAMES, VALUES, max_size=3),
        "created_at": NUMBERS | TEXTS,
    },
)
OBJECTS = st.builds(lambda known, more: more | known, KNOWN, st.dictionaries(NAMES, VALUES, max_size=6))
RAW = st.binary(max_size=60) | TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))


@st.composite
def changed(draw: DrawFn, value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    """A JSON value that differs in one place: something else stands there, under another name, or nothing."""
    if isinstance(value, dict) and value:
        name = draw(st.sampled_from(sorted(value)))
        rest = {other: inner for other, inner in value.items() if other != name}
        how = draw(st.sampled_from(["inside", "inside", "inside", "renamed", "gone"]))
        if how == "inside":
            return rest | {name: draw(changed(value[name]))}
        return rest if how == "gone" else rest | {draw(NAMES): value[name]}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(changed(value[at])), *value[at + 1 :]]
    return draw(VALUES)


PIECES = st.sampled_from([b"", b"\0", b'"', b"[", b"{", b"=", b"\r\n", b"%00", b"\xff", b"\\ud800"])


@st.composite
def bytes_like(draw: DrawFn, sound: bytes) -> bytes:
    """Bytes that differ in a few places: something cut out, put in, or written over."""
    body = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        end = at + draw(st.integers(0, 30))
        body[at:end] = draw(st.binary(max_size=8) | PIECES)
    return bytes(body)


def settled(api: Door, answer: Answer) -> None:
    """The answer is one, and whatever was stored has become something."""
    assert answer.status in {200, 202} or 400 <= answer.status < 500, answer
    if answer.status >= 400:
        assert answer.code
        return
    api.settle(*answer.receipts)
    (left,) = api.spine.rows(UNSETTLED)
    assert left == {"receipts": 0, "leads": 0, "dead": 0}
