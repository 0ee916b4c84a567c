"""Polymarket for commands: the user's map of markets, and public prices from a checked address."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kalshi_cli.base.errors import UnreachableError, UsageError
from kalshi_cli.base.files import read_regular
from kalshi_cli.base.text import safe_text
from kalshi_cli.feeds import market_map
from kalshi_cli.feeds.fair_values import SourceError
from kalshi_cli.feeds.market_map import MarketPair
from kalshi_cli.feeds.polymarket import CLOB_URL, GAMMA_URL, MAX_BYTES, Fetch, PolymarketQuote, read_quote
from kalshi_cli.services.resources import Resources


def pairs_of(resources: Resources, path: Path) -> list[MarketPair]:
    """Return the pairs of a map. UsageError for any invalid line, after every problem was reported."""
    name = safe_text(path.name, 80)
    try:
        body = read_regular(path, market_map.MAX_BYTES + 1)
        pairs, problems = market_map.read_map(body, is_yaml=path.suffix in (".yaml", ".yml"))
    except (OSError, ValueError) as error:  # ValueError: a null character in the name, or a SourceError
        why = safe_text(str(error.strerror), 100) if isinstance(error, OSError) else str(error)
        raise UsageError(f"Cannot read the map {name}: {why}", hint="see docs/scan.md", code="bad_map") from None
    for problem in problems:
        resources.tell(f"{name}: {problem}")
    if problems:
        raise UsageError(
            f"{len(problems)} lines of {name} are not valid pairs", hint="see docs/scan.md", code="bad_map"
        )
    return pairs


def listener(resources: Resources, clob_url: str, gamma_url: str) -> Callable[[MarketPair], PolymarketQuote]:
    """Return a reader of Polymarket's prices; "" is its own address. UnreachableError if it does not respond."""
    clob, gamma = _fetch(resources, clob_url or CLOB_URL), _fetch(resources, gamma_url or GAMMA_URL)
    return lambda pair: read_quote(pair, clob, gamma)


def _fetch(resources: Resources, base: str) -> Fetch:
    """Return a reader of paths below this address: https, or http on this machine, without redirects."""
    from kalshi_cli.net.address_guard import AddressError, parse_web_address, refusal, resolve_here
    from kalshi_cli.net.guarded_client import PinnedHttpClient

    try:
        why = refusal(parse_web_address(base)) or ("it must not contain a query" if "?" in base else "")
    except AddressError as error:
        why = str(error)
    if why:
        raise UsageError(f"Invalid Polymarket address: {why}", code="bad_parameter")

    def fetch(path: str) -> bytes:
        answer = PinnedHttpClient(parse_web_address(base.rstrip("/") + path), resources.machine, resolve_here).read(
            MAX_BYTES
        )
        if answer.is_whole:
            return answer.body
        if answer.delivery.outcome == "retry":
            raise UnreachableError(f"Polymarket does not respond: {answer.delivery.text}")
        gone = answer.delivery.outcome == "gone"
        raise SourceError("Polymarket has no order book for it" if gone else answer.delivery.text)

    return fetch
