"""Connections to other machines, each with a deadline, a maximum size, and no proxy from the environment."""

from __future__ import annotations

import sys

# httpx imports its command-line extras where they are installed, and kalshi installs rich: that takes half as long as
# httpx itself, in every command that talks to the exchange. None marks the module as missing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
