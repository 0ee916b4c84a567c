"""Polymarket as a command sees it: the map that a person keeps, and its public prices behind a judged address."""

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
    """The map. UsageError where any line of it is none, once all that is wrong with it was told."""
    name = safe_text(path.name, 80)
    try:
        body = read_regular(path, market_map.MAX_BYTES + 1)
        pairs, problems = market_map.read_map(body, is_yaml=path.suffix in (".yaml", ".yml"))
    except (OSError, ValueError) as error:  # ValueError: a name with a null in it, or what SourceError says
        why = safe_text(str(error.strerror), 100) if isinstance(error, OSError) else str(error)
        raise UsageError(f"the map {name} cannot be read: {why}", hint="see docs/scan.md", code="bad_map") from None
    for problem in problems:
        resources.tell(f"{name}: {problem}")
    if problems:
        raise UsageError(f"{len(problems)} of the lines of {name} are no pair", hint="see docs/scan.md", code="bad_map")
    return pairs


def listener(resources: Resources, clob_url: str, gamma_url: str) -> Callable[[MarketPair], PolymarketQuote]:
    """Asks for their prices; "" is Polymarket's own address. UnreachableError where the venue does not answer."""
    clob, gamma = _fetch(resources, clob_url or CLOB_URL), _fetch(resources, gamma_url or GAMMA_URL)
    return lambda pair: read_quote(pair, clob, gamma)


def _fetch(resources: Resources, base: str) -> Fetch:
    """Reads below this address: https, or http on this machine; no redirects, five seconds, so many bytes."""
    from kalshi_cli.net.address_guard import AddressError, parse_web_address, refusal, resolve_here
    from kalshi_cli.net.guarded_client import PinnedHttpClient

    try:
        why = refusal(parse_web_address(base)) or ("it must not have a query" if "?" in base else "")
    except AddressError as error:
        why = str(error)
    if why:
        raise UsageError(f"an address of Polymarket cannot be used: {why}", code="bad_parameter")

    def fetch(path: str) -> bytes:
        answer = PinnedHttpClient(parse_web_address(base.rstrip("/") + path), resources.machine, resolve_here).read(
            MAX_BYTES
        )
        if answer.is_whole:
            return answer.body
        if answer.delivery.outcome == "retry":
            raise UnreachableError(f"Polymarket does not answer: {answer.delivery.text}")
        gone = answer.delivery.outcome == "gone"
        raise SourceError("Polymarket has no book of it" if gone else answer.delivery.text)

    return fetch
