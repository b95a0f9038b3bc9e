"""Messages out: each once, only to who may be written to, and visibly what became of each."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from schema import tables
from schema.store import rows, sends, suppression
from schema.store.ids import new_id
from services.cli.main import app
from tests.mailroom import NURTURE, Mailroom, journey_text, page, plain
from tests.sink import Sink
from tests.spine import NOON
from workers.sending.smtp import Patience, Smtp
from workers.sending.transport import server_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mailroom import Lead
    from tests.spine import Spine

QUICK = Patience(connect=0.4, command=0.4, data=0.4, answer=0.4)
DAY = timedelta(days=1)


@pytest.fixture
def room(spine: Spine, tmp_path: Path) -> Mailroom:
    return Mailroom(spine, tmp_path)


def suppress(room: Mailroom, lead: Lead, reason: suppression.Reason, **more: Any) -> None:  # noqa: ANN401
    key = suppression.address_key(lead.email)
    assert key
    with room.spine.engine.begin() as connection:
        suppression.suppress(connection, room.settings.pepper(), key, reason, room.spine.now, **more)


def smtp(sink: Sink) -> Smtp:
    return Smtp(server_of(sink.url), QUICK)


# -- what goes, and what does not ------------------------------------------------------------------------------------


def test_a_lead_who_agreed_is_written_to_once(room: Mailroom) -> None:
    lead = room.lead("bea@firm.example")
    send = room.plan(lead)

    assert (room.deliver(), room.deliver()) == (1, 0)
    (mail,) = room.mails
    row = room.send(send)
    assert (row["state"], row["reason"], row["reply"], row["due_at"]) == ("sent", None, "250", None)
    assert mail["To"] == "bea@firm.example"
    assert mail["Subject"] == "Hello Bea"
    assert mail["Message-ID"] == f"<{send}@example.com>"
    assert room.spine.rows(
        "SELECT lead_id, direction FROM message WHERE message_id = :id", id=f"{send}@example.com"
    ) == [{"lead_id": lead.lead_id, "direction": "out"}]


def test_marketing_says_how_to_unsubscribe_and_who_sends_it_and_service_mail_needs_not(room: Mailroom) -> None:
    lead = room.lead()
    room.plan(lead)
    room.plan(lead, "orders", "receipt")
    room.deliver()

    service, marketing = sorted(room.mails, key=lambda mail: str(mail["Subject"]), reverse=True)
    assert marketing["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    https, mailto = str(marketing["List-Unsubscribe"]).split(", ")
    assert https.startswith("<https://mail.example.com/u/")
    assert mailto.startswith("<mailto:sales+")
    assert mailto.endswith("@example.com?subject=unsubscribe>")
    assert marketing["Reply-To"].addresses[0].username.startswith("sales+")
    assert "10115 Berlin" in plain(marketing)
    assert "10115 Berlin" in page(marketing)
    assert (service["List-Unsubscribe"], service["Auto-Submitted"]) == (None, "auto-generated")
    assert "https://example.com" not in page(marketing)
    assert all(len(line) <= 998 for line in bytes(marketing).splitlines())


@pytest.mark.parametrize(
    ("consent", "reason"),
    [
        ({}, "no_consent"),
        ({"marketing": False}, "withdrawn"),
        ({"newsletter": True}, "no_consent"),
        ({"newsletter": False, "marketing": True}, None),
    ],
)
def test_marketing_goes_to_nobody_who_did_not_agree(
    room: Mailroom, consent: dict[str, bool], reason: str | None
) -> None:
    lead = room.lead(consent=consent)
    send = room.plan(lead)
    room.deliver()

    assert room.fate(send) == (("skipped", reason) if reason else ("sent", None))


def test_a_no_to_all_marketing_is_one_to_every_purpose_until_a_newer_yes(room: Mailroom) -> None:
    lead = room.lead(consent={"newsletter": True})
    room.spine.passes(timedelta(hours=1))
    room.says(lead, {"marketing": False})
    first = room.plan(lead, "news")
    room.deliver()
    room.spine.passes(timedelta(hours=1))
    room.says(lead, {"newsletter": True})
    second = room.plan(lead, "news", entry_key="again")
    room.deliver()

    assert (room.fate(first), room.fate(second)) == (("skipped", "withdrawn"), ("sent", None))


@pytest.mark.parametrize("reason", ["hard_bounce", "complaint", "unsubscribed", "by_hand"])
def test_a_suppressed_address_is_not_written_to(room: Mailroom, reason: suppression.Reason) -> None:
    lead = room.lead("Bea.Stone+news@Gmail.com")
    suppress(room, lead, reason, covers="all" if reason in {"hard_bounce", "by_hand"} else "marketing")
    marketing, service = room.plan(lead), room.plan(lead, "orders", "receipt")
    room.deliver()

    assert room.fate(marketing) == ("skipped", reason)
    held = reason in {"hard_bounce", "by_hand"}
    assert room.fate(service) == (("skipped", reason) if held else ("sent", None))


def test_who_unsubscribed_and_agrees_anew_is_written_to_and_who_complained_is_not(room: Mailroom) -> None:
    again, never = room.lead(), room.lead()
    suppress(room, again, "unsubscribed", covers="marketing")
    suppress(room, never, "complaint", covers="marketing")
    room.spine.passes(timedelta(hours=1))
    for lead in (again, never):
        room.says(lead, {"marketing": True})
    first, second = room.plan(again), room.plan(never)
    room.deliver()

    assert (room.fate(first), room.fate(second)) == (("sent", None), ("skipped", "complaint"))


def test_a_no_to_one_purpose_leaves_the_others(room: Mailroom) -> None:
    lead = room.lead(consent={"marketing": True, "newsletter": True})
    suppress(room, lead, "unsubscribed", covers="marketing", purposes=["newsletter"])
    news, welcome = room.plan(lead, "news"), room.plan(lead)
    room.deliver()

    assert (room.fate(news), room.fate(welcome)) == (("skipped", "unsubscribed"), ("sent", None))


def test_a_field_that_is_missing_stops_the_message(room: Mailroom) -> None:
    missing, known = room.lead(), room.lead()
    room.spine.do("""UPDATE person SET custom = '{"plan": "Pro"}' WHERE id = :id""", id=known.person_id)
    first, second = room.plan_all([missing, known], "welcome", "strict")
    room.deliver()

    assert (room.fate(first), room.fate(second)) == (("skipped", "field_missing"), ("sent", None))
    assert room.send(first)["data"] == {"missing": "person.custom.plan"}
    assert "person.custom.plan" in cli(room, "sends", "show", first).stdout


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE lead SET test = true WHERE id = :lead", "test_lead"),
        ("UPDATE lead SET quiet = true WHERE id = :lead", "quiet_import"),
        ("UPDATE person SET email = NULL WHERE id = (SELECT person_id FROM lead WHERE id = :lead)", "no_address"),
        (
            "UPDATE person SET email = 'bea@' WHERE id = (SELECT person_id FROM lead WHERE id = :lead)",
            "address_unusable",
        ),
        ("UPDATE send SET template = 'gone' WHERE lead_id = :lead", "template_unknown"),
        ("UPDATE send SET enrolment_id = gen_random_uuid() WHERE lead_id = :lead", "over"),
    ],
)
def test_what_cannot_or_must_not_be_sent_says_why(room: Mailroom, change: str, reason: str) -> None:
    lead = room.lead()
    send = room.plan(lead)
    room.spine.do(change, lead=lead.lead_id)
    room.deliver()

    assert (room.fate(send), room.mails) == (("skipped", reason), [])


# -- when it goes ----------------------------------------------------------------------------------------------------


def test_the_more_important_message_takes_the_last_place_under_the_cap(room: Mailroom) -> None:
    lead = room.lead(consent={"marketing": True, "newsletter": True})
    plain = [room.plan(lead, due_at=NOON - timedelta(hours=hours), entry_key=f"{hours}") for hours in (3, 2)]
    news = room.plan(lead, "news")
    assert room.deliver() == 2

    assert [room.fate(send) for send in (news, *plain)] == [("sent", None), ("sent", None), ("planned", "capped")]
    assert room.send(plain[1])["due_at"] == NOON + DAY
    assert room.deliver(NOON + DAY) == 1


@pytest.mark.parametrize("policy", ["skip", "abort"])
def test_a_message_that_may_be_left_out_is_where_the_cap_is_reached(room: Mailroom, policy: str) -> None:
    lead = room.lead()
    found = [room.plan(lead, entry_key=str(number), capped=policy) for number in range(3)]
    room.deliver()

    assert (
        sorted(room.fate(send) for send in found) == [("sent", None), ("sent", None), ("skipped", "capped")]
        or [room.fate(send)[0] for send in found].count("sent") == 2
    )


def test_marketing_waits_for_the_hours_of_the_person_and_service_mail_does_not(spine: Spine, tmp_path: Path) -> None:
    hours = NURTURE.replace("  caps:", "  hours: {mon-fri: '09:00-17:00'}\n  assume: Europe/Berlin\n  caps:")
    room = Mailroom(spine, tmp_path, more=hours)
    lead = room.lead("bea@firm.example", country="JP")
    marketing, service = room.plan(lead), room.plan(lead, "orders", "receipt")
    room.deliver()

    assert room.fate(service) == ("sent", None)
    assert room.fate(marketing) == ("planned", "quiet_hours")
    assert room.send(marketing)["due_at"] == datetime(2026, 11, 23, 0, 0, tzinfo=UTC)


def test_pausing_a_campaign_loses_nothing(room: Mailroom) -> None:
    found = room.plan_all([room.lead() for _ in range(3)], "welcome", "hello")
    other = room.plan(room.lead(), "orders", "receipt")
    with room.spine.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO campaign_state (journey_name, campaign, paused_at) VALUES ('default', 'welcome', now())")
        )
    assert room.deliver() == 1
    assert {room.fate(send) for send in found} == {("planned", "campaign_paused")}
    with room.spine.engine.begin() as connection:
        assert not sends.owes(connection, NOON + DAY, DAY)
        assert sends.unpark(connection, NOON) == 0
    room.spine.do("UPDATE campaign_state SET paused_at = NULL")
    with room.spine.engine.begin() as connection:
        assert sends.owes(connection, NOON, DAY)
    assert room.deliver() == 3

    assert {room.fate(send) for send in (*found, other)} == {("sent", None)}


def test_service_mail_leaves_before_the_bulk_that_was_there_first_also_to_a_domain_that_has_enough(
    spine: Spine, tmp_path: Path
) -> None:
    with Sink(rcpt=["451 4.7.0 slower, please"]) as sink:
        room = Mailroom(spine, tmp_path, smtp_url=sink.url, smtp_rate=1)
        bulk = room.plan_all([room.lead(f"lead{n}@firm.example") for n in range(4)], "welcome", "hello")
        deliverer = room.deliverer(lambda: smtp(sink), most=2)
        deliverer.drain(room.spine.now)
        assert [room.fate(send) for send in bulk] == [("planned", "deferred")] + [("planned", "paced")] * 3

        service = room.plan(room.lead("order@firm.example"), "orders", "receipt")
        deliverer.drain(room.spine.now)
        assert sink.recipients == ["order@firm.example"]
        assert room.fate(service) == ("sent", None)

        room.plan(room.lead("late@firm.example"), "orders", "receipt", due_at=room.spine.now + DAY)
        deliverer.drain(room.spine.now + DAY)
        assert sink.recipients[1] == "late@firm.example"


def test_a_message_of_a_version_that_cannot_be_read_waits(room: Mailroom) -> None:
    send = room.plan(room.lead(), journey="newer0000000")
    room.deliver()

    assert room.fate(send) == ("planned", None)


def test_an_enrolment_goes_on_when_its_message_is_settled_and_its_exit_stops_the_message(room: Mailroom) -> None:
    going, left = room.lead(), room.lead()
    sent = []
    for lead, outcome in ((going, None), (left, "exited")):
        enrolment = {
            "id": new_id(),
            "journey_name": "default",
            "journey": room.journey.version,
            "campaign": "welcome",
            "person_id": lead.person_id,
            "lead_id": lead.lead_id,
            "entry_key": "once",
            "entered_at": NOON,
            "entered_by": "event",
            "step": None if outcome else "send_1",
            "since": NOON,
            "listens_since": NOON,
            "outcome": outcome,
            "ended_at": NOON if outcome else None,
        }
        with room.spine.engine.begin() as connection:
            rows.insert(connection, tables.enrolment, [enrolment])
        sent.append(room.plan(lead, enrolment_id=enrolment["id"]))
    room.spine.hints.hints.clear()
    room.deliver()

    assert [room.fate(send) for send in sent] == [("sent", None), ("skipped", "over")]
    due = {row["lead_id"]: row["due_at"] for row in room.spine.rows("SELECT lead_id, due_at FROM enrolment")}
    assert due == {going.lead_id: NOON, left.lead_id: None}
    assert ("nurture", 1) in {(name, len(ids)) for name, ids in room.spine.hints.hints}


# -- handing over ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "does", "fate"),
    [
        ("connect", "drop", ("planned", "smtp_unreachable")),
        ("connect", "stall", ("planned", "smtp_unreachable")),
        ("connect", "554 5.7.1 go away", ("planned", "smtp_unreachable")),
        ("ehlo", "stall", ("planned", "smtp_unreachable")),
        ("mail", "stall", ("planned", "smtp_connection_lost")),
        ("mail", "drop", ("planned", "smtp_connection_lost")),
        ("mail", "451 4.3.0 later", ("planned", "deferred")),
        ("mail", "550 5.7.1 not you", ("planned", "smtp_sender_refused")),
        ("rcpt", "stall", ("planned", "smtp_connection_lost")),
        ("rcpt", "450 4.2.0 greylisted", ("planned", "deferred")),
        ("rcpt", "421 4.7.0 too much", ("planned", "deferred")),
        ("rcpt", "550 5.1.1 nobody here", ("failed", "refused")),
        ("data", "451 4.3.0 later", ("planned", "deferred")),
        ("data", "554 5.7.1 spam", ("failed", "refused")),
        ("data", "drop", ("unknown", "answer_lost")),
        ("data", "stall", ("unknown", "answer_late")),
        ("taken", "drop", ("unknown", "answer_lost")),
        ("taken", "stall", ("unknown", "answer_late")),
    ],
)
def test_whatever_a_mail_server_does_nobody_gets_a_message_twice(
    room: Mailroom, stage: str, does: str, fate: tuple[str, str]
) -> None:
    send = room.plan(room.lead())
    with Sink(**{stage: [does]}) as sink:
        room.deliver(transport=lambda: smtp(sink))
        assert room.fate(send) == fate
        assert len(sink.taken) == (1 if stage == "taken" else 0)
        room.deliver(NOON + DAY, transport=lambda: smtp(sink))

        again = fate[0] == "planned"
        assert sum(sink.counted.values()) == (1 if again or stage == "taken" else 0)
        assert room.fate(send) == (("sent", None) if again else fate)


def test_service_mail_that_finds_no_conversation_is_free_for_another_one_at_once(room: Mailroom) -> None:
    bulk, service = room.plan(room.lead()), room.plan(room.lead(), "orders", "receipt")
    with Sink(connect=["421 4.7.0 too many connections"]) as sink:
        room.deliver(transport=lambda: smtp(sink))
        assert (room.fate(service), room.send(service)["due_at"]) == (("planned", "smtp_unreachable"), NOON)
        assert room.fate(bulk) == ("planned", "put_back")
        room.deliver(transport=lambda: smtp(sink))
        assert len(sink.taken) == 2


def test_a_server_that_drops_an_idle_conversation_costs_no_message(room: Mailroom) -> None:
    found = room.plan_all([room.lead() for _ in range(3)], "welcome", "hello")
    with Sink(mail=["", "421 4.4.2 too long", ""]) as sink:
        room.deliver(transport=lambda: smtp(sink))
        room.deliver(NOON + DAY, transport=lambda: smtp(sink))

        assert (len(sink.taken), max(sink.counted.values())) == (3, 1)
    assert {room.fate(send) for send in found} == {("sent", None)}


def test_an_address_that_does_not_exist_is_not_tried_again_by_anybody(room: Mailroom) -> None:
    lead = room.lead()
    first = room.plan(lead)
    with Sink(rcpt=["550 5.1.1 no such user"]) as sink:
        room.deliver(transport=lambda: smtp(sink))
        second = room.plan(lead, "orders", "receipt")
        room.deliver(transport=lambda: smtp(sink))

        assert sink.taken == []
    assert (room.fate(first), room.fate(second)) == (("failed", "refused"), ("skipped", "hard_bounce"))
    assert (room.send(first)["reply"], room.send(first)["bounced_at"]) == ("550", NOON)


def test_what_is_refused_for_now_is_tried_for_days_and_then_given_up(room: Mailroom) -> None:
    send = room.plan(room.lead(), "orders", "receipt")
    now = NOON
    with Sink(rcpt=["450 4.2.0 later"] * 20) as sink:
        while room.fate(send)[0] == "planned":
            room.deliver(now, transport=lambda: smtp(sink))
            now = room.send(send)["due_at"] or now
    assert room.fate(send) == ("failed", "gave_up")
    assert timedelta(days=2) < now - NOON < timedelta(days=6)


def test_one_conversation_carries_many_messages(room: Mailroom) -> None:
    room.plan_all([room.lead() for _ in range(5)], "welcome", "hello")
    with Sink() as sink:
        room.deliver(transport=lambda: smtp(sink))

        assert (len(sink.taken), sink.connections) == (5, 1)


def test_a_line_that_begins_with_a_dot_arrives_as_it_was(spine: Spine, tmp_path: Path) -> None:
    room = Mailroom(spine, tmp_path, more=NURTURE.replace("text: 'Thank you.'", "text: '.env is the file.'"))
    room.plan(room.lead(), "orders", "receipt")
    with Sink() as sink:
        room.deliver(transport=lambda: smtp(sink))

        assert plain(sink.mails[0]).startswith(".env is the file.")


def test_personal_data_makes_no_header_and_no_markup(room: Mailroom) -> None:
    lead = room.lead(name="Eve\r\nBcc: all@firm.example <b>[x](https://evil.example)")
    room.spine.do("UPDATE person SET name = :name WHERE id = :id", name="[x](https://evil.example)\r\nBcc:eve@firm.example <b>", id=lead.person_id)  # fmt: skip  # noqa: E501
    room.plan(lead)
    room.deliver()

    (mail,) = room.mails
    assert mail["Bcc"] is None
    assert 'href="https://evil' not in page(mail)
    assert "<b>" not in page(mail)


# -- what nobody knows -----------------------------------------------------------------------------------------------


def claimed(room: Mailroom, send: str, at: datetime) -> None:
    room.spine.do("UPDATE send SET state = 'sending', due_at = NULL, claimed_at = :at WHERE id = :id", at=at, id=send)


def test_a_message_whose_worker_ended_is_unknown_and_not_sent_again_by_itself(room: Mailroom) -> None:
    send = room.plan(room.lead())
    claimed(room, send, NOON - timedelta(hours=1))
    with Sink() as sink:
        room.deliver(transport=lambda: smtp(sink))
        assert room.fate(send) == ("unknown", "worker_ended")
        with room.spine.engine.begin() as connection:
            assert sends.counts(connection, NOON)["unknown"] == 1
            sends.resolve(connection, send, sent=False, now=NOON)
        assert room.deliver(transport=lambda: smtp(sink)) == 1
        with room.spine.engine.begin() as connection, pytest.raises(LookupError):
            sends.resolve(connection, send, sent=False, now=NOON)

        assert len(sink.taken) == 1


def test_a_folder_knows_what_became_of_a_message(room: Mailroom) -> None:
    went, not_yet = room.plan_all([room.lead(), room.lead()], "welcome", "hello")
    room.deliver()
    (room.folder / "outbox" / f"{not_yet}.eml").unlink()
    for send in (went, not_yet):
        claimed(room, send, NOON - timedelta(hours=1))
    room.deliver()

    assert {room.fate(send) for send in (went, not_yet)} == {("sent", None)}
    assert len(room.mails) == 2


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://x", "smtp://", "smtp://h:port", "smtp://h/path", "smtp://h?tls=maybe", "x"])
def test_a_mail_server_that_is_none_is_told_without_what_was_typed(url: str) -> None:
    with pytest.raises(Exception, match="THROUGHLINE_SMTP_URL") as error:
        server_of(url.replace("smtp://h", "smtp://user:hush@h"))
    assert "hush" not in str(error.value)


def test_a_password_is_only_said_over_an_encrypted_line() -> None:
    assert server_of("smtp://user:word@host").tls == "required"
    assert (server_of("smtps://host").port, server_of("smtp://host").port) == (465, 25)
    with Sink() as sink:
        url = f"smtp://user:word@127.0.0.1:{sink.port}"
        found = Smtp(server_of(url), QUICK).hand_over("x", None)  # type: ignore[arg-type]
    assert found == ("smtp_tls_missing",)


def test_links_wait_until_somebody_has_said_where_they_lead(spine: Spine, tmp_path: Path) -> None:
    with Sink() as sink:
        room = Mailroom(spine, tmp_path, base_url="", smtp_url=sink.url)
        send = room.plan(room.lead())
        room.deliver()
        assert room.fate(send) == ("planned", "base_url_missing")


# -- by hand ---------------------------------------------------------------------------------------------------------


def test_an_operator_sees_what_nobody_knows_and_says_what_became_of_it(room: Mailroom) -> None:
    sent, again = room.plan_all([room.lead(), room.lead()], "orders", "receipt")
    for send in (sent, again):
        claimed(room, send, NOON - timedelta(hours=1))
    with Sink() as sink:
        room.deliver(transport=lambda: smtp(sink))
    listed = json.loads(cli(room, "sends", "list", "--unknown", "--json").stdout)
    assert {item["id"] for item in listed["items"]} == {sent, again}
    assert cli(room, "sends", "resolve", sent, "sent", "--dry-run").exit_code == 0
    assert room.fate(sent)[0] == "unknown"
    assert cli(room, "sends", "resolve", sent, "sent").exit_code == 0
    assert cli(room, "sends", "resolve", again, "again").exit_code == 0
    assert cli(room, "sends", "resolve", sent, "again").exit_code != 0

    assert (room.fate(sent)[0], room.fate(again)[0]) == ("sent", "planned")


def test_a_message_is_previewed_as_its_person_would_get_it_and_a_missing_field_is_named(room: Mailroom) -> None:
    lead = room.lead("bea@firm.example", language="de")
    shown = cli(
        room, "campaigns", "preview", "welcome", "hello", "--person", lead.email, "--html", f"{room.folder}/p.html"
    )
    assert "Hello Bea" in shown.stdout
    assert "Abmelden:" in shown.stdout
    assert "not be sent" not in shown.stdout
    assert "https://example.com/guide" in (room.folder / "p.html").read_text()
    room.says(lead, {"marketing": False})
    now = cli(room, "campaigns", "preview", "welcome", "hello", "--person", lead.email).stdout
    assert "It would not be sent now: withdrawn." in now
    (room.folder / "draft.yaml").write_text(
        journey_text().replace(
            "subject: Your plan,", "subject: Plan, languages: {es: {subject: Su plan, text: Es todo.}},"
        )
        + "  plan: {enter: [{event: never.happens}], steps: [{send: strict}]}\n"
    )
    draft = ("campaigns", "preview", "plan", "send_1", f"{room.folder}/draft.yaml")
    assert "Su plan" in cli(room, *draft, "--language", "es").stdout
    missing = cli(room, *draft, "--person", lead.lead_id)
    assert missing.exit_code != 0
    assert "person.custom.plan is not known of this person" in str(missing.exception)
    assert room.spine.rows("SELECT * FROM send") == []
    tried = cli(room, "campaigns", "test", "welcome", "send_1", "--to", "me@firm.example")
    assert tried.exit_code == 0
    (mail,) = room.mails
    assert mail["To"] == "me@firm.example"


def test_an_address_is_suppressed_and_lifted_by_hand(room: Mailroom) -> None:
    lead = room.lead("bea@firm.example")
    assert cli(room, "sends", "suppress", "Bea@Firm.example").exit_code == 0
    held = room.plan(lead, "orders", "receipt")
    room.deliver()
    assert cli(room, "sends", "lift", lead.email).stdout.startswith("lifted by_hand")
    free = room.plan(lead, "orders", "receipt", entry_key="next")
    room.deliver()

    assert (room.fate(held), room.fate(free)) == (("skipped", "by_hand"), ("sent", None))


def cli(room: Mailroom, *arguments: str) -> Result:
    environment = {
        "THROUGHLINE_DATABASE_URL": room.spine.url,
        "THROUGHLINE_DATA_DIR": str(room.folder),
        "THROUGHLINE_SECRET_KEY": "the secret of these tests",
        "THROUGHLINE_BASE_URL": room.settings.base_url,
    }
    return CliRunner().invoke(app, list(arguments), env=environment)
