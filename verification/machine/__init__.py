"""The state machine (T13): whatever hypothesis makes the program, the exchange and the network do, in any order."""
