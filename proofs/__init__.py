"""Proofs too long for every run of the tests: faults, crashes, mutants. `make test` runs a short slice of each."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "store")]
