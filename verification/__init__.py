"""Verification that takes too long for every run of the tests: faults, crashes, mutants.

`make test` runs a short slice of each.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # for tests/support
