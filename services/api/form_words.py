"""The few words that a form's page says by itself, in the languages it can be in; any other gets English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from schema.journey import Source


class Words(NamedTuple):
    """What stands on the page where the journey says nothing else."""

    send: str
    required: str
    choose: str
    trap: str
    thanks: str
    sending: str
    failed: str
    labels: dict[str, str]


_ENGLISH: Final = Words(
    send="Send",
    required="required",
    choose="Please choose",
    trap="Leave this empty",
    thanks="Thank you. Your message has arrived.",
    sending="Sending …",
    failed="This could not be sent. What you typed is still here: please try again.",
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
        send="Absenden",
        required="erforderlich",
        choose="Bitte wählen",
        trap="Bitte leer lassen",
        thanks="Vielen Dank. Ihre Nachricht ist angekommen.",
        sending="Wird gesendet …",
        failed="Das konnte nicht gesendet werden. Ihre Angaben sind noch da: bitte versuchen Sie es noch einmal.",
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
        send="Envoyer",
        required="obligatoire",
        choose="Veuillez choisir",
        trap="Laissez ce champ vide",
        thanks="Merci. Votre message est bien arrivé.",
        sending="Envoi …",
        failed="L'envoi a échoué. Votre saisie est toujours là : veuillez réessayer.",
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
        send="Enviar",
        required="obligatorio",
        choose="Elija una opción",
        trap="Deje este campo vacío",
        thanks="Gracias. Su mensaje ha llegado.",
        sending="Enviando …",
        failed="No se pudo enviar. Lo que ha escrito sigue aquí: inténtelo de nuevo.",
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


def words_of(source: Source) -> Words:
    """Return the words of a form's language."""
    return _WORDS.get(source.language, _ENGLISH)
