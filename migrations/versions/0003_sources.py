"""
Every source, one person: what the ways in, identity and the account remember.

Runs before the new code; the old one does not see any of it. New columns are empty or have a constant, so no row is
rewritten.
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CHANGES: Final[tuple[str, ...]] = (
    """
    ALTER TABLE receipt
        ADD COLUMN detail JSONB,
        ADD COLUMN test BOOLEAN DEFAULT 'false' NOT NULL,
        ADD COLUMN released_at timestamptz;
    COMMENT ON COLUMN receipt.detail IS 'what was found: reasons of spam, a suggested mapping, files; no personal data';
    COMMENT ON COLUMN receipt.test IS 'a canary or a trial of the sender: kept out of every figure';
    COMMENT ON COLUMN receipt.released_at IS 'when somebody let it out of quarantine: nothing holds it again';
    ALTER TABLE lead ADD COLUMN test BOOLEAN DEFAULT 'false' NOT NULL;
    COMMENT ON COLUMN lead.test IS 'a canary or a trial of a sender: kept out of every figure';
    """,
    """
    CREATE TABLE retrieval (
        receipt_id UUID NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE NOT NULL,
        attempts INTEGER NOT NULL,
        content_type TEXT,
        body BYTEA,
        fetched_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_retrieval PRIMARY KEY (receipt_id),
        CONSTRAINT ck_retrieval_body_has_time CHECK ((body IS NULL) = (fetched_at IS NULL)),
        CONSTRAINT ck_retrieval_body_has_type CHECK ((body IS NULL) = (content_type IS NULL)),
        CONSTRAINT ck_retrieval_attempts_positive CHECK (attempts > 0),
        CONSTRAINT fk_retrieval_receipt_id FOREIGN KEY(receipt_id) REFERENCES receipt (id) ON DELETE CASCADE
    );
    COMMENT ON COLUMN retrieval.due_at IS 'not tried before this';
    COMMENT ON COLUMN retrieval.body IS 'the raw bytes, as they were fetched';
    CREATE INDEX ix_receipt_fetch ON receipt (received_at) WHERE reason = 'fetch_pending';
    """,
    """
    CREATE TABLE import_run (
        id uuid NOT NULL,
        source TEXT NOT NULL,
        file TEXT NOT NULL,
        digest BYTEA NOT NULL,
        map JSONB NOT NULL,
        quiet BOOLEAN NOT NULL,
        started_at timestamptz NOT NULL,
        finished_at timestamptz,
        counts JSONB DEFAULT '{}' NOT NULL,
        CONSTRAINT pk_import_run PRIMARY KEY (id),
        CONSTRAINT ck_import_run_digest_is_a_hash CHECK (octet_length(digest) = 32),
        CONSTRAINT ck_import_run_ends_after_it_began CHECK (finished_at >= started_at)
    );
    COMMENT ON COLUMN import_run.file IS 'its name without the folder';
    COMMENT ON COLUMN import_run.digest IS 'sha-256 of the file';
    COMMENT ON COLUMN import_run.map IS 'how its rows were read';
    COMMENT ON COLUMN import_run.finished_at IS 'null: it is still running, or was interrupted';
    COMMENT ON COLUMN import_run.counts IS 'rows by what became of them';
    CREATE INDEX ix_import_run_digest ON import_run (source, digest, started_at);
    ALTER TABLE lead ADD COLUMN quiet BOOLEAN DEFAULT 'false' NOT NULL;
    COMMENT ON COLUMN lead.quiet IS 'only ever loaded from files: no reminder, timer or campaign starts for it';
    """,
    """
    CREATE INDEX ix_receipt_held_reason ON receipt (reason, id) WHERE status IN ('quarantined', 'spam');
    """,
    """
    CREATE TABLE message (
        message_id TEXT NOT NULL,
        lead_id UUID NOT NULL,
        direction TEXT NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT pk_message PRIMARY KEY (message_id),
        CONSTRAINT ck_message_direction_known CHECK (direction IN ('in', 'out')),
        CONSTRAINT ck_message_message_id_not_empty CHECK (message_id <> '')
    );
    COMMENT ON COLUMN message.message_id IS 'as its header says, without the brackets';
    COMMENT ON COLUMN message.lead_id IS 'whose person is asked of the lead: people merge';
    CREATE INDEX ix_message_lead ON message (lead_id);
    CREATE TABLE mailbox (
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        uid_validity BIGINT,
        uid BIGINT DEFAULT '0' NOT NULL,
        read_to timestamptz,
        polled_at timestamptz,
        skipped INTEGER DEFAULT '0' NOT NULL,
        failures INTEGER DEFAULT '0' NOT NULL,
        failing_since timestamptz,
        error TEXT,
        alarm BOOLEAN DEFAULT 'false' NOT NULL,
        CONSTRAINT pk_mailbox PRIMARY KEY (name),
        CONSTRAINT ck_mailbox_uid_not_negative CHECK (uid >= 0)
    );
    COMMENT ON COLUMN mailbox.name IS 'user@host/folder';
    COMMENT ON COLUMN mailbox.uid_validity IS 'under which `uid` means something';
    COMMENT ON COLUMN mailbox.uid IS 'the last that was read';
    COMMENT ON COLUMN mailbox.read_to IS 'when the last mail that was read had arrived there';
    COMMENT ON COLUMN mailbox.polled_at IS 'when it last answered';
    COMMENT ON COLUMN mailbox.skipped IS 'mails that could not be kept; still there';
    COMMENT ON COLUMN mailbox.failures IS 'in a row';
    COMMENT ON COLUMN mailbox.error IS 'a code: why it cannot be read';
    COMMENT ON COLUMN mailbox.alarm IS 'somebody has to look at it';
    """,
)
BACK: Final[tuple[str, ...]] = (
    """
    ALTER TABLE lead DROP COLUMN test;
    ALTER TABLE receipt DROP COLUMN detail, DROP COLUMN test, DROP COLUMN released_at;
    """,
    """
    DROP INDEX ix_receipt_fetch;
    DROP TABLE retrieval;
    """,
    """
    ALTER TABLE lead DROP COLUMN quiet;
    DROP TABLE import_run;
    """,
    """
    DROP INDEX ix_receipt_held_reason;
    """,
    "DROP TABLE message; DROP TABLE mailbox;",
)


def upgrade() -> None:
    for change in CHANGES:
        op.execute(change)


def downgrade() -> None:
    for change in reversed(BACK):
        op.execute(change)
