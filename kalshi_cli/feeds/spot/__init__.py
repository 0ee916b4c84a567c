"""Outside prices of coins: what each venue says on the wire, which of it is believed, and who listens."""
