"""Who trades on the simulated exchange, and what about: seeded, derived from the clock."""
