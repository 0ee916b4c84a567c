"""Markets, orders, fills, positions, and the messages, intents and effects of the engine."""
