"""A small journey in which a no is not for ever: what is asked has its time, and each reason its own second look."""

from __future__ import annotations

from typing import Final

AGAIN: Final = """\
journey: again
people: {ana: {email: ana@example.com}}
lists: {rivals: [rival.example]}
qualify:
  - {name: not_a_rival, reject: company.domain in lists.rivals, reason: competitor, unknown: pass}
  - {name: fitting, require: '"crm" in lead.interests', reason: no_need, unknown: pass}
  - name: big
    require: company.employees >= 50
    reason: too_small
    question: How many people work with you?
    within: 14d
requalify: {competitor: never, no_need: {news: true, most: 2}, too_small: 90d, otherwise: news}
score: {engagement: {on: {form: 30}}, grades: {A: 30, B: 0}}
route: {pools: {everybody: {members: {ana: 1}}}}
lifecycle:
  lead: {sla: 5d, to: {disqualify: out, qualify: chance, drop: out}}
  chance: {to: {offer: offered, stale: stale, send_back: lead, lose: lost, turn_away: out}}
  offered: {final: true}
  stale: {sla: 2d, to: {lose: lost, buy: offered}}
  lost: {final: true, to: {revive: chance}}
  out: {final: true, to: {requalify: lead, overrule: chance}}
transitions:
  disqualify: {when: qualification.outcome == "disqualified"}
  qualify: {when: qualification.passed}
  requalify: {trigger: requalify}
  drop: {reason: [competitor, rude]}
  offer: {trigger: manual, when: company.employees >= 100}
  stale: {after: 30d}
  buy: {when: '"purchase" in touchpoint.kinds'}
"""
