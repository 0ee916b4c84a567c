"""One step of trading: a message in, effects out."""
