"""
What is bought together: counted over all people, so that nobody's purchases are gone through when something is asked.

A row says: of the `with_given` people who have what is `given` (one product or two), `with_both` have `product` too,
which `with_product` of all people have. How many there are in all, and when it was counted, is one row.
"""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Integer, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from schema.tables.base import metadata

association = Table(
    "association",
    metadata,
    Column("given", ARRAY(Text), nullable=False, comment="names of products as they are compared, in order"),
    Column("product", Text, nullable=False),
    Column("label", Text, nullable=False, comment="what the product is mostly called"),
    Column("labels", ARRAY(Text), nullable=False, comment="what those that are given are mostly called"),
    Column("with_both", Integer, nullable=False),
    Column("with_given", Integer, nullable=False),
    Column("with_product", Integer, nullable=False),
    PrimaryKeyConstraint("given", "product"),
    CheckConstraint("with_both BETWEEN 1 AND LEAST(with_given, with_product)", name="counted"),
)
association_count = Table(
    "association_count",
    metadata,
    Column("whole", Boolean, primary_key=True, server_default="true"),
    Column("people", Integer, nullable=False, comment="who have bought anything that is named"),
    Column("counted_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("whole", name="only_one"),
)
