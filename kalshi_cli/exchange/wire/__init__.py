"""JSON of the exchange, in both directions: one module per subject. Strict about money; unknown fields are ignored."""
