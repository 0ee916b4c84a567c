"""The servers of simulated exchanges that commands of a test started in the background."""

from __future__ import annotations

from pathlib import Path


def end_servers(home: Path) -> list[str]:
    """End every background server of a state directory below this one; return what else has an exchange open."""
    left = []
    for path in home.rglob("exchange/lock"):
        from kalshi_cli.base.clock import SystemClock  # most tests need none of it
        from kalshi_cli.config.schema import Sim
        from kalshi_cli.simulator import Simulator
        from kalshi_cli.store.lock import holder

        simulator = Simulator(path.parent, Sim(), SystemClock(), lambda: "")
        found = simulator.serving()
        if found is None or found.is_background:
            simulator.stop()
        if (who := holder(path)) is not None:
            left.append(f"{path}: {who}")
    return left
