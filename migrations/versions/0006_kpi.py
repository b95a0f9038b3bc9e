"""
Figures: what happened, counted by day from the event feed.

Runs before the new code; the old one does not see any of it.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CHANGE = """
CREATE TABLE kpi_bucket (
    journey_name text NOT NULL,
    measure text NOT NULL,
    item text NOT NULL,
    dim text NOT NULL,
    value text NOT NULL,
    day date NOT NULL,
    n bigint NOT NULL,
    total numeric DEFAULT '0' NOT NULL,
    bins jsonb DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_kpi_bucket PRIMARY KEY (journey_name, measure, dim, day, item, value)
) WITH (fillfactor = 70);
COMMENT ON COLUMN kpi_bucket.item IS 'a state, a move, a kind; empty where there is one only';
COMMENT ON COLUMN kpi_bucket.dim IS 'a dimension; empty: all of them together';
COMMENT ON COLUMN kpi_bucket.value IS 'of the dimension; empty: not known';
COMMENT ON COLUMN kpi_bucket.day IS 'in the time zone of the journey''s figures';
COMMENT ON COLUMN kpi_bucket.total IS 'exact: an amount, seconds, points';
COMMENT ON COLUMN kpi_bucket.bins IS 'how many by size, as in `schema/kpi/bins.py`';

CREATE TABLE kpi_lead (
    lead_id uuid NOT NULL,
    sequence integer NOT NULL,
    state jsonb NOT NULL,
    CONSTRAINT pk_kpi_lead PRIMARY KEY (lead_id)
) WITH (fillfactor = 70);
COMMENT ON COLUMN kpi_lead.sequence IS 'of the latest event of it that is counted';
COMMENT ON COLUMN kpi_lead.state IS 'what counting its next event has to know; no personal data';

CREATE TABLE kpi_restated (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL,
    noted_at timestamptz NOT NULL,
    journey_name text NOT NULL,
    measure text NOT NULL,
    item text NOT NULL,
    day date NOT NULL,
    n bigint NOT NULL,
    total numeric NOT NULL,
    CONSTRAINT pk_kpi_restated PRIMARY KEY (id)
);
COMMENT ON COLUMN kpi_restated.n IS 'how many more it is now';
CREATE INDEX ix_kpi_restated_day ON kpi_restated (journey_name, measure, day);
CREATE INDEX ix_kpi_restated_noted ON kpi_restated USING brin (noted_at);

CREATE TABLE kpi_target (
    journey_name text NOT NULL,
    kpi text NOT NULL,
    id uuid NOT NULL,
    events integer DEFAULT '0' NOT NULL,
    missed boolean,
    since timestamptz,
    value double precision,
    sample bigint DEFAULT '0' NOT NULL,
    looked_at timestamptz NOT NULL,
    CONSTRAINT pk_kpi_target PRIMARY KEY (journey_name, kpi)
);
COMMENT ON COLUMN kpi_target.kpi IS 'the name that the journey file gives it';
COMMENT ON COLUMN kpi_target.id IS 'what its events are about, in place of a lead';
COMMENT ON COLUMN kpi_target.events IS 'how many were told of it';
COMMENT ON COLUMN kpi_target.missed IS 'null: there was never enough to say';
COMMENT ON COLUMN kpi_target.since IS 'since when it is missed, or met again';

CREATE TABLE kpi_forecast (
    journey_name text NOT NULL,
    pipeline text NOT NULL,
    currency text NOT NULL,
    day date NOT NULL,
    until date NOT NULL,
    low numeric NOT NULL,
    expected numeric NOT NULL,
    high numeric NOT NULL,
    CONSTRAINT pk_kpi_forecast PRIMARY KEY (journey_name, pipeline, currency, day, until)
);
COMMENT ON COLUMN kpi_forecast.day IS 'when it was forecast';
COMMENT ON COLUMN kpi_forecast.until IS 'what was to be won by then';
"""

INDEXES = (
    "ix_transition_at ON transition USING brin (at) WITH (pages_per_range=32, autosummarize=on)",
    "ix_touchpoint_occurred ON touchpoint USING brin (occurred_at) WITH (pages_per_range=32, autosummarize=on)",
    "ix_event_time ON event USING brin (time) WITH (pages_per_range=32, autosummarize=on)",
    "ix_purchase_at ON purchase (at)",
    "ix_ticket_opened ON ticket (opened_at)",
    "ix_lead_test ON lead (id) WHERE test",
)


def upgrade() -> None:
    """Create the tables, and the indexes by which what lies in a window of time is found."""
    op.execute(CHANGE)
    with op.get_context().autocommit_block():
        for index in INDEXES:
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {index}")


def downgrade() -> None:
    """Drop them; counting begins anew after the next upgrade."""
    op.execute("DROP TABLE kpi_forecast, kpi_target, kpi_restated, kpi_lead, kpi_bucket")
    op.execute("DROP INDEX ix_transition_at, ix_touchpoint_occurred, ix_event_time")
    op.execute("DROP INDEX ix_purchase_at, ix_ticket_opened, ix_lead_test")
    op.execute("DELETE FROM consumer WHERE name = 'kpi'")
