"""What can be asked of the exchange over REST: one class of calls a subject; `KalshiClient` is all of them in one."""
