"""Everything that knows the exchange's wire, and nothing else does."""
