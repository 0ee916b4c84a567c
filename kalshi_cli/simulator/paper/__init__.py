"""Simulated fills against books that are not ours: paper trading and backtests."""
