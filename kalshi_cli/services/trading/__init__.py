"""Use cases of a run: its start and end, halts, locks, status, what became of its orders."""
