"""Use cases that change orders: place, amend, batch, cancel, close, quotes, and the kill switch."""
