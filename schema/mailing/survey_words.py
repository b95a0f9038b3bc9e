"""The words around surveys, in the languages that forms have; any other gets English. The question is the journey's."""

from __future__ import annotations

from typing import Final, NamedTuple

STOP: Final = 999
"""The number of the link of a survey that leads to asking no more."""
_FIRST: Final = 1
"""The number of the link for an answer of 0; without a number, none is chosen beforehand."""


class Words(NamedTuple):
    """What stands in the mail of a survey, and on its page."""

    csat: tuple[str, str, str, str, str]
    least: str
    most: str
    choose: str
    comment: str
    send: str
    thanks: str
    thanks_detail: str
    change: str
    missing: str
    too_long: str
    over: str
    over_detail: str
    busy: str
    busy_detail: str
    stop: str
    stop_question: str
    stop_detail: str
    stopped: str
    stopped_detail: str


_ENGLISH: Final = Words(
    csat=("Very dissatisfied", "Dissatisfied", "Neither", "Satisfied", "Very satisfied"),
    least="not at all likely",
    most="extremely likely",
    choose="Your answer",
    comment="Would you like to tell us more? (optional)",
    send="Send",
    thanks="Thank you",
    thanks_detail="Your answer has arrived: {answer}.",
    change="Change my answer",
    missing="Please choose an answer.",
    too_long="Your comment is too long: please keep it to {most} characters.",
    over="It is too late to answer this",
    over_detail="The time for this question is over. If there is something you want to tell us, answer our mail.",
    busy="That did not work just now",
    busy_detail="Your answer has not arrived. Please go back, wait a moment and send it again.",
    stop="Do not ask me any more",
    stop_question="Stop asking you?",
    stop_detail="We will not ask you how satisfied you are any more.",
    stopped="We will not ask you any more",
    stopped_detail="You get no more mails that ask how satisfied you are.",
)
_WORDS: Final = {
    "en": _ENGLISH,
    "de": Words(
        csat=("Sehr unzufrieden", "Unzufrieden", "Teils, teils", "Zufrieden", "Sehr zufrieden"),
        least="äußerst unwahrscheinlich",
        most="äußerst wahrscheinlich",
        choose="Ihre Antwort",
        comment="Möchten Sie uns mehr dazu sagen? (freiwillig)",
        send="Absenden",
        thanks="Vielen Dank",
        thanks_detail="Ihre Antwort ist angekommen: {answer}.",
        change="Meine Antwort ändern",
        missing="Bitte wählen Sie eine Antwort aus.",
        too_long="Ihr Kommentar ist zu lang: höchstens {most} Zeichen, bitte.",
        over="Die Zeit für diese Antwort ist um",
        over_detail="Diese Frage ist abgeschlossen. Wenn Sie uns etwas sagen möchten, antworten Sie auf unsere E-Mail.",
        busy="Das hat gerade nicht geklappt",
        busy_detail="Ihre Antwort ist nicht angekommen. Bitte gehen Sie zurück, warten Sie kurz und senden Sie sie "
        "noch einmal.",
        stop="Nicht mehr fragen",
        stop_question="Sollen wir nicht mehr fragen?",
        stop_detail="Wir fragen Sie dann nicht mehr, wie zufrieden Sie sind.",
        stopped="Wir fragen Sie nicht mehr",
        stopped_detail="Sie bekommen keine E-Mails mehr, die nach Ihrer Zufriedenheit fragen.",
    ),
    "fr": Words(
        csat=("Très insatisfait", "Insatisfait", "Ni l'un ni l'autre", "Satisfait", "Très satisfait"),
        least="pas du tout probable",
        most="extrêmement probable",
        choose="Votre réponse",
        comment="Souhaitez-vous nous en dire plus ? (facultatif)",
        send="Envoyer",
        thanks="Merci",
        thanks_detail="Votre réponse est arrivée : {answer}.",
        change="Modifier ma réponse",
        missing="Veuillez choisir une réponse.",
        too_long="Votre commentaire est trop long : {most} caractères au plus.",
        over="Il est trop tard pour répondre",
        over_detail="Cette question est close. Si vous souhaitez nous dire quelque chose, répondez à notre e-mail.",
        busy="Cela n'a pas fonctionné",
        busy_detail="Votre réponse n'est pas arrivée. Revenez en arrière, attendez un instant et envoyez-la à nouveau.",
        stop="Ne plus me demander mon avis",
        stop_question="Ne plus vous demander votre avis ?",
        stop_detail="Nous ne vous demanderons plus si vous êtes satisfait.",
        stopped="Nous ne vous demanderons plus votre avis",
        stopped_detail="Vous ne recevrez plus d'e-mails vous demandant si vous êtes satisfait.",
    ),
    "es": Words(
        csat=("Muy insatisfecho", "Insatisfecho", "Ni lo uno ni lo otro", "Satisfecho", "Muy satisfecho"),
        least="nada probable",
        most="muy probable",
        choose="Su respuesta",
        comment="¿Quiere contarnos algo más? (opcional)",
        send="Enviar",
        thanks="Gracias",
        thanks_detail="Su respuesta ha llegado: {answer}.",
        change="Cambiar mi respuesta",
        missing="Elija una respuesta, por favor.",
        too_long="Su comentario es demasiado largo: {most} caracteres como máximo.",
        over="Ya es tarde para responder",
        over_detail="Esta pregunta está cerrada. Si quiere decirnos algo, responda a nuestro correo.",
        busy="Ahora mismo no ha funcionado",
        busy_detail="Su respuesta no ha llegado. Vuelva atrás, espere un momento y envíela de nuevo.",
        stop="No me pregunten más",
        stop_question="¿Dejamos de preguntarle?",
        stop_detail="No volveremos a preguntarle si está satisfecho.",
        stopped="No le preguntaremos más",
        stopped_detail="No recibirá más correos que pregunten si está satisfecho.",
    ),
}


def words_of(language: str | None) -> Words:
    """The words in a person's language, `de` or `de-AT`; English where it is another or nobody knows."""
    return _WORDS.get((language or "").partition("-")[0].lower(), _ENGLISH)


def labels(kind: str, language: str | None) -> tuple[str, ...]:
    """What stands at each answer, the least first: `5 - Very satisfied`; of 0 to 10 only the number."""
    if kind == "csat":
        return tuple(f"{score} - {label}" for score, label in enumerate(words_of(language).csat, start=1))
    return tuple(str(score) for score in range(11))


def number_of(score: int) -> int:
    """The number of the link for an answer."""
    return score + _FIRST


def score_of(number: int) -> int | None:
    """The answer that a link is for; None for one that is for none."""
    return number - _FIRST if _FIRST <= number < STOP else None
