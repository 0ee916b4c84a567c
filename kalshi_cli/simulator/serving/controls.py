"""Controls of a simulated exchange: pause, close, settle, move its clock, inject faults.

`Controls.perform` does everything. A program with the exchange in its own process calls it; others use `POST
/sim/<command>` (`simulator/serving/server.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, parse_price, pluralize
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.serving.spot import VENUES, Fault, SpotVenues
from kalshi_cli.simulator.stream.subscription import CHANNELS
from kalshi_cli.simulator.world.world import MarketSimulation

DAY_MS = 86_400_000
FURTHEST_MS = 366 * DAY_MS
"""The furthest that the clock may be ahead of the machine."""

Ticker = Annotated[str, Meta(min_length=1, max_length=100)]
Shard = Annotated[int, Meta(ge=0, le=1_000)]


class ControlCommand(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """Base of the commands; the tag is the last part of the route."""


class StatusCommand(ControlCommand, frozen=True, kw_only=True, tag="status"):
    """Return the state only."""


class StopCommand(ControlCommand, frozen=True, kw_only=True, tag="stop"):
    """Stop the process of the exchange, unless other programs are connected to it."""


class PauseCommand(ControlCommand, frozen=True, kw_only=True, tag="pause"):
    """Pause trading, or with `is_whole` also cancels: on one shard or all, or in one market."""

    is_whole: bool = False
    ticker: Ticker | None = None
    shard: Shard | None = None
    for_ms: Annotated[int, Meta(gt=0, le=7 * DAY_MS)] | None = None


class ResumeCommand(ControlCommand, frozen=True, kw_only=True, tag="resume"):
    """Resume one shard, one market, or everything."""

    ticker: Ticker | None = None
    shard: Shard | None = None


class MarketCommand(ControlCommand, frozen=True, kw_only=True):
    """Base of the commands for one market."""

    ticker: Ticker


class CloseCommand(MarketCommand, frozen=True, kw_only=True, tag="close"):
    """Close a market now."""


class SettleCommand(MarketCommand, frozen=True, kw_only=True, tag="settle"):
    """Determine a market. `value` is yes, no, or the payout of one YES: 0.37 (dollars) or 37c, in whole cents."""

    value: Annotated[str, Meta(max_length=20)]


class AmendCommand(SettleCommand, frozen=True, kw_only=True, tag="amend"):
    """Change the value of a determined market before its payout."""


class DisputeCommand(MarketCommand, frozen=True, kw_only=True, tag="dispute"):
    """Hold the payout until the market is settled or amended."""


class ClockCommand(ControlCommand, frozen=True, kw_only=True, tag="clock"):
    """Move the clock forward by a duration or to a time; without either, back to the time of the machine."""

    forward_ms: Annotated[int, Meta(gt=0, le=20 * FURTHEST_MS)] | None = None
    to: Ts | None = None


class ShuffleCommand(ControlCommand, frozen=True, kw_only=True, tag="shuffle"):
    """Shuffle messages; None sends them in order."""

    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None


class StreamCommand(ControlCommand, frozen=True, kw_only=True, tag="stream"):
    """Disconnect all streams; or end the subscriptions of `channel` with error 10 or 25; or fail the next command."""

    hang_up: Literal["reset", "close"] | None = None
    error: Literal[10, 18, 25] | None = None
    channel: str = ""


class SpotCommand(ControlCommand, frozen=True, kw_only=True, tag="spot"):
    """Inject a fault into the outside prices of one venue or all; an empty `fault` removes it."""

    fault: Fault
    venue: Literal["coinbase", "kraken", "binance", "binance_us"] | None = None


PauseCommands = PauseCommand | ResumeCommand
MarketCommands = CloseCommand | SettleCommand | AmendCommand | DisputeCommand
FaultCommands = ShuffleCommand | StreamCommand | SpotCommand
AnyCommand = StatusCommand | StopCommand | PauseCommands | MarketCommands | ClockCommand | FaultCommands


class ControlReport(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the exchange, and in `done` the result of the command.

    The server adds the number of other `connections`, and in `ends` the time at which it stops by itself (machine
    time).
    """

    done: str
    time: Ts
    offset_ms: int
    pause: str
    shards: dict[int, str]
    resumes: Ts | None
    inactive: tuple[str, ...]
    disputed: tuple[str, ...]
    shuffle: int | None
    streams: int
    markets: int
    connections: int = 0
    ends: Ts | None = None


