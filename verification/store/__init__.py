"""The state file under load, under the knife and under many hands.

commits     how long an intent, a change of an order and a fill take until they are on the disk
hammer      three programs on one file: a loop, commands that open and close it, and somebody who looks
knife       SIGKILL after every single statement of a session: each effect is there whole, or not at all
damage      bytes flipped in every page: an error that says so, or the file reads as before
starts      a hundred loops started at once on one account: one runs, the others name it
"""
