"""`kill -9` of the real program, at named points and at random times; then a restart, and a comparison of ledgers.

The program is the real one: its `main()`, its files, real sockets. Only two things differ. It is forked from a parent
that has already imported it, which saves a second per run; and to die at a point inside, a few of its methods are
wrapped at run time, only in the child (`points`). It trades through a proxy with a served simulated exchange
(`stage`), and the result is compared with the exchange's own ledger (`compare`).

    python -m verification.crash --runs 1000            # `make crash RUNS=1000`
    python -m verification.crash --faults --runs 300    # whole sessions with random network faults, without kills
    python -m verification.crash --seed 17              # that run again

A seed decides the program, the point and the market. The moment at which a process dies also depends on the machine, so
a seed that failed once may need a few repetitions.
"""
