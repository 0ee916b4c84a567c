"""Sessions with many faults in virtual time: the real client, engine, loop, state file and stream reader.

They run against the simulated exchange, from a seed. Every invariant is checked after every step.

    make simulate SEEDS=10000 JOBS=2        python -m verification.simulate --seed 4711
"""
