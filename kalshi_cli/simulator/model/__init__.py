"""What the simulated exchange knows: markets, orders, records, prices, dates, seeded randomness."""
