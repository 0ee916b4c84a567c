"""The market data use cases: markets, events, the catalog, combos, hours, candles."""
