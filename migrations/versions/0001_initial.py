"""
Everything the first version remembers.

Runs before the new code; there is no old one.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CREATE = """
CREATE TABLE api_key (
    id TEXT NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    label TEXT,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT pk_api_key PRIMARY KEY (id),
    CONSTRAINT ck_api_key_has_scopes CHECK (cardinality(scopes) > 0),
    CONSTRAINT uq_api_key_hash UNIQUE (hash)
);
COMMENT ON COLUMN api_key.id IS 'public part, also shown in the audit trail';

CREATE TABLE dead_letter (
    id UUID NOT NULL,
    step TEXT NOT NULL,
    subject TEXT NOT NULL,
    subject_id UUID NOT NULL,
    fingerprint TEXT NOT NULL,
    error TEXT NOT NULL,
    facts JSONB DEFAULT '{}' NOT NULL,
    attempts INTEGER NOT NULL,
    trace TEXT,
    created_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolution TEXT,
    CONSTRAINT pk_dead_letter PRIMARY KEY (id),
    CONSTRAINT ck_dead_letter_subject_known CHECK (subject IN ('receipt', 'lead')),
    CONSTRAINT ck_dead_letter_resolution_has_time CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);

CREATE UNIQUE INDEX uq_dead_letter_open ON dead_letter (subject_id) WHERE resolved_at IS NULL;
COMMENT ON COLUMN dead_letter.subject IS 'receipt or lead';
COMMENT ON COLUMN dead_letter.fingerprint IS 'the same for failures of the same kind and place';
COMMENT ON COLUMN dead_letter.error IS 'class and code, never a value';
COMMENT ON COLUMN dead_letter.resolution IS 'retried or discarded';

CREATE TABLE decision (
    lead_id UUID NOT NULL,
    number INTEGER NOT NULL,
    step TEXT NOT NULL,
    at timestamptz NOT NULL,
    journey TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    explanation JSONB NOT NULL,
    CONSTRAINT pk_decision PRIMARY KEY (lead_id, number)
);
COMMENT ON COLUMN decision.number IS '1, 2, 3 … of this lead';
COMMENT ON COLUMN decision.reason IS 'a code; the journey''s own words where it has some';
COMMENT ON COLUMN decision.explanation IS 'rule, inputs, candidates and why each was or was not chosen';

CREATE TABLE event (
    tx xid8 DEFAULT pg_current_xact_id() NOT NULL,
    position BIGINT GENERATED ALWAYS AS IDENTITY,
    lead_id UUID NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    time timestamptz NOT NULL,
    trace TEXT,
    data JSONB NOT NULL,
    CONSTRAINT uq_event_lead_sequence UNIQUE (lead_id, sequence)
);

CREATE INDEX ix_event_feed ON event (tx, position);
COMMENT ON COLUMN event.sequence IS '1, 2, 3 … of this lead, no gaps';
COMMENT ON COLUMN event.type IS 'noun.verb, such as lead.scored';

CREATE TABLE consumer (
    name TEXT NOT NULL,
    tx xid8 DEFAULT '0'::xid8 NOT NULL,
    position BIGINT DEFAULT '0' NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pk_consumer PRIMARY KEY (name)
);

CREATE UNLOGGED TABLE hint (
    queue TEXT NOT NULL,
    available_at timestamptz DEFAULT now() NOT NULL,
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    message BYTEA NOT NULL,
    CONSTRAINT pk_hint PRIMARY KEY (queue, available_at, id)
) WITH (
    autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0,
    vacuum_truncate = off,
    toast.autovacuum_vacuum_threshold = 500,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_cost_delay = 0,
    toast.vacuum_truncate = off
);

CREATE TABLE journey (
    version TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    initial_state TEXT NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_journey PRIMARY KEY (version)
);
COMMENT ON COLUMN journey.version IS 'the first 12 hex digits of the content''s sha-256';
COMMENT ON COLUMN journey.document IS 'the file, as it was written';

CREATE TABLE company (
    id UUID NOT NULL,
    domain TEXT NOT NULL,
    name TEXT,
    employees INTEGER,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_company PRIMARY KEY (id),
    CONSTRAINT ck_company_employees_not_negative CHECK (employees >= 0),
    CONSTRAINT uq_company_domain UNIQUE (domain)
);
COMMENT ON COLUMN company.domain IS 'registrable domain, never a free-mail one';

CREATE TABLE pool (
    journey_name TEXT NOT NULL,
    name TEXT NOT NULL,
    turn BIGINT DEFAULT '0' NOT NULL,
    taken JSONB DEFAULT '{}' NOT NULL,
    weights JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_pool PRIMARY KEY (journey_name, name),
    CONSTRAINT ck_pool_turn_not_negative CHECK (turn >= 0)
);
COMMENT ON COLUMN pool.turn IS 'turns dealt so far';
COMMENT ON COLUMN pool.taken IS 'turns by member';
COMMENT ON COLUMN pool.weights IS 'as they were when turns were dealt';

