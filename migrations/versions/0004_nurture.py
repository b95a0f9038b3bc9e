"""
Nurture: who is where in which campaign, what is sent to whom, and who must not be written to.

Runs before the new code; the old one does not see any of it.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHANGE = """
CREATE TABLE enrolment (
    id uuid NOT NULL,
    journey_name text NOT NULL,
    journey text NOT NULL,
    campaign text NOT NULL,
    person_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    entry_key text NOT NULL,
    entered_at timestamptz NOT NULL,
    entered_by text NOT NULL,
    step text,
    since timestamptz NOT NULL,
    due_at timestamptz,
    listens_since timestamptz NOT NULL,
    number integer DEFAULT '0' NOT NULL,
    attempts smallint DEFAULT '0' NOT NULL,
    arms jsonb DEFAULT '{}' NOT NULL,
    holdout boolean DEFAULT 'false' NOT NULL,
    outcome text,
    reason text,
    goal_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT pk_enrolment PRIMARY KEY (id),
    CONSTRAINT uq_enrolment_occasion UNIQUE (person_id, journey_name, campaign, entry_key),
    CONSTRAINT ck_enrolment_outcome_known CHECK (outcome IN ('finished', 'goal', 'exited', 'aborted', 'cancelled')),
    CONSTRAINT ck_enrolment_ends_with_outcome CHECK ((outcome IS NULL) = (ended_at IS NULL)),
    CONSTRAINT ck_enrolment_is_at_a_step_until_it_ends CHECK ((outcome IS NULL) = (step IS NOT NULL)),
    CONSTRAINT ck_enrolment_over_is_not_due CHECK (outcome IS NULL OR due_at IS NULL)
) WITH (fillfactor = 70);
COMMENT ON COLUMN enrolment.id IS 'version 7: in order of entering';
COMMENT ON COLUMN enrolment.journey IS 'the version it entered and stays with';
COMMENT ON COLUMN enrolment.entry_key IS 'which occasion this is: the same one enters once';
COMMENT ON COLUMN enrolment.entered_by IS 'the way in, or who did it by hand';
COMMENT ON COLUMN enrolment.step IS 'the next one, or the one that is waited at; null: over';
COMMENT ON COLUMN enrolment.since IS 'since when it is at this step';
COMMENT ON COLUMN enrolment.due_at IS 'when to look at it; null: over, or waiting for a message';
COMMENT ON COLUMN enrolment.listens_since IS 'its steps ask about touchpoints since then: its latest message';
COMMENT ON COLUMN enrolment.number IS 'steps done';
COMMENT ON COLUMN enrolment.arms IS 'which way it was sent at each split';
CREATE INDEX ix_enrolment_due ON enrolment (journey_name, campaign, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ix_enrolment_entered ON enrolment (journey_name, campaign, entered_at);
CREATE INDEX ix_enrolment_lead ON enrolment (lead_id) WHERE outcome IS NULL;
CREATE UNIQUE INDEX uq_enrolment_running ON enrolment (journey_name, campaign, person_id) WHERE outcome IS NULL;
CREATE TABLE enrolment_step (
    enrolment_id uuid NOT NULL,
    number integer NOT NULL,
    step text NOT NULL,
    action text NOT NULL,
    at timestamptz NOT NULL,
    outcome text NOT NULL,
    explanation jsonb DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_enrolment_step PRIMARY KEY (enrolment_id, number)
);
COMMENT ON COLUMN enrolment_step.outcome IS 'done, timed_out, chosen, sent, skipped, …';
CREATE TABLE campaign_state (
    journey_name text NOT NULL,
    campaign text NOT NULL,
    paused_at timestamptz,
    paused_by text,
    held_at timestamptz,
    held_for integer,
    approved_until timestamptz,
    approved_by text,
    approved_most integer,
    CONSTRAINT pk_campaign_state PRIMARY KEY (journey_name, campaign)
);
COMMENT ON COLUMN campaign_state.held_at IS 'more people entered than expected: waits to be approved';
COMMENT ON COLUMN campaign_state.held_for IS 'how many had entered when it was held';
COMMENT ON COLUMN campaign_state.approved_most IS 'how many may enter within the time of the audience, until then';
CREATE TABLE campaign_look (
    journey_name text NOT NULL,
    version text NOT NULL,
    after uuid,
    began_at timestamptz NOT NULL,
    done_at timestamptz,
    CONSTRAINT pk_campaign_look PRIMARY KEY (journey_name)
);
COMMENT ON COLUMN campaign_look.version IS 'for whose campaigns the leads there were are looked at';
COMMENT ON COLUMN campaign_look.after IS 'the last lead that was looked at; null: none yet';
CREATE TABLE send (
    id uuid NOT NULL,
    journey_name text NOT NULL,
    journey text NOT NULL,
    campaign text NOT NULL,
    step text NOT NULL,
    template text NOT NULL,
    enrolment_id uuid,
    person_id uuid NOT NULL,
    lead_id uuid NOT NULL,
    entry_key text NOT NULL,
    lane smallint NOT NULL,
    priority smallint DEFAULT '50' NOT NULL,
    purpose text,
    capped text DEFAULT 'defer' NOT NULL,
    data jsonb DEFAULT '{}' NOT NULL,
    state text NOT NULL,
    reason text,
    planned_at timestamptz NOT NULL,
    due_at timestamptz,
    attempts smallint DEFAULT '0' NOT NULL,
    claimed_at timestamptz,
    settled_at timestamptz,
    reply text,
    consent_id uuid,
    links jsonb,
    opened_at timestamptz,
    clicked_at timestamptz,
    replied_at timestamptz,
    bounced_at timestamptz,
    complained_at timestamptz,
    unsubscribed_at timestamptz,
    CONSTRAINT pk_send PRIMARY KEY (id),
    CONSTRAINT uq_send_once UNIQUE (journey_name, campaign, step, person_id, entry_key),
    CONSTRAINT ck_send_state_known CHECK (state IN ('planned', 'sending', 'sent', 'failed', 'unknown', 'skipped')),
    CONSTRAINT ck_send_planned_is_due CHECK ((state = 'planned') = (due_at IS NOT NULL)),
    CONSTRAINT ck_send_claimed_before_sent CHECK ((state IN ('sending', 'unknown', 'sent')) <= (claimed_at IS NOT NULL))
) WITH (fillfactor = 70);
COMMENT ON COLUMN send.id IS 'version 7; the message id is made of it';
COMMENT ON COLUMN send.journey IS 'the version whose template is sent';
COMMENT ON COLUMN send.campaign IS 'or what else sends: opt_in';
COMMENT ON COLUMN send.lane IS '0: service, before 1: marketing';
COMMENT ON COLUMN send.purpose IS 'what needs consent; null: nothing does';
COMMENT ON COLUMN send.data IS 'more for the template, or of a no; no personal data';
COMMENT ON COLUMN send.reason IS 'a code: why it was skipped, put off or failed';
COMMENT ON COLUMN send.due_at IS 'not before this; null: not to be sent any more';
COMMENT ON COLUMN send.settled_at IS 'when it was sent, failed or was skipped';
COMMENT ON COLUMN send.reply IS 'the code that its mail server answered';
COMMENT ON COLUMN send.consent_id IS 'the answer that allowed it';
COMMENT ON COLUMN send.links IS 'where its links lead';
CREATE INDEX ix_send_campaign ON send (journey_name, campaign, state, id);
CREATE INDEX ix_send_due ON send (lane, due_at) WHERE state = 'planned';
CREATE INDEX ix_send_parked ON send (journey_name, campaign, due_at)
    WHERE state = 'planned' AND reason = 'campaign_paused';
CREATE INDEX ix_send_person ON send (person_id, claimed_at);
CREATE INDEX ix_send_sending ON send (claimed_at) WHERE state = 'sending';
CREATE INDEX ix_send_unknown ON send (id) WHERE state = 'unknown';
CREATE TABLE suppression (
    address bytea NOT NULL,
    reason text NOT NULL,
    soft integer DEFAULT '0' NOT NULL,
    at timestamptz NOT NULL,
    until timestamptz,
    active text DEFAULT 'all' NOT NULL,
    send_id uuid,
    actor text,
    CONSTRAINT pk_suppression PRIMARY KEY (address),
    CONSTRAINT ck_suppression_address_is_a_hash CHECK (octet_length(address) = 32),
    CONSTRAINT ck_suppression_active_known CHECK (active IN ('all', 'marketing', 'nothing'))
);
COMMENT ON COLUMN suppression.address IS 'keyed hash of the match key: outlives the person';
COMMENT ON COLUMN suppression.reason IS 'hard_bounce, soft_bounces, complaint, unsubscribed, by_hand';
COMMENT ON COLUMN suppression.soft IS 'soft bounces lately';
COMMENT ON COLUMN suppression.until IS 'null: until somebody lifts it';
COMMENT ON COLUMN suppression.active IS 'what it holds back: all, marketing, nothing';
ALTER TABLE dead_letter DROP CONSTRAINT ck_dead_letter_subject_known;
ALTER TABLE dead_letter ADD CONSTRAINT ck_dead_letter_subject_known
    CHECK (subject IN ('receipt', 'lead', 'enrolment'));
COMMENT ON COLUMN dead_letter.subject IS 'receipt, lead or enrolment';
"""
BACK = """
DELETE FROM dead_letter WHERE subject = 'enrolment';
ALTER TABLE dead_letter DROP CONSTRAINT ck_dead_letter_subject_known;
ALTER TABLE dead_letter ADD CONSTRAINT ck_dead_letter_subject_known CHECK (subject IN ('receipt', 'lead'));
COMMENT ON COLUMN dead_letter.subject IS 'receipt or lead';
DROP TABLE enrolment, enrolment_step, campaign_state, campaign_look, send, suppression
"""


def upgrade() -> None:
    op.execute(CHANGE)


def downgrade() -> None:
    op.execute(BACK)
