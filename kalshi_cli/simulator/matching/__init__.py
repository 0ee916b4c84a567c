"""The matching engine: order books, accounts, collateral and candles."""
