"""`kill -9` of the real program, at named points and at random times; then a restart, and a comparison of ledgers.

The program is the real one: its `main()`, its files, real sockets. Only two things are arranged. It is forked from a
parent that has imported it already, which saves a second for each run; and where it is to die at a point inside, a few
of its methods are wrapped at run time, in the child alone (`points`). It trades through a proxy with a served
simulated exchange (`stage`), and what is left is held against the exchange's own books (`compare`).

    python -m verification.crash --runs 1000            # `make crash RUNS=1000`
    python -m verification.crash --faults --runs 300    # whole sessions under random network faults, nobody killed
    python -m verification.crash --seed 17              # that run again

A seed decides what is arranged: the program, the point, what the market does. The moment a process really dies depends
on the machine as well, so a seed that failed once may need a few repetitions.
"""
