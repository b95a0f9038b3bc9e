"""
Leads that wait and wake, working people, prediction models, and the history of activations.

Runs before the new code; the old one does not see any of it. Every new column is empty or has a constant, so no row is
rewritten; the indexes are built while leads are written, which needs no lock that they would wait for.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CHANGE = """
ALTER TABLE lead
    ADD COLUMN score_cell TEXT,
    ADD COLUMN predicted FLOAT,
    ADD COLUMN entered_at timestamptz,
    ADD COLUMN overdue BOOLEAN DEFAULT 'false' NOT NULL,
    ADD COLUMN recycled SMALLINT DEFAULT '0' NOT NULL,
    ADD COLUMN assignment JSONB,
    ADD COLUMN waiting_since timestamptz,
    ADD COLUMN waits JSONB DEFAULT '{}' NOT NULL,
    ADD COLUMN wake_at timestamptz,
    ADD CONSTRAINT ck_lead_predicted_in_range CHECK (predicted BETWEEN 0 AND 1) NOT VALID,
    ADD CONSTRAINT ck_lead_waits_in_a_pool
        CHECK (waiting_since IS NULL OR (owner IS NULL AND pool IS NOT NULL)) NOT VALID;
COMMENT ON COLUMN lead.score_cell IS 'fit and engagement apart, as in A1';
COMMENT ON COLUMN lead.predicted IS 'trained probability of conversion, 0 to 1';
COMMENT ON COLUMN lead.entered_at IS 'since when it is in its state; null: as long as it is kept';
COMMENT ON COLUMN lead.overdue IS 'told that it is in its state too long';
COMMENT ON COLUMN lead.recycled IS 'times it was looked at again';
COMMENT ON COLUMN lead.assignment IS 'how it came to its owner: since, accept_by, remind_at, accepted_at, passed';
COMMENT ON COLUMN lead.waiting_since IS 'set while it waits in the queue of its pool';
COMMENT ON COLUMN lead.waits IS 'when each step looks at it again';
COMMENT ON COLUMN lead.wake_at IS 'the earliest of `waits`, while no step is due';

ALTER TABLE pool ADD COLUMN credit JSONB DEFAULT '{}' NOT NULL;
COMMENT ON COLUMN pool.credit IS 'millionths of a turn each member was owed when the weights last changed';

CREATE TABLE absence (
    id UUID NOT NULL,
    person TEXT NOT NULL,
    kind TEXT NOT NULL,
    from_at timestamptz NOT NULL,
    until_at timestamptz,
    created_at timestamptz NOT NULL,
    created_by TEXT NOT NULL,
    CONSTRAINT pk_absence PRIMARY KEY (id),
    CONSTRAINT ck_absence_kind_known CHECK (kind IN ('pause', 'leave')),
    CONSTRAINT ck_absence_ends_after_it_begins CHECK (until_at > from_at)
);
CREATE INDEX ix_absence_until ON absence (until_at, person) WHERE until_at IS NOT NULL;
CREATE INDEX ix_absence_open ON absence (person) WHERE until_at IS NULL;
COMMENT ON COLUMN absence.person IS 'the short name that journeys use';
COMMENT ON COLUMN absence.until_at IS 'null: until they are back';
COMMENT ON COLUMN absence.created_by IS 'the key that asked';

CREATE TABLE assignment (
    person TEXT NOT NULL,
    at timestamptz NOT NULL,
    lead_id UUID NOT NULL,
    CONSTRAINT pk_assignment PRIMARY KEY (person, at, lead_id)
);
COMMENT ON COLUMN assignment.person IS 'the short name that journeys use';

CREATE TABLE prediction_model (
    version TEXT NOT NULL,
    journey_name TEXT NOT NULL,
    document JSONB NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_prediction_model PRIMARY KEY (version)
);
COMMENT ON COLUMN prediction_model.version IS 'the first 12 hex digits of the content''s sha-256';
COMMENT ON COLUMN prediction_model.document IS 'features, weights, calibration and what validation measured';

CREATE TABLE prediction_active (
    journey_name TEXT NOT NULL,
    version TEXT NOT NULL,
    activated_at timestamptz NOT NULL,
    CONSTRAINT pk_prediction_active PRIMARY KEY (journey_name),
    CONSTRAINT fk_prediction_active_version FOREIGN KEY(version) REFERENCES prediction_model (version)
);

CREATE TABLE journey_activation (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    activated_at timestamptz NOT NULL,
    actor TEXT NOT NULL,
    returns_to BIGINT,
    CONSTRAINT pk_journey_activation PRIMARY KEY (number),
    CONSTRAINT fk_journey_activation_version FOREIGN KEY(version) REFERENCES journey (version)
);
CREATE INDEX ix_journey_activation_name ON journey_activation (name, number);
COMMENT ON COLUMN journey_activation.actor IS 'the command line, or the key that asked';
COMMENT ON COLUMN journey_activation.returns_to IS 'of a rollback: the activation whose version it goes back to';
INSERT INTO journey_activation (name, version, activated_at, actor)
SELECT name, version, activated_at, 'command line' FROM journey_active ORDER BY activated_at;
"""

VALIDATE = """
ALTER TABLE lead VALIDATE CONSTRAINT ck_lead_predicted_in_range;
ALTER TABLE lead VALIDATE CONSTRAINT ck_lead_waits_in_a_pool;
"""

INDEXES = (
    "ix_lead_open_owner ON lead (owner) WHERE open AND owner IS NOT NULL",
    "ix_lead_waiting ON lead (journey_name, pool, waiting_since) WHERE waiting_since IS NOT NULL",
    "ix_lead_wake ON lead (wake_at) WHERE wake_at IS NOT NULL",
    "ix_lead_journey ON lead (journey, id) WHERE open",
    "ix_lead_overdue ON lead (id) WHERE overdue",
    "ix_touchpoint_recorded ON touchpoint USING brin (recorded_at) WITH (pages_per_range=32, autosummarize=on)",
)


def upgrade() -> None:
    op.execute(CHANGE)
    with op.get_context().autocommit_block():
        op.execute(VALIDATE)
        for index in INDEXES:
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index}")


BACK = """
DROP TABLE absence, assignment, prediction_active, prediction_model, journey_activation;
ALTER TABLE pool DROP COLUMN credit;
ALTER TABLE lead
    DROP CONSTRAINT ck_lead_waits_in_a_pool,
    DROP CONSTRAINT ck_lead_predicted_in_range,
    DROP COLUMN score_cell,
    DROP COLUMN predicted,
    DROP COLUMN entered_at,
    DROP COLUMN overdue,
    DROP COLUMN recycled,
    DROP COLUMN assignment,
    DROP COLUMN waiting_since,
    DROP COLUMN waits,
    DROP COLUMN wake_at;
DROP INDEX ix_lead_open_owner, ix_lead_journey, ix_touchpoint_recorded;
"""


def downgrade() -> None:
    op.execute(BACK)
