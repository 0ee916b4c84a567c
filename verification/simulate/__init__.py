"""Sessions full of faults, in virtual time: the real client, engine, loop, state file and stream reader against the
simulated exchange, seeded, with every invariant checked after every step.

    make simulate SEEDS=10000 JOBS=2        python -m verification.simulate --seed 4711
"""
