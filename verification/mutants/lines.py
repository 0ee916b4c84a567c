"""The safety lines, and how each is broken. A line that is not found exactly once fails the run."""

from __future__ import annotations

from verification.mutants.books import BOOKS
from verification.mutants.controls import CONTROLS
from verification.mutants.doubt import DOUBT
from verification.mutants.durability import DURABILITY
from verification.mutants.house import HOUSE
from verification.mutants.mutant import Mutant as Mutant
from verification.mutants.outside import OUTSIDE
from verification.mutants.positions import HELD
from verification.mutants.recovery import RECOVERY
from verification.mutants.requests import REQUESTS
from verification.mutants.sending import SENDING
from verification.mutants.stopping import STOPPING
from verification.mutants.telling import CHECKING, TELLING

MUTANTS = (
    *SENDING, *DOUBT, *BOOKS, *CONTROLS, *HELD, *HOUSE, *TELLING, *OUTSIDE, *CHECKING,
    *DURABILITY, *REQUESTS, *RECOVERY, *STOPPING,
)  # fmt: skip
