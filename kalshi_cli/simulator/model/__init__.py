"""Records and building blocks of the simulated exchange: markets, orders, prices, dates, seeded randomness."""
