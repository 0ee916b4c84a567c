"""The resources of a member of a served exchange, for a test that calls services without a command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kalshi_cli.app.environment import opened
from kalshi_cli.config.sources import load
from kalshi_cli.services.resources import Resources
from support.served import Served


@contextmanager
def resources_of(one: Served, said: list[str] | None = None) -> Iterator[Resources]:
    """Open them; what would be said on stderr goes to `said`."""
    with opened(load(None, one.variables(), {}), (said if said is not None else []).append) as resources:
        yield resources
