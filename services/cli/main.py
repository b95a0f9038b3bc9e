"""
`throughline`: the entry point.

Expected errors are one line on stderr and exit status 1 (2 for a wrong command line); an unexpected one says its type
and place, and with THROUGHLINE_LOG_LEVEL=DEBUG everything.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from schema import garbage
from schema.errors import ThroughlineError
from services.cli import (
    bench,
    campaigns,
    contracts,
    demo,
    events,
    follow_ups,
    handovers,
    journey,
    keys,
    kpi,
    kpi_counting,
    kpi_flow,
    kpi_report,
    leads,
    mail,
    offers,
    opportunities,
    ops,
    owners,
    people,
    quarantine,
    run,
    score,
    sends,
    sla,
    sources,
    surveys,
    tickets,
)

COMMANDS: Final = (
    run,
    mail,
    demo,
    bench,
    journey,
    sources,
    leads,
    people,
    owners,
    opportunities,
    follow_ups,
    handovers,
    contracts,
    offers,
    tickets,
    sla,
    surveys,
    score,
    campaigns,
    sends,
    events,
    quarantine,
    kpi,
    kpi_flow,
    kpi_report,
    ops,
    kpi_counting,
    keys,
)
"""Modules with `add_to(app)`, in the order of the help. They import nothing slow before a command runs."""

app = typer.Typer(
    name="throughline",
    help="Carries every lead a business receives along the customer journey the business has written down.\n\n"
    "First steps: `throughline demo` shows it, `throughline up` runs it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
for _commands in COMMANDS:
    _commands.add_to(app)


def main() -> None:
    """Run the command line and end the process."""
    garbage.start()
    try:
        app(prog_name="throughline")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("THROUGHLINE_LOG_LEVEL", "").upper() == "DEBUG":
            raise
        print(f"throughline: {_sentence(error)}", file=sys.stderr)
        sys.exit(1)


def _sentence(error: Exception) -> str:
    """Say what went wrong to whoever typed the command."""
    if isinstance(error, ThroughlineError):
        return str(error)
    from sqlalchemy.exc import DBAPIError

    from schema.log import described

    facts = described(error)
    if facts.get("sqlstate") == "42P01":
        return "The database has no tables yet: run `throughline migrate` first."
    if isinstance(error, DBAPIError):
        return f"The database does not answer as expected ({facts.get('sqlstate', facts['error'])}): is it running?"
    return f"Unexpected {facts['error']} at {facts.get('at')}. THROUGHLINE_LOG_LEVEL=DEBUG shows more."


if __name__ == "__main__":
    main()
