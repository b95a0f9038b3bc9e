"""Commands that show a campaign's message as somebody would get it, and send it to somebody who tries it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import plain

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schema.journey import Journey
    from schema.mailing.message import Place, Written
    from schema.settings import Settings

Campaign = Annotated[str, typer.Argument(help="The campaign.")]
Step = Annotated[str, typer.Argument(help="Its step that sends, by name; or the template.")]
Person = Annotated[str | None, typer.Option("--person", help="The id of a person, a lead, or an e-mail address.")]
OfJourney = Annotated[str | None, typer.Option("--journey", help="The journey, where several are active.")]
_SOMEBODY = {"name": "Ana Lopez", "first_name": "Ana", "email": "ana@example.com", "country": "DE", "language": "en"}


def preview(
    campaign: Campaign,
    step: Step,
    person: Person = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the page into this file.")] = None,
    journey: OfJourney = None,
    data_dir: DataDir = None,
) -> None:
    """
    Show a message as somebody would get it now; without `--person` as a made-up Ana Lopez would. Nothing is sent.

    Example: throughline campaigns preview welcome send_1 --person ana@example.com --html /tmp/welcome.html
    """
    settings = read_settings(data_dir)
    with transaction(settings) as connection:
        written = _written(connection, settings, campaign, step, person, journey, to=None)
    print(f"To:       {plain(written.recipient)}")
    print(f"Subject:  {plain(written.rendered.subject)}\n")
    print("\n".join(plain(line) for line in written.rendered.text.splitlines()))
    if html is not None:
        html.write_text(written.rendered.html, encoding="utf-8")
        print(f"\nThe page is in {html}.")


def try_out(
    campaign: Campaign,
    step: Step,
    to: Annotated[str, typer.Option("--to", help="Where to send it.")],
    person: Person = None,
    journey: OfJourney = None,
    data_dir: DataDir = None,
) -> None:
    """
    Send a message to an address that tries it out, filled in for a person or for a made-up Ana Lopez.

    It is not counted, and its links lead where they say. Example: throughline campaigns test welcome send_1 --to
    me@example.com
    """
    from schema.store.ids import new_id
    from workers.sending.transport import Accepted, make_transport

    settings = read_settings(data_dir)
    with transaction(settings) as connection:
        written = _written(connection, settings, campaign, step, person, journey, to=to)
    transport = make_transport(settings)
    try:
        outcome = transport.hand_over(f"test-{new_id()}", written)
    finally:
        transport.close()
    if not isinstance(outcome, Accepted):
        raise Permanent("not_sent", f"The mail server did not take it: {_told(outcome)}.")
    folder = settings.data_dir / "outbox"
    print("sent" if settings.smtp_url.get_secret_value() else f"written into {folder}: THROUGHLINE_SMTP_URL is not set")


def _written(
    connection: Connection,
    settings: Settings,
    campaign: str,
    step: str,
    person: str | None,
    journey: str | None,
    *,
    to: str | None,
) -> Written:
    """The message as it would be sent, its links leading where they say. Raises Permanent."""
    from schema.fill import Unfilled
    from schema.mailing.message import NOWHERE, Place, write
    from schema.store import clock
    from schema.store.ids import new_id
    from schema.store.journeys import JourneyBook, active_name

    found = JourneyBook().by_name(connection).get(journey or active_name(connection))
    if found is None:
        raise Permanent("journey_not_active", "No such journey is active; `throughline journey versions` lists all.")
    place: Place = Place(settings.base_url.rstrip("/") or NOWHERE, settings.pepper())
    template, marketing = _template(found, campaign, step)
    facts = _facts(connection, found, person)
    row: dict[str, Any] = {
        "id": new_id(),
        "campaign": campaign,
        "step": step,
        "template": template,
        "lane": int(marketing),
        "lead_id": facts.lead_id,
        "data": {},
    }
    address = to or facts.person.get("email")
    if not address:
        raise Permanent("no_address", "This person has no e-mail address.")
    try:
        return write(row, facts, found, address, place, clock.now(), tracked=False)
    except Unfilled as error:
        field = error.facts.get("field")
        if field:
            words = f"Nothing would be sent: {field} is not known of this person and has no default in the template."
            raise Permanent(error.code, words) from None
        raise Permanent(error.code, f"The template cannot be filled in: {error}") from None


def _template(journey: Journey, campaign: str, step: str) -> tuple[str, bool]:
    """The template that a step of a campaign sends, and whether it is marketing."""
    from schema.journey.fields import nearest

    found = journey.campaigns.get(campaign)
    if found is None:
        known = nearest(campaign, list(journey.campaigns)) or f"; there are {', '.join(journey.campaigns) or 'none'}"
        raise Permanent("campaign_unknown", f"There is no campaign {campaign}{known}.")
    sending = {name: each.send for name, each in zip(found.names, found.steps, strict=True) if each.send}
    template = sending.get(step) or (step if step in sending.values() else None)
    if template is None:
        listed = ", ".join(f"{name} ({template})" for name, template in sending.items()) or "none"
        raise Permanent("step_unknown", f"{campaign} has no step {step} that sends; those that do: {listed}.")
    return template, found.kind == "marketing"


def _facts(connection: Connection, journey: Journey, person: str | None) -> Any:  # noqa: ANN401 - facts
    from sqlalchemy import text

    from schema.facts import Facts
    from schema.store import clock, suppression
    from schema.store.ids import is_id
    from schema.store.journeys import JourneyBook
    from workers.batch import Batch

    if person is None:
        return Facts("00000000-0000-7000-8000-000000000000", "website", "form", journey.initial, person=dict(_SOMEBODY))
    query = text("""
        SELECT l.id FROM lead AS l WHERE l.journey_name = :journey AND l.person_id IN (
            SELECT id FROM person WHERE id = CAST(:id AS uuid)
            UNION ALL SELECT person_id FROM lead WHERE id = CAST(:id AS uuid)
            UNION ALL SELECT person_id FROM person_key WHERE kind = 'email' AND value = :key)
        ORDER BY l.id DESC LIMIT 1
    """)
    wanted = {"journey": journey.name, "id": person if is_id(person) else None}
    wanted["key"] = suppression.address_key(person) if "@" in person else None
    lead = connection.execute(query, wanted).scalar_one_or_none()
    if lead is None:
        raise Permanent("person_not_found", "Nobody with this id or address has a lead on this journey.")
    batch = Batch(connection, JourneyBook(), clock.now(), "deliver")
    batch.load([lead])
    return batch.cases[lead].facts


def _told(outcome: object) -> str:
    from workers.sending.transport import Refused

    if isinstance(outcome, Refused):
        return f"{outcome.answer.code} {plain(outcome.answer.text)}"
    return str(getattr(outcome, "reason", "unknown"))
