"""Alembic's entry: runs the steps on the connection that `services/migrate.py` hands over, each in a transaction."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
