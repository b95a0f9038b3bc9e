"""Commands that show a campaign's message as somebody would get it, and send it to somebody who tries it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.journey import WHICH, journey_texts, read_journey
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import plain

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from schema.facts import Facts
    from schema.journey import Journey
    from schema.mailing.message import Place, Written
    from schema.settings import Settings

Campaign = Annotated[str, typer.Argument(help="The campaign.")]
Step = Annotated[str, typer.Argument(help="Its step that sends, by name; or the template.")]
Person = Annotated[str | None, typer.Option("--person", help="The id of a person, a lead, or an e-mail address.")]
Draft = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help=f"{WHICH}, in place of the active one.", show_default=False)
]
Language = Annotated[
    str | None, typer.Option("--language", help="As somebody of this language would get it, as in de or pt-BR.")
]
OfJourney = Annotated[str | None, typer.Option("--journey", help="The journey, where several are active.")]
_SOMEBODY = {"name": "Ana Lopez", "first_name": "Ana", "email": "ana@example.com", "country": "DE", "language": "en"}


def preview(  # noqa: PLR0913 - what may be asked for
    campaign: Campaign,
    step: Step,
    draft: Draft = None,
    *,
    person: Person = None,
    language: Language = None,
    html: Annotated[Path | None, typer.Option("--html", help="Also write the page into this file.")] = None,
    journey: OfJourney = None,
    data_dir: DataDir = None,
) -> None:
    """
    Show a message as somebody would get it now; without `--person` as a made-up Ana Lopez would. Nothing is sent.

    Of a real person it also says what would hold the message back now. With a journey file and no person it needs no
    database. Example: throughline campaigns preview welcome send_1 --person ana@example.com --html /tmp/welcome.html
    """
    settings = read_settings(data_dir)
    asked = _ask(settings, campaign, step, draft=draft, person=person, language=language, journey=journey)
    written = _written(settings, asked)
    print(f"To:       {plain(written.recipient)}")
    print(f"Subject:  {plain(written.rendered.subject)}\n")
    print("\n".join(plain(line) for line in written.rendered.text.splitlines()))
    if asked.held_back:
        print(f"\nIt would not be sent now: {asked.held_back}. See docs/sending.md, what holds a message back.")
    if html is not None:
        html.write_text(written.rendered.html, encoding="utf-8")
        print(f"\nThe page is in {html}.")


def try_out(  # noqa: PLR0913 - what may be asked for
    campaign: Campaign,
    step: Step,
    draft: Draft = None,
    *,
    to: Annotated[str, typer.Option("--to", help="Where to send it.")],
    person: Person = None,
    language: Language = None,
    journey: OfJourney = None,
    data_dir: DataDir = None,
) -> None:
    """
    Send a message to an address that tries it out, filled in for a person or for a made-up Ana Lopez.

    It is not counted, and its links lead where they say, but for the one to unsubscribe, which is nobody's. Example:
    throughline campaigns test welcome send_1 --to me@example.com
    """
    from schema.store.ids import new_id
    from workers.sending.transport import Accepted, make_transport

    settings = read_settings(data_dir)
    asked = _ask(settings, campaign, step, draft=draft, person=person, language=language, journey=journey)
    written = _written(settings, asked, to)
    transport = make_transport(settings)
    try:
        outcome = transport.hand_over(f"test-{new_id()}", written)
    finally:
        transport.close()
    if not isinstance(outcome, Accepted):
        raise Permanent("not_sent", f"The mail server did not take it: {_told(outcome)}.")
    folder = settings.data_dir / "outbox"
    print("sent" if settings.smtp_url.get_secret_value() else f"written into {folder}: THROUGHLINE_SMTP_URL is not set")


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    A message that somebody wants to see: of a step of a campaign, for whom, and what would hold it back now.

    `alone`: without a database, so that no secret of an installation is asked for, or made.
    """

    journey: Journey
    campaign: str
    step: str
    facts: Facts
    held_back: str | None = None
    alone: bool = False


def _ask(
    settings: Settings,
    campaign: str,
    step: str,
    *,
    draft: str | None,
    person: str | None,
    language: str | None,
    journey: str | None,
) -> _Asked:
    """Read what the message needs. Raises Permanent."""
    wanted = read_journey(journey_texts([draft], settings.data_dir)[0], draft) if draft else None
    spoken = {"language": language} if language else {}
    if wanted is not None and person is None:
        return _Asked(wanted, campaign, step, _somebody(wanted, spoken), alone=True)
    with transaction(settings) as connection:
        found = wanted or _active(connection, journey)
        if person is None:
            return _Asked(found, campaign, step, _somebody(found, spoken))
        facts = _facts(connection, found, person)
        held = _held_back(connection, settings, found, campaign, step, facts)
        facts.know(person=facts.person | spoken)
        return _Asked(found, campaign, step, facts, held)


