"""`kalshi sim`: start, stop, reset and control the simulated exchange.

The controls reach the server of the state directory, in the foreground or the background. Without a server, they
start one in the background.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.options import environment_of, show_done, show_view
from kalshi_cli.cli.parameters import (
    CommandGroup,
    argument,
    choice_option,
    duration_option,
    flag,
    option,
    ticker,
    time_option,
)
from kalshi_cli.cli.screen.output import info, write_out

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.simulator.serving.announcement import Announcement
    from kalshi_cli.simulator.serving.controls import ControlReport

app = CommandGroup(
    "Run and control the simulated exchange.\n\n"
    "Run and control the simulated exchange, which needs no account and no network."
)


@app.command("serve")
def serve(
    ctx: typer.Context,
    port: Annotated[int, option("--port", "N", "Port; 0 picks a free one", min=0, max=65_535)] = 0,
    seed: Annotated[
        int | None, option("--seed", "N", "Seed of the simulated markets; another seed gives other markets", min=0)
    ] = None,
    speed: Annotated[
        float | None,
        option("--speed", "N", "Trade this many times as much (time itself is unchanged)", min=0.01, max=10_000),
    ] = None,
    key: Annotated[
        list[str] | None, option("--key", "rsa|ed25519|FILE", "Key for the first account [default: rsa] [repeatable]")
    ] = None,
    accounts: Annotated[
        int, option("--accounts", "N", "Number of accounts, which can trade with each other", min=1, max=20)
    ] = 1,
) -> None:
    """Serve the simulated exchange on this machine.

    Serve the simulated exchange over HTTP and WebSocket on this machine until it is stopped by a signal. It prints one
    JSON line when it is ready.

    \b
    kalshi sim serve --port 8080 --seed 7
    """
    import msgspec

    with environment_of(ctx, flags={"env": "sim", "sim.seed": seed, "sim.speed": speed}) as environment:
        environment.simulator.serve(
            lambda address: write_out(msgspec.json.encode(address).decode() + "\n", flush=True),
            port,
            key or ["rsa"],
            accounts,
        )


@app.command("start")
def start(ctx: typer.Context) -> None:
    """Start the simulated exchange in the background.

    If a process already serves it, show that process. The first command that needs the simulated exchange starts it
    automatically. The process ends a minute after its last use, or on `kalshi sim stop`.

    \b
    kalshi sim start
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        _show(ctx, environment, environment.served, environment.control("status", {}))


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """Stop the simulated exchange.

    The process ends even if clients are connected. Accounts, orders and markets are kept.

    \b
    kalshi sim stop
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        ended = environment.simulator.stop()
        info("The simulated exchange is not running" if ended is None else f"Stopped: pid {ended.pid} has ended")
        show_done(ctx, "nothing" if ended is None else "stopped", None if ended is None else f"pid {ended.pid}")


@app.command("reset")
def reset(ctx: typer.Context) -> None:
    """Delete the simulated exchange and start over.

    Delete the simulated exchange with its accounts, orders and markets, and the local trading state for it.

    \b
    kalshi sim reset
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        environment.reset()
        info("The simulated exchange was reset")
        show_done(ctx, "reset", "simulated exchange")


def _do(ctx: typer.Context, command: str, **fields: object) -> None:
    """Send a command to the exchange of the state directory, and show its status afterwards."""
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        report = environment.control(command, {name: value for name, value in fields.items() if value is not None})
        _show(ctx, environment, environment.served, report)


def _show(
    ctx: typer.Context, environment: Environment, served: Announcement | None, report: ControlReport | None
) -> None:
    """Show the process that serves the exchange, and its status; times are those of the exchange's clock."""
    from kalshi_cli.views.simulator import SimulatorStatusView

    offset_ms = report.offset_ms if report else environment.simulator.offset_ms()
    status = SimulatorStatusView.of(
        SimpleNamespace(announced=served, report=report),
        time=report.time if report else environment.clock.now(),
        clock_ahead_s=offset_ms / 1000,
        since=Ts(served.since + offset_ms) if served else None,
        ends=Ts(report.ends + offset_ms) if report and report.ends else None,
        served=("background" if served.is_background else "foreground") if served else None,
    )
    show_view(ctx, status, title="simulated exchange")


_Market = Annotated[str | None, option("--market", "TICKER", "Only this market")]
_Shard = Annotated[int | None, option("--shard", "N", "Only this shard", min=0, max=1_000)]
_Value = Annotated[str, option("--value", "yes|no|PRICE", "What one YES contract pays: yes, no, 37c or 0.37")]


