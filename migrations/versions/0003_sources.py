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
    """
    ALTER TABLE person ADD COLUMN provenance JSONB DEFAULT '{}' NOT NULL;
    COMMENT ON COLUMN person.provenance IS 'by field: which receipt said it and when, and what others said (schema/provenance)';
    CREATE INDEX ix_person_key_person ON person_key (person_id);
    CREATE TABLE consent (
        id UUID NOT NULL,
        person_id UUID NOT NULL,
        purpose TEXT NOT NULL,
        state TEXT NOT NULL,
        basis TEXT NOT NULL,
        text TEXT,
        text_version TEXT,
        source TEXT,
        channel TEXT NOT NULL,
        receipt_id UUID,
        actor TEXT,
        evidence JSONB DEFAULT '{}' NOT NULL,
        at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        CONSTRAINT pk_consent PRIMARY KEY (id),
        CONSTRAINT ck_consent_state_known CHECK (state IN ('pending', 'given', 'withdrawn')),
        CONSTRAINT ck_consent_purpose_not_empty CHECK (purpose <> ''),
        CONSTRAINT ck_consent_not_from_the_future CHECK (at <= recorded_at),
        CONSTRAINT ck_consent_somebody_said_so CHECK (receipt_id IS NOT NULL OR actor IS NOT NULL),
        CONSTRAINT fk_consent_person_id FOREIGN KEY (person_id) REFERENCES person (id)
    );
    COMMENT ON COLUMN consent.purpose IS 'marketing, privacy, terms, or the form''s own word';
    COMMENT ON COLUMN consent.state IS 'pending: it waits to be confirmed, and counts for nothing yet';
    COMMENT ON COLUMN consent.basis IS 'a code: what the answer rests on, as in double_opt_in, complaint';
    COMMENT ON COLUMN consent.text IS 'the words that were shown';
    COMMENT ON COLUMN consent.actor IS 'who recorded it by hand';
    COMMENT ON COLUMN consent.evidence IS 'what shows it; addresses as hashes';
    COMMENT ON COLUMN consent.at IS 'when it was said';
    CREATE INDEX ix_consent_person ON consent (person_id, purpose, at, id);
    CREATE OR REPLACE FUNCTION consent_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('throughline.erasing', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION 'consent % is kept as it was said: a newer answer is a row of its own', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'consent_is_kept', TABLE = 'consent';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
    CREATE TRIGGER consent_on_change
    BEFORE DELETE OR UPDATE OF id, purpose, state, basis, text, text_version, source, channel, receipt_id, actor,
    evidence, at, recorded_at ON consent
    FOR EACH ROW EXECUTE FUNCTION consent_is_kept();
    CREATE TABLE purchase (
        id UUID NOT NULL,
        person_id UUID NOT NULL,
        lead_id UUID NOT NULL,
        source TEXT NOT NULL,
        external_id TEXT,
        order_id TEXT,
        kind TEXT NOT NULL,
        amount NUMERIC,
        currency TEXT,
        products JSONB DEFAULT '[]' NOT NULL,
        issues JSONB DEFAULT '[]' NOT NULL,
        receipt_id UUID NOT NULL,
        at timestamptz NOT NULL,
        told_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        CONSTRAINT pk_purchase PRIMARY KEY (id),
        CONSTRAINT ck_purchase_kind_known CHECK (kind IN ('purchase', 'renewal', 'refund')),
        CONSTRAINT ck_purchase_amount_not_negative CHECK (amount >= 0),
        CONSTRAINT fk_purchase_person_id FOREIGN KEY (person_id) REFERENCES person (id),
        CONSTRAINT uq_purchase_source_external_id UNIQUE (source, external_id)
    );
    COMMENT ON COLUMN purchase.external_id IS 'what the seller''s system calls it; null: it does not say';
    COMMENT ON COLUMN purchase.order_id IS 'of a refund: the external id of what was paid back';
    COMMENT ON COLUMN purchase.amount IS 'never negative; null: it could not be read';
    COMMENT ON COLUMN purchase.currency IS 'ISO 4217, else as told';
    COMMENT ON COLUMN purchase.issues IS 'codes: what could not be read';
    COMMENT ON COLUMN purchase.receipt_id IS 'the arrival that told the amount';
    COMMENT ON COLUMN purchase.told_at IS 'when that arrival happened';
    CREATE INDEX ix_purchase_person ON purchase (person_id, at, id);
    """,  # noqa: E501 - a comment's text is one line
    """
    CREATE TABLE account (
        since TIMESTAMP WITH TIME ZONE NOT NULL,
        source TEXT NOT NULL,
        received BIGINT NOT NULL,
        processed BIGINT NOT NULL,
        merged BIGINT NOT NULL,
        quarantined BIGINT NOT NULL,
        spam BIGINT NOT NULL,
        rejected BIGINT NOT NULL,
        dead BIGINT NOT NULL,
        unaccounted BIGINT NOT NULL,
        canary BIGINT NOT NULL,
        first_at TIMESTAMP WITH TIME ZONE,
        last_at TIMESTAMP WITH TIME ZONE,
        closed_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_account PRIMARY KEY (since, source),
        CONSTRAINT ck_account_adds_up
            CHECK (received = processed + merged + quarantined + spam + rejected + dead + unaccounted)
    );
    COMMENT ON COLUMN account.since IS 'where the slice begins';
    COMMENT ON COLUMN account.source IS 'empty: nothing came at all';
    COMMENT ON COLUMN account.unaccounted IS 'looked at again until it is 0';
    COMMENT ON COLUMN account.canary IS 'canaries and trials, which are in no other figure';
    CREATE INDEX ix_account_source ON account (source, since) WHERE received > 0;
    CREATE INDEX ix_account_unaccounted ON account (since) WHERE unaccounted > 0;
    CREATE TABLE audit (
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        took_ms INTEGER NOT NULL,
        unaccounted BIGINT NOT NULL,
        found JSONB NOT NULL,
        silent JSONB NOT NULL,
        CONSTRAINT pk_audit PRIMARY KEY (at)
    );
    COMMENT ON COLUMN audit.found IS 'kinds of what is unaccounted for, with ids';
    COMMENT ON COLUMN audit.silent IS 'sources that are silent for too long: since when, and how usual';
    CREATE TABLE canary (
        id UUID NOT NULL,
        nonce TEXT NOT NULL,
        source TEXT NOT NULL,
        path TEXT NOT NULL,
        key BYTEA NOT NULL,
        sent_at TIMESTAMP WITH TIME ZONE NOT NULL,
        came_at TIMESTAMP WITH TIME ZONE,
        receipt_id UUID,
        error TEXT,
        CONSTRAINT pk_canary PRIMARY KEY (id),
        CONSTRAINT uq_canary_nonce UNIQUE (nonce),
        CONSTRAINT ck_canary_key_is_a_hash CHECK (octet_length(key) = 32)
    );
    COMMENT ON COLUMN canary.nonce IS 'what it is known by; nobody else can have guessed it';
    COMMENT ON COLUMN canary.path IS 'form, api, event, bus, mail';
    COMMENT ON COLUMN canary.key IS 'what its submission is remembered by';
    COMMENT ON COLUMN canary.came_at IS 'when a worker had read it';
    COMMENT ON COLUMN canary.error IS 'a code: why it did not come through';
    CREATE INDEX ix_canary_way ON canary (source, path, sent_at);
    CREATE INDEX ix_canary_sent ON canary (sent_at);
    CREATE INDEX ix_submission_receipt ON submission USING brin ((receipt_ids[1]))
        WITH (pages_per_range = 32, autosummarize = on);
    CREATE INDEX ix_lead_adrift ON lead (id)
        WHERE open AND owner IS NULL AND due_since IS NULL AND wake_at IS NULL AND waiting_since IS NULL;
    CREATE FUNCTION receipt_reopens_its_slice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM account WHERE since = to_timestamp(
        ('x' || substr(replace(OLD.id::text, '-', ''), 1, 12))::bit(48)::bigint / 300000 * 300
    );
    RETURN NULL;
END $$;
    CREATE TRIGGER receipt_reopens AFTER UPDATE OF status, due_since ON receipt
    FOR EACH ROW
    WHEN (OLD.due_since IS NULL AND (OLD.status <> NEW.status OR NEW.due_since IS NOT NULL))
    EXECUTE FUNCTION receipt_reopens_its_slice();
    """,
    """
    ALTER TABLE person ADD COLUMN merged_into UUID,
        ADD CONSTRAINT ck_person_not_merged_into_itself CHECK (merged_into <> id),
        ADD CONSTRAINT fk_person_merged_into FOREIGN KEY (merged_into) REFERENCES person (id);
    COMMENT ON COLUMN person.merged_into IS 'the person who goes on for this one';
    ALTER TABLE person_key ADD COLUMN origin_id UUID,
        ADD CONSTRAINT ck_person_key_origin_is_another CHECK (origin_id <> person_id);
    COMMENT ON COLUMN person_key.origin_id IS 'who brought it, of those merged into the person; null: themselves';
    ALTER TABLE lead ADD COLUMN merged_into UUID,
        ADD CONSTRAINT ck_lead_parked_rests CHECK (merged_into IS NULL OR (NOT open AND due_since IS NULL));
    COMMENT ON COLUMN lead.merged_into IS 'parked: the lead in which it goes on since people were merged';
    CREATE TABLE person_merge (
        id UUID NOT NULL,
        survivor_id UUID NOT NULL,
        merged_id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT,
        rule TEXT,
        moved JSONB NOT NULL,
        before JSONB NOT NULL,
        touchpoints UUID[] DEFAULT '{}' NOT NULL,
        told JSONB NOT NULL,
        undone_at TIMESTAMP WITH TIME ZONE,
        undone_by TEXT,
        CONSTRAINT pk_person_merge PRIMARY KEY (id),
        CONSTRAINT ck_person_merge_two_people CHECK (survivor_id <> merged_id),
        CONSTRAINT ck_person_merge_undone_by_somebody CHECK ((undone_at IS NULL) = (undone_by IS NULL)),
        CONSTRAINT fk_person_merge_survivor_id FOREIGN KEY (survivor_id) REFERENCES person (id),
        CONSTRAINT fk_person_merge_merged_id FOREIGN KEY (merged_id) REFERENCES person (id)
    );
    COMMENT ON COLUMN person_merge.reason IS 'a code';
    COMMENT ON COLUMN person_merge.rule IS 'the kinds of keys by which the journey has people merged; null: by hand';
    COMMENT ON COLUMN person_merge.moved IS 'ids of leads, consents, purchases; what parked leads were';
    COMMENT ON COLUMN person_merge.before IS 'the survivor''s row as it was';
    COMMENT ON COLUMN person_merge.touchpoints IS 'those that went over from a lead that was parked';
    COMMENT ON COLUMN person_merge.told IS 'what was answered, and is again';
    CREATE UNIQUE INDEX uq_person_merge_merged ON person_merge (merged_id) WHERE undone_at IS NULL;
    CREATE INDEX ix_person_merge_survivor ON person_merge (survivor_id, id);
    CREATE INDEX ix_person_merge_person ON person_merge (merged_id, id);
    CREATE TABLE person_suggestion (
        person_id UUID NOT NULL,
        other_id UUID NOT NULL,
        reason TEXT NOT NULL,
        kinds JSONB NOT NULL,
        receipt_id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        due_since TIMESTAMP WITH TIME ZONE,
        refused TEXT,
        CONSTRAINT pk_person_suggestion PRIMARY KEY (person_id, other_id, reason),
        CONSTRAINT ck_person_suggestion_two_people CHECK (person_id <> other_id),
        CONSTRAINT ck_person_suggestion_reason_known CHECK (reason IN ('keys', 'phone'))
    );
    COMMENT ON COLUMN person_suggestion.person_id IS 'to whom the arrival went';
    COMMENT ON COLUMN person_suggestion.reason IS 'a code';
    COMMENT ON COLUMN person_suggestion.kinds IS 'kinds of keys that were one person''s and the other''s';
    COMMENT ON COLUMN person_suggestion.receipt_id IS 'the first arrival that named both';
    COMMENT ON COLUMN person_suggestion.due_since IS 'set while the journey''s rule owes their merge';
    COMMENT ON COLUMN person_suggestion.refused IS 'a code: why the rule did not merge them';
    CREATE INDEX ix_person_suggestion_other ON person_suggestion (other_id);
    CREATE INDEX ix_person_suggestion_due ON person_suggestion (due_since) WHERE due_since IS NOT NULL;
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
    """
    DROP TABLE purchase;
    DROP TABLE consent;
    DROP FUNCTION consent_is_kept();
    DROP INDEX ix_person_key_person;
    ALTER TABLE person DROP COLUMN provenance;
    """,
    """
    DROP TRIGGER receipt_reopens ON receipt;
    DROP FUNCTION receipt_reopens_its_slice;
    DROP INDEX ix_lead_adrift;
    DROP INDEX ix_submission_receipt;
    DROP TABLE canary;
    DROP TABLE audit;
    DROP TABLE account;
    """,
    """
    DROP TABLE person_suggestion;
    DROP TABLE person_merge;
    ALTER TABLE lead DROP COLUMN merged_into;
    ALTER TABLE person_key DROP COLUMN origin_id;
    ALTER TABLE person DROP COLUMN merged_into;
    """,
)


def upgrade() -> None:
    for change in CHANGES:
        op.execute(change)


def downgrade() -> None:
    for change in reversed(BACK):
        op.execute(change)
