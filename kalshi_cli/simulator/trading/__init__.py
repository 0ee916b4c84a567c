"""What members do: orders, groups, amends, quotes, transfers; and what happens to markets."""
