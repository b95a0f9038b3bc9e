"""The words that we say ourselves around messages, in the languages that forms have; any other gets English."""

from __future__ import annotations

from typing import Final, NamedTuple


class Words(NamedTuple):
    """What stands under a message, on the pages behind it, and in the mail that asks to confirm a consent."""

    unsubscribe: str
    preferences: str
    question: str
    about: str
    do_it: str
    choose: str
    purposes: str
    save: str
    done: str
    done_detail: str
    saved: str
    saved_detail: str
    back: str
    lost: str
    lost_detail: str
    confirm_subject: str
    confirm_text: str


_ENGLISH: Final = Words(
    unsubscribe="Unsubscribe",
    preferences="Choose what you get",
    question="Stop our mails?",
    about="This is for {address}.",
    do_it="Unsubscribe from everything",
    choose="Or choose what you want to get:",
    purposes="You get",
    save="Save",
    done="You are unsubscribed",
    done_detail="We will not send you any more marketing mail, also none that is on its way to be sent.",
    saved="Saved",
    saved_detail="We will keep to your choice from now on.",
    back="That was a mistake? Choose again",
    lost="This link does not work",
    lost_detail="A part of it was lost on the way. Please use the whole link in our mail, or answer the mail.",
    confirm_subject="Please confirm",
    confirm_text=(
        "You, or somebody with your address, asked to hear from us. Please confirm that it was you:\n\n"
        "[Yes, I confirm]({{ link }})\n\n"
        "If it was not you, ignore this mail: nothing happens, and we will not write again."
    ),
)
_WORDS: Final = {
    "en": _ENGLISH,
    "de": Words(
        unsubscribe="Abmelden",
        preferences="Auswählen, was Sie bekommen",
        question="Keine E-Mails mehr von uns?",
        about="Es geht um {address}.",
        do_it="Von allem abmelden",
        choose="Oder wählen Sie aus, was Sie bekommen möchten:",
        purposes="Sie bekommen",
        save="Speichern",
        done="Sie sind abgemeldet",
        done_detail="Wir senden Ihnen keine Werbung mehr, auch keine, die schon zum Versand bereitliegt.",
        saved="Gespeichert",
        saved_detail="Ab sofort halten wir uns an Ihre Auswahl.",
        back="Das war ein Versehen? Neu auswählen",
        lost="Dieser Link funktioniert nicht",
        lost_detail="Ein Teil ging unterwegs verloren. Bitte verwenden Sie den ganzen Link aus unserer E-Mail oder "
        "antworten Sie darauf.",
        confirm_subject="Bitte bestätigen",
        confirm_text=(
            "Sie oder jemand mit Ihrer Adresse möchte von uns hören. Bitte bestätigen Sie, dass Sie das waren:\n\n"
            "[Ja, ich bestätige]({{ link }})\n\n"
            "Wenn Sie das nicht waren, ignorieren Sie diese E-Mail: Es geschieht nichts, und wir schreiben nicht "
            "wieder."
        ),
    ),
    "fr": Words(
        unsubscribe="Se désabonner",
        preferences="Choisir ce que vous recevez",
        question="Ne plus recevoir nos e-mails ?",
        about="Cela concerne {address}.",
        do_it="Se désabonner de tout",
        choose="Ou choisissez ce que vous souhaitez recevoir :",
        purposes="Vous recevez",
        save="Enregistrer",
        done="Vous êtes désabonné",
        done_detail="Nous ne vous enverrons plus de publicité, y compris les messages déjà prêts à partir.",
        saved="Enregistré",
        saved_detail="Nous respecterons désormais votre choix.",
        back="C'était une erreur ? Choisir à nouveau",
        lost="Ce lien ne fonctionne pas",
        lost_detail="Une partie s'est perdue en route. Utilisez le lien complet de notre e-mail ou répondez-y.",
        confirm_subject="Merci de confirmer",
        confirm_text=(
            "Vous, ou quelqu'un avec votre adresse, souhaitez recevoir nos messages. Merci de confirmer que c'était "
            "bien vous :\n\n[Oui, je confirme]({{ link }})\n\n"
            "Si ce n'était pas vous, ignorez cet e-mail : il ne se passe rien et nous n'écrirons plus."
        ),
    ),
    "es": Words(
        unsubscribe="Darse de baja",
        preferences="Elegir lo que recibe",
        question="¿No quiere más correos nuestros?",
        about="Se trata de {address}.",
        do_it="Darse de baja de todo",
        choose="O elija lo que quiere recibir:",
        purposes="Usted recibe",
        save="Guardar",
        done="Se ha dado de baja",
        done_detail="No le enviaremos más publicidad, tampoco la que ya está preparada para salir.",
        saved="Guardado",
        saved_detail="A partir de ahora respetaremos su elección.",
        back="¿Fue un error? Elegir de nuevo",
        lost="Este enlace no funciona",
        lost_detail="Una parte se perdió por el camino. Use el enlace completo de nuestro correo o respóndalo.",
        confirm_subject="Por favor, confirme",
        confirm_text=(
            "Usted, o alguien con su dirección, pidió recibir noticias nuestras. Por favor, confirme que fue usted:"
            "\n\n[Sí, confirmo]({{ link }})\n\n"
            "Si no fue usted, ignore este correo: no pasa nada y no volveremos a escribir."
        ),
    ),
}


def words_of(language: str | None) -> Words:
    """The words in a person's language, `de` or `de-AT`; English where it is another or nobody knows."""
    return _WORDS.get((language or "").partition("-")[0].lower(), _ENGLISH)


def language_of(language: str | None) -> str:
    """The language that `words_of` answers in."""
    code = (language or "").partition("-")[0].lower()
    return code if code in _WORDS else "en"
