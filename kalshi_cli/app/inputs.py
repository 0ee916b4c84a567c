"""Where what a strategy hears from outside the exchange comes from: each input is a thread that brings messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from kalshi_cli.app import App
from kalshi_cli.core.inputs import Input, SpotInput
from kalshi_cli.core.messages import Message

if TYPE_CHECKING:
    from kalshi_cli.strategies.base import Strategy

Bring = Callable[[Message], None]
"""Takes a message, from any thread."""


def _spot(app: App, wanted: Input, bring: Bring) -> AbstractContextManager[object]:
    """The venues of a coin. On the simulated exchange its own spot, unless the configuration names other addresses."""
    from kalshi_cli.feeds.spot.binance import BINANCE, BINANCE_US
    from kalshi_cli.feeds.spot.coinbase import COINBASE
    from kalshi_cli.feeds.spot.kraken import KRAKEN
    from kalshi_cli.feeds.spot.reader import Source, SpotReader

    assert isinstance(wanted, SpotInput)
    config = app.config.spot
    venues = {venue.name: venue for venue in (COINBASE, KRAKEN, BINANCE, BINANCE_US)}
    sources = []
    for name in dict.fromkeys(config.venues):
        venue, chosen, here = venues[name], getattr(config, name), _simulated(app, name)
        ws_url = chosen.ws_url or here.replace("http", "ws", 1) or venue.ws_url
        pair = venue.pair_of(wanted.symbol, chosen.pair)
        sources.append(Source(venue, pair, ws_url, chosen.rest_url or here or venue.rest_url))
    reader = SpotReader(
        wanted.symbol, sources, app.clock, app.rng, bring,
        max_age_s=config.max_age_s, max_apart_pct=config.max_apart_pct, tell=app.note,
    )  # fmt: skip
    return reader.listening()


def _simulated(app: App, venue: str) -> str:
    """Where the simulated exchange tells its own spot as this venue would; empty on a real one, whose spot is real."""
    from urllib.parse import urlsplit

    if app.config.env != "sim":
        return ""
    address = app.simulator.serving() if app.is_simulated else None
    parts = urlsplit(address.rest_url if address is not None else app.config.rest_url)
    return f"{parts.scheme}://{parts.netloc}/spot/{venue}"


LISTENERS: dict[type[Input], Callable[[App, Input, Bring], AbstractContextManager[object]]] = {SpotInput: _spot}
"""How each kind of input is listened to, until the context ends."""


@contextmanager
def listening(app: App, strategies: Sequence[Strategy], bring: Bring) -> Iterator[None]:
    """Bring what these strategies ask for; equal inputs once."""
    with ExitStack() as stack:
        for wanted in dict.fromkeys(wanted for strategy in strategies for wanted in strategy.inputs()):
            stack.enter_context(LISTENERS[type(wanted)](app, wanted, bring))
        yield
