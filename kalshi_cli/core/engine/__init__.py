"""The engine: one message in, effects out."""
