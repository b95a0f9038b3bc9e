"""The few words that pages for people say by themselves, in the languages there are; any other gets English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from schema.journey import Source


class Words(NamedTuple):
    """What stands on the page where the journey says nothing else."""

    language: str
    send: str
    required: str
    choose: str
    trap: str
    thanks: str
    sending: str
    failed: str
    thank_you: str
    arrived: str
    not_sent: str
    go_back: str
    please_confirm: str
    asked_for: str
    yes: str
    not_you: str
    confirmed: str
    dead_link: str
    dead_link_why: str
    labels: dict[str, str]


_ENGLISH: Final = Words(
    language="en",
    send="Send",
    required="required",
    choose="Please choose",
    trap="Leave this empty",
    thanks="Thank you. Your message has arrived.",
    sending="Sending …",
    failed="This could not be sent. What you typed is still here: please try again.",
    thank_you="Thank you",
    arrived="Your message has arrived. We will get back to you.",
    not_sent="This could not be sent",
    go_back="Go back in your browser: what you typed is still there.",
    please_confirm="Please confirm",
    asked_for="You, or somebody with your address, asked for this:",
    yes="Yes, I confirm",
    not_you="If that was not you, close this page: nothing happens.",
    confirmed="That is confirmed.",
    dead_link="This link does not work",
    dead_link_why=(
        "It may be too old, or a part of it was lost on the way. If you have just sent the form, try again in a minute."
    ),
    labels={
        "email": "E-mail",
        "name": "Name",
        "first_name": "First name",
        "last_name": "Last name",
        "company": "Company",
        "phone": "Phone",
        "country": "Country",
        "website": "Website",
        "employees": "Number of employees",
        "message": "Message",
    },
)
_WORDS: Final = {
    "en": _ENGLISH,
    "de": Words(
        language="de",
        send="Absenden",
        required="erforderlich",
        choose="Bitte wählen",
        trap="Bitte leer lassen",
        thanks="Vielen Dank. Ihre Nachricht ist angekommen.",
        sending="Wird gesendet …",
        failed="Das konnte nicht gesendet werden. Ihre Angaben sind noch da: bitte versuchen Sie es noch einmal.",
        thank_you="Vielen Dank",
        arrived="Ihre Nachricht ist angekommen. Wir melden uns bei Ihnen.",
        not_sent="Das konnte nicht gesendet werden",
        go_back="Gehen Sie im Browser zurück: Ihre Angaben sind noch da.",
        please_confirm="Bitte bestätigen",
        asked_for="Sie oder jemand mit Ihrer Adresse haben darum gebeten:",
        yes="Ja, ich bestätige",
        not_you="Wenn Sie das nicht waren, schließen Sie diese Seite: es geschieht nichts.",
        confirmed="Das ist bestätigt.",
        dead_link="Dieser Link funktioniert nicht",
        dead_link_why=(
            "Vielleicht ist er zu alt, oder ein Teil ging unterwegs verloren. "
            "Wenn Sie das Formular gerade erst abgeschickt haben, versuchen Sie es in einer Minute noch einmal."
        ),
        labels={
            "email": "E-Mail",
            "name": "Name",
            "first_name": "Vorname",
            "last_name": "Nachname",
            "company": "Firma",
            "phone": "Telefon",
            "country": "Land",
            "website": "Website",
            "employees": "Anzahl der Mitarbeitenden",
            "message": "Nachricht",
        },
    ),
    "fr": Words(
        language="fr",
        send="Envoyer",
        required="obligatoire",
        choose="Veuillez choisir",
        trap="Laissez ce champ vide",
        thanks="Merci. Votre message est bien arrivé.",
        sending="Envoi …",
        failed="L'envoi a échoué. Votre saisie est toujours là : veuillez réessayer.",
        thank_you="Merci",
        arrived="Votre message est bien arrivé. Nous vous répondrons.",
        not_sent="L'envoi a échoué",
        go_back="Revenez en arrière dans votre navigateur : votre saisie est toujours là.",
        please_confirm="Veuillez confirmer",
        asked_for="Vous, ou une personne utilisant votre adresse, avez demandé ceci :",
        yes="Oui, je confirme",
        not_you="Si ce n'était pas vous, fermez cette page : rien ne se passera.",
        confirmed="C'est confirmé.",
        dead_link="Ce lien ne fonctionne pas",
        dead_link_why=(
            "Il est peut-être trop ancien, ou une partie s'est perdue en route. "
            "Si vous venez d'envoyer le formulaire, réessayez dans une minute."
        ),
        labels={
            "email": "E-mail",
            "name": "Nom",
            "first_name": "Prénom",
            "last_name": "Nom de famille",
            "company": "Entreprise",
            "phone": "Téléphone",
            "country": "Pays",
            "website": "Site web",
            "employees": "Nombre de salariés",
            "message": "Message",
        },
    ),
    "es": Words(
        language="es",
        send="Enviar",
        required="obligatorio",
        choose="Elija una opción",
        trap="Deje este campo vacío",
        thanks="Gracias. Su mensaje ha llegado.",
        sending="Enviando …",
        failed="No se pudo enviar. Lo que ha escrito sigue aquí: inténtelo de nuevo.",
        thank_you="Gracias",
        arrived="Su mensaje ha llegado. Nos pondremos en contacto con usted.",
        not_sent="No se pudo enviar",
        go_back="Vuelva atrás en su navegador: lo que ha escrito sigue ahí.",
        please_confirm="Confirme, por favor",
        asked_for="Usted, o alguien con su dirección, pidió lo siguiente:",
        yes="Sí, confirmo",
        not_you="Si no fue usted, cierre esta página: no pasará nada.",
        confirmed="Queda confirmado.",
        dead_link="Este enlace no funciona",
        dead_link_why=(
            "Puede que sea demasiado antiguo o que se perdiera una parte por el camino. "
            "Si acaba de enviar el formulario, inténtelo de nuevo dentro de un minuto."
        ),
        labels={
            "email": "Correo electrónico",
            "name": "Nombre",
            "first_name": "Nombre",
            "last_name": "Apellidos",
            "company": "Empresa",
            "phone": "Teléfono",
            "country": "País",
            "website": "Sitio web",
            "employees": "Número de empleados",
            "message": "Mensaje",
        },
    ),
}


def words_of(source: Source | None) -> Words:
    """Return the words of a form's language; English for a form that is not there."""
    return _WORDS.get(source.language, _ENGLISH) if source else _ENGLISH
