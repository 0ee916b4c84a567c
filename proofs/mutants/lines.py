"""The safety lines, and how each is broken. A line whose text is not found exactly once fails the run: no list rots."""

from __future__ import annotations

from proofs.mutants.books import BOOKS
from proofs.mutants.controls import CONTROLS
from proofs.mutants.doubt import DOUBT
from proofs.mutants.durability import DURABILITY
from proofs.mutants.house import HOUSE
from proofs.mutants.mutant import Mutant as Mutant
from proofs.mutants.outside import OUTSIDE
from proofs.mutants.positions import HELD
from proofs.mutants.recovery import RECOVERY
from proofs.mutants.requests import REQUESTS
from proofs.mutants.sending import SENDING
from proofs.mutants.stopping import STOPPING
from proofs.mutants.telling import CHECKING, TELLING

MUTANTS = (
    *SENDING, *DOUBT, *BOOKS, *CONTROLS, *HELD, *HOUSE, *TELLING, *OUTSIDE, *CHECKING,
    *DURABILITY, *REQUESTS, *RECOVERY, *STOPPING,
)  # fmt: skip