@app.command("status")
def status(ctx: typer.Context) -> None:
    """Show the state of the simulated exchange.

    Show what is paused, inactive, disputed or shuffled, the clock, and the number of open streams.

    \b
    kalshi sim status
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        _show(ctx, environment, *environment.serving())


@app.command("pause")
def pause(
    ctx: typer.Context,
    exchange: Annotated[bool, flag("--exchange", "Pause everything; cancels are rejected too")] = False,
    market: _Market = None,
    shard: _Shard = None,
    duration: Annotated[Any, duration_option("--for", "End the pause after this time")] = None,
) -> None:
    """Pause trading on the simulated exchange.

    Pause trading: new orders are rejected, cancels work. Resting orders stay, except those placed with
    `--cancel-on-pause`.

    \b
    kalshi sim pause --exchange --for 10m
    """
    for_ms = None if duration is None else int(duration * 1000)
    _do(ctx, "pause", is_whole=exchange, ticker=_upper(market), shard=shard, for_ms=for_ms)


@app.command("halt")
def halt(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """Make one simulated market inactive.

    Make one market inactive, as the exchange does when it halts a market.

    \b
    kalshi sim halt KXBTCD-26NOV2114-T86249.99
    """
    _do(ctx, "pause", ticker=_upper(name))


@app.command("resume")
def resume(ctx: typer.Context, market: _Market = None, shard: _Shard = None) -> None:
    """End a pause of the simulated exchange.

    End a pause. As on the real exchange, a market that becomes active again loses all its resting orders.

    \b
    kalshi sim resume
    """
    _do(ctx, "resume", ticker=_upper(market), shard=shard)


@app.command("close")
def close(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """Close a simulated market now.

    Close a market now. Its result is determined at its original closing time, or by `kalshi sim settle`.

    \b
    kalshi sim close KXBTCD-26NOV2114-T86249.99
    """
    _do(ctx, "close", ticker=_upper(name))


@app.command("settle")
def settle(ctx: typer.Context, name: Annotated[str, ticker()], value: _Value) -> None:
    """Determine the result of a simulated market.

    Determine the result of a market; it pays out after its settlement timer. An open market is closed first.

    \b
    kalshi sim settle KXBTCD-26NOV2114-T86249.99 --value yes
    kalshi sim settle KXBTCD-26NOV2114-T86249.99 --value 37c
    """
    _do(ctx, "settle", ticker=_upper(name), value=value)


@app.command("dispute")
def dispute(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """Hold the payout of a simulated market.

    Hold the payout of a determined market until it is settled or amended.

    \b
    kalshi sim dispute KXBTCD-26NOV2114-T86249.99
    """
    _do(ctx, "dispute", ticker=_upper(name))


@app.command("amend")
def amend(ctx: typer.Context, name: Annotated[str, ticker()], value: _Value) -> None:
    """Change the result of a simulated market.

    Change the result of a determined market before it pays out.

    \b
    kalshi sim amend KXBTCD-26NOV2114-T86249.99 --value 0.63
    """
    _do(ctx, "amend", ticker=_upper(name), value=value)


@app.command("clock")
def clock(
    ctx: typer.Context,
    forward: Annotated[Any, duration_option("--forward", "Advance by this time")] = None,
    to: Annotated[Any, time_option("--to", "Advance to this time, such as 2026-11-22T15:00:00Z")] = None,
    reset: Annotated[bool, flag("--reset", "Return to the machine's time")] = False,
) -> None:
    """Show or advance the simulated exchange's clock.

    Advance the clock of the simulated exchange: markets close and settle, timers run. Request signatures still use the
    machine's time. Without an option it shows the clock.

    `--reset` returns to the machine's time, the only way back. It does not undo what happened; `kalshi sim reset`
    starts a new exchange.

    \b
    kalshi sim clock --forward 1h
    """
    if sum((forward is not None, to is not None, reset)) > 1:
        raise UsageError("--forward, --to and --reset cannot be combined", hint="use one of them")
    if forward is None and to is None and not reset:
        status(ctx)
        return
    _do(ctx, "clock", forward_ms=None if forward is None else int(forward * 1000), to=to)


@app.command("shuffle")
def shuffle(
    ctx: typer.Context,
    switch: Annotated[str, argument("on|off", "Shuffle messages, or send them in order")],
    seed: Annotated[int, option("--seed", "N", "The same seed gives the same order", min=0)] = 1,
) -> None:
    """Shuffle the order of stream messages.

    Shuffle the order of messages of different channels, and of a response and the messages that it causes. The
    exchange does not document this order.

    \b
    kalshi sim shuffle on --seed 7
    """
    if switch not in ("on", "off"):
        raise UsageError(f"Use on or off, not {switch!r}", hint="kalshi sim shuffle on")
    _do(ctx, "shuffle", seed=seed if switch == "on" else None)


@app.command("stream")
def stream(
    ctx: typer.Context,
    hang_up: Annotated[
        Any,
        choice_option(
            "--hang-up", ("reset", "close"), "Disconnect every stream, with (close) or without (reset) a close frame"
        ),
    ] = None,
    error: Annotated[
        Any, choice_option("--error", ("10", "18", "25"), "End subscriptions (10, 25), or time out a command (18)")
    ] = None,
    channel: Annotated[str, option("--channel", "NAME", "Channel whose subscriptions end")] = "orderbook_delta",
) -> None:
    """Inject faults into the message streams.

    Inject faults into the message streams, to test how a client reacts.

    \b
    kalshi sim stream --hang-up reset
    """
    if bool(hang_up) == bool(error):
        raise UsageError("Give either --hang-up or --error", hint="kalshi sim stream --hang-up reset")
    _do(ctx, "stream", hang_up=hang_up or None, error=int(error) if error else None, channel=channel)


@app.command("spot")
def spot(
    ctx: typer.Context,
    fault: Annotated[str, argument("off|freeze|junk|cut|wrong", "Fault to inject")],
    venue: Annotated[
        Any, choice_option("--venue", ("coinbase", "kraken", "binance", "binance_us"), "Only this venue")
    ] = None,
) -> None:
    """Inject faults into simulated outside prices.

    Inject faults into the outside prices of the simulated exchange: no new prices (freeze), invalid messages (junk),
    no connection (cut), prices 5 % too high (wrong). `off` ends the fault.

    \b
    kalshi sim spot freeze --venue coinbase
    """
    if fault not in ("off", "freeze", "junk", "cut", "wrong"):
        raise UsageError(f"off, freeze, junk, cut or wrong, not {fault!r}", hint="kalshi sim spot off")
    _do(ctx, "spot", fault="" if fault == "off" else fault, venue=venue or None)


def _upper(name: str | None) -> str | None:
    return None if name is None else name.upper()