class ControlError(Exception):
    """A command that failed and changed nothing.

    `code` is not_found, invalid, conflict, unauthorized or forbidden.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


def read_command(name: str, body: bytes) -> AnyCommand:
    """Return the command of that name with the fields of a JSON body; ControlError if it is invalid."""
    try:
        fields = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        command: AnyCommand = msgspec.convert({**fields, "command": name}, prepared(AnyCommand))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ControlError("invalid", str(error)[:300]) from error
    return command


@dataclass(eq=False, repr=False)
class Controls:
    """The controls of one exchange and its world. `offset_ms` and `shift` read and set the offset of the clock."""

    exchange: SimulatedExchange
    world: MarketSimulation
    offset_ms: Callable[[], int] = lambda: 0
    shift: Callable[[int], None] = lambda _offset_ms: None
    spots: SpotVenues | None = None

    def perform(self, command: AnyCommand, now: Ts) -> ControlReport:
        """Perform a command at once, and return the new state. ControlError if it fails."""
        try:
            done = self._do(command, now)
        except ValueError as error:
            raise ControlError("conflict", str(error)) from error
        return self._report(done)

    def _do(self, command: AnyCommand, now: Ts) -> str:
        match command:
            case PauseCommand() | ResumeCommand():
                return self._pause(command, now)
            case CloseCommand() | SettleCommand() | DisputeCommand():
                return self._end(command, now)
            case ClockCommand():
                return self._set_clock(command, now)
            case ShuffleCommand():
                self.exchange.set_shuffle(command.seed, now)
                return "messages are sent in order" if command.seed is None else "messages and responses are shuffled"
            case StreamCommand():
                return self._upset(command, now)
            case SpotCommand():
                return self._distort(command)
            case StatusCommand() | StopCommand():
                return ""

    def _pause(self, command: PauseCommands, now: Ts) -> str:
        exchange, ticker, shard = self.exchange, command.ticker, command.shard
        if ticker is not None:
            status = self._known(ticker)
            wanted = MarketStatus.ACTIVE if isinstance(command, PauseCommand) else MarketStatus.INACTIVE
            if status is not wanted:
                raise ControlError("conflict", f"{ticker} is {status.value}")
            if shard is not None or (isinstance(command, PauseCommand) and (command.is_whole or command.for_ms)):
                raise ControlError("invalid", "Give a market alone, without shard, kind or end")
            if isinstance(command, PauseCommand):
                exchange.pause_market(ticker, now)
                return f"{ticker} is paused"
            exchange.resume_market(ticker, now)
            return f"{ticker} trades again; its resting orders were canceled"
        where = "the exchange" if shard is None else f"shard {shard}"
        if isinstance(command, ResumeCommand):
            exchange.resume(now, shard=shard)
            return f"{where} is open"
        until = None if command.for_ms is None else Ts(now + command.for_ms)
        exchange.pause("exchange" if command.is_whole else "trading", now, shard=shard, until=until)
        return f"{where} is paused; cancels are rejected too" if command.is_whole else f"trading is paused on {where}"

    def _end(self, command: MarketCommands, now: Ts) -> str:
        exchange, ticker, status = self.exchange, command.ticker, self._known(command.ticker)
        is_determined = status in (MarketStatus.DETERMINED, MarketStatus.DISPUTED, MarketStatus.AMENDED)
        if isinstance(command, CloseCommand):
            if status not in (MarketStatus.ACTIVE, MarketStatus.INACTIVE):
                raise ControlError("conflict", f"{ticker} is {status.value}")
            exchange.set_close_time(ticker, now, now)
            return f"{ticker} is closed"
        if isinstance(command, DisputeCommand):
            exchange.dispute(ticker, now)
            return f"{ticker} is disputed: no payout until it is settled or amended"
        value = _value(command.value)
        if isinstance(command, AmendCommand) and not is_determined:
            raise ControlError("conflict", f"{ticker} is {status.value}; only a determined market can be amended")
        exchange.settle(ticker, value, now)
        return f"{ticker} is determined: one YES contract pays ${value / ONE_DOLLAR:.2f}"

    def _set_clock(self, command: ClockCommand, now: Ts) -> str:
        before = self.offset_ms()
        if command.forward_ms is not None and command.to is not None:
            raise ControlError("invalid", "Give either --forward or --to")
        after = 0
        if command.forward_ms is not None:
            after = before + command.forward_ms
        elif command.to is not None:
            after = before + command.to - now
            if command.to <= now:
                raise ControlError("conflict", "The new time must be later; only --reset goes back")
        if after > FURTHEST_MS:
            raise ControlError("invalid", "More than a year from the machine's time")
        self.shift(after)
        moved = Ts(now + after - before)
        if after < before:
            self.world.rewind(moved)
        self.world.advance(moved)
        self.exchange.advance(moved)
        return (
            "the clock follows the machine" if after == 0 else f"the clock is {after / 1000:.0f} s ahead of the machine"
        )

    def _upset(self, command: StreamCommand, now: Ts) -> str:
        if (command.hang_up is None) == (command.error is None):
            raise ControlError("invalid", "Give either --hang-up or --error")
        if command.hang_up is not None:
            return f"{pluralize(self.exchange.hang_up(command.hang_up), 'stream')} disconnected"
        if command.error == 18:
            self.exchange.fail_command(18)
            return "the next stream command times out"
        if command.channel not in CHANNELS:
            raise ControlError("invalid", f"Unknown channel; use one of {', '.join(CHANNELS)}")
        assert command.error is not None
        ended = self.exchange.break_channel(command.channel, command.error, now)
        return f"{pluralize(ended, 'subscription')} ended"

    def _distort(self, command: SpotCommand) -> str:
        if self.spots is None:
            raise ControlError("conflict", "The simulated exchange is not served, so its outside prices are not in use")
        for venue in VENUES if command.venue is None else (command.venue,):
            self.spots.faults[venue] = command.fault
        return f"outside prices of {command.venue or 'all venues'}: {command.fault or 'normal'}"

    def _known(self, ticker: str) -> MarketStatus:
        try:
            return self.exchange.status(ticker)
        except KeyError:
            raise ControlError("not_found", f"No market {ticker}") from None

    def _report(self, done: str) -> ControlReport:
        exchange, standing = self.exchange, self.exchange.standing()
        return ControlReport(
            done=done,
            time=exchange.time,
            offset_ms=self.offset_ms(),
            pause=standing.pause_of(-1),
            shards=dict(standing.paused_shards),
            resumes=standing.reopens(standing.paused_shards),
            inactive=tuple(exchange.tickers("inactive")),
            disputed=tuple(exchange.tickers("disputed")),
            shuffle=standing.shuffle,
            streams=exchange.streams,
            markets=len(exchange.tickers()),
        )


def _value(text: str) -> Price:
    """Return the payout of one YES in whole cents, because the wire states settlement values in cents."""
    typed = text.strip().lower()
    try:
        if typed in ("yes", "no"):
            return ONE_DOLLAR if typed == "yes" else Price(0)
        value = Price(int(typed[:-1]) * 100) if re.fullmatch(r"[0-9]{1,3}c", typed) else parse_price(typed)
        if 0 <= value <= ONE_DOLLAR and value % 100 == 0:
            return value
    except ValueError:
        pass
    raise ControlError("invalid", f"Invalid value {text!r}; use yes, no, 37c or 0.37 (0 to 1 dollar, whole cents)")
