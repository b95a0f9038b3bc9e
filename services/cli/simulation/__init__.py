"""The report of a simulation: its content (`report`), as text (`prose`) and as a page (`page`)."""
