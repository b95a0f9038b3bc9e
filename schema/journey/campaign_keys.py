"""What each key of mail, templates and campaigns means, in a sentence: the rest of `keys`."""

from __future__ import annotations

from typing import Final

_WORDING: Final = {
    "subject": "The subject; fields in double braces.",
    "preview": "The line that mail programs show beside the subject.",
    "text": "The message in Markdown; fields in double braces.",
    "html": "A page of its own in place of the one made from `text`.",
}
KEYS: Final[dict[str, dict[str, str]]] = {
    "Mail": {
        "hours": "When campaigns may write, written here; without a time zone by the clock of the person's own place.",
        "calendar": "When campaigns may write, by name: one of `calendars`.",
        "sender": "Whom mail is from, as in 'Ana Lopez <ana@example.com>'.",
        "reply_to": "Where answers go, if not to the sender.",
        "postal": "The postal address of the business, which marketing has to name.",
        "caps": "How many marketing messages one person gets at most, of all campaigns together.",
        "assume": "The time zones to take for somebody of whose place nothing is known.",
        "opens": "false: nobody notices that a message is opened.",
        "clicks": "false: nobody notices that a link is followed.",
    },
    "Cap": {"most": "At most so many messages within `per`.", "per": "The time that `most` counts in."},
    "Template": {
        **_WORDING,
        "label": "What people call the message.",
        "languages": "The same for people of other languages, by code, as in de or pt-BR; anybody else gets the above.",
    },
    "Wording": _WORDING,
    "Campaign": {
        "label": "What people call the campaign.",
        "description": "What the campaign is for.",
        "department": "Who runs it.",
        "kind": "Marketing needs consent and keeps to hours and caps; service mail goes out at once.",
        "purpose": "What marketing asks consent for.",
        "priority": "Which campaign goes first where several want to write to one person, 0 to 100.",
        "enter": "The ways in; one of them is enough.",
        "again": "When somebody may enter again: once, after_exit, always, or a while after they last entered (30d).",
        "exit": "What ends it for somebody at once, wherever they are.",
        "goal": "What it is for; who reaches it is done.",
        "holdout": "So many per cent of those who enter get nothing, so that the effect can be measured.",
        "audience": "How many may enter before somebody has to approve it.",
        "cost": "What it costs, for the return on it.",
        "steps": "What happens, in this order.",
    },
    "Enter": {
        "when": "What has to hold.",
        "state": "On coming into this state.",
        "event": "On a touchpoint of this kind.",
        "date": "On the day in this field, as in person.custom.renewal.",
        "before": "So long before `date`.",
        "after": "So long after `date`.",
        "yearly": "true: the day comes back every year.",
        "late": "Who is noticed later than this after the moment does not enter.",
    },
    "Exit": {
        "when": "What has to hold.",
        "event": "A kind of touchpoint.",
        "reason": "The code that is kept for it.",
    },
    "Goal": {
        "when": "What has to hold.",
        "within": "So long after entering it counts; the enrolment waits for it after its last step.",
    },
    "Audience": {
        "most": "More than so many within `per` wait until somebody approves.",
        "per": "The time that `most` counts in.",
        "expect": "How many are expected, to compare with.",
    },
    "Cost": {
        "fixed": "What the campaign costs once, exactly; also in quotes, as in '1200.00'.",
        "per_send": "What each message that goes out costs, as in 0.002.",
        "currency": "The currency, as in EUR.",
    },
    "Step": {
        "name": "What other steps call it.",
        "send": "Send this template.",
        "capped": "What to do where the person had enough mail: defer it, skip it, or abort the enrolment.",
        "wait": "Wait this long; a day is 24 hours.",
        "wait_until": "Wait until this holds.",
        "timeout": "How long `wait_until` waits at most.",
        "otherwise": "Where to go when `timeout` is over; else on.",
        "branch": "Go the first way that holds, else on.",
        "split": "Go to one of these steps by weight, the same person always to the same one.",
        "set": "Answers of the person to set, below person.custom.",
        "follow_up": "Give somebody this task.",
        "notify": "Tell other systems, under this name.",
        "exit": "End here, for this reason.",
        "go": "Go to this step, further down.",
    },
    "Way": {"when": "What has to hold; without it this way is always taken.", "go": "The step to go to, further down."},
    "FollowUp": {
        "text": "What is to be done.",
        "to": "Who does it: the lead's owner, or one of `people`.",
        "within": "How soon.",
    },
}
