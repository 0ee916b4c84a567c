"""Two ledgers, one truth: random order traffic through the real client, booked by the exchange and by us."""
