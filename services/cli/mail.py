"""Commands on mail: take it in, and see how far each mailbox was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.errors import Permanent
from services.cli.place import DataDir, database, read_settings, transaction
from services.cli.run import Name, logging_settings, stopping
from services.cli.terminal import AsJson, print_json, print_table

if TYPE_CHECKING:
    import typer


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Run")(mail)


def mail(data_dir: DataDir = None, name: Name = "mail") -> None:
    """
    Take mail in: by SMTP or LMTP for the addresses of the sources of kind `email`, and out of mailboxes over IMAP.

    Listens where THROUGHLINE_MAIL_LISTEN says (smtp://127.0.0.1:8025, or lmtp://… behind a mail server), with STARTTLS
    where THROUGHLINE_MAIL_CERTIFICATE and THROUGHLINE_MAIL_CERTIFICATE_KEY name PEM files, and only for those who log
    in where THROUGHLINE_MAIL_LOGINS (name:password …) is set.

    Reads what THROUGHLINE_IMAP_URLS names, separated by spaces: imaps://user:password@host/INBOX?source=inbox, and
    there `&move=Done` to move what was read instead of marking it as seen, `&every=30` for the seconds between looks.

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


def mailboxes(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """
    Show every mailbox that is fetched over IMAP: how far it was read, and since when and why it cannot be.

    Skipped are mails that were too large or could not be fetched; they are still in their mailbox, not marked.

    Example: throughline ops mailboxes --json
    """
    from schema.store.mailboxes import mailboxes as all_of_them

    with transaction(read_settings(data_dir)) as connection:
        found = all_of_them(connection)
    if as_json:
        print_json({"mailboxes": found})
        return
    columns = ["mailbox", "source", "last read", "skipped", "error", "since", "alarm"]
    rows = [
        [m["name"], m["source"], m["polled_at"] or "never", m["skipped"], m["error"] or "", m["failing_since"] or "",
         "yes" if m["alarm"] else ""]
        for m in found
    ]  # fmt: skip
    print_table(columns, rows, empty="No mailbox was read yet. THROUGHLINE_IMAP_URLS names them.")
