"""Orders, ledger, P&L and exposure of the account."""
