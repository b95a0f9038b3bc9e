"""The shared database: one module per noun, each table stating its own law as named constraints."""

from __future__ import annotations

from schema.tables.absence import absence
from schema.tables.account import account, audit, canary
from schema.tables.api_key import api_key
from schema.tables.assignment import assignment
from schema.tables.association import association, association_count
from schema.tables.base import metadata
from schema.tables.campaign import campaign_look, campaign_state, enrolment, enrolment_step
from schema.tables.consent import consent
from schema.tables.contract import contract
from schema.tables.dead_letter import dead_letter
from schema.tables.decision import decision
from schema.tables.event import consumer, event
from schema.tables.follow_up import calendar_feed, follow_up
from schema.tables.handover import handover
from schema.tables.health import health
from schema.tables.hint import hint
from schema.tables.importing import import_run
from schema.tables.journey import journey, journey_activation, journey_active, journey_move
from schema.tables.kpi import kpi_bucket, kpi_forecast, kpi_lead, kpi_restated, kpi_target
from schema.tables.lead import lead
from schema.tables.message import mailbox, message
from schema.tables.opportunity import opportunity, opportunity_change
from schema.tables.person import company, person, person_key, person_merge, person_suggestion
from schema.tables.pool import pool
from schema.tables.prediction import prediction_active, prediction_model
from schema.tables.purchase import purchase
from schema.tables.receipt import receipt, submission
from schema.tables.retrieval import retrieval
from schema.tables.send import send, suppression
from schema.tables.survey import survey, survey_answer
from schema.tables.ticket import ticket, ticket_clock, ticket_entry, ticket_pause
from schema.tables.timer import timer
from schema.tables.touchpoint import touchpoint
from schema.tables.transition import transition

__all__ = [
    "absence",
    "account",
    "api_key",
    "assignment",
    "association",
    "association_count",
    "audit",
    "calendar_feed",
    "campaign_look",
    "campaign_state",
    "canary",
    "company",
    "consent",
    "consumer",
    "contract",
    "dead_letter",
    "decision",
    "enrolment",
    "enrolment_step",
    "event",
    "follow_up",
    "handover",
    "health",
    "hint",
    "import_run",
    "journey",
    "journey_activation",
    "journey_active",
    "journey_move",
    "kpi_bucket",
    "kpi_forecast",
    "kpi_lead",
    "kpi_restated",
    "kpi_target",
    "lead",
    "mailbox",
    "message",
    "metadata",
    "opportunity",
    "opportunity_change",
    "person",
    "person_key",
    "person_merge",
    "person_suggestion",
    "pool",
    "prediction_active",
    "prediction_model",
    "purchase",
    "receipt",
    "retrieval",
    "send",
    "submission",
    "suppression",
    "survey",
    "survey_answer",
    "ticket",
    "ticket_clock",
    "ticket_entry",
    "ticket_pause",
    "timer",
    "touchpoint",
    "transition",
]
