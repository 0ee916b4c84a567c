"""HTTP calls: signing, rate limits, retries, and the conclusions from a response."""
