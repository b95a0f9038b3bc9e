"""
The database's history, one numbered step per file in `versions/`; `services/migrate.py` walks it.

A step imports nothing of ours, so that it does the same for ever, and says whether it runs before or after the code
that needs it. `tests/contract/test_migrations.py` shows that all of them together give exactly `schema/tables`.
"""
