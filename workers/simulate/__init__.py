"""
The time machine: what a journey would have done to the leads that were recorded, decided by the steps themselves.

`history` reads what came in, `world` lets one journey decide about it under a clock that is moved, `course` says what
became of one lead there, `tally` counts, `compare` puts two worlds side by side, and `run` puts it all together.
Nothing is written: the database is only read, from one snapshot.
"""
