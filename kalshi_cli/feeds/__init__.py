"""Feeds other than the exchange: recordings, external prices, fair values, news."""
