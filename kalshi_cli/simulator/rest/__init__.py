"""The REST routes of the simulated exchange, one file per subject."""
