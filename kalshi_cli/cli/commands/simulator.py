"""`kalshi sim ...`: the simulated exchange: started, stopped, reset, and controlled as no member can.

The controls reach the server of the state directory, in the foreground or the background; where there is none, one is
started in the background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    duration_option,
    environment_of,
    show_view,
    ticker,
    time_option,
)
from kalshi_cli.cli.screen.output import info, write_out

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.simulator.serving.announcement import Announcement
    from kalshi_cli.simulator.serving.controls import ControlReport

app = CommandGroup("The simulated exchange.")


@app.command("serve")
def serve(
    ctx: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Another world.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.01, max=10_000, help="So many times as many trades.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(metavar="rsa|ed25519|FILE", help="A key for the first account; may be repeated. [default: rsa]"),
    ] = None,
    accounts: Annotated[int, typer.Option(min=1, max=20, help="Accounts that can trade with each other.")] = 1,
) -> None:
    """Serve it over HTTP and WebSocket on this machine until a signal; prints one JSON line when ready.

    The line has the addresses, and for each account the ids and files of its keys. FILE is a PEM key of yours, private
    or public. Keys and accounts of earlier runs stay valid.

    A server in the background that no program uses makes way for it; one that is in use stays, and this is refused.

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
    """Start it in the background, unless a process serves it already, and show which one does.

    Every command that needs it does this by itself. It ends a minute after it was last used, or by `kalshi sim stop`.

    \b
    kalshi sim start
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        _show(ctx, environment, environment.served, environment.control("status", {}))


@app.command("stop")
def stop(ctx: typer.Context) -> None:
    """End the process that serves it, whatever is connected. Accounts, orders and markets stay on disk.

    \b
    kalshi sim stop
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        ended = environment.simulator.stop()
        info("no process serves the simulated exchange" if ended is None else f"stopped: pid {ended.pid} has ended")


