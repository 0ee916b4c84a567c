"""Simulated fills against real books: paper trading and backtests."""
