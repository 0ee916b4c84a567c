"""The protocol of the simulated exchange: requests, replies, routes, signatures, JSON."""
