"""The WebSocket: frames, sequence numbers, subscriptions, and the reader thread."""
