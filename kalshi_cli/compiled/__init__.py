"""Compiled replay of order books for backtests, from the extra `[research]`."""
