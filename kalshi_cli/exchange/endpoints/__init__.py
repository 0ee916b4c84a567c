"""The REST endpoints: one class of calls per subject; `KalshiClient` combines all of them."""
