"""
What each key of a journey file means, in a sentence: the help that editors show, through the JSON Schema.

By the model that the key belongs to; the models' own docstrings say what the keys together are for.
"""

from __future__ import annotations

from typing import Final

from schema.journey import campaign_keys

_WORKED: Final = {
    "hours": "Working hours written here: a time zone, and days with their times.",
    "calendar": "Working hours by name: one of `calendars`.",
}

KEYS: Final[dict[str, dict[str, str]]] = {
    "Journey": {
        "journey": "The name of the journey, the same in all its versions.",
        "label": "What people call the journey.",
        "description": "What the journey is for.",
        "departments": "Who works on leads; states and transitions name them.",
        "people": "Who can own a lead, by the short name that the rest of the file uses.",
        "calendars": "Working hours that several people or pools share, by name.",
        "lists": "Named sets of texts, asked about as in `company.domain in lists.competitors`.",
        "sources": "Where leads come from, by name. Without this key: a form `website` and an API `api`.",
        "identity": "When people who turn out to be one are merged by themselves; without it never.",
        "steps": "What happens to a lead, in this order; the last step moves it.",
        "qualify": "The criteria of qualification. The first that fails gives the reason.",
        "requalify": "By reason, when somebody who was disqualified is looked at again; `otherwise` is for the others.",
        "score": "How warm a lead is, 0 to 100.",
        "route": "Which pool and person a lead goes to.",
        "lifecycle": "The states a lead can be in, by name; the first is where it starts.",
        "transitions": "The named moves between states. One that only has a name is made by people.",
        "mail": "How campaigns write: from whom, when, how much.",
        "templates": "Messages by name.",
        "campaigns": "Nurturing programmes by name: who enters, what happens, what ends it.",
    },
    "Identity": {
        "merge": "Kinds of keys which, in one arrival, prove that two people are one.",
    },
    "Person": {
        **_WORKED,
        "name": "The full name.",
        "email": "Where notices about leads go.",
        "tz": "The time zone the person works in.",
        "speaks": "Languages, as in de or en; `fits` asks for them as `member.speaks`.",
        "skills": "What the person can do; `fits` asks for it as `member.skills`.",
        "capacity": "How much work the person takes; without it any amount.",
    },
    "Calendar": {
        "tz": "The time zone of the times.",
        "holidays": "Days that are closed: 2026-12-24, a country as DE, or a region as DE-BY.",
    },
    "Capacity": {
        "open": "At most so many open leads at once.",
        "max": "At most so many new leads within `per`.",
        "per": "The time that `max` counts in.",
    },
    "Source": {
        "kind": "How leads come in.",
        "label": "What people call the source.",
        "description": "What the source is.",
        "enabled": "false: it takes no leads for now.",
        "address": "The mail address of a source of kind email, or the queue of one of kind events.",
        "authority": "The mail server whose findings about senders are believed.",
        "provider": "The system whose webhooks these are; without it their shape is recognised.",
        "secret": "The environment variable that holds what the provider signs with.",
        "token": "The environment variable that holds what answers are fetched with.",
        "kinds": "The sender's types of events on the left, our kinds of touchpoints on the right.",
        "map": "The payload's key on the left (dotted for what is nested), our field on the right.",
        "dedupe": "When the same content counts as the same arrival.",
        "redirect": "Pages a browser may be sent to after a form.",
        "origins": "Sites whose scripts may post here; * is every site.",
        "region": "The country of telephone numbers that are written without one.",
        "fields": "The fields of the form's own page, in order; a name alone is enough for the usual ones.",
        "consent": "What the form asks leave for.",
        "double_opt_in": "true: consent only counts when it was confirmed by mail.",
        "send": "What stands on the form's button.",
        "language": "The language of the form's own page.",
        "spam": "When an arrival is held as spam.",
    },
    "FormField": {
        "name": "What is posted; understood by `map`, else by the usual names.",
        "label": "What stands beside the field.",
        "help": "A sentence below the field.",
        "type": "What is typed or chosen; guessed from the name if left out.",
        "options": "What can be chosen.",
        "required": "true: the form is not sent without it.",
    },
    "Consent": {
        "text": "What is agreed to, word for word.",
        "version": "The version of the text, kept with the answer.",
        "purpose": "What the leave is for; marketing if nothing is said.",
        "required": "true: the form is not sent without it.",
    },
    "SpamRules": {
        "hold": "From how many points on an arrival waits in quarantine.",
        "points": "Points of reasons for which the usual ones do not fit.",
    },
    "Dedupe": {"window": "The same content again within this time is the same arrival."},
    "Criterion": {
        "name": "The name of the criterion, and the reason if it has no other.",
        "description": "What the criterion is for.",
        "require": "What must hold.",
        "reject": "What must not hold.",
        "reason": "The code that is kept, counted and told when it fails.",
        "unknown": "What a missing answer means: ask for it, let it pass, or fail.",
        "question": "What the lead is asked.",
        "within": "How long an answer is waited for.",
        "otherwise": "What it means that nobody answered in time.",
    },
    "Again": {
        "news": "true: when something new comes in.",
        "after": "When this time is over.",
        "most": "At most so many times.",
    },
    "ScoreRules": {
        "fit": "Points for who somebody is; they do not age.",
        "engagement": "Points for what somebody does; they halve with time.",
        "groups": "Limits for the points of rules that belong together.",
        "grades": "From how many points on a lead has which grade, the best first.",
        "grid": "Letters for fit and numbers for engagement, told together as in A1.",
        "machines": "How clicks by security scanners are told from those of people.",
    },
    "FitRule": {
        "when": "Whom the points are for.",
        "points": "How many, -100 to 100.",
        "label": "What the rule is called where points are explained.",
        "group": "One of `groups`, within whose limits the points count.",
    },
    "Engagement": {
        "half_life": "After this time half of the points are left.",
        "cap": "The most points for engagement.",
        "on": "Kinds of touchpoints: points, or points with a limit.",
    },
    "TouchPoints": {
        "points": "How many, -100 to 100.",
        "max": "At most so many touchpoints of this kind count, within `per` if that is given.",
        "per": "The time that `max` counts in.",
        "half_life": "After this time half of these points are left.",
        "group": "One of `groups`, within whose limits the points count.",
    },
    "Group": {
        "cap": "The most points the group comes to.",
        "floor": "The least points the group comes to, 0 or below.",
    },
    "Grid": {
        "fit": "Letters with the fit from which on they are given, the best first.",
        "engagement": "Numbers with the engagement from which on they are given, the best first.",
    },
    "Machines": {
        "kinds": "The kinds of touchpoints that scanners cause.",
        "burst": "So many of them at once are a machine's.",
        "within": "What counts as at once.",
        "after_send": "What comes sooner after a message went out is a machine's.",
    },
    "Route": {
        "pools": "The pools, looked at in this order; the last one takes whatever is left.",
        "accept_within": "The working time in which the owner accepts a lead.",
        "remind_after": "When the owner is reminded.",
        "hand_on": "How often a lead that nobody accepts is handed on.",
        "escalate_to": "Who gets a lead that nobody accepted.",
        "sticky": "Who had a person's lead within this time gets the next one.",
    },
    "Pool": {
        **_WORKED,
        "label": "What people call the pool.",
        "when": "Which leads the pool takes; the last pool has none.",
        "fits": "Which members a lead can go to, as in '\"de\" in member.speaks'.",
        "members": "People with their weight: 2 gets twice what 1 gets.",
        "accept_within": "As in `route`, for this pool.",
    },
    "State": {
        "label": "What people call the state.",
        "description": "What it means to be here.",
        "department": "Whose work it is.",
        "system": "Where that work is done.",
        "sla": "How long a lead should stay at most.",
        "outcome": "What reaching the state means for the business.",
        "final": "true: nothing more is owed, and only people take a lead out again.",
        "kpis": "What the state is measured by.",
        "to": "The ways out: the transition's name, and the state it leads to.",
    },
    "Transition": {
        "label": "What people call the move.",
        "description": "What the move means.",
        "department": "Who makes it.",
        "system": "Where it is made.",
        "when": "What has to hold.",
        "after": "How long the lead has to have been in its state.",
        "trigger": "What sets it off: it happens by itself, people ask for it, or somebody is looked at again.",
        "reason": "A code that is recorded; of several, whoever moves the lead names one.",
        "kpis": "What the move is measured by.",
    },
    **campaign_keys.KEYS,
}
