"""
Measures: what is counted from the event feed, by day, and by what.

Every fact counts once for all (`dim` empty), and once for its value of each dimension that it has; so a figure by one
dimension is read as fast as the whole. A day is one of the time zone that the journey's `kpis.tz` names (UTC). `bins`
are durations in seconds (`schema/kpi/bins.py`) where the list says so. Of leads that are tests nothing is counted.

Dimensions of a lead: those of its first touchpoint and of the moment (who owned it then). A segment that `lead.touched`
names is the lead's from then on: a stay ends in the dimensions in which it began, what comes later has the new ones.

Of leads that only files told of, nothing is counted of how fast we were (`detected` to `first_response_hours`): they
began when something else told of them. `won` and `credit` stay as they were first told; late touchpoints do not change
them. At most 100 touchpoints before a win share it: the earliest and the latest ones (`workers/figures/memory.py`).

When something was is an event's `at`, where it has one, else its `time`. `purchase.recorded` with `was` takes back what
that says (on its day) and adds what it says itself.

    name                 item                     day of              n, total, bins

    created              (none)                   its first contact   leads
    touched              kind                     the touchpoint      touchpoints, the first one too, by their own
                                                                      source, channel and campaign
    qualification        passed, unknown, or the reason code of a no  leads; each lead's first answer
    entered              state                    coming into it      stays that began, the initial state's too
    left                 state>transition>to      coming INTO it      the same stays by how they ended; bins: how
                                                                      long. Those of `entered` not here are open
    moved                state>transition>to      the move            moves; bins: how long the state was held before.
                                                                      The same facts as `left`, by when they ended
    overdue              state                    that moment         stays told to be too long
    parked               state                    that moment         leads that rest since people were merged; negative
                                                                      where that was undone
    migrated             from>to                  that moment         moves to another version. Where a state has
                                                                      another name there, the stay is counted under that
                                                                      one from its day on: `left` as old>migrate>new
                                                                      without a bin, `entered` as new

    detected             (none)                   arrival             leads; bins: from receipt to lead
    assigned             (none)                   assignment          first owners; bins: since the lead began
    accepted             (none)                   acceptance          bins: since the assignment that was accepted
    handed_on            reason                   that moment         leads that left their owner
    first_response       lead, or kind of ticket  the answer          first words of ours; bins: since it began
    first_response_hours lead, or kind of ticket  the answer          the same in business time, if known
    handover             from>to                  the hand-over       departments' hand-overs
    taken                from>to                  the HAND-OVER       of those taken up; bins: waiting

    purchased            kind>currency            the purchase        total: amount
    won                  (none)                   a lead's first purchase or won opportunity
                                                                      leads; bins: since the first contact
    fault                code                     that moment         what cannot be true, such as `won_before_contact`
    credit               model                    winning             total: millionths of a win; the dimensions are
                                                                      those of each touchpoint, not of the lead
    credit_amount        model>currency           winning             total: share of the amount

    opportunity.opened   pipeline                 opening
    opportunity.moved    pipeline>stage>stage     the change          bins: since it was opened
    opportunity.won      pipeline                 winning             bins: since it was opened
    opportunity.lost     pipeline>reason          losing              bins: since it was opened
    opportunity.reopened pipeline                 that moment
    opportunity.amount   pipeline>won|lost>currency  closing          total: amount

    ticket.opened        kind                     opening
    ticket.resolved      kind                     resolving           bins: since it was opened
    ticket.reopened      kind                     reopening
    ticket.closed        kind                     closing
    sla.hit, sla.missed  metric                   that moment         clocks that ended in time, or did not; of tickets
                                                                      `owner` is theirs and `team` their desk

    contract.started     (none), contract.renewal_due, contract.renewed, contract.ended: also item `cancelled`
                                                  its first (last) day, or when it was told if that was before
    contract.value       currency                 start or renewal    total: amount
    survey.sent          survey
    survey.answered      survey                   the first answer    total: score; bins: how many gave which score;
                                                                      of the latest answer, which is the one that counts
    follow_up.created    rule, `by_hand` or `campaign`; follow_up.done: rule>outcome; follow_up.late: rule
    campaign.entered     campaign                                     campaign.exited: campaign>outcome
    message.sent         campaign>step            message.failed, message.unknown
"""

from __future__ import annotations

from typing import Final

DIMS: Final = {
    "source": "Where the lead came from first: the name of a source of the journey.",
    "channel": "By what it came first: form, email, event, api, import …",
    "campaign": "The advertising campaign of its first touchpoint (`utm_campaign`, or what `kpis.campaign` names).",
    "segment": "What the journey's `kpis.segment` says of it when it begins.",
    "owner": "Who had it at that moment: the short name of a person of the journey.",
    "team": "The pool, desk or pipeline whose work it was.",
    "version": "The version of the journey that it followed.",
}
"""The dimensions, and what each of them means. Department and state are part of `item`, by the journey file."""
ALL: Final = ""
"""The `dim` of what is counted for all values together."""
MONTHS: Final = "~"
"""Before a `dim`: the same by whole months, each on its first day, of measures in `SIZED`."""
COHORTS: Final = ("left",)
"""Sized measures whose day has to be known: how long what is not over yet has lasted goes by the day it began on."""
SIZED: Final = (
    "left", "moved", "detected", "assigned", "accepted", "first_response", "first_response_hours", "taken", "won",
    "opportunity.moved", "opportunity.won", "opportunity.lost", "ticket.resolved", "survey.answered",
)  # fmt: skip
"""Measures with bins. They are the most of what a long window reads, so they are kept by month as well."""
MODELS: Final = ("first", "last", "linear", "position", "decay")
"""How a win is shared out among the touchpoints before it."""
