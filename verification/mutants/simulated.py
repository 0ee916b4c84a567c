"""Mutants that `python -m verification.mutants --by simulate` must notice: safety lines of each kind.

Tests notice a mutant because somebody wrote them for its line. A session knows no line: it holds the program to its
invariants, so that it finds what nobody thought of. These show that it does.

What no session can notice is a line beside another that does the same: the halt inside the transaction of an intent
(it is asked for again before the first byte), the hour that a start reads again (the next read goes a minute back, and
a start that cannot explain a position reads everything), a cancel that is sent again (the next tick asks for it). Nor
can it see what only a power cut shows, or what is only told.
"""

from __future__ import annotations

SIMULATED = frozenset(
    {
        # sent twice, or unknown to the file
        "a create is never repeated after a lost answer",
        "commit before send",
        # in doubt
        "never arrived needs a margin",
        "an unknown order counts as live",
        "a batch without an answer is in doubt",
        "a second order under one id halts",
        # booked twice, forgotten, out of order
        "a fill is booked once",
        "fills that a read shows are booked",
        "a status moves only along the graph",
        # limits
        "the position with every live order filled",
        "live orders are counted",
        # halts and stops
        "a halt beside the state file counts",
        "no loop starts into a halt",
        "a stop takes our orders back",
        "a halt takes our orders back",
    }
)
