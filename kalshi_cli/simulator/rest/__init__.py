"""The REST side of the simulated exchange: routes, what answers them, and the shapes of the answers."""
