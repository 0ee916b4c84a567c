"""What each built-in strategy gains or loses on the seeded simulated world, in virtual time (`make strategies`)."""
