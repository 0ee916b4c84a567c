"""A state machine (T13): hypothesis drives the program, the exchange and the network in any order."""
