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
)
BACK: Final[tuple[str, ...]] = (
    """
    ALTER TABLE lead DROP COLUMN test;
    ALTER TABLE receipt DROP COLUMN detail, DROP COLUMN test, DROP COLUMN released_at;
    """,
)


def upgrade() -> None:
    for change in CHANGES:
        op.execute(change)


def downgrade() -> None:
    for change in reversed(BACK):
        op.execute(change)
