"""The simulated exchange in its own process: sockets, keys, controls, outside prices."""
