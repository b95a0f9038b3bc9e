"""
People and companies: who a lead is about.

`person_key` holds the match keys under a database-enforced uniqueness: two hundred identical posts at once meet here
and become one person. A key is written before its person, so its reference is checked at commit.

`person_merge` is what makes a merge reversible: who, when, why, and exactly what went over. `person_suggestion` keeps
that an arrival carried keys of two people; it is written at no other moment, since nothing else knows it, and people
who only have a name in common are found when somebody asks.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from schema.tables.base import metadata

company = Table(
    "company",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("domain", Text, nullable=False, unique=True, comment="registrable domain, never a free-mail one"),
    Column("name", Text),
    Column("employees", Integer),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("employees >= 0", name="employees_not_negative"),
)

person = Table(
    "person",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("phone", Text, comment="E.164 where it could be read, else as typed"),
    Column("country", Text),
    Column("language", Text),
    Column("company_id", UUID(as_uuid=False)),
    Column("company_name", Text, comment="as typed, when no domain tells the company"),
    Column("company_employees", Integer),
    Column("interests", JSONB, nullable=False, server_default=text("'[]'")),
    Column("preferences", JSONB, nullable=False, server_default=text("'{}'")),
    Column("custom", JSONB, nullable=False, server_default=text("'{}'")),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column(
        "provenance",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="by field: which receipt said it and when, and what others said (schema/provenance)",
    ),
    Column("merged_into", UUID(as_uuid=False), comment="the person who goes on for this one"),
    ForeignKeyConstraint(["company_id"], ["company.id"]),
    ForeignKeyConstraint(["merged_into"], ["person.id"]),
    CheckConstraint("merged_into <> id", name="not_merged_into_itself"),
)
Index("ix_person_name", func.lower(person.c.name).label("name"), postgresql_ops={"name": "text_pattern_ops"})

person_key = Table(
    "person_key",
    metadata,
    Column("kind", Text, primary_key=True, comment="email, phone, external:<source>"),
    Column("value", Text, primary_key=True),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    Column(
        "origin_id", UUID(as_uuid=False), comment="who brought it, of those merged into the person; null: themselves"
    ),
    CheckConstraint("value <> ''", name="value_not_empty"),
    CheckConstraint("origin_id <> person_id", name="origin_is_another"),
    ForeignKeyConstraint(["person_id"], ["person.id"], deferrable=True, initially="DEFERRED"),
    Index("ix_person_key_person", "person_id"),
)

person_merge = Table(
    "person_merge",
    metadata,
    Column("id", UUID(as_uuid=False), primary_key=True),
    Column("survivor_id", UUID(as_uuid=False), nullable=False),
    Column("merged_id", UUID(as_uuid=False), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, comment="a code"),
    Column("rule", Text, comment="the kinds of keys by which the journey has people merged; null: by hand"),
    Column("moved", JSONB, nullable=False, comment="ids of leads, consents, purchases; what parked leads were"),
    Column("before", JSONB, nullable=False, comment="the survivor's row as it was"),
    Column(
        "touchpoints",
        ARRAY(UUID(as_uuid=False)),
        nullable=False,
        server_default=text("'{}'"),
        comment="those that went over from a lead that was parked",
    ),
    Column("told", JSONB, nullable=False, comment="what was answered, and is again"),
    Column("undone_at", DateTime(timezone=True)),
    Column("undone_by", Text),
    CheckConstraint("survivor_id <> merged_id", name="two_people"),
    CheckConstraint("(undone_at IS NULL) = (undone_by IS NULL)", name="undone_by_somebody"),
    ForeignKeyConstraint(["survivor_id"], ["person.id"]),
    ForeignKeyConstraint(["merged_id"], ["person.id"]),
    Index("uq_person_merge_merged", "merged_id", unique=True, postgresql_where=text("undone_at IS NULL")),
    Index("ix_person_merge_survivor", "survivor_id", "id"),
    Index("ix_person_merge_person", "merged_id", "id"),
)

person_suggestion = Table(
    "person_suggestion",
    metadata,
    Column("person_id", UUID(as_uuid=False), primary_key=True, comment="to whom the arrival went"),
    Column("other_id", UUID(as_uuid=False), primary_key=True),
    Column("reason", Text, primary_key=True, comment="a code"),
    Column("kinds", JSONB, nullable=False, comment="kinds of keys that were one person's and the other's"),
    Column("receipt_id", UUID(as_uuid=False), nullable=False, comment="the first arrival that named both"),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("due_since", DateTime(timezone=True), comment="set while the journey's rule owes their merge"),
    Column("refused", Text, comment="a code: why the rule did not merge them"),
    CheckConstraint("person_id <> other_id", name="two_people"),
    CheckConstraint("reason IN ('keys', 'phone')", name="reason_known"),
    Index("ix_person_suggestion_other", "other_id"),
    Index("ix_person_suggestion_due", "due_since", postgresql_where=text("due_since IS NOT NULL")),
)
