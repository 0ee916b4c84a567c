"""Research use cases: backtests and strategies."""