CREATE TABLE receipt (
    id UUID NOT NULL,
    source TEXT NOT NULL,
    channel TEXT NOT NULL,
    content_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    headers JSONB DEFAULT '{}' NOT NULL,
    trace TEXT NOT NULL,
    received_at timestamptz NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    reason TEXT,
    lead_id UUID,
    person_id UUID,
    due_since timestamptz,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_receipt PRIMARY KEY (id),
    CONSTRAINT ck_receipt_status_known CHECK (
        status IN ('pending', 'processed', 'merged', 'quarantined', 'spam', 'rejected')),
    CONSTRAINT ck_receipt_only_pending_is_due CHECK (due_since IS NULL OR status = 'pending'),
    CONSTRAINT ck_receipt_processed_has_lead CHECK (
        status NOT IN ('processed', 'merged') OR (lead_id IS NOT NULL AND person_id IS NOT NULL)),
    CONSTRAINT ck_receipt_refusal_has_reason CHECK (
        status NOT IN ('quarantined', 'spam', 'rejected') OR reason IS NOT NULL
    )
);

CREATE INDEX ix_receipt_due ON receipt (due_since) WHERE due_since IS NOT NULL;

CREATE INDEX ix_receipt_held ON receipt (id) WHERE status IN ('quarantined', 'spam');
COMMENT ON COLUMN receipt.channel IS 'how it came: form, api, email, event, import';
COMMENT ON COLUMN receipt.body IS 'the raw bytes, as they came';
COMMENT ON COLUMN receipt.reason IS 'a code: why it is quarantined, spam, rejected';
COMMENT ON COLUMN receipt.due_since IS 'set while `identify` owes it work';

CREATE TABLE submission (
    source TEXT NOT NULL,
    key BYTEA NOT NULL,
    fingerprint BYTEA NOT NULL,
    receipt_ids UUID[] NOT NULL,
    received_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_submission PRIMARY KEY (source, key),
    CONSTRAINT ck_submission_has_receipts CHECK (cardinality(receipt_ids) > 0),
    CONSTRAINT ck_submission_key_is_a_hash CHECK (octet_length(key) = 32)
);

CREATE INDEX ix_submission_expires ON submission (expires_at);
COMMENT ON COLUMN submission.key IS 'sha-256 of the sender''s key, or of the content';
COMMENT ON COLUMN submission.fingerprint IS 'sha-256 of what was sent';

CREATE TABLE touchpoint (
    id UUID NOT NULL,
    person_id UUID NOT NULL,
    lead_id UUID NOT NULL,
    kind TEXT NOT NULL,
    channel TEXT NOT NULL,
    source TEXT NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    data JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_touchpoint PRIMARY KEY (id)
);

CREATE INDEX ix_touchpoint_lead ON touchpoint (lead_id, occurred_at);

CREATE TABLE journey_move (
    journey TEXT NOT NULL,
    from_state TEXT NOT NULL,
    name TEXT NOT NULL,
    to_state TEXT NOT NULL,
    CONSTRAINT pk_journey_move PRIMARY KEY (journey, from_state, name, to_state),
    CONSTRAINT fk_journey_move_journey FOREIGN KEY (journey) REFERENCES journey (version)
);

CREATE TABLE journey_active (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    activated_at timestamptz NOT NULL,
    CONSTRAINT pk_journey_active PRIMARY KEY (name),
    CONSTRAINT fk_journey_active_version FOREIGN KEY (version) REFERENCES journey (version)
);

CREATE TABLE person (
    id UUID NOT NULL,
    name TEXT,
    email TEXT,
    phone TEXT,
    country TEXT,
    language TEXT,
    company_id UUID,
    company_name TEXT,
    company_employees INTEGER,
    interests JSONB DEFAULT '[]' NOT NULL,
    preferences JSONB DEFAULT '{}' NOT NULL,
    custom JSONB DEFAULT '{}' NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT pk_person PRIMARY KEY (id),
    CONSTRAINT fk_person_company_id FOREIGN KEY (company_id) REFERENCES company (id)
);

CREATE INDEX ix_person_name ON person (lower(name) text_pattern_ops);
COMMENT ON COLUMN person.phone IS 'E.164 where it could be read, else as typed';
COMMENT ON COLUMN person.company_name IS 'as typed, when no domain tells the company';

