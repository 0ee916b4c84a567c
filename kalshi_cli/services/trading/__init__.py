"""Trading use cases: start and end of a run, halts, market locks, status, the order funnel."""
