"""Where the repository is, and the documents and recordings beside it that a test skips without."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
