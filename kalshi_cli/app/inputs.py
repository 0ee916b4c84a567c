"""The data inputs of strategies from outside the exchange: each input is a thread that delivers messages."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.files import make_folder
from kalshi_cli.base.text import conceal_address, mask
from kalshi_cli.core.model.inputs import FairInput, Input, SignalInput, SpotInput
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.services.resources import Resources

if TYPE_CHECKING:
    from kalshi_cli.feeds.fair_values import FairValuePage
    from kalshi_cli.feeds.news_signals import SignalReader
    from kalshi_cli.feeds.source_monitor import SourceMonitor
    from kalshi_cli.strategies.base import Strategy

Bring = Callable[[Message], None]
"""A function that takes a message, from any thread."""
Markets = Callable[[], Iterable[Market]]
"""A function that returns the markets of the run, from any thread."""


class Reader(Protocol):
    """Reads an outside source, and reports on it."""

    @property
    def source(self) -> SourceMonitor:
        """Return the monitor of the source."""


def _spot(resources: Resources, wanted: Input, bring: Bring, _markets: Markets) -> AbstractContextManager[Reader]:
    """Read the venues of a coin; in the sim environment the simulated ones, unless the configuration names others."""
    from kalshi_cli.feeds.spot.binance import BINANCE, BINANCE_US
    from kalshi_cli.feeds.spot.coinbase import COINBASE
    from kalshi_cli.feeds.spot.kraken import KRAKEN
    from kalshi_cli.feeds.spot.reader import SpotReader, VenueSource

    assert isinstance(wanted, SpotInput)
    config = resources.config.spot
    venues = {venue.name: venue for venue in (COINBASE, KRAKEN, BINANCE, BINANCE_US)}
    sources = []
    for name in dict.fromkeys(config.venues):
        venue, chosen, here = venues[name], getattr(config, name), _simulated(resources, name)
        ws_url = chosen.ws_url or here.replace("http", "ws", 1) or venue.ws_url
        pair = venue.pair_of(wanted.symbol, chosen.pair)
        sources.append(VenueSource(venue, pair, ws_url, chosen.rest_url or here or venue.rest_url))
    reader = SpotReader(
        wanted.symbol, sources, resources.clock, resources.rng, bring,
        max_age_s=config.max_age_s, max_apart_pct=config.max_apart_pct, tell=resources.note,
    )  # fmt: skip
    return reader.run_in_thread()


def _simulated(resources: Resources, venue: str) -> str:
    """Return the address of a simulated venue; empty on a real exchange, which uses the real venues."""
    if resources.config.env != "sim":
        return ""
    parts = urlsplit(resources.rest_url)
    return f"{parts.scheme}://{parts.netloc}/spot/{venue}"


def _fair(resources: Resources, wanted: Input, bring: Bring, markets: Markets) -> AbstractContextManager[Reader]:
    """Read a table of fair values from a web address, a command or a file."""
    from kalshi_cli.feeds.fair_values import FairReader

    assert isinstance(wanted, FairInput)
    before_ms = wanted.before_close_s * 1000

    def is_open() -> bool:
        now = resources.clock.now()
        return not before_ms or any(0 < market.close_time - now <= before_ms for market in markets())

    stopping = threading.Event()
    name, fetch = _table(resources, wanted.source, stopping)
    reader = FairReader(
        name, fetch, resources.clock, bring, every_s=wanted.every_s, valid_s=wanted.valid_s,
        is_open=is_open, tickers=lambda: {market.ticker for market in markets()}, tell=resources.tell,
    )  # fmt: skip
    return reader.run_in_thread(stopping)


def _table(resources: Resources, source: str, stopping: threading.Event) -> tuple[str, Callable[[], FairValuePage]]:
    """Return the name of a source and its reader. The name contains no secret of a command or an address."""
    from kalshi_cli.feeds.fair_sources import argv_of, child_environment, read_file, run_command
    from kalshi_cli.feeds.fair_values import SourceError

    if source.startswith(("https://", "http://")):
        return _web_table(resources, source)
    if source.startswith("command:"):
        try:
            argv = argv_of(source.removeprefix("command:"))
        except SourceError as error:
            raise UsageError(
                str(error), hint="for example source=command:python3 model.py", code="bad_parameter"
            ) from None
        environment = child_environment(os.environ, resources.config.trade.command_variables)
        return Path(argv[0]).name, lambda: run_command(argv, environment, resources.machine, stopping)
    path = Path(source).expanduser()
    return path.name, lambda: read_file(path, resources.machine)


def _web_table(resources: Resources, url: str) -> tuple[str, Callable[[], FairValuePage]]:
    """Check an address like that of an alert channel: https, or http on this machine; no private network."""
    from kalshi_cli.feeds.fair_sources import age_of
    from kalshi_cli.feeds.fair_values import MAX_BYTES, FairValuePage, SourceError
    from kalshi_cli.net.address_guard import AddressError, parse_web_address, refusal, resolve_here
    from kalshi_cli.net.guarded_client import PinnedHttpClient

    conceal_address(url)
    try:
        address = parse_web_address(url)
        why = refusal(address)
    except AddressError as error:
        why = str(error)
    if why:
        raise UsageError(f"Invalid source address: {why}", code="bad_parameter")
    sink = PinnedHttpClient(address, resources.machine, resolve_here)

    def fetch() -> FairValuePage:
        answer = sink.read(MAX_BYTES)
        if not answer.is_whole:
            raise SourceError(answer.delivery.text)
        return FairValuePage(answer.body, age_of(answer.headers, resources.machine.now()))

    return address.host, fetch


@contextmanager
def _signals(resources: Resources, wanted: Input, bring: Bring, _markets: Markets) -> Iterator[Reader | None]:
    """Read news that is posted on this machine, from standard input, or from a growing file.

    Posted news has no reader to watch: a sender that ended looks like one without news.
    """
    from kalshi_cli.feeds.news_signals import FileFollower, PipeReader, SignalReader

    def reader_of(name: str) -> SignalReader:
        return SignalReader(name, resources.clock, bring, resources.tell)

    assert isinstance(wanted, SignalInput)
    source = wanted.source
    if source.startswith("webhook:"):
        with _hook(resources, source.removeprefix("webhook:"), reader_of("webhook")):
            yield None
        return
    if source == "-":
        with reader_of("standard input").run_in_thread(PipeReader(_standard_input())) as piped:
            yield piped
        return
    path = Path(source).expanduser()
    if not path.is_file():
        resources.tell(f"{path.name} does not exist yet; waiting for it")
    tail, reader = FileFollower(path, from_start=wanted.from_start), reader_of(path.name)
    reader.skip_existing(tail.before())
    with reader.run_in_thread(tail):
        yield reader


def _standard_input() -> int:
    """Return the descriptor of standard input; UsageError without one."""
    try:
        return sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        raise UsageError(
            "Standard input is not available", hint="use a file name instead of -", code="bad_parameter"
        ) from None


@contextmanager
def _hook(resources: Resources, port: str, reader: SignalReader) -> Iterator[None]:
    """Listen for posted news. The token is read from a file, which is created if it does not exist."""
    from kalshi_cli.config.secret_file import read_address
    from kalshi_cli.feeds.signal_hook import PATH, SignalHook

    if not (port.isascii() and port.isdigit() and int(port[:6]) <= 65_535 and len(port) < 6):
        raise UsageError(f"Invalid port: {port!r:.20}", hint="for example source=webhook:8790", code="bad_parameter")
    token_file = resources.state_dir / "webhook.token"
    with suppress(FileExistsError):
        make_folder(resources.state_dir)
        descriptor = os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
    token = read_address(token_file)
    mask(token)
    try:
        hook = SignalHook(int(port), token, reader.take)
    except OSError as error:
        raise UsageError(f"Port {port} is not available: {error.strerror}", code="bad_parameter") from None
    resources.note(f"Post news to http://127.0.0.1:{hook.port}{PATH} with the token in {token_file}")
    try:
        yield
    finally:
        hook.stop()


LISTENERS: dict[type[Input], Callable[[Resources, Input, Bring, Markets], AbstractContextManager[Reader | None]]] = {
    SpotInput: _spot,
    FairInput: _fair,
    SignalInput: _signals,
}
"""Input kind -> the reader of it, which runs until the context ends."""


@contextmanager
def run_inputs(
    resources: Resources, strategies: Sequence[Strategy], bring: Bring, markets: Markets
) -> Iterator[Callable[[], tuple[Source, ...]]]:
    """Read the inputs of these strategies, equal inputs once. Yield a function that reports on each source.

    UsageError for two sources of fair values: both would apply to one market, and an order could be priced by the
    source of another strategy.
    """
    inputs = tuple(dict.fromkeys(wanted for strategy in strategies for wanted in strategy.inputs()))
    if len([wanted for wanted in inputs if isinstance(wanted, FairInput)]) > 1:
        raise UsageError(
            "Strategies in one run must share one source of fair values, with the same timing",
            hint="give them the same source, every_s, valid_s and before_close_s (market-maker: 30, 300 and 0)",
            code="bad_parameter",
        )
    with ExitStack() as stack:
        readers = [stack.enter_context(LISTENERS[type(wanted)](resources, wanted, bring, markets)) for wanted in inputs]
        yield lambda: tuple(reader.source.state for reader in readers if reader is not None)
