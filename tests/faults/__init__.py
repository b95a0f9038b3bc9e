"""Faults: processes are killed, frozen and cut off, servers lose everything, and no promise may break."""
