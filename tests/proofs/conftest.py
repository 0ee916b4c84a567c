"""Here so that the slices of the proofs can import the package `proofs` from the root of the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
