"""
The CEL library, without the command line that its package brings along.

That one imports a terminal toolkit: a quarter of a second and seven megabytes for each process that only evaluates.
"""

from __future__ import annotations

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402 - after the line that keeps its command line out

__all__ = ["cel"]
