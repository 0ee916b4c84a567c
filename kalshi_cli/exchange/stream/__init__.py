"""The WebSocket: frames, sequence numbers, subscriptions, and the thread that reads."""
