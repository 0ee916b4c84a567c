"""Live trading on the exchange: the feed, the venue and the account snapshot."""