@app.command("reset")
def reset(ctx: typer.Context) -> None:
    """Forget everything: its accounts, orders, markets, and what we remember of trading there.

    \b
    kalshi sim reset
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        environment.reset()
        info("the simulated exchange starts anew")


class _Serving(NamedTuple):
    """Which process serves it, and what that one said."""

    announced: Announcement | None
    report: ControlReport | None


def _do(ctx: typer.Context, command: str, **fields: object) -> None:
    """Do it to the exchange of the state directory, and show how things stand then."""
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        report = environment.control(command, {name: value for name, value in fields.items() if value is not None})
        _show(ctx, environment, environment.served, report)


def _show(
    ctx: typer.Context, environment: Environment, served: Announcement | None, report: ControlReport | None
) -> None:
    """Show which process serves it, and how that said it stands."""
    from kalshi_cli.views.simulator import SimulatorStatusView

    offset_ms = report.offset_ms if report else environment.simulator.offset_ms()
    status = SimulatorStatusView.of(
        _Serving(served, report),
        time=report.time if report else environment.clock.now(),
        clock_ahead_s=offset_ms / 1000,
        served=("background" if served.is_background else "foreground") if served else None,
    )
    show_view(ctx, status, title="simulated exchange")


_Market = Annotated[str | None, typer.Option("--market", metavar="TICKER", help="This market alone.")]
_Shard = Annotated[int | None, typer.Option("--shard", min=0, max=1_000, help="This shard alone.")]
_Value = Annotated[
    str, typer.Option("--value", metavar="yes|no|PRICE", help="What one YES pays: yes, no, 37c or 0.37.")
]


@app.command("status")
def status(ctx: typer.Context) -> None:
    """Which process serves it, since when, and when it ends; what is paused, halted, disputed; its clock.

    Nothing is started: where no process serves it, most of the answer is empty. `connections` are those that other
    programs have open; a running loop has several.

    \b
    kalshi sim status
    """
    with environment_of(ctx, flags={"env": "sim"}) as environment:
        _show(ctx, environment, *environment.serving())


@app.command("pause")
def pause(
    ctx: typer.Context,
    exchange: Annotated[bool, typer.Option("--exchange", help="Everything: cancels are refused too.")] = False,
    market: _Market = None,
    shard: _Shard = None,
    duration: Annotated[Any, duration_option("--for", text="Ends by itself after this.")] = None,
) -> None:
    """Pause trading: no new orders, cancels work. What rests stays, unless it asked to be canceled on a pause.

    \b
    kalshi sim pause --exchange --for 10m
    """
    for_ms = None if duration is None else int(duration * 1000)
    _do(ctx, "pause", is_whole=exchange, ticker=_upper(market), shard=shard, for_ms=for_ms)


@app.command("halt")
def halt(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """Pause one market, as the exchange does: it becomes inactive.

    \b
    kalshi sim halt KXBTCD-26NOV2114-T86249.99
    """
    _do(ctx, "pause", ticker=_upper(name))


@app.command("resume")
def resume(ctx: typer.Context, market: _Market = None, shard: _Shard = None) -> None:
    """End a pause. A market that is reactivated loses all its resting orders, as on the real exchange.

    \b
    kalshi sim resume
    """
    _do(ctx, "resume", ticker=_upper(market), shard=shard)


@app.command("close")
def close(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """Close a market now. Its result comes at the close it was made for, or from `kalshi sim settle`.

    \b
    kalshi sim close KXBTCD-26NOV2114-T86249.99
    """
    _do(ctx, "close", ticker=_upper(name))


@app.command("settle")
def settle(ctx: typer.Context, name: Annotated[str, ticker()], value: _Value) -> None:
    """Determine a market; it pays after its settlement timer. One that is open is closed first.

    \b
    kalshi sim settle KXBTCD-26NOV2114-T86249.99 --value yes
    kalshi sim settle KXBTCD-26NOV2114-T86249.99 --value 37c
    """
    _do(ctx, "settle", ticker=_upper(name), value=value)


@app.command("dispute")
def dispute(ctx: typer.Context, name: Annotated[str, ticker()]) -> None:
    """Hold the payout of a determined market until it is settled or amended.

    \b
    kalshi sim dispute KXBTCD-26NOV2114-T86249.99
    """
    _do(ctx, "dispute", ticker=_upper(name))


@app.command("amend")
def amend(ctx: typer.Context, name: Annotated[str, ticker()], value: _Value) -> None:
    """Another result for a determined market, before it pays.

    \b
    kalshi sim amend KXBTCD-26NOV2114-T86249.99 --value 0.63
    """
    _do(ctx, "amend", ticker=_upper(name), value=value)


@app.command("clock")
def clock(
    ctx: typer.Context,
    forward: Annotated[Any, duration_option("--forward", text="Ahead by this.")] = None,
    to: Annotated[Any, time_option("--to", text="Ahead to this moment.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Back to the machine's time.")] = False,
) -> None:
    """Move the exchange's clock: markets close and settle, timers run. Signatures keep the machine's time.

    Without an option it only shows the clock. Back to the machine's time is the only way back, and undoes nothing:
    `kalshi sim reset` makes a new exchange.

    \b
    kalshi sim clock --forward 1h
    """
    if sum((forward is not None, to is not None, reset)) > 1:
        raise UsageError("--forward, --to and --reset exclude each other", hint="give one of them")
    if forward is None and to is None and not reset:
        status(ctx)
        return
    _do(ctx, "clock", forward_ms=None if forward is None else int(forward * 1000), to=to)


@app.command("shuffle")
def shuffle(
    ctx: typer.Context,
    switch: Annotated[str, typer.Argument(metavar="on|off", help="Mixed, or as things happen.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same orders.")] = 1,
) -> None:
    """Mix the order of messages of different channels, and of a reply and what it causes: nobody documents it.

    \b
    kalshi sim shuffle on --seed 7
    """
    if switch not in ("on", "off"):
        raise UsageError(f"on or off, not {switch!r}", hint="kalshi sim shuffle on")
    _do(ctx, "shuffle", seed=seed if switch == "on" else None)


@app.command("stream")
def stream(
    ctx: typer.Context,
    hang_up: Annotated[
        Any, choice_option("--hang-up", choices=("reset", "close"), text="End every stream, without or with a frame.")
    ] = None,
    error: Annotated[
        Any, choice_option("--error", choices=("10", "18", "25"), text="End subscriptions (10, 25) or a command (18).")
    ] = None,
    channel: Annotated[str, typer.Option(metavar="NAME", help="Whose subscriptions end.")] = "orderbook_delta",
) -> None:
    """Upset the message streams, to see what a client does.

    \b
    kalshi sim stream --hang-up reset
    """
    if bool(hang_up) == bool(error):
        raise UsageError("--hang-up or --error: one of them", hint="kalshi sim stream --hang-up reset")
    _do(ctx, "stream", hang_up=hang_up or None, error=int(error) if error else None, channel=channel)


@app.command("spot")
def spot(
    ctx: typer.Context,
    fault: Annotated[str, typer.Argument(metavar="off|freeze|junk|cut|wrong", help="What is wrong with it.")],
    venue: Annotated[
        Any, choice_option("--venue", choices=("coinbase", "kraken", "binance", "binance_us"), text="Of one venue.")
    ] = None,
) -> None:
    """Distort the outside prices that the served exchange tells: silence, nonsense, no connection, five percent more.

    \b
    kalshi sim spot freeze --venue coinbase
    """
    if fault not in ("off", "freeze", "junk", "cut", "wrong"):
        raise UsageError(f"off, freeze, junk, cut or wrong, not {fault!r}", hint="kalshi sim spot off")
    _do(ctx, "spot", fault="" if fault == "off" else fault, venue=venue or None)


def _upper(name: str | None) -> str | None:
    return None if name is None else name.upper()