def _somebody(journey: Journey, more: dict[str, str]) -> Facts:
    from schema.facts import Facts

    return Facts("00000000-0000-7000-8000-000000000000", "website", "form", journey.initial, person=_SOMEBODY | more)


def _active(connection: Connection, journey: str | None) -> Journey:
    from schema.store.journeys import JourneyBook, active_name

    found = JourneyBook().by_name(connection).get(journey or active_name(connection))
    if found is None:
        raise Permanent("journey_not_active", "No such journey is active; `throughline journey versions` lists all.")
    return found


def _written(settings: Settings, asked: _Asked, to: str | None = None) -> Written:
    """The message as it would be sent, its links leading where they say. Raises Permanent."""
    from schema.fill import Unfilled
    from schema.mailing.message import NOWHERE, Place, write
    from schema.store import clock
    from schema.store.ids import new_id

    place: Place = Place(settings.base_url.rstrip("/") or NOWHERE, b"" if asked.alone else settings.pepper())
    template, marketing = _template(asked.journey, asked.campaign, asked.step)
    facts = asked.facts
    row: dict[str, Any] = {
        "id": new_id(),
        "campaign": asked.campaign,
        "step": asked.step,
        "template": template,
        "lane": int(marketing),
        "lead_id": facts.lead_id,
        "data": {},
    }
    address = to or facts.person.get("email")
    if not address:
        raise Permanent("no_address", "This person has no e-mail address.")
    try:
        return write(row, facts, asked.journey, address, place, clock.now(), tracked=False)
    except Unfilled as error:
        field = error.facts.get("field")
        if field:
            words = f"Nothing would be sent: {field} is not known of this person and has no default in the template."
            raise Permanent(error.code, words) from None
        raise Permanent(error.code, f"The template cannot be filled in: {error}") from None


def _held_back(
    connection: Connection, settings: Settings, journey: Journey, campaign: str, step: str, facts: Facts
) -> str | None:
    """What would hold the message back now, as the sender asks it; None: nothing."""
    from schema.consent import MARKETING
    from schema.mailing.wanted import Consent
    from schema.store import clock, consents, sends, suppression
    from workers.decide.sending import Asked, Go, Later, verdict

    _, marketing = _template(journey, campaign, step)
    now, found = clock.now(), journey.campaigns[campaign]
    purpose = found.purpose if marketing else None
    person, key = facts.person["id"], suppression.address_key(facts.person.get("email") or "") or ""
    held = suppression.suppressed(connection, settings.pepper(), {(key, purpose or "")}, now)
    given = {wanted: consents.standing(connection, [person], wanted) for wanted in {purpose or MARKETING, MARKETING}}
    longest = max((cap.per for cap in journey.mail.caps), default=None) if journey.mail and marketing else None
    asked = Asked(
        {"purpose": purpose, "capped": "defer", "campaign": campaign, "planned_at": now},
        facts,
        journey,
        key or None,
        suppressed=held.get((key, purpose or ""), ()),
        consent={
            wanted: Consent(answer["id"], answer["state"] == "given", answer["at"])
            for wanted, answers in given.items()
            if (answer := answers.get(person))
        },
        recent=sends.recent(connection, [person], now - longest).get(person, ()) if longest else (),
    )
    decided = verdict(asked, now)
    if isinstance(decided, Go):
        return None
    return f"{decided.reason}, until {decided.at:%Y-%m-%d %H:%M} UTC" if isinstance(decided, Later) else decided.reason


def _template(journey: Journey, campaign: str, step: str) -> tuple[str, bool]:
    """The template that a step of a campaign sends, and whether it is marketing."""
    from schema.journey.fields import nearest

    found = journey.campaigns.get(campaign)
    if found is None:
        known = nearest(campaign, list(journey.campaigns)) or f"; there are {', '.join(journey.campaigns) or 'none'}."
        raise Permanent("campaign_unknown", f"There is no campaign {campaign}{known}")
    sending = {name: each.send for name, each in zip(found.names, found.steps, strict=True) if each.send}
    template = sending.get(step) or (step if step in sending.values() else None)
    if template is None:
        listed = ", ".join(f"{name} ({template})" for name, template in sending.items()) or "none"
        raise Permanent("step_unknown", f"{campaign} has no step {step} that sends; those that do: {listed}.")
    return template, found.kind == "marketing"


def _facts(connection: Connection, journey: Journey, person: str) -> Facts:
    """What is known of somebody's latest lead on a journey. Raises Permanent."""
    from sqlalchemy import text

    from schema.store import clock, suppression
    from schema.store.ids import is_id
    from schema.store.journeys import JourneyBook
    from workers.batch import Batch

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
