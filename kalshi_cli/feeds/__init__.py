"""Where messages come from when they do not come from the exchange: recordings."""
