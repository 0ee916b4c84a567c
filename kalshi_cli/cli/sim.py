"""`kalshi sim ...`: the simulated exchange, served to others or thrown away."""

from __future__ import annotations

from typing import Annotated

import typer

from kalshi_cli.cli.options import Commands, opened
from kalshi_cli.cli.output import note, write_out

app = Commands("The simulated exchange.")


@app.command("serve")
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Another world.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.01, max=10_000, help="So many times as many trades.")] = None,
) -> None:
    """Serve it over HTTP and WebSocket on this machine until a signal; prints one JSON line when ready.

    \b
    kalshi sim serve --port 8080 --seed 7
    """
    import msgspec

    with opened(ctx, flags={"env": "sim", "sim.seed": seed, "sim.speed": speed}) as desk:
        desk.serve(lambda address: write_out(msgspec.json.encode(address).decode() + "\n", flush=True), port)


@app.command("reset")
def reset(ctx: typer.Context) -> None:
    """Forget everything: its accounts, orders, markets, and what we remember of trading there.

    \b
    kalshi sim reset
    """
    with opened(ctx, flags={"env": "sim"}) as desk:
        desk.reset_simulator()
        note("the simulated exchange starts anew")
