"""
Catalogue: every KPI with what it means, what it is made of, what it may be asked of and by, and how it is reckoned.

A `snapshot` tells what happened within a window, whenever it began; a `cohort` what became so far of what began within
it; `now` is as it is at this moment; `whole` is since the beginning, whatever the window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from schema.kpi import reckon
from schema.kpi.measures import DIMS

if TYPE_CHECKING:
    from schema.kpi.figure import Unit
    from schema.kpi.reckon import Reckon

Kind = Literal["snapshot", "cohort", "now", "whole"]
LEAD: Final = (*DIMS,)
"""The dimensions of what is counted of a lead."""
TOUCH: Final = ("source", "channel", "campaign")
"""The dimensions of a touchpoint that has a share in a win."""
PLACES: Final = ("state", "department")
"""What can be asked by where states are told apart; the journey file says whose work a state is."""

_MOVES: Final = ("state", "transition")
_MOVE: Final = ("state", "transition", "to")

SHARE: Final = 30
"""So many are needed before a share or a score says much: its interval is then some 18 points to either side."""
TIME: Final = 20
"""So many are needed before a median says much, and a 90th percentile a little."""
EACH: Final = 10
"""So many are needed for a mean of amounts."""


@dataclass(frozen=True, slots=True)
class Kpi:
    """
    One KPI.

    `reads` are the measures that it is made of (`reads_of`: of others, where it is asked of something), `ever` those of
    which all days before count, too.
    `of` names what it may be asked of, `parts` by what it is told apart where that is not asked; where that makes
    sense, all is told `together`, too. `needed` is the sample below which it says little. Without `reckon` it is not
    made of counts by day but read where it stands.
    """

    name: str
    group: str
    title: str
    definition: str
    unit: Unit
    numerator: str
    denominator: str = ""
    kind: Kind = "snapshot"
    dims: tuple[str, ...] = LEAD
    of: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    needed: int = 0
    reads: tuple[str, ...] = ()
    reads_of: tuple[str, ...] = ()
    ever: tuple[str, ...] = ()
    reckon: Reckon | None = field(default=None, compare=False)
    together: bool = False

    @property
    def whole(self) -> bool:
        """Whether all parts are told together, too: the figure without any part."""
        return self.reckon is not None and (not self.parts or self.parts == ("currency",) or self.together)

    @property
    def sizes(self) -> bool:
        """Whether it is made of how many there were of each size, too."""
        return self.unit in {"seconds", "points"} or self.name in {"csat", "velocity"}

    @property
    def places(self) -> tuple[str, ...]:
        """What else than dimensions it may be asked by."""
        return PLACES if "state" in self.of and self.reckon else ()

    @property
    def by(self) -> tuple[str, ...]:
        """All that it may be asked by."""
        return (*self.dims, *self.places)

    def single(self, of: str | None) -> bool:
        """Whether there is one answer (one for each currency) when it is asked of such a thing, or of nothing."""
        left = {*self.parts} - {of, "currency"} - {*_MOVE}
        return self.whole if of is None else of in self.of and self.reckon is not None and not left


def _all(*kpis: Kpi) -> dict[str, Kpi]:
    return {kpi.name: kpi for kpi in kpis}


GENERATION: Final = (
    Kpi(
        "arrivals", "generation", "Arrivals",
        "How many leads began; of a state: how often leads came into it.",
        "count", "Leads whose first contact was in the window, or stays in the state that began in it.",
        of=("state",), reads=("created",), reads_of=("entered",), reckon=reckon.arrivals,
    ),
    Kpi(
        "touchpoints", "generation", "Touchpoints",
        "How many interactions there were, by their kind.",
        "count", "Touchpoints in the window, a lead's first one included.",
        of=("touchpoint",), together=True, parts=("touchpoint",), reads=("touched",),
        reckon=reckon.counted("touched", "touchpoint"),
    ),
    Kpi(
        "faults", "generation", "Faults in data",
        "How often something was told that cannot be true, such as a win before the first contact.",
        "count", "Facts that contradict each other, by their code.",
        together=True, parts=("code",), reads=("fault",), reckon=reckon.counted("fault", "code"),
    ),
)  # fmt: skip
QUALIFICATION: Final = (
    Kpi(
        "qualification_rate", "qualification", "Qualification rate",
        "The share of leads whose first answer from the criteria was a yes.",
        "share", "Leads that passed every criterion at the first look.", "Leads that were first looked at.",
        needed=SHARE, reads=("qualification",), reckon=reckon.qualified,
    ),
    Kpi(
        "disqualified", "qualification", "Disqualified, by reason",
        "How many leads were refused at the first look, by the reason.",
        "count", "Leads whose first answer was a no.",
        together=True, parts=("reason",), reads=("qualification",), reckon=reckon.disqualified,
    ),
    Kpi(
        "conversion", "qualification", "Conversion",
        "Of the leads that came into a state in the window, the share that has left it since by a move; asked of a "
        "state: by any move that is no loss.",
        "share", "Stays that have ended by the move so far.", "Stays that began in the window, the open ones included.",
        kind="cohort", of=_MOVES, parts=_MOVE, needed=SHARE, reads=("entered", "left"), reckon=reckon.converted,
    ),
    Kpi(
        "conversion_snapshot", "qualification", "Conversion, by when it happened",
        "Of the moves out of a state in the window, the share of each way, whenever the leads had come.",
        "share", "Moves by this way in the window.", "Moves out of the same state in the window.",
        of=_MOVES, parts=_MOVE, needed=SHARE, reads=("moved",), reckon=reckon.moved_on,
    ),
    Kpi(
        "drop_off", "qualification", "Drop-off",
        "Of the leads that came into a state in the window, the share that was lost from it since: to a state that "
        "counts as lost, or that is final without being won.",
        "share", "Stays that have ended in such a state so far.", "Stays that began in the window.",
        kind="cohort", of=("state",), parts=("state",), needed=SHARE, reads=("entered", "left"), reckon=reckon.dropped,
    ),
    Kpi(
        "drop_off_snapshot", "qualification", "Drop-off, by when it happened",
        "Of the moves out of a state in the window, the share that was a loss.",
        "share", "Moves to a state that counts as lost, or is final without being won.", "Moves out of the state.",
        of=("state",), parts=("state",), needed=SHARE, reads=("moved",), reckon=reckon.moved_away,
    ),
)  # fmt: skip
TIMES: Final = (
    Kpi(
        "time_in_state", "time", "Time in state",
        "How long leads stay in a state, of those that came in the window; those still there count for as long as "
        "they have been.",
        "seconds", "Stays that are over.", "Stays that began in the window (open ones are censored).",
        kind="cohort", of=("state",), parts=("state",), needed=TIME, reads=("entered", "left"), reckon=reckon.stayed,
    ),
    Kpi(
        "time_to_move", "time", "Time until a move",
        "How long the state had been held before each move of the window.",
        "seconds", "Moves in the window.",
        of=_MOVES, parts=_MOVE, needed=TIME, reads=("moved",), reckon=reckon.moved_after,
    ),
    Kpi(
        "overdue", "time", "Overdue stays",
        "How often a lead stayed in a state for longer than its `sla`.",
        "count", "Stays that became too long in the window.",
        of=("state",), together=True, parts=("state",), reads=("overdue",), reckon=reckon.counted("overdue", "state"),
    ),
    Kpi(
        "detection_time", "time", "Detection",
        "From the arrival of a message to the lead that it became.",
        "seconds", "Leads that were found in the window.",
        needed=TIME, reads=("detected",), reckon=reckon.lasting("detected"),
    ),
    Kpi(
        "assignment_time", "time", "Assignment",
        "From the beginning of a lead to its first owner.",
        "seconds", "Leads that got their first owner in the window.",
        needed=TIME, reads=("assigned",), reckon=reckon.lasting("assigned"),
    ),
    Kpi(
        "time_to_accept", "time", "Reaction",
        "From being given a lead to accepting it.",
        "seconds", "Leads that were accepted in the window.",
        needed=TIME, reads=("accepted",), reckon=reckon.lasting("accepted"),
    ),
    Kpi(
        "first_response", "time", "First response",
        "From the beginning of a lead to our first words to it by a person, by the clock on the wall.",
        "seconds", "Leads that were answered first in the window; automatic replies are none.",
        needed=TIME, reads=("first_response",), reckon=reckon.lasting("first_response", about="lead"),
    ),
    Kpi(
        "first_response_hours", "time", "First response, business hours",
        "The same, counted only while those who answer are at work.",
        "seconds", "Leads that were answered first in the window.",
        needed=TIME, reads=("first_response_hours",), reckon=reckon.lasting("first_response_hours", about="lead"),
    ),
    Kpi(
        "handover_time", "time", "Hand-over between departments",
        "How long work that one department hands to another waits to be taken up; what still waits counts, too.",
        "seconds", "Hand-overs that were taken up.", "Hand-overs of the window.",
        kind="cohort", parts=("from", "to"), needed=TIME, reads=("handover", "taken"), reckon=reckon.handed_over,
    ),
)  # fmt: skip
SALES: Final = (
    Kpi(
        "wins", "sales", "Wins",
        "How many leads became customers: by their first purchase or the first opportunity that was won.",
        "count", "Leads that were won in the window.",
        reads=("won",), reckon=reckon.counted("won"),
    ),
    Kpi(
        "time_to_win", "sales", "Time to win",
        "From the first contact to the win.",
        "seconds", "Leads that were won in the window.",
        needed=TIME, reads=("won",), reckon=reckon.lasting("won"),
    ),
    Kpi(
        "win_rate", "sales", "Win rate",
        "Won, of all that were decided: moves into states that count as won, of those into won or lost ones; asked of "
        "a transition: the share of its own moves.",
        "share", "Moves that won.", "Moves that won or lost, out of the same states.",
        of=_MOVES, needed=SHARE, reads=("moved",), reckon=reckon.won,
    ),
    Kpi(
        "opportunity_win_rate", "sales", "Win rate of opportunities",
        "Of the opportunities that were closed in the window, the share that was won.",
        "share", "Opportunities won.", "Opportunities won or lost.",
        of=("pipeline",), together=True, parts=("pipeline",), needed=SHARE,
        reads=("opportunity.won", "opportunity.lost"),
        reckon=reckon.rate("opportunity.won", "opportunity.won", "opportunity.lost", by="pipeline"),
    ),
    Kpi(
        "sales_cycle", "sales", "Sales cycle",
        "From opening an opportunity to winning it.",
        "seconds", "Opportunities that were won in the window.",
        of=("pipeline",), together=True, parts=("pipeline",), needed=TIME, reads=("opportunity.won",),
        reckon=reckon.lasting("opportunity.won", "pipeline"),
    ),
    Kpi(
        "velocity", "sales", "Sales velocity",
        "What a pipeline brings in a day: opportunities open at the end of the window, times the share that is won, "
        "times what a won one is worth, by the days that one takes.",
        "money_per_day", "Opportunities open at the end of the window.", "Opportunities decided in the window.",
        of=("pipeline",), parts=("pipeline", "currency"), needed=EACH,
        reads=("opportunity.won", "opportunity.lost", "opportunity.amount"),
        ever=("opportunity.opened", "opportunity.reopened", "opportunity.won", "opportunity.lost"),
        reckon=reckon.velocity,
    ),
    Kpi(
        "open_opportunities", "sales", "Open opportunities",
        "How many opportunities were open at the end of the window.",
        "count", "Opportunities opened before, less those that were closed.",
        of=("pipeline",), parts=("pipeline",),
        ever=("opportunity.opened", "opportunity.reopened", "opportunity.won", "opportunity.lost"),
        reckon=reckon.open_opportunities,
    ),
    Kpi(
        "pipeline_value", "sales", "Pipeline value",
        "What the open opportunities come to, by stage.",
        "money", "The amounts of all that are open now.",
        kind="now", dims=(), of=("pipeline",), parts=("pipeline", "stage", "currency"),
    ),
    Kpi(
        "won_amount", "sales", "Amount won",
        "What the opportunities that were won in the window come to.",
        "money", "The amounts of opportunities that were won.",
        of=("pipeline",), parts=("pipeline", "currency"), reads=("opportunity.amount",),
        reckon=reckon.added("opportunity.amount", "pipeline", "currency", outcome="won"),
    ),
    Kpi(
        "lost_reasons", "sales", "Lost, by reason",
        "Of the opportunities that were lost in the window, the share of each reason.",
        "share", "Opportunities lost for the reason.", "Opportunities lost.",
        of=("pipeline",), parts=("pipeline", "reason"), needed=SHARE, reads=("opportunity.lost",),
        reckon=reckon.lost_for,
    ),
    Kpi(
        "forecast_hit_rate", "sales", "Forecasts that held",
        "Of the forecasts whose time was over in the window, the share for which what was won lay between low and "
        "high; four in five should.",
        "share", "Forecasts that held.", "Forecasts of which the time is over.",
        dims=(), of=("pipeline",), parts=("pipeline", "currency"), needed=SHARE,
    ),
    Kpi(
        "forecast_ratio", "sales", "Outcome against forecast",
        "What was won, by what had been expected: 1 is as expected, 0.8 is a fifth less.",
        "ratio", "What was won until the forecasts' time was over.", "What had been expected.",
        dims=(), of=("pipeline",), parts=("pipeline", "currency"), needed=EACH,
    ),
    Kpi(
        "value", "sales", "Value",
        "What was bought in the window, less what was paid back.",
        "money", "The amounts of purchases and renewals, less refunds.",
        parts=("currency",), reads=("purchased",), reckon=reckon.added("purchased", "currency", minus="refund"),
    ),
    Kpi(
        "average_sale", "sales", "Average sale",
        "What one purchase comes to.",
        "money", "The amounts of purchases.", "Purchases with an amount.",
        parts=("currency",), needed=EACH, reads=("purchased",), reckon=reckon.average_sale,
    ),
)  # fmt: skip
RETENTION: Final = (
    Kpi(
        "renewal_rate", "retention", "Renewal rate",
        "Of the contract terms that came to their end in the window, the share that another term followed.",
        "share", "Terms that were renewed.", "Terms that were renewed or ended.",
        needed=SHARE, reads=("contract.renewed", "contract.ended"), reckon=reckon.renewed,
    ),
    Kpi(
        "churn_rate", "retention", "Churn rate",
        "Of the contracts that ran at the beginning of the window, the share that ended in it.",
        "share", "Contracts that ended in the window.", "Contracts that ran at its beginning.",
        needed=SHARE, reads=("contract.ended",), ever=("contract.started", "contract.ended"), reckon=reckon.churned,
    ),
    Kpi(
        "lifetime_value", "retention", "Lifetime value",
        "What a customer has brought so far: all purchases and renewals less refunds, by all customers.",
        "money", "What was bought until the end of the window, less what was paid back.",
        "Customers that were won until then.",
        parts=("currency",), needed=EACH, ever=("purchased", "won"), reckon=reckon.lifetime,
    ),
    Kpi(
        "upsell_rate", "retention", "Upsell",
        "Of the purchases in the window, the share by those who had bought before.",
        "share", "Purchases of leads that had bought before.", "Purchases.", dims=(), needed=SHARE,
    ),
    Kpi(
        "upsell_value", "retention", "Upsell, value",
        "What was bought in the window by those who had bought before.",
        "money", "The amounts of purchases of leads that had bought before.", dims=(), parts=("currency",),
    ),
)  # fmt: skip
SERVICE: Final = (
    Kpi(
        "tickets_opened", "service", "Tickets opened",
        "How many tickets were opened, by their kind.",
        "count", "Tickets opened in the window.",
        of=("ticket",), together=True, parts=("ticket",), reads=("ticket.opened",),
        reckon=reckon.counted("ticket.opened", "ticket"),
    ),
    Kpi(
        "tickets_resolved", "service", "Tickets resolved",
        "How often tickets were resolved, by their kind.",
        "count", "Resolutions in the window; a ticket that is opened again may have several.",
        of=("ticket",), together=True, parts=("ticket",), reads=("ticket.resolved",),
        reckon=reckon.counted("ticket.resolved", "ticket"),
    ),
    Kpi(
        "ticket_first_response", "service", "First response to tickets",
        "From opening a ticket to our first answer, by the clock on the wall.",
        "seconds", "Tickets that were answered first in the window; automatic replies are none.",
        of=("ticket",), together=True, parts=("ticket",), needed=TIME, reads=("first_response",),
        reckon=reckon.answered("first_response"),
    ),
    Kpi(
        "ticket_first_response_hours", "service", "First response to tickets, business hours",
        "The same, counted only while those who answer are at work.",
        "seconds", "Tickets that were answered first in the window.",
        of=("ticket",), together=True, parts=("ticket",), needed=TIME, reads=("first_response_hours",),
        reckon=reckon.answered("first_response_hours"),
    ),
    Kpi(
        "resolution_time", "service", "Resolution time",
        "From opening a ticket to its resolution.",
        "seconds", "Resolutions in the window.",
        of=("ticket",), together=True, parts=("ticket",), needed=TIME, reads=("ticket.resolved",),
        reckon=reckon.lasting("ticket.resolved", "ticket"),
    ),
    Kpi(
        "reopen_rate", "service", "Reopen rate",
        "Tickets that were opened again, for each resolution.",
        "share", "Tickets opened again in the window.", "Resolutions in the window.",
        of=("ticket",), together=True, parts=("ticket",), needed=SHARE, reads=("ticket.reopened", "ticket.resolved"),
        reckon=reckon.rate("ticket.reopened", "ticket.resolved", by="ticket"),
    ),
    Kpi(
        "sla_hit_rate", "service", "SLA hit rate",
        "Of the promises that were decided in the window, the share that was kept in time.",
        "share", "Clocks that ended in time.", "Clocks that ended, in time or not.",
        of=("sla",), together=True, parts=("sla",), needed=SHARE, reads=("sla.hit", "sla.missed"),
        reckon=reckon.rate("sla.hit", "sla.hit", "sla.missed", by="sla"),
    ),
    Kpi(
        "follow_up_late_rate", "service", "Late follow-ups",
        "Work that was not done until it was due, for each that was made.",
        "share", "Follow-ups that became late in the window.", "Follow-ups that were made in the window.",
        together=True, parts=("rule",), needed=SHARE, reads=("follow_up.late", "follow_up.created"),
        reckon=reckon.rate("follow_up.late", "follow_up.created", by="rule"),
    ),
)  # fmt: skip
SATISFACTION: Final = (
    Kpi(
        "csat", "satisfaction", "CSAT",
        "The share of those who answered that is satisfied: 4 or 5 of 5.",
        "share", "Surveys answered with 4 or 5.", "Surveys answered in the window.",
        of=("survey",), together=True, parts=("survey",), needed=SHARE, reads=("survey.answered",),
        reckon=reckon.satisfied("csat"),
    ),
    Kpi(
        "nps", "satisfaction", "NPS",
        "The share of 9 and 10 less the share of 0 to 6, from -100 to 100.",
        "points", "Answers of 9 and 10 less those of 0 to 6.", "Surveys answered in the window.",
        of=("survey",), together=True, parts=("survey",), needed=SHARE, reads=("survey.answered",),
        reckon=reckon.satisfied("nps"),
    ),
    Kpi(
        "satisfaction", "satisfaction", "Mean score",
        "The mean of the scores that were given.",
        "score", "The sum of the scores.", "Surveys answered in the window.",
        of=("survey",), parts=("survey",), needed=SHARE, reads=("survey.answered",), reckon=reckon.mean_score,
    ),
    Kpi(
        "response_rate", "satisfaction", "Response rate",
        "Surveys that were answered in the window, for each that was sent in it.",
        "share", "Surveys answered in the window.", "Surveys sent in the window.",
        of=("survey",), together=True, parts=("survey",), needed=SHARE, reads=("survey.sent", "survey.answered"),
        reckon=reckon.rate("survey.answered", "survey.sent", by="survey"),
    ),
)  # fmt: skip
CAMPAIGNS: Final = (
    Kpi(
        "campaign_entered", "campaigns", "Campaign entries",
        "How many people entered a campaign.",
        "count", "Entries in the window.",
        of=("campaign",), together=True, parts=("campaign",), reads=("campaign.entered",),
        reckon=reckon.counted("campaign.entered", "campaign"),
    ),
    Kpi(
        "campaign_goal_rate", "campaigns", "Campaign goal rate",
        "Of those whose way through a campaign was over in the window, the share that reached its goal.",
        "share", "Those that reached the goal.", "Those whose way was over.",
        of=("campaign",), together=True, parts=("campaign",), needed=SHARE, reads=("campaign.exited",),
        reckon=reckon.reached_goal,
    ),
    Kpi(
        "messages_sent", "campaigns", "Messages sent",
        "How many messages of a campaign went out.",
        "count", "Messages that went out in the window.",
        of=("campaign",), together=True, parts=("campaign",), reads=("message.sent",),
        reckon=reckon.counted("message.sent", "campaign"),
    ),
    Kpi(
        "cost_per_lead", "campaigns", "Cost per lead",
        "What a campaign has cost so far, for each person that entered it.",
        "money", "The cost of the campaign.", "People that entered it, those held out left aside.",
        kind="whole", dims=(), of=("campaign",), parts=("campaign", "currency"), needed=EACH,
    ),
    Kpi(
        "cost_per_customer", "campaigns", "Cost per customer",
        "What a campaign has cost so far, for each person that bought after entering it.",
        "money", "The cost of the campaign.", "People that bought within the time of its goal.",
        kind="whole", dims=(), of=("campaign",), parts=("campaign", "currency"), needed=EACH,
    ),
    Kpi(
        "return_on_investment", "campaigns", "Return on investment",
        "What came in beyond the cost of a campaign, as a share of the cost; where people are held out, only what was "
        "bought more than by those.",
        "ratio", "What was bought, less the cost.", "The cost of the campaign.",
        kind="whole", dims=(), of=("campaign",), parts=("campaign",), needed=EACH,
    ),
    Kpi(
        "attributed_wins", "campaigns", "Attributed wins",
        "Wins, shared out among the touchpoints before them by five models: first, last, linear, position "
        "(40/20/40) and decay (halving every 7 days).",
        "count", "Shares of wins; those of one win add up to 1.",
        dims=TOUCH, parts=("model",), reads=("credit",), reckon=reckon.credited,
    ),
    Kpi(
        "attributed_value", "campaigns", "Attributed value",
        "What wins came to, shared out among the touchpoints before them by the same models.",
        "money", "Shares of amounts.",
        dims=TOUCH, parts=("model", "currency"), reads=("credit_amount",), reckon=reckon.credited_amount,
    ),
)  # fmt: skip
TEAM: Final = (
    Kpi(
        "assigned", "team", "Leads assigned",
        "How many leads got their first owner; by owner: how many each rep was given.",
        "count", "Leads that got their first owner in the window.",
        reads=("assigned",), reckon=reckon.counted("assigned"),
    ),
    Kpi(
        "handed_on", "team", "Leads handed on",
        "How often a lead left its owner for another, by the reason.",
        "count", "Leads that left their owner in the window.",
        together=True, parts=("reason",), reads=("handed_on",), reckon=reckon.counted("handed_on", "reason"),
    ),
    Kpi(
        "load", "team", "Load",
        "How many open leads each rep has now.",
        "count", "Open leads that are theirs.",
        kind="now", dims=(), parts=("owner",),
    ),
    Kpi(
        "fairness", "team", "Fairness",
        "How many turns each rep is ahead of their share of a pool (negative: behind), by its ledger.",
        "turns", "Turns taken, less the share that their weight gives them.",
        kind="now", dims=(), parts=("pool", "owner"),
    ),
)  # fmt: skip

CATALOG: Final[dict[str, Kpi]] = _all(
    *GENERATION, *QUALIFICATION, *TIMES, *SALES, *RETENTION, *SERVICE, *SATISFACTION, *CAMPAIGNS, *TEAM
)
"""Every KPI by its name."""
GROUPS: Final = {
    "generation": "Lead generation",
    "qualification": "Qualification and conversion",
    "time": "Times",
    "sales": "Sales",
    "retention": "Retention",
    "service": "Customer service",
    "satisfaction": "Satisfaction",
    "campaigns": "Campaigns and attribution",
    "team": "Team",
}
"""What they are about, in order."""
