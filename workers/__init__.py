"""The steps that decide. Their only I/O is the database."""
