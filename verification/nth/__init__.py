"""Nth loops (T4): one fault on the 1st, 2nd, 3rd ... request of a session, until a session completes without it.

`python -m verification.nth` plays every session with every fault at every place, and compares each end with the
exchange.
"""
