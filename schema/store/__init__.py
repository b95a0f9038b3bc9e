"""How every process reaches the shared database: connections, set-based statements, journeys, the clock, ids."""
