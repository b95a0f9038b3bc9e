"""What is new in a mail, as the mail programs of the world write answers."""

from __future__ import annotations

import pytest

from schema.mail.text import plain, reply

OWN = "Yes, please call me.\n\nIt is urgent."
NBSP = "\u00a0"
NARROW = "\u202f"

BELOW = {
    "outlook": "From: Sales <s@example.com>\nSent: Monday, 5 January 2026\nTo: Ana\nSubject: RE: Quote\n\nHello",
    "outlook in bold": "*From:* Sales <sales@example.com>\n*Sent:* Monday, 5 January 2026\n*To:* Ana\n\nHello",
    "outlook, french": f"De{NBSP}: Ventes <v@example.com>\nEnvoyé{NBSP}: lundi\nÀ{NBSP}: Ana\nObjet{NBSP}: x\n\nOui",
    "outlook, german": f"{'_' * 32}\nVon: Vertrieb <v@example.com>\nGesendet: Montag\nAn: Ana\nBetreff: x\n\nHallo",
    "outlook, spanish": "De: Ventas <v@example.com>\nEnviado el: lunes, 5 de enero\nPara: Ana\nAsunto: RE\n\nHola",
    "outlook, italian": "Da: Vendite <v@example.com>\nInviato: lunedì 5 gennaio\nA: Ana\nOggetto: R: x\n\nCiao",
    "outlook express": "-----Original Message-----\nFrom: Sales\nHello",
    "outlook express, german": "-----Ursprüngliche Nachricht-----\nVon: Vertrieb\nHallo",
    "outlook express, french": "-----Message d\u2019origine-----\nDe : Ventes\nBonjour",
    "date before sender": "Date: Mon, 5 Jan 2026\nFrom: sales@example.com\nTo: ana@acme.test\nSubject: hi\n\nHello",
    "gmail": "On Mon, Jan 5, 2026 at 10:00 AM Sales <sales@example.com> wrote:\n\n> Hello",
    "gmail, cut in three": "On Mon, Jan 5, 2026 at 10:00 AM Sales of Example\nat home <\ns@e.com> wrote:\n\n> Hello",
    "gmail, german": "Am Mo., 5. Jan. 2026 um 10:00 Uhr schrieb Vertrieb <\nsales@example.com>:\n\n> Hallo",
    "gmail, french": f"Le lun. 5 janv. 2026 à 10:00, Ventes <v@example.com> a écrit{NARROW}:\n\n> Bonjour",
    "gmail, french, cut": "Le lun. 5 janv. 2026 à 10:00, Ventes <v@example.com>\na écrit :\n\n> Bonjour",
    "gmail, spanish": "El lun, 5 ene 2026 a las 10:00, Ventas (<v@example.com>) escribió:\n\n> Hola",
    "gmail, italian": "Il giorno lun 5 gen 2026 alle ore 10:00 Vendite <v@example.com> ha\nscritto:\n\n> Ciao",
    "gmail, portuguese": "Em seg., 5 de jan. de 2026 às 10:00, Vendas <v@example.com> escreveu:\n\n> Olá",
    "gmail, polish": "pon., 5 sty 2026 o 10:00 Sprzedaż <v@example.com> napisał(a):\n\n> Witam",
    "gmail, russian": "пн, 5 янв. 2026 г. в 10:00, Sales <v@example.com>:\n\n> Привет",
    "gmail, japanese": "2026年1月5日(月) 10:00 Sales <v@example.com>:\n\n> こんにちは",
    "gmail, swedish": "Den mån 5 jan. 2026 kl 10:00 skrev Sales <v@example.com>:\n\n> Hej",
    "gmail, turkish": "Sales <v@example.com>, 5 Oca 2026 Pzt, 10:00 tarihinde şunu yazdı:\n\n> Merhaba",
    "apple": "> On 5. Jan 2026, at 10:00, Sales <sales@example.com> wrote:\n> \n> Hello",
    "iphone": "Sent from my iPhone\n\n> On Jan 5, 2026, at 10:00 AM, Sales <sales@example.com> wrote:\n> \n> Hello",
    "thunderbird": "On 1/5/26 10:00, Sales wrote:\n> Hello",
    "thunderbird, french": "Le 05/01/2026 à 10:00, Sales a écrit :\n> Bonjour",
    "thunderbird, signature below": "Am 05.01.26 um 10:00 schrieb Sales:\n> Hallo\n\n-- \nAna Lopez",
    "yahoo": "On Monday, January 5, 2026 at 10:00:00 AM GMT+1, Sales <s@example.com> wrote:  \n \n Hello\n there",
    "yahoo, german": "Am Montag, 5. Januar 2026 hat Sales <s@example.com> Folgendes geschrieben:  \n \n Hallo",
    "gmx": "Gesendet: Montag, 05. Januar 2026\nVon: Sales <s@example.com>\nAn: ana@acme.test\nBetreff: x\n\nHallo",
    "proton": "Sent with Proton Mail secure email.\n\nOn Monday, January 5th, 2026, Sales <s@e.com> wrote:\n\n> Hello",
    "notes": "From:   Sales <s@e.com>\nTo:     Ana\nDate:   05.01.2026\nSubject:        Quote\n\nHello",
    "notes, ruled": "-----Sales wrote: -----\nTo: Ana\nFrom: Sales\n\nHello",
    "zoho": "---- On Mon, 05 Jan 2026 10:00:00 +0100 Sales <s@e.com> wrote ----\n\nHello",
    "helpdesk": "##- Please type your reply above this line -##\n\nHello",
    "apple, forwarded": "Begin forwarded message:\n\n> From: Sales\n> Subject: x\n> \n> Hello",
    "gmail, forwarded": "---------- Forwarded message ---------\nFrom: Cem\nDate: Mon\n\nHello",
    "signature": "-- \nAna Lopez\nCEO",
    "phone, german": "Von meinem iPhone gesendet",
    "phone, k9": "Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.",
    "phone, outlook": "Get Outlook for iOS<https://aka.ms/o0ukef>",
    "phone, outlook, german": "Outlook für Android<https://aka.ms/x> beziehen",
    "phone, french": "Envoyé de mon iPhone",
    "phone, outlook, french": "Envoyé à partir de Outlook pour iOS",
    "phone, spanish": "Enviado desde mi iPhone",
    "phone, dutch": "Verstuurd vanaf mijn iPhone",
    "lawyers": "CONFIDENTIALITY NOTICE: This e-mail is confidential. If you are not the intended recipient, delete it.",
    "lawyers, below a signature": "-- \nAna\n\nThis e-mail is only intended for the addressee.",
    "lawyers, german": "Diese E-Mail ist vertraulich. Wenn Sie nicht der richtige Adressat\nsind, löschen Sie sie.",
    "lawyers, french": "Ce message et ses pièces jointes sont destinés exclusivement à leur destinataire.",
    "lawyers, spanish": "Este mensaje puede contener información confidencial para su destinatario.",
}  # fmt: skip


