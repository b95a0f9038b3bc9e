"""Sources as values: where leads come from, how what they send is read, what a form looks like, what counts as spam."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StringConstraints, model_validator

from schema import spam
from schema.journey.fields import nearest
from schema.journey.parts import Code, Duration, EnvironmentName, FieldName, Language, Part, Text, TouchKind

PROVIDERS = {
    "calendly": "Calendly",
    "cloudevents": "CloudEvents",
    "contact_form_7": "Contact Form 7 (CF7 to Webhook)",
    "elementor": "Elementor Pro",
    "espocrm": "EspoCRM Lead Capture",
    "formstack": "Formstack",
    "google_lead_form": "Google Ads lead form",
    "gravity_forms": "Gravity Forms",
    "hubspot_forms": "HubSpot form submission",
    "hubspot_webhooks": "HubSpot webhooks",
    "jotform": "Jotform",
    "linkedin_lead_sync": "LinkedIn Lead Sync",
    "mailgun": "Mailgun route",
    "mautic": "Mautic",
    "meta_lead_ads": "Meta Lead Ads",
    "postmark": "Postmark inbound",
    "rfc822": "A message as it is (RFC 5322)",
    "salesforce_web_to_lead": "Salesforce Web-to-Lead",
    "segment": "Segment, RudderStack, Dittofeed",
    "sendgrid": "SendGrid Inbound Parse",
    "standard_webhooks": "Standard Webhooks",
    "stripe": "Stripe events",
    "tally": "Tally",
    "twenty": "Twenty",
    "typeform": "Typeform",
    "wufoo": "Wufoo",
}
"""The systems whose webhooks are understood (`schema/providers`), each with the name people know it by."""
IDS_ONLY = frozenset({"linkedin_lead_sync", "meta_lead_ads"})
"""Those of them that only send ids, so that the answers have to be fetched."""
_USUAL_TYPES = {
    "email": "email", "phone": "tel", "tel": "tel", "mobile": "tel", "website": "url", "employees": "number",
    "team_size": "number", "message": "textarea", "comment": "textarea", "question": "textarea",
}  # fmt: skip


def _provider(name: str) -> str:
    if name not in PROVIDERS:
        raise ValueError(f"there is no such provider{nearest(name, list(PROVIDERS))}; there are {', '.join(PROVIDERS)}")
    return name


def _spam_reason(name: str) -> str:
    if name not in spam.POINTS:
        known = list(spam.POINTS)
        raise ValueError(f"there is no such reason{nearest(name, known)}; there are {', '.join(known)}")
    return name


def _named(value: object) -> object:
    """A name alone as the field it is short for."""
    return {"name": value} if isinstance(value, str) else value


Provider = Annotated[str, AfterValidator(_provider)]


class Dedupe(Part):
    """How long the same content from one source counts as the same arrival (a sender's own id counts for ever)."""

    window: Duration = timedelta(hours=24)


class FormField(Part):
    """
    One field of a form's page; a name alone is enough for the usual ones.

    `name` is what is posted, and is understood as any other: by `map`, else by the usual names. `type` is guessed from
    the name; `options` make it a list to choose from.
    """

    name: FieldName
    label: Text | None = None
    help: Text | None = None
    type: Literal["text", "email", "tel", "number", "url", "textarea", "select", "checkbox", "file"] | None = None
    options: tuple[Text, ...] = ()
    required: StrictBool = False

    @model_validator(mode="after")
    def _options_of_a_list(self) -> FormField:
        if self.options and self.type not in {None, "select"}:
            raise ValueError("`options` are for `type: select`")
        if self.type == "select" and not self.options:
            raise ValueError("`type: select` needs `options` to choose from")
        return self

    @property
    def kind(self) -> str:
        """Its type, as given or as its name says."""
        return self.type or ("select" if self.options else _USUAL_TYPES.get(self.name, "text"))


class Consent(Part):
    """
    What a form asks leave for: a box to tick beside `text`.

    The text and its `version` are kept with the answer: give another version to another text. `required` is for what
    the business cannot do without, never for marketing.
    """

    text: Text
    version: Text
    purpose: Code = "marketing"
    required: StrictBool = False


class SpamRules(Part):
    """From how many points on an arrival waits in quarantine, and `points` of reasons where the usual do not fit."""

    hold: Annotated[StrictInt, Field(ge=1, le=1000)] = spam.HOLD
    points: dict[Annotated[str, AfterValidator(_spam_reason)], Annotated[StrictInt, Field(ge=0, le=100)]] = {}


class Source(Part):
    """
    Where leads come from.

    `map` reads a payload: its key (dotted for what is nested) gives our field; without `map` the usual names are
    understood. `kinds` gives the sender's types of events (`invoice.paid`) our kinds of touchpoints (`purchase`).
    `redirect` are the pages a browser may be sent to after a form, `origins` the sites whose scripts may post, `region`
    (a country code) the country of telephone numbers written without one. `address` is where mail to a source of kind
    `email` goes, `authority` the name under which the business's own mail server writes what it found out about senders
    (`Authentication-Results`); without it nobody's word is taken.

    `provider` names the system whose hooks these are (without it their shape is recognised), `secret` the environment
    variable that holds what it signs with (two while one replaces the other, with a comma between), `token` the one
    with which answers are fetched from a provider that only sends ids.

    A form that has `fields` has a page of its own in its `language`, headed by `label` and `description`, with `send`
    on its button; `consent` is what it asks leave for, `double_opt_in` has that confirmed by mail before it counts.
    `spam` says from when on an arrival is held.
    """

    kind: Literal["form", "api", "email", "events", "import", "hook"]
    label: Text | None = None
    description: Text | None = None
    enabled: StrictBool = True
    address: Text | None = None
    authority: Text | None = None
    provider: Provider | None = None
    secret: EnvironmentName | None = None
    token: EnvironmentName | None = None
    kinds: dict[Text, TouchKind] = {}
    map: dict[Text, Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]*$", max_length=100)]] = {}
    dedupe: Dedupe = Dedupe()
    redirect: tuple[Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/]|/)\S*$")], ...] = ()
    origins: tuple[Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^\s/]+)$")], ...] = ()
    fields: tuple[Annotated[FormField, BeforeValidator(_named, FieldName | FormField)], ...] = ()
    consent: Consent | None = None
    double_opt_in: StrictBool = False
    send: Text | None = None
    language: Language = "en"
    spam: SpamRules = SpamRules()
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
