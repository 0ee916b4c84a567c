"""Use cases of the account: portfolio, cash, execution quality, and recovery of its state."""