CREATE TABLE lead (
    id UUID NOT NULL,
    person_id UUID NOT NULL,
    journey TEXT NOT NULL,
    journey_name TEXT NOT NULL,
    state TEXT NOT NULL,
    open BOOLEAN NOT NULL,
    next_step TEXT,
    due_since timestamptz,
    attempts SMALLINT DEFAULT '0' NOT NULL,
    source TEXT NOT NULL,
    channel TEXT NOT NULL,
    interests JSONB DEFAULT '[]' NOT NULL,
    attribution JSONB DEFAULT '{}' NOT NULL,
    message TEXT,
    qualification JSONB,
    score_total SMALLINT,
    score_fit SMALLINT,
    score_engagement SMALLINT,
    grade TEXT,
    pool TEXT,
    owner TEXT,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    decisions INTEGER DEFAULT '0' NOT NULL,
    transitions INTEGER DEFAULT '0' NOT NULL,
    events INTEGER DEFAULT '0' NOT NULL,
    event_tx xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT pk_lead PRIMARY KEY (id),
    CONSTRAINT ck_lead_due_names_its_step CHECK (due_since IS NULL OR next_step IS NOT NULL),
    CONSTRAINT ck_lead_score_in_range CHECK (score_total BETWEEN 0 AND 100),
    CONSTRAINT fk_lead_person_id FOREIGN KEY (person_id) REFERENCES person (id)
) WITH (fillfactor = 70);

CREATE INDEX ix_lead_due ON lead (due_since) WHERE due_since IS NOT NULL;

CREATE INDEX ix_lead_person ON lead (person_id, id);

CREATE INDEX ix_lead_state ON lead (state, id);

CREATE UNIQUE INDEX uq_lead_open ON lead (person_id, journey_name) WHERE open;

CREATE INDEX ix_lead_owner ON lead (owner, id) WHERE owner IS NOT NULL;
COMMENT ON COLUMN lead.journey IS 'the version it entered and stays with';
COMMENT ON COLUMN lead.open IS 'false in a final state';

CREATE FUNCTION lead_state_is_lawful() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.transitions = 0 THEN
        PERFORM 1 FROM journey WHERE version = NEW.journey AND initial_state = NEW.state;
    ELSE
        PERFORM 1 FROM transition
        WHERE lead_id = NEW.id AND number = NEW.transitions AND to_state = NEW.state AND journey = NEW.journey;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'lead % cannot be in state % after % transitions of journey %',
            NEW.id, NEW.state, NEW.transitions, NEW.journey
            USING ERRCODE = 'check_violation', CONSTRAINT = 'lead_state_is_lawful', TABLE = 'lead';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER lead_state_on_insert BEFORE INSERT ON lead
FOR EACH ROW EXECUTE FUNCTION lead_state_is_lawful();

CREATE TRIGGER lead_state_on_update BEFORE UPDATE OF state, transitions, journey ON lead
FOR EACH ROW
WHEN (OLD.state <> NEW.state OR OLD.transitions <> NEW.transitions OR OLD.journey <> NEW.journey)
EXECUTE FUNCTION lead_state_is_lawful();

CREATE TABLE person_key (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    person_id UUID NOT NULL,
    CONSTRAINT pk_person_key PRIMARY KEY (kind, value),
    CONSTRAINT ck_person_key_value_not_empty CHECK (value <> ''),
    CONSTRAINT fk_person_key_person_id FOREIGN KEY (person_id) REFERENCES person (id) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON COLUMN person_key.kind IS 'email, phone, external:<source>';

CREATE TABLE transition (
    lead_id UUID NOT NULL,
    number INTEGER NOT NULL,
    journey TEXT NOT NULL,
    from_state TEXT NOT NULL,
    name TEXT NOT NULL,
    to_state TEXT NOT NULL,
    at timestamptz NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT,
    CONSTRAINT pk_transition PRIMARY KEY (lead_id, number),
    CONSTRAINT ck_transition_number_counts_from_one CHECK (number > 0),
    CONSTRAINT fk_transition_is_a_move_of_its_journey
        FOREIGN KEY (journey, from_state, name, to_state)
        REFERENCES journey_move (journey, from_state, name, to_state)
);
COMMENT ON COLUMN transition.number IS '1, 2, 3 … of this lead, no gaps';
COMMENT ON COLUMN transition.actor IS 'journey, or the key that asked';
"""

DROP = """
DROP TABLE api_key, company, consumer, dead_letter, decision, event, hint, journey, journey_active, journey_move, lead,
    person, person_key, pool, receipt, submission, touchpoint, transition;
DROP FUNCTION lead_state_is_lawful;
"""


def upgrade() -> None:
    op.execute(CREATE)


def downgrade() -> None:
    op.execute(DROP)
