"""Proof that no order is priced from a book that is wrong, old or gone: `python -m proofs.feed`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "exchange"))  # the scripted exchange
