"""Every limit that an order passes, and the guards that stop trading."""
