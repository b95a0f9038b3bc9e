"""
Leads: one person's way along one journey.

Due-ness is two columns: `next_step` names the work, `due_since` says since when it is owed (null: settled).
A settled lead may wait: each step keeps in `waits` when it wants to look again, and `wake_at` is the earliest of them.
No index stands on what every step updates, and pages keep room for the new row version beside the old one.

The law of state, kept by a trigger: a lead is in its journey's initial state, or where its latest transition led it.
A transition in turn refers to a move the journey knows. So nobody, not even by hand, can put a lead into a state
that its journey does not allow.
"""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    event,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import UserDefinedType

from schema.tables.base import metadata

ADRIFT = "open AND owner IS NULL AND due_since IS NULL AND wake_at IS NULL AND waiting_since IS NULL"
"""Nobody's, and nothing will look at it: so no live lead is."""


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id: it never wraps around."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """Name the type for DDL."""
        return "xid8"


lead = Table(
    "lead",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column("journey", Text, nullable=False, comment="the version it entered and stays with"),
    Column("journey_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("open", Boolean, nullable=False, comment="false in a final state"),
    Column("next_step", Text),
    Column("due_since", DateTime(timezone=True)),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("source", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("interests", JSONB, nullable=False, server_default=text("'[]'")),
    Column("attribution", JSONB, nullable=False, server_default=text("'{}'")),
    Column("message", Text),
    Column("qualification", JSONB),
    Column("score_total", SmallInteger),
    Column("score_fit", SmallInteger),
    Column("score_engagement", SmallInteger),
    Column("grade", Text),
    Column("pool", Text),
    Column("owner", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("decisions", Integer, nullable=False, server_default="0"),
    Column("transitions", Integer, nullable=False, server_default="0"),
    Column("events", Integer, nullable=False, server_default="0"),
    Column("event_tx", Xid8, nullable=False, server_default=text("pg_current_xact_id()")),
    Column("score_cell", Text, comment="fit and engagement apart, as in A1"),
    Column("predicted", Float, comment="trained probability of conversion, 0 to 1"),
    Column("entered_at", DateTime(timezone=True), comment="since when it is in its state; null: as long as it is kept"),
    Column("overdue", Boolean, nullable=False, server_default="false", comment="told that it is in its state too long"),
    Column("recycled", SmallInteger, nullable=False, server_default="0", comment="times it was looked at again"),
    Column("assignment", JSONB, comment="how it came to its owner: since, accept_by, remind_at, accepted_at, passed"),
    Column("waiting_since", DateTime(timezone=True), comment="set while it waits in the queue of its pool"),
    Column("waits", JSONB, nullable=False, server_default=text("'{}'"), comment="when each step looks at it again"),
    Column("wake_at", DateTime(timezone=True), comment="the earliest of `waits`, while no step is due"),
    Column(
        "test",
        Boolean,
        nullable=False,
        server_default="false",
        comment="a canary or a trial of a sender: kept out of every figure",
    ),
    Column(
        "quiet",
        Boolean,
        nullable=False,
        server_default="false",
        comment="only ever loaded from files: no reminder, timer or campaign starts for it",
    ),
    Column("merged_into", UUID(as_uuid=False), comment="parked: the lead in which it goes on since people were merged"),
    CheckConstraint("due_since IS NULL OR next_step IS NOT NULL", name="due_names_its_step"),
    CheckConstraint("merged_into IS NULL OR (NOT open AND due_since IS NULL)", name="parked_rests"),
    CheckConstraint("score_total BETWEEN 0 AND 100", name="score_in_range"),
    CheckConstraint("predicted BETWEEN 0 AND 1", name="predicted_in_range"),
    CheckConstraint("waiting_since IS NULL OR (owner IS NULL AND pool IS NOT NULL)", name="waits_in_a_pool"),
    ForeignKeyConstraint(["person_id"], ["person.id"]),
    Index("ix_lead_due", "due_since", postgresql_where=text("due_since IS NOT NULL")),
    Index("uq_lead_open", "person_id", "journey_name", unique=True, postgresql_where=text("open")),
    Index("ix_lead_person", "person_id", "id"),
    Index("ix_lead_state", "state", "id"),
    Index("ix_lead_owner", "owner", "id", postgresql_where=text("owner IS NOT NULL")),
    Index("ix_lead_open_owner", "owner", postgresql_where=text("open AND owner IS NOT NULL")),
    Index(
        "ix_lead_waiting", "journey_name", "pool", "waiting_since", postgresql_where=text("waiting_since IS NOT NULL")
    ),
    Index("ix_lead_wake", "wake_at", postgresql_where=text("wake_at IS NOT NULL")),
    Index("ix_lead_journey", "journey", "id", postgresql_where=text("open")),
    Index("ix_lead_overdue", "id", postgresql_where=text("overdue")),
    # So few that figures can leave them out without asking for each lead.
    Index("ix_lead_test", "id", postgresql_where=text("test")),
    # Leads that nobody has and nothing wakes. Its columns are in other indexes already, and hardly a row is in it.
    Index("ix_lead_adrift", "id", postgresql_where=text(ADRIFT)),
    postgresql_with={"fillfactor": "70"},
)

STATE_LAW = """
CREATE OR REPLACE FUNCTION lead_state_is_lawful() RETURNS trigger LANGUAGE plpgsql AS $$
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
END $$
"""
STATE_LAW_ON_INSERT = """
CREATE TRIGGER lead_state_on_insert BEFORE INSERT ON lead
FOR EACH ROW EXECUTE FUNCTION lead_state_is_lawful()
"""
STATE_LAW_ON_UPDATE = """
CREATE TRIGGER lead_state_on_update BEFORE UPDATE OF state, transitions, journey ON lead
FOR EACH ROW
WHEN (OLD.state <> NEW.state OR OLD.transitions <> NEW.transitions OR OLD.journey <> NEW.journey)
EXECUTE FUNCTION lead_state_is_lawful()
"""
for _statement in (STATE_LAW, STATE_LAW_ON_INSERT, STATE_LAW_ON_UPDATE):
    event.listen(lead, "after_create", DDL(_statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
