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
        r"wrote:|schrieb:|schrieb .*:|a écrit.*:|écrit ?:|escribió:|ha scritto:|schreef:|schreef .*:|escreveu:",
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
SEPARATOR: Final = re.compile(
    r"[-_*= ]{0,40}\b"
    + _any(
        r"original message|ursprüngliche nachricht|original-nachricht|message d'origine|mensaje original",
        r"messaggio originale|oorspronkelijk bericht|mensagem original|wiadomość oryginalna|ursprungligt meddelande",
        r"oprindelig meddelelse|původní zpráva|исходное сообщение|alkuperäinen viesti|özgün ileti",
        r"forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado",
    )
    + r"\b[-_*= :]{0,40}\Z",
    re.IGNORECASE,
)
FROM: Final = re.compile(
    r"[* ]{0,3}(from|von|de|da|van|od|från|fra|lähettäjä|kimden|от|发件人|差出人|보낸 사람)\*? ?[:：]", re.IGNORECASE
)
"""The first header of a mail that is quoted with its headers."""
SENT: Final = re.compile(
    r"[* ]{0,3}"
    + _any(
        r"sent|date|to|subject|gesendet|datum|an|betreff|envoyé|à|objet|enviado|fecha|data|para|asunto",
        r"inviato|a|oggetto|verzonden|aan|onderwerp|wysłano|do|temat|skickat|till|ämne|sendt|til|emne",
        r"odesláno|komu|předmět|lähetetty|gönderildi|tarih|отправлено|дата|тема|发送时间|日期|主题|送信日時|件名",
        r"보낸 날짜|제목",
    )
    + r"\*? ?[:：]",
    re.IGNORECASE,
)
"""One of the headers after it."""
SENT_FROM: Final = re.compile(
    _any(
        r"sent from my|sent from (outlook|mail|yahoo)|get outlook for|gesendet von|von meinem .{1,30} gesendet",
        r"envoyé de(puis)? mon|enviado desde mi|enviado do meu|inviato da(l mio)?|verzonden vanaf|verstuurd vanaf",
        r"wysłane z|skickat från|sendt fra min|odesláno z|lähetetty|отправлено с",
    )
    + r"\b.{0,80}\Z",
    re.IGNORECASE,
)
"""What telephones write under a mail."""
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
