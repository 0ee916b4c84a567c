"""The message stream of the simulated exchange: connections, channels, messages."""