@pytest.mark.parametrize("program", BELOW)
def test_what_a_program_puts_below_is_cut_away(program: str) -> None:
    assert reply(f"{OWN}\n\n{BELOW[program]}\n") == OWN


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("On Mon, 5 Jan 2026, Sales <s@e.com> wrote:\n> Do you need more?\n> Regards\n\nYes, 40.\n", "Yes, 40."),
        ("On Mon, 5 Jan 2026, Sales wrote:\n> Do you need more?\n\nYes, 40.\n\n-- \nAna\n", "Yes, 40."),
        ("> On Mon, 5 Jan 2026, Sales wrote:\n> Do you need more?\n\nYes, 40.\n", "Yes, 40."),
    ],
)
def test_an_answer_below_the_mail_it_answers_is_kept_without_it(text: str, kept: str) -> None:
    assert reply(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "On Mon, Sales wrote:\n> How many?\n40\n> When?\nIn spring",
        "Hello,\n\nOn Mon, Sales wrote:\n> How many?\n40\n> When?\nIn spring",
        "Please quote:\n\nFrom: Berlin\nTo: Hamburg\nDate: 5 May\n\n40 pallets",
        "Name: Ana\nFrom: Acme\nDate: 5 May\nSubject: Seats\nSeats: 40",
        "On our way we wrote",
        "Sent from the warehouse were:\n- 40 seats\n- a table\n- two lamps\nPlease check.",
        "This message is short. We need 40 seats.",
        "---------- Forwarded message ---------\nFrom: Cem <c@x.test>\nDate: Mon\nSubject: Wish\n\nWe need 40 seats",
    ],
)
def test_what_only_looks_like_that_is_kept(text: str) -> None:
    assert reply(text) == text


