"""Files of leads: what kind a file is, its rows, how they are read, and their way into receipts."""
