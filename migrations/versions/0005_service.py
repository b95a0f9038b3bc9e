"""
Sales and service: opportunities, contracts, tickets with their clocks, follow-ups, surveys, and what wakes them.

Runs before the new code; the old one does not see any of it.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CHANGE = """
CREATE TABLE timer (
    id uuid NOT NULL,
    kind text NOT NULL,
    lead_id uuid NOT NULL,
    due_at timestamptz,
    attempts smallint DEFAULT '0' NOT NULL,
    CONSTRAINT pk_timer PRIMARY KEY (id),
    CONSTRAINT ck_timer_kind_known CHECK (kind IN ('contract', 'follow_up', 'opportunity', 'survey', 'ticket'))
) WITH (fillfactor = 70);
COMMENT ON COLUMN timer.id IS 'of what it is the timer of';
COMMENT ON COLUMN timer.due_at IS 'null: it failed, and is set aside';
CREATE INDEX ix_timer_due ON timer (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX ix_timer_lead ON timer (lead_id);

CREATE TABLE opportunity (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    person_id uuid NOT NULL,
    journey_name text NOT NULL,
    pipeline text NOT NULL,
    name text,
    stage text NOT NULL,
    stage_since timestamptz NOT NULL,
    owner text,
    department text,
    amount numeric,
    currency text,
    probability double precision,
    expected_close date,
    products jsonb DEFAULT '[]' NOT NULL,
    competitors jsonb DEFAULT '[]' NOT NULL,
    next_action text,
    outcome text,
    reason text,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    closed_at timestamptz,
    touched_at timestamptz NOT NULL,
    quiet_since timestamptz,
    changes integer DEFAULT '0' NOT NULL,
    reopened integer DEFAULT '0' NOT NULL,
    CONSTRAINT pk_opportunity PRIMARY KEY (id),
    CONSTRAINT ck_opportunity_outcome_known CHECK (outcome IN ('won', 'lost')),
    CONSTRAINT ck_opportunity_closed_with_outcome CHECK ((outcome IS NULL) = (closed_at IS NULL)),
    CONSTRAINT ck_opportunity_lost_for_a_reason CHECK (outcome <> 'lost' OR reason IS NOT NULL),
    CONSTRAINT ck_opportunity_amount_not_negative CHECK (amount >= 0),
    CONSTRAINT ck_opportunity_amount_in_a_currency CHECK (amount IS NULL OR currency IS NOT NULL),
    CONSTRAINT ck_opportunity_probability_in_range CHECK (probability BETWEEN 0 AND 1)
);
COMMENT ON COLUMN opportunity.stage IS 'of one that is over: where it was';
COMMENT ON COLUMN opportunity.owner IS 'null: the lead''s';
COMMENT ON COLUMN opportunity.department IS 'whose work it is; null: nothing says so';
COMMENT ON COLUMN opportunity.probability IS '0 to 1, as somebody said it; null: that of its stage';
COMMENT ON COLUMN opportunity.outcome IS 'null: open';
COMMENT ON COLUMN opportunity.reason IS 'of a lost one: one of its pipeline''s';
COMMENT ON COLUMN opportunity.touched_at IS 'when anything last happened to it';
COMMENT ON COLUMN opportunity.quiet_since IS 'told that it is quiet for too long';
CREATE INDEX ix_opportunity_any_open ON opportunity (id) WHERE outcome IS NULL;
CREATE INDEX ix_opportunity_closed ON opportunity (journey_name, pipeline, closed_at) WHERE outcome IS NOT NULL;
CREATE INDEX ix_opportunity_lead ON opportunity (lead_id);
CREATE INDEX ix_opportunity_open ON opportunity (journey_name, pipeline, stage, id) WHERE outcome IS NULL;
CREATE INDEX ix_opportunity_owner ON opportunity (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX ix_opportunity_person ON opportunity (person_id);

CREATE TABLE opportunity_change (
    opportunity_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    what text NOT NULL,
    from_stage text,
    to_stage text NOT NULL,
    stayed_s integer,
    amount numeric,
    currency text,
    data jsonb DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_opportunity_change PRIMARY KEY (opportunity_id, number)
);
COMMENT ON COLUMN opportunity_change.what IS 'opened, stage, changed, won, lost, reopened';
COMMENT ON COLUMN opportunity_change.stayed_s IS 'seconds in the stage that was left';
COMMENT ON COLUMN opportunity_change.data IS 'the fields that changed: from, to';

CREATE TABLE ticket (
    id uuid NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    lead_id uuid NOT NULL,
    person_id uuid NOT NULL,
    journey_name text NOT NULL,
    journey text NOT NULL,
    kind text NOT NULL,
    priority text NOT NULL,
    status text NOT NULL,
    subject text,
    desk text,
    owner text,
    department text,
    waiting_since timestamptz,
    source text NOT NULL,
    channel text NOT NULL,
    external_id text,
    refers_to uuid,
    root_cause text,
    resolution text,
    sla text,
    opened_at timestamptz NOT NULL,
    opened_by text NOT NULL,
    status_since timestamptz NOT NULL,
    first_response_at timestamptz,
    resolved_at timestamptz,
    closed_at timestamptz,
    closes_at timestamptz,
    reopened integer DEFAULT '0' NOT NULL,
    entries integer DEFAULT '0' NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pk_ticket PRIMARY KEY (id),
    CONSTRAINT ck_ticket_status_known CHECK (status IN ('new', 'open', 'waiting', 'on_hold', 'resolved', 'closed')),
    CONSTRAINT ck_ticket_priority_known CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    CONSTRAINT ck_ticket_closed_when_closed CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT uq_ticket_number UNIQUE (number)
) WITH (fillfactor = 80);
COMMENT ON COLUMN ticket.department IS 'whose work it is; null: nothing says so';
COMMENT ON COLUMN ticket.number IS 'what people call it by';
COMMENT ON COLUMN ticket.journey IS 'the version whose kinds and clocks are its own';
COMMENT ON COLUMN ticket.waiting_since IS 'set while nobody of its desk is free';
COMMENT ON COLUMN ticket.external_id IS 'what another system calls it';
COMMENT ON COLUMN ticket.refers_to IS 'the closed ticket that it goes on with';
COMMENT ON COLUMN ticket.sla IS 'the name of its policy';
COMMENT ON COLUMN ticket.closes_at IS 'of a resolved one: when it is closed if nobody objects';
CREATE INDEX ix_ticket_lead ON ticket (lead_id);
CREATE INDEX ix_ticket_nobody ON ticket (status, id) WHERE owner IS NULL;
CREATE INDEX ix_ticket_open ON ticket (status, id) WHERE status <> 'closed';
CREATE INDEX ix_ticket_owner ON ticket (owner, status, id) WHERE owner IS NOT NULL;
CREATE INDEX ix_ticket_person ON ticket (person_id);
CREATE INDEX ix_ticket_work ON ticket (owner) WHERE status IN ('new', 'open') AND owner IS NOT NULL;
CREATE INDEX ix_ticket_waiting ON ticket (journey_name, desk, waiting_since) WHERE waiting_since IS NOT NULL;
CREATE UNIQUE INDEX uq_ticket_external ON ticket (external_id, source) WHERE external_id IS NOT NULL;

CREATE TABLE ticket_entry (
    ticket_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    kind text NOT NULL,
    actor text NOT NULL,
    channel text,
    body text,
    machine boolean DEFAULT 'false' NOT NULL,
    touchpoint_id uuid,
    data jsonb DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_ticket_entry PRIMARY KEY (ticket_id, number)
);
COMMENT ON COLUMN ticket_entry.at IS 'when it happened';
COMMENT ON COLUMN ticket_entry.kind IS 'opened, message_in, message_out, note, status, assigned, changed, …';
COMMENT ON COLUMN ticket_entry.actor IS 'customer, a person of the journey, a key, journey';
COMMENT ON COLUMN ticket_entry.machine IS 'an automatic answer: no response';
COMMENT ON COLUMN ticket_entry.touchpoint_id IS 'the touchpoint whose arrival it is';
CREATE UNIQUE INDEX uq_ticket_entry_touchpoint ON ticket_entry (touchpoint_id) WHERE touchpoint_id IS NOT NULL;

CREATE TABLE ticket_clock (
    ticket_id uuid NOT NULL,
    metric text NOT NULL,
    cycle integer NOT NULL,
    journey text NOT NULL,
    policy text NOT NULL,
    desk text,
    target_s integer NOT NULL,
    started_at timestamptz NOT NULL,
    due_at timestamptz,
    state text NOT NULL,
    told jsonb DEFAULT '[]' NOT NULL,
    stopped_at timestamptz,
    worked_s integer,
    CONSTRAINT pk_ticket_clock PRIMARY KEY (ticket_id, metric, cycle),
    CONSTRAINT ck_ticket_clock_state_known
        CHECK (state IN ('active', 'at_risk', 'breached', 'hit', 'missed', 'cancelled')),
    CONSTRAINT ck_ticket_clock_metric_known CHECK (metric IN ('first_response', 'next_response', 'resolution')),
    CONSTRAINT ck_ticket_clock_stops_with_state
        CHECK ((stopped_at IS NOT NULL) = (state IN ('hit', 'missed', 'cancelled')))
) WITH (fillfactor=80);
COMMENT ON COLUMN ticket_clock.cycle IS '1, 2, … of this metric and ticket';
COMMENT ON COLUMN ticket_clock.journey IS 'the version that it is counted by';
COMMENT ON COLUMN ticket_clock.desk IS 'whose hours count where the policy has none';
COMMENT ON COLUMN ticket_clock.target_s IS 'seconds of working time';
COMMENT ON COLUMN ticket_clock.due_at IS 'when the time is over; null: while it stands still';
COMMENT ON COLUMN ticket_clock.told IS 'thresholds, in per cent, told already';
COMMENT ON COLUMN ticket_clock.worked_s IS 'working time it took, pauses left out; null: running';
CREATE INDEX ix_ticket_clock_due ON ticket_clock (due_at, ticket_id, metric)
    WHERE stopped_at IS NULL AND due_at IS NOT NULL;
CREATE INDEX ix_ticket_clock_running ON ticket_clock (journey, ticket_id) WHERE stopped_at IS NULL;

CREATE TABLE ticket_pause (
    ticket_id uuid NOT NULL,
    from_at timestamptz NOT NULL,
    to_at timestamptz,
    status text NOT NULL,
    CONSTRAINT pk_ticket_pause PRIMARY KEY (ticket_id, from_at),
    CONSTRAINT ck_ticket_pause_ends_after_it_begins CHECK (to_at >= from_at)
);
COMMENT ON COLUMN ticket_pause.to_at IS 'null: it goes on';

CREATE TABLE follow_up (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    person_id uuid NOT NULL,
    journey_name text NOT NULL,
    journey text NOT NULL,
    rule text,
    occasion text NOT NULL,
    text text NOT NULL,
    about_kind text NOT NULL,
    about_id uuid NOT NULL,
    role text NOT NULL,
    owner text,
    department text,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    due_at timestamptz NOT NULL,
    first_due_at timestamptz NOT NULL,
    remind_at timestamptz,
    snoozed_until timestamptz,
    snoozes smallint DEFAULT '0' NOT NULL,
    reminded_at timestamptz,
    late_at timestamptz,
    escalated_at timestamptz,
    escalated_to text,
    outcome text,
    reason text,
    note text,
    done_at timestamptz,
    done_by text,
    updated_at timestamptz NOT NULL,
    changes integer DEFAULT '0' NOT NULL,
    CONSTRAINT pk_follow_up PRIMARY KEY (id),
    CONSTRAINT uq_follow_up_occasion UNIQUE NULLS NOT DISTINCT (lead_id, rule, occasion),
    CONSTRAINT ck_follow_up_done_with_outcome CHECK ((outcome IS NULL) = (done_at IS NULL)),
    CONSTRAINT ck_follow_up_about_known CHECK (about_kind IN ('lead', 'ticket', 'opportunity', 'contract', 'survey')),
    CONSTRAINT ck_follow_up_role_known CHECK (role IN ('owner', 'agent', 'person'))
) WITH (fillfactor=80);
COMMENT ON COLUMN follow_up.journey IS 'the version whose rule and people are its own';
COMMENT ON COLUMN follow_up.rule IS 'of the journey, or campaign/step; null: by hand';
COMMENT ON COLUMN follow_up.occasion IS 'what it was made for: the same makes no other';
COMMENT ON COLUMN follow_up.about_kind IS 'lead, ticket, opportunity, contract, survey';
COMMENT ON COLUMN follow_up.role IS 'owner of the lead, agent of what it is about, or a person named';
COMMENT ON COLUMN follow_up.owner IS 'null: nobody has the lead yet';
COMMENT ON COLUMN follow_up.department IS 'whose work it is; null: nothing says so';
COMMENT ON COLUMN follow_up.first_due_at IS 'before anybody put it off';
COMMENT ON COLUMN follow_up.late_at IS 'told that it is late';
COMMENT ON COLUMN follow_up.outcome IS 'null: open; cancelled where it fell away';
COMMENT ON COLUMN follow_up.reason IS 'a code: why it fell away';
COMMENT ON COLUMN follow_up.changes IS 'how often calendars have to be told anew';
CREATE INDEX ix_follow_up_about ON follow_up (about_id);
CREATE INDEX ix_follow_up_due ON follow_up (due_at, id) WHERE outcome IS NULL;
CREATE INDEX ix_follow_up_lead ON follow_up (lead_id);
CREATE INDEX ix_follow_up_over ON follow_up (done_at, id) WHERE outcome IS NOT NULL;
CREATE INDEX ix_follow_up_owner ON follow_up (owner, due_at, id) WHERE outcome IS NULL;
CREATE INDEX ix_follow_up_owner_over ON follow_up (owner, done_at, id) WHERE outcome IS NOT NULL;

CREATE TABLE handover (
    about_kind text NOT NULL,
    about_id uuid NOT NULL,
    number integer NOT NULL,
    lead_id uuid NOT NULL,
    journey text NOT NULL,
    at timestamptz NOT NULL,
    what text NOT NULL,
    from_department text NOT NULL,
    to_department text NOT NULL,
    actor text NOT NULL,
    from_owner text,
    to_owner text,
    system text,
    to_system text,
    taken_at timestamptz,
    taken_by text,
    ended_at timestamptz,
    CONSTRAINT pk_handover PRIMARY KEY (about_id, number),
    CONSTRAINT ck_handover_about_known CHECK (about_kind IN ('lead', 'ticket', 'opportunity', 'follow_up')),
    CONSTRAINT ck_handover_to_another CHECK (from_department <> to_department),
    CONSTRAINT ck_handover_taken_by_somebody
        CHECK (taken_at >= at AND (taken_at IS NULL) = (taken_by IS NULL)),
    CONSTRAINT ck_handover_taken_or_ended CHECK (taken_at IS NULL OR ended_at IS NULL)
) WITH (fillfactor=90);
COMMENT ON COLUMN handover.about_kind IS 'lead, ticket, opportunity, follow_up';
COMMENT ON COLUMN handover.number IS 'of the transition, the entry or the change that it came with';
COMMENT ON COLUMN handover.journey IS 'the version that says whose work it is';
COMMENT ON COLUMN handover.what IS 'the transition, or: opened, desk, assigned, made, escalated';
COMMENT ON COLUMN handover.actor IS 'customer, a person of the journey, a key, journey, campaign';
COMMENT ON COLUMN handover.system IS 'in which it was handed over';
COMMENT ON COLUMN handover.to_system IS 'in which it is worked on from then on';
COMMENT ON COLUMN handover.taken_at IS 'when somebody of the department first did something about it';
COMMENT ON COLUMN handover.ended_at IS 'it went on, or was over, and nobody had taken it';
CREATE INDEX ix_handover_department ON handover (to_department, at, about_id, number);
CREATE INDEX ix_handover_lead ON handover (lead_id) WHERE about_id <> lead_id;
CREATE INDEX ix_handover_open ON handover (to_department, at, about_id, number)
    WHERE taken_at IS NULL AND ended_at IS NULL;

CREATE TABLE calendar_feed (
    id uuid NOT NULL,
    owner text NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT pk_calendar_feed PRIMARY KEY (id)
);
COMMENT ON COLUMN calendar_feed.id IS 'what the address of the calendar is made of';
CREATE UNIQUE INDEX uq_calendar_feed_owner ON calendar_feed (owner) WHERE revoked_at IS NULL;

CREATE TABLE contract (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    person_id uuid NOT NULL,
    journey_name text NOT NULL,
    source text NOT NULL,
    external_id text,
    follows uuid,
    products jsonb DEFAULT '[]' NOT NULL,
    amount numeric,
    currency text,
    starts_on date NOT NULL,
    ends_on date NOT NULL,
    anchor_on date NOT NULL,
    period text,
    tz text NOT NULL,
    renews_itself boolean DEFAULT 'false' NOT NULL,
    status text NOT NULL,
    reason text,
    told jsonb DEFAULT '[]' NOT NULL,
    recorded_at timestamptz NOT NULL,
    cancelled_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT pk_contract PRIMARY KEY (id),
    CONSTRAINT ck_contract_status_known CHECK (status IN ('active', 'renewed', 'ended', 'cancelled')),
    CONSTRAINT ck_contract_runs_until_it_is_over CHECK (ended_at IS NOT NULL OR status IN ('active', 'cancelled')),
    CONSTRAINT ck_contract_active_while_it_runs CHECK ((status = 'active') <= (ended_at IS NULL)),
    CONSTRAINT ck_contract_ends_after_it_starts CHECK (ends_on >= starts_on),
    CONSTRAINT ck_contract_amount_not_negative CHECK (amount >= 0),
    CONSTRAINT ck_contract_amount_in_a_currency CHECK (amount IS NULL OR currency IS NOT NULL),
    CONSTRAINT uq_contract_term UNIQUE (source, external_id, starts_on)
);
COMMENT ON COLUMN contract.external_id IS 'what the seller''s system calls it; the same over all its terms';
COMMENT ON COLUMN contract.follows IS 'the term before';
COMMENT ON COLUMN contract.amount IS 'for the whole term';
COMMENT ON COLUMN contract.ends_on IS 'its last day';
COMMENT ON COLUMN contract.tz IS 'where its days begin';
COMMENT ON COLUMN contract.anchor_on IS 'the first day of its first term: months are counted from it';
COMMENT ON COLUMN contract.period IS 'how long a term is: P12M, P30D';
COMMENT ON COLUMN contract.reason IS 'why it was cancelled: a code';
COMMENT ON COLUMN contract.ended_at IS 'when it was renewed or over; null: it runs';
COMMENT ON COLUMN contract.told IS 'moments before the end told already, s';
CREATE INDEX ix_contract_lead ON contract (lead_id);
CREATE INDEX ix_contract_person ON contract (person_id);
CREATE INDEX ix_contract_runs ON contract (ends_on, id) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX uq_contract_follows ON contract (follows) WHERE follows IS NOT NULL;

CREATE TABLE health (
    lead_id uuid NOT NULL,
    score smallint NOT NULL,
    at timestamptz NOT NULL,
    at_risk_since timestamptz,
    CONSTRAINT pk_health PRIMARY KEY (lead_id),
    CONSTRAINT ck_health_score_in_range CHECK (score BETWEEN 0 AND 100)
) WITH (fillfactor = 80);
COMMENT ON COLUMN health.lead_id IS 'of somebody who has bought';
COMMENT ON COLUMN health.score IS '0 to 100';
COMMENT ON COLUMN health.at_risk_since IS 'told that they may leave; null: they are well';

CREATE TABLE association (
    given text[] NOT NULL,
    product text NOT NULL,
    label text NOT NULL,
    labels text[] NOT NULL,
    with_both integer NOT NULL,
    with_given integer NOT NULL,
    with_product integer NOT NULL,
    CONSTRAINT pk_association PRIMARY KEY (given, product),
    CONSTRAINT ck_association_counted CHECK (with_both BETWEEN 1 AND LEAST(with_given, with_product))
);
COMMENT ON COLUMN association.given IS 'names of products as they are compared, in order';
COMMENT ON COLUMN association.label IS 'what the product is mostly called';
COMMENT ON COLUMN association.labels IS 'what those that are given are mostly called';

CREATE TABLE association_count (
    whole boolean DEFAULT 'true' NOT NULL,
    people integer NOT NULL,
    counted_at timestamptz NOT NULL,
    CONSTRAINT pk_association_count PRIMARY KEY (whole),
    CONSTRAINT ck_association_count_only_one CHECK (whole)
);
COMMENT ON COLUMN association_count.people IS 'who have bought anything that is named';

CREATE TABLE survey (
    id uuid NOT NULL,
    lead_id uuid NOT NULL,
    person_id uuid NOT NULL,
    journey_name text NOT NULL,
    journey text NOT NULL,
    survey text NOT NULL,
    kind text NOT NULL,
    occasion text NOT NULL,
    about_kind text NOT NULL,
    about_id uuid NOT NULL,
    agent text,
    state text NOT NULL,
    reason text,
    asked_by text NOT NULL,
    planned_at timestamptz NOT NULL,
    sent_at timestamptz,
    expires_at timestamptz,
    answered_at timestamptz,
    score smallint,
    comment text,
    ticket_id uuid,
    CONSTRAINT pk_survey PRIMARY KEY (id),
    CONSTRAINT uq_survey_occasion UNIQUE (lead_id, survey, occasion),
    CONSTRAINT ck_survey_state_known CHECK (state IN ('planned', 'sent', 'answered', 'cancelled', 'expired')),
    CONSTRAINT ck_survey_kind_known CHECK (kind IN ('csat', 'nps')),
    CONSTRAINT ck_survey_answered_at_a_time CHECK ((state = 'answered') = (answered_at IS NOT NULL)),
    CONSTRAINT ck_survey_score_in_range
        CHECK (CASE WHEN kind = 'csat' THEN score BETWEEN 1 AND 5 ELSE score BETWEEN 0 AND 10 END),
    CONSTRAINT ck_survey_answered_with_a_score CHECK (answered_at IS NULL OR score IS NOT NULL),
    CONSTRAINT ck_survey_sent_at_a_time
        CHECK (state NOT IN ('sent', 'answered', 'expired') OR sent_at IS NOT NULL)
) WITH (fillfactor=80);
COMMENT ON COLUMN survey.journey IS 'the version whose question it is';
COMMENT ON COLUMN survey.survey IS 'its name in the journey';
COMMENT ON COLUMN survey.kind IS 'csat or nps';
COMMENT ON COLUMN survey.occasion IS 'what it was planned for: the same is asked once';
COMMENT ON COLUMN survey.about_kind IS 'lead, ticket, opportunity or contract';
COMMENT ON COLUMN survey.agent IS 'whose work it is about, as it was when they were asked';
COMMENT ON COLUMN survey.reason IS 'a code: why it was cancelled';
COMMENT ON COLUMN survey.asked_by IS 'email, or the channel on which somebody asked in person';
COMMENT ON COLUMN survey.sent_at IS 'when they were asked';
COMMENT ON COLUMN survey.expires_at IS 'until when it can be answered';
COMMENT ON COLUMN survey.answered_at IS 'when the answer was given that counts';
COMMENT ON COLUMN survey.ticket_id IS 'the complaint that a low answer opened';
CREATE INDEX ix_survey_about ON survey (about_id);
CREATE INDEX ix_survey_agent ON survey (agent, id) WHERE agent IS NOT NULL;
CREATE INDEX ix_survey_named ON survey (survey, id);
CREATE INDEX ix_survey_person ON survey (person_id, sent_at);
CREATE INDEX ix_survey_sent ON survey (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE survey_answer (
    survey_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    score smallint NOT NULL,
    comment text,
    channel text NOT NULL,
    actor text NOT NULL,
    CONSTRAINT pk_survey_answer PRIMARY KEY (survey_id, number)
);
COMMENT ON COLUMN survey_answer.channel IS 'web, or where somebody took it: phone, chat, …';
COMMENT ON COLUMN survey_answer.actor IS 'person: they did it themselves; else who took it';
ALTER TABLE message ADD COLUMN ticket_id uuid;
CREATE INDEX ix_message_ticket ON message (ticket_id) WHERE ticket_id IS NOT NULL;
COMMENT ON COLUMN message.ticket_id IS 'the ticket it belongs to';
ALTER TABLE send ALTER person_id DROP NOT NULL, ALTER lead_id DROP NOT NULL, ADD COLUMN staff text,
    ADD CONSTRAINT ck_send_for_somebody CHECK ((staff IS NULL) = (person_id IS NOT NULL AND lead_id IS NOT NULL));
COMMENT ON COLUMN send.staff IS 'one of the journey''s people, to whom it goes in place of a lead''s person';
CREATE UNIQUE INDEX uq_send_staff ON send (campaign, step, staff, entry_key) WHERE staff IS NOT NULL;
ALTER TABLE dead_letter DROP CONSTRAINT ck_dead_letter_subject_known;
ALTER TABLE dead_letter ADD CONSTRAINT ck_dead_letter_subject_known
    CHECK (subject IN ('receipt', 'lead', 'enrolment', 'timer'));
COMMENT ON COLUMN dead_letter.subject IS 'receipt, lead, enrolment or timer';
"""
BACK = """
ALTER TABLE message DROP COLUMN ticket_id;
DELETE FROM send WHERE staff IS NOT NULL;
ALTER TABLE send DROP COLUMN staff, ALTER person_id SET NOT NULL, ALTER lead_id SET NOT NULL;
DELETE FROM dead_letter WHERE subject = 'timer';
ALTER TABLE dead_letter DROP CONSTRAINT ck_dead_letter_subject_known;
ALTER TABLE dead_letter ADD CONSTRAINT ck_dead_letter_subject_known
    CHECK (subject IN ('receipt', 'lead', 'enrolment'));
COMMENT ON COLUMN dead_letter.subject IS 'receipt, lead or enrolment';
DROP TABLE
    timer, opportunity, opportunity_change, ticket, ticket_entry, ticket_clock, ticket_pause, follow_up, contract,
    health, association, association_count, survey, survey_answer, calendar_feed, handover
"""


def upgrade() -> None:
    op.execute(CHANGE)


def downgrade() -> None:
    op.execute(BACK)
