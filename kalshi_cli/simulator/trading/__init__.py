"""Actions of members (orders, groups, amends, quotes, transfers) and the life of markets."""
