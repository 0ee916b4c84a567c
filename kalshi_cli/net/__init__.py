"""Connections to other machines: every one has a deadline, a largest size, and no proxy from the environment."""

from __future__ import annotations

import sys

# httpx looks for the extras of its own command line and, where it finds them (rich is here for us), imports them: half
# as much again as httpx itself, in every command that talks to the exchange. None says that there is no such module.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
