"""Use cases about what is listed: markets, events, the catalog, combos, hours, candles."""
