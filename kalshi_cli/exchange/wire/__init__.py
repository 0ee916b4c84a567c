"""JSON of the exchange, both ways: one module a subject. Strict where money is, deaf to unknown fields."""
