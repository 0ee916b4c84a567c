"""The exchange in a process of its own: sockets, keys, controls, prices of other venues."""
