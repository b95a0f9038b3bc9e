"""The command that takes mail in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.errors import Permanent
from services.cli.place import DataDir, database
from services.cli.run import Name, logging_settings, stopping

if TYPE_CHECKING:
    import typer


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Run")(mail)


def mail(data_dir: DataDir = None, name: Name = "mail") -> None:
    """
    Take mail in: by SMTP or LMTP for the addresses of the sources of kind `email`, and out of mailboxes over IMAP.

    Listens where THROUGHLINE_MAIL_LISTEN says (smtp://127.0.0.1:8025, or lmtp://… behind a mail server), reads what
    THROUGHLINE_IMAP_URLS names, separated by spaces: imaps://user:password@host/INBOX?source=inbox, and there
    `&move=Done` to move what was read instead of marking it as seen, `&every=30` for the seconds between two looks.

    Example: THROUGHLINE_MAIL_LISTEN=smtp://127.0.0.1:8025 throughline mail
    """
    settings = logging_settings(data_dir, name)
    if not (settings.mail_listen or settings.imap_urls.get_secret_value()):
        raise Permanent(
            "mail_not_configured",
            "Neither THROUGHLINE_MAIL_LISTEN nor THROUGHLINE_IMAP_URLS is set: there is no mail to take. "
            "See `throughline mail --help`.",
        )
    from services.cli.sending import sending
    from services.mail.run import run_mail

    with database(settings) as url, sending(settings, url) as hints, stopping() as stop:
        run_mail(settings, url, lambda ids: hints.send("identify", ids), stop)
