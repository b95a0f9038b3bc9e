"""Logs: ids, codes and numbers come through; whatever could be somebody's does not."""

from __future__ import annotations

import io
import json
import logging
import threading
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from schema.errors import Transient
from schema.log import configure, described, only_known
from schema.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "0199f0a0-0000-7000-8000-000000000001"


def logged(log: Any, **settings: str) -> list[dict[str, Any]]:  # noqa: ANN401 - a function that logs
    return [json.loads(line) for line in lines(log, **settings)]


def lines(log: Any, **settings: str) -> list[str]:  # noqa: ANN401
    out = io.StringIO()
    with redirect_stderr(out):
        configure(Settings.model_validate({"log_format": "json"} | settings), process="worker-1")
        log()
    return out.getvalue().splitlines()


def test_a_line_names_its_process_and_keeps_ids_codes_and_numbers() -> None:
    (line,) = logged(lambda: structlog.get_logger().info("step.done", step="score", taken=3, ms=1.5, lead_id=ID))
    assert (line["event"], line["level"], line["process"]) == ("step.done", "info", "worker-1")
    assert (line["step"], line["taken"], line["ms"], line["lead_id"]) == ("score", 3, 1.5, ID)


@pytest.mark.parametrize("value", ["lena@nordwind.example", "+49 30 2345678", ["Lena Vogt"], {"a": 1}, ("x", 1)])
def test_text_that_could_be_a_persons_is_hidden_under_any_unknown_key(value: object) -> None:
    (line,) = logged(lambda: structlog.get_logger().info("event", whatever=value))
    assert line["whatever"] in ("(hidden)", ["(hidden)"], ["(hidden)", 1])


def test_of_an_error_its_type_code_and_place_are_kept_and_never_its_words() -> None:
    def fail() -> None:
        raise Transient("busy", "Lena Vogt is busy")

    def log() -> None:
        try:
            fail()
        except Transient:
            structlog.get_logger().exception("failed")

    (line,) = logged(log)
    assert (line["error"], line["code"]) == ("Transient", "busy")
    assert line["at"].startswith("test_log.py:")
    assert "Lena" not in json.dumps(line)


def test_a_library_is_quoted_by_its_template_without_what_was_filled_in() -> None:
    (line,) = logged(lambda: logging.getLogger("some.library").warning("cannot deliver to %s", "lena@nordwind.example"))
    assert (line["library"], line["reason"]) == ("some.library", "cannot deliver to %s")
    assert logged(lambda: logging.getLogger("some.library").info("chatter")) == []


def test_a_crash_is_a_line_too() -> None:
    def crash() -> None:
        thread = threading.Thread(target=lambda: dict[str, int]()["Lena Vogt"])
        thread.start()
        thread.join()

    (line,) = logged(crash)
    assert (line["event"], line["error"]) == ("thread.crashed", "KeyError")
    assert "Lena" not in json.dumps(line)


@pytest.mark.parametrize("form", ["json", "console"])
def test_control_characters_never_reach_the_terminal(form: str) -> None:
    (line,) = lines(lambda: structlog.get_logger().info("odd", reason="a\x1b[31m\x9b\u202eb\nc"), log_format=form)
    assert not any(character < " " or "\x7f" <= character <= "\x9f" or character == "\u202e" for character in line)


def _closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


class _Gone(io.StringIO):
    """What a pipe is whose reader has ended."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("gone", [_Gone, lambda: None, _closed])
def test_the_work_goes_on_when_nobody_takes_its_lines(gone: Callable[[], io.StringIO | None]) -> None:
    with redirect_stderr(gone()):
        configure(Settings(log_format="json"), process="worker-1")
        structlog.get_logger().info("step.done")
        logging.getLogger("pika").warning("Received remote Channel.Close")


def test_lines_follow_stderr_wherever_it_goes() -> None:
    log = structlog.get_logger()
    with redirect_stderr(io.StringIO()):
        configure(Settings(log_format="json"), process="worker-1")
        log.info("first")
    with redirect_stderr(io.StringIO()) as later:
        log.info("second")
    assert '"event":"second"' in later.getvalue()


def test_what_is_below_the_level_costs_no_line() -> None:
    assert logged(lambda: structlog.get_logger().info("quiet"), log_level="WARNING") == []


def test_numbers_and_nothing_are_always_shown() -> None:
    assert only_known(None, "", {"rows": 3, "share": 0.5, "done": True, "missing": None}) == {
        "rows": 3, "share": 0.5, "done": True, "missing": None,
    }  # fmt: skip


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert described(KeyError("Lena")) == {"error": "KeyError"}
