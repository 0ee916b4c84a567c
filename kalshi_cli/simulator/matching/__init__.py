"""The matching engine: order books, accounts, what rests and what it is worth."""
