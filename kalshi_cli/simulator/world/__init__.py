"""The simulated world: markets and the members that trade them, derived from a seed and the clock."""