HTML = {
    "gmail": '<div dir="ltr">Yes please</div><br><div class="gmail_quote gmail_x"><div class="gmail_attr">'
    "On Mon, Sales wrote:<br></div><blockquote class=gmail_quote>Hello<br>there</blockquote></div>",
    "gmail, in a language we do not know": '<div>Yes please</div><div class="gmail_quote"><div class="gmail_attr">'
    "Zilizoandikwa Jumatatu<br></div><blockquote class=gmail_quote>Hello</blockquote></div>",
    "gmail, forwarded": '<div>Yes please<br><br><div class="gmail_quote"><div class="gmail_attr">---------- Forwarded '
    "message ---------<br>From: <b>Cem</b><br></div>We need 40 seats</div></div>",
    "gmail, signature": '<div>Yes please</div><br><span class="gmail_signature_prefix">-- </span><br>'
    '<div class="gmail_signature">Ana<br>CEO</div>',
    "outlook": "<div class=WordSection1><p class=MsoNormal>Yes please<o:p></o:p></p><p class=MsoNormal>&nbsp;</p><div>"
    '<div style="border-top:solid #E1E1E1 1.0pt"><p><b>From:</b> Sales &lt;s@e.com&gt; <br><b>Sent:</b> Monday<br>'
    "<b>To:</b> Ana<br><b>Subject:</b> x</p></div></div><p>Hello</p></div>",
    "outlook on the web": '<div>Yes please</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg">'
    "<b>From:</b> Sales<br></div><div>Hello</div>",
    "outlook on a phone": '<div>Yes please</div><div id="ms-outlook-mobile-signature">Ana</div><hr>'
    '<div id="mail-editor-reference-message-container">Hello</div>',
    "apple": "<body>Yes please<div><br><blockquote type=cite><div>On Monday, Sales wrote:</div>Hi</blockquote></div>",
    "iphone": '<body dir="auto">Yes please<br id="lineBreakAtBeginningOfSignature"><div>Sent from my iPhone</div>'
    '<div><br><blockquote type="cite">On Jan 5:<br></blockquote></div><blockquote type="cite">Hi</blockquote>',
    "thunderbird": '<p>Yes please</p><div class="moz-cite-prefix">Zuletzt von Sales:<br></div>'
    '<blockquote type="cite" cite="mid:x"><blockquote type=cite>older</blockquote>Hello</blockquote>'
    '<div class="moz-signature">-- <br>Ana</div>',
    "yahoo": '<div>Yes please</div><div id="ydp2yahoo_quoted" class="ydp3"><div>On Monday</div>Hello</div>',
    "gmx": '<div>Yes please</div><div name="quote" style="margin:1px"><div><b>Gesendet:</b> Montag</div>Hallo</div>',
    "proton": '<div>Yes please</div><div class="protonmail_quote">On Monday<blockquote>Hello</blockquote></div>',
    "zoho": '<div>Yes please</div><div class="zmail_extra">---- On Mon Sales wrote ---<blockquote>x</blockquote></div>',
}  # fmt: skip


@pytest.mark.parametrize("program", HTML)
def test_what_a_program_marks_as_the_mail_answered_is_cut_away(program: str) -> None:
    assert reply(plain(HTML[program])) == "Yes please"


@pytest.mark.parametrize(
    "html",
    [
        "<div class=moz-cite-prefix>On 1/5/26, Sales wrote:<br></div><blockquote type=cite>More?</blockquote><p>40.",
        "<div class=gmail_attr>On Mon Sales wrote:</div><blockquote class=gmail_quote>More?</blockquote><div>40.",
    ],
)
def test_an_answer_below_what_html_quotes_is_kept_without_it(html: str) -> None:
    assert reply(plain(html)) == "40."


def test_answers_between_what_html_quotes_are_kept_with_it() -> None:
    html = (
        "<p>Hello Sales,</p><blockquote type=cite>How many?</blockquote><p>40</p>"
        "<blockquote type=cite>When?</blockquote><p>In spring</p>"
    )
    assert reply(plain(html)) == "Hello Sales,\n\n> How many?\n\n40\n\n> When?\n\nIn spring"
