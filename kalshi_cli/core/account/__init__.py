"""What we own and owe: orders, ledger, P&L, exposure."""
