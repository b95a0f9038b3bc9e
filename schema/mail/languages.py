"""
What mail programs write in the languages of their users: who wrote what is quoted, out of office, not delivered.

Every pattern looks at one short line.
"""

# ruff: noqa: RUF001 - words of other languages

from __future__ import annotations

import re
from typing import Final


def _any(*groups: str) -> str:
    return "(?:" + "|".join(groups) + ")"


WROTE: Final = re.compile(
    _any(
        r"wrote:|schrieb:|schrieb .*:|geschrieben:|a écrit.*:|écrit ?:|escribió:|ha scritto:|schreef:|schreef .*:",
        r"escreveu:",
        r"napisał(\(a\)|a)?:|skrev:|skrev .*:|kirjoitti:|napsal(\(a\))?:|yazdı:|írta:|a scris:",
        r"пишет:|написал(\(а\))?:|написа:|写道[:：]|のメール:|님이 작성:",
    ),
    re.IGNORECASE,
)
"""Ends the line before a quoted mail."""
BEGINS: Final = re.compile(
    r"(on|am|le|el|il|op|em|den|dnia|w dniu|dne|pe|på|ma|ti|a|vào|в|pada|tarihinde|於|在|kl\.|\d{1,4}[./-]\d)\b",
    re.IGNORECASE,
)
"""Begins it."""
UNTOLD: Final = re.compile(r"(?=.*\d).*@[^\s<>]{1,250}>\)?[:：]\Z")
"""Does the same in languages that do without a verb: a date, and the address at its end."""
SEPARATOR: Final = re.compile(
    r"[-_*=# ]{0,40}\b"
    + _any(
        r"original message|ursprüngliche nachricht|original-nachricht|message d'origine|mensaje original",
        r"messaggio originale|oorspronkelijk bericht|mensagem original|wiadomość oryginalna|ursprungligt meddelande",
        r"oprindelig meddelelse|původní zpráva|исходное сообщение|alkuperäinen viesti|özgün ileti",
        r"(begin )?forwarded message|(anfang der )?weitergeleiteten? nachricht",
        r"(début du )?message (transféré|réexpédié)",
        r"(inicio del )?mensaje reenviado|(inizio )?messaggio inoltrato|(begin )?doorgestuurd bericht",
        r"(início da )?mensagem (reencaminhada|encaminhada)|wiadomość przekazana|пересылаемое сообщение",
        r"(please )?(type your )?reply above this line",
        r"bitte (antworten sie|schreiben sie ihre antwort) über dieser linie",
        r"répondez au-dessus de cette ligne|responda por encima de esta línea",
    )
    + r"\b[-_*=# :]{0,40}\Z",
    re.IGNORECASE,
)
RULED: Final = re.compile(r"-{3,20} ?(on .{5,200} wrote|.{1,100} wrote:) ?-{3,20}\Z", re.IGNORECASE)
"""Both in one, as some programs write it."""
FORWARDED: Final = re.compile(r"((fwd?|wg|tr|rv|i|enc|doorst|vs|pd|vb|yml|ilt|転送)\s?[:：]|\[fwd:)", re.IGNORECASE)
"""Begins the subject of a mail that is passed on."""
FROM: Final = re.compile(
    r"[* ]{0,3}(from|von|de|da|van|od|från|fra|lähettäjä|kimden|от|发件人|差出人|보낸 사람)\*? ?[:：]", re.IGNORECASE
)
"""The first header of a mail that is quoted with its headers."""
SENT: Final = re.compile(
    r"[* ]{0,3}"
    + _any(
        r"sent|subject|gesendet|betreff|envoyé|objet|enviad[oa]( el| em)?|asunto|assunto|inviato|oggetto|verzonden",
        r"onderwerp|wysłano|temat|skickat|ämne|sendt|emne|odesláno|předmět|lähetetty|aihe|gönderildi|konu",
        r"отправлено|тема|发送时间|主题|送信日時|件名|보낸 날짜|제목",
    )
    + r"\*? ?[:：]",
    re.IGNORECASE,
)
"""Another of its headers, that stands over nothing but mail."""
TO: Final = re.compile(
    r"[* ]{0,3}"
    r"(to|cc|date|an|datum|à|para|fecha|data|a|aan|do|till|til|dato|komu|vastaanottaja|kime|tarih|кому|дата|日期|收件人)"
    r"\*? ?[:：]",
    re.IGNORECASE,
)
"""One that may also stand in a form."""
SENT_FROM: Final = re.compile(
    _any(
        r"sent (from|via|using) (my|outlook|mail|yahoo|samsung|the all-new)|sent with proton|get outlook for",
        r"gesendet (von|mit)|von meinem .{1,30} gesendet|diese nachricht wurde von meinem .{1,60} gesendet",
        r"outlook für .{1,30} beziehen|envoyé (de(puis)?|à partir de|avec)|(obtenir|télécharger) outlook pour",
        r"enviado (desde|con) (mi|outlook|correo|el)|obtener outlook para|enviado do|obter o outlook para",
        r"inviato da|scarica outlook per|ottieni outlook per|verzonden (vanaf|met)|verstuurd vanaf|outlook voor",
        r"wysłane z|pobierz outlook|skickat från|hämta outlook|sendt fra|hent outlook|odesláno z|získat outlook",
        r"lähetetty|hanki outlook|отправлено (с|из)|iphoneから送信|发自我的",
    )
    + r"(\b.{0,80})?\Z",
    re.IGNORECASE,
)
"""What telephones write under a mail."""
CONFIDENTIAL: Final = re.compile(
    r"[\W_]{0,5}"
    + _any(
        r"(confidentiality|disclaimer|legal) ?(notice|note|statement)?\s?[:.\u2013-]|disclaimer\b",
        r"(this|the information (contained )?in this) (e-?mail|message|communication|transmission)\b",
        r"diese (e-?mail|nachricht)\b|der inhalt dieser (e-?mail|nachricht)\b|vertraulichkeitshinweis",
        r"ce (message|courriel|mail)\b|cet e-?mail\b|avis de confidentialité",
        r"este (mensaje|correo|e-?mail|mensagem)\b|esta (mensagem|comunicación)\b|aviso (legal|de confidencialidad)",
        r"(questo|il presente) (messaggio|e-?mail)\b|dit bericht\b|deze e-?mail\b|avviso di riservatezza",
    ),
    re.IGNORECASE,
)
"""Begins the paragraph that lawyers have put under a mail."""
INTENDED: Final = re.compile(
    _any(
        r"intended (only |solely |exclusively )?(for|recipient)|intended addressee|richtige adressat|bestimmungsgemäße",
        r"(nicht|ausschließlich) (der|die|für den|für die) .{0,60}(adressat|empfänger)|destinataire",
        r"destinatari[oa]|destinatári[oa]|geadresseerde|bestemd voor",
    ),
    re.IGNORECASE,
)
"""Stands somewhere in it: whom the mail is for."""
AUTOMATIC: Final = re.compile(
    r"((re|aw|sv|antw|vs|odp|rif|res|ynt)\s?:\s*){0,5}\W{0,3}"
    + _any(
        r"auto(matic|mated)?[ -]?(reply|response|answer)|out of (the )?office|away from (my|the) (desk|office)",
        r"on (annual )?leave\b|i am (currently )?(out|away)\b|on vacation\b|vacation (reply|response|notice)",
        r"abwesenheit|automatische antwort|auto-?antwort|nicht im (büro|haus)",
        r"bin (derzeit |zurzeit )?(abwesend|im urlaub)",
        r"réponse automatique|absence du bureau|message d'absence|absent du bureau",
        r"respuesta automática|fuera de (la )?oficina|resposta automática|fora do escritório",
        r"risposta automatica|fuori (sede|ufficio)|automatisch antwoord|afwezig(heid)?|niet aanwezig",
        r"automatyczna odpowiedź|autoodpowiedź|nieobecność|autosvar|automatiskt svar|automatisk svar|frånvaro|fravær",
        r"automaattinen vastaus|poissa|automatická odpověď|nepřítomnost|otomatik yanıt|ofis dışında",
        r"автоматический ответ|автоответ|вне офиса|автоматична відповідь",
        r"automatikus válasz|răspuns automat|αυτόματη απάντηση",
        r"自動応答|自動返信|不在通知|自动回复|自動回覆|자동 ?회신|부재중",
    ),
    re.IGNORECASE,
)
"""The subject of an automatic answer."""
BOUNCED: Final = re.compile(
    _any(
        r"undeliver(ed|able)|mail delivery (failed|failure|subsystem)",
        r"delivery (status notification|has failed|failure)",
        r"returned mail|failure notice|nicht zugestellt|unzustellbar|non remis|no se puede entregar",
        r"impossible de remettre|onbestelbaar|mancato recapito|niedostarcz",
    ),
    re.IGNORECASE,
)
"""The subject of a mail that came back."""
