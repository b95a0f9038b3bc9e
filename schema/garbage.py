"""
Python's cycle collector, set for processes that handle many small things and keep few.

By default it looks at the young objects after every 700 new ones, and now and then at all there are. A request or a
lead makes hundreds of objects and almost no cycles: measured, it was a fifth of the API's time.
"""

from __future__ import annotations

import gc
from itertools import count

_STARTING = 2_000_000
_YOUNG = 50_000
_ALL_EVERY = 1_000
_looks = count(1)


def start() -> None:
    """Call first: while modules are loaded nothing becomes garbage; looking for it takes a sixth of that time."""
    gc.set_threshold(_STARTING, 20, 20)


def settle_in() -> None:
    """Call when start-up is done: what exists now is here to stay, and new garbage is looked for less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


def only_between_batches() -> None:
    """Look for garbage only when `between_batches` says so: inside a batch everything is still in use."""
    settle_in()
    gc.disable()


def between_batches() -> None:
    """Collect what the last batch left; everything there is, once in a while."""
    gc.collect(2 if next(_looks) % _ALL_EVERY == 0 else 0)
