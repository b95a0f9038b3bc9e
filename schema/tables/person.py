"""
People and companies: who a lead is about.

`person_key` holds the match keys under a database-enforced uniqueness: two hundred identical posts at once meet here
and become one person. A key is written before its person, so its reference is checked at commit.
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
from sqlalchemy.dialects.postgresql import JSONB, UUID

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
    ForeignKeyConstraint(["company_id"], ["company.id"]),
)
Index("ix_person_name", func.lower(person.c.name).label("name"), postgresql_ops={"name": "text_pattern_ops"})

person_key = Table(
    "person_key",
    metadata,
    Column("kind", Text, primary_key=True, comment="email, phone, external:<source>"),
    Column("value", Text, primary_key=True),
    Column("person_id", UUID(as_uuid=False), nullable=False),
    CheckConstraint("value <> ''", name="value_not_empty"),
    ForeignKeyConstraint(["person_id"], ["person.id"], deferrable=True, initially="DEFERRED"),
)
