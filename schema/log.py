"""
Logs: one JSON line per unit of work on stderr (for people on a terminal: coloured text), ids and codes only.

Personal data cannot slip in by accident: text is shown under keys known to carry names of ours, elsewhere only where
it is an id; of an error its type, code and place are kept, never its message (databases quote values in theirs);
of a library's message the template, never what was filled into it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, Processor, WrappedLogger

    from schema.settings import Settings

_TEXT_ALLOWED: Final = frozenset({
    "at", "attribute", "broker", "child", "code", "constraint", "cursor", "error", "event", "exchange", "journey",
    "level", "library", "logger", "method", "name", "outcome", "path", "pool", "process", "queue", "queues", "reason",
    "revision", "route", "setting", "signal", "source", "sqlstate", "state", "step", "steps", "subject", "timestamp",
    "trace", "type", "types", "version",
})  # fmt: skip
"""Keys whose text is ours: names from code, the journey file or the settings."""
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}(?:\.[0-9]+)?\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_HIDDEN: Final = "(hidden)"
_LONGEST: Final = 500


def configure(settings: Settings, *, process: str) -> None:
    """Log from here on as `settings` say, each line naming the `process`; library logs and crashes included."""
    level = logging.getLevelNamesMapping().get(settings.log_level.upper(), logging.INFO)
    as_text = settings.log_format == "console" or (not settings.log_format and sys.stderr.isatty())
    finish = _as_text() if as_text else [_as_json]

    def named(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        line["process"] = process
        return line

    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if as_text else "iso", utc=not as_text),
        named,
        error_without_words,
        only_known,
    ]
    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Stderr(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Library()], level=max(level, logging.WARNING), force=True)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed


def error_without_words(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Replace the exception of a line by its type, code and place; its message and variables stay out."""
    error = line.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        line.update(described(error))
    return line


def described(error: BaseException) -> dict[str, str]:
    """Return what may be shown of any error: `error` (its type), `code` or `sqlstate` if it has one, and `at`."""
    named = {"code": getattr(error, "code", None), "sqlstate": _sqlstate(error)}
    facts = {"error": type(error).__name__} | {key: text for key, text in named.items() if isinstance(text, str)}
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        last = frames[-1]
        facts["at"] = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno} {last.name}"
    return facts


def only_known(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Hide every text that could be somebody's: it is shown under a known key or as an id, numbers always."""
    return {key: value if key in _TEXT_ALLOWED else _unless_text(value) for key, value in line.items()}


def _unless_text(value: Any) -> Any:  # noqa: ANN401 - whatever was logged
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_unless_text(item) for item in value]
    return value if isinstance(value, str) and _ID.match(value) else _HIDDEN


def _as_json(_: WrappedLogger, __: str, line: EventDict) -> str:
    # ASCII only: no control character, line separator or text direction mark reaches a terminal or a log shipper.
    return json.dumps(line, default=lambda _: _HIDDEN, separators=(",", ":"))


def _as_text() -> list[Processor]:
    def printable(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
        name = f"{line.pop('process', ''):<9} "
        shown = {key: _printable(value) for key, value in line.items()}
        return shown | {"event": name + str(shown["event"])}

    return [printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=34)]


def _printable(value: Any) -> Any:  # noqa: ANN401 - whatever was logged
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value) if isinstance(value, str) else value


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)


class _Stderr:
    """Writes lines to where stderr is at that moment. One that cannot be written is lost: the work goes on."""

    _one_at_a_time = threading.Lock()

    def msg(self, line: str) -> None:
        with self._one_at_a_time, suppress(OSError, ValueError):
            if sys.stderr is not None:
                print(line, file=sys.stderr, flush=True)  # noqa: T201 - this is where lines come out

    debug = info = warning = error = critical = exception = log = msg


class _Library(logging.Handler):
    """Sends what libraries log through our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        template = record.msg.strip()[:_LONGEST] if isinstance(record.msg, str) else type(record.msg).__name__
        log = structlog.get_logger()
        log.log(record.levelno, "library", library=record.name, reason=template, exc_info=record.exc_info)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.crashed", exc_info=error.with_traceback(trace))


def _thread_crashed(happened: threading.ExceptHookArgs) -> None:
    if happened.exc_value is not None:
        structlog.get_logger().critical("thread.crashed", exc_info=happened.exc_value)
