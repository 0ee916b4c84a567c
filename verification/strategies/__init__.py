"""Measure the P&L of each built-in strategy on the seeded simulated world, in virtual time (`make strategies`)."""
