"""Verify the state file under load, kills, damage and concurrent programs.

commits     the time until an order request, a change of an order and a fill are on disk
hammer      three programs on one file: a loop, commands that open and close it, and a reader
knife       SIGKILL after every single statement of a session: each effect is recorded completely, or not at all
damage      flipped bytes in every page: a clear error, or the file reads as before
starts      a hundred loops started at once on one account: one runs, the others name it
"""
