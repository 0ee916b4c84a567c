"""Use cases of research: backtests, scans, other venues, strategies."""
