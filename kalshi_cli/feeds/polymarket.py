"""Best prices of Polymarket for a market of Kalshi, from Polymarket's public REST API.

    GET https://clob.polymarket.com/book?token_id=TOKEN     the order book of one outcome
    GET https://gamma-api.polymarket.com/markets?slug=SLUG  a market's outcomes and their tokens

Documented at docs.polymarket.com (API reference, "Get order book" and "List markets"; read 2026-11): prices and sizes
are decimal strings, `timestamp` is milliseconds, `outcomes` and `clobTokenIds` are JSON inside JSON. Both routes are
public and cannot trade. The functions that fetch are parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import NamedTuple, TypeVar

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Price, Qty, Ts
from kalshi_cli.core.market.opportunities import VenueQuote
from kalshi_cli.core.model.messages import Level
from kalshi_cli.feeds.fair_values import SourceError
from kalshi_cli.feeds.market_map import TOKEN, MarketPair

CLOB_URL = "https://clob.polymarket.com"
GAMMA_URL = "https://gamma-api.polymarket.com"

MAX_BYTES = 2_000_000
"""Size limit of one response."""

Fetch = Callable[[str], bytes]
"""Returns the response for a path with its query, or raises SourceError."""

T = TypeVar("T")

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?")
_MOMENT = re.compile(r"[0-9]{12,14}")


class PolymarketQuote(NamedTuple):
    """Polymarket's best prices on the YES scale of the Kalshi market, and the time of their order book."""

    quote: VenueQuote
    made: Ts | None


# -- the wire -----------------------------------------------------------------------------------------------------


class _Level(msgspec.Struct):
    price: str
    size: str


class _Book(msgspec.Struct):
    asset_id: str
    bids: list[_Level]
    asks: list[_Level]
    timestamp: str = ""


class _Market(msgspec.Struct):
    slug: str
    outcomes: str
    token_ids: str = msgspec.field(name="clobTokenIds")


_book = msgspec.json.Decoder(prepared(_Book))
_markets = msgspec.json.Decoder(prepared(list[_Market]))
_texts = msgspec.json.Decoder(list[str])


def read_quote(pair: MarketPair, clob: Fetch, gamma: Fetch) -> PolymarketQuote:
    """Return the current prices. Raises SourceError if the market is unknown or the response is invalid."""
    name = pair.polymarket
    token = name if TOKEN.fullmatch(name) else read_token(gamma(f"/markets?slug={name}"), name)
    bid, ask, made = read_best(clob(f"/book?token_id={token}"), token)
    if pair.is_yes:
        return PolymarketQuote(VenueQuote(bid, ask), made)
    return PolymarketQuote(VenueQuote(_turned(ask), _turned(bid)), made)


def read_token(body: bytes, slug: str) -> str:
    """Return the token of the outcome Yes of a market."""
    found = [market for market in _decoded(_markets, body, "markets") if market.slug == slug]
    if len(found) != 1:
        raise SourceError(f"Polymarket has no market {slug}")
    outcomes = _decoded(_texts, found[0].outcomes.encode("utf-8", "replace"), "outcomes")
    tokens = _decoded(_texts, found[0].token_ids.encode("utf-8", "replace"), "tokens")
    if [outcome.lower() for outcome in outcomes] != ["yes", "no"]:
        named = safe_text(", ".join(outcomes), 80)
        raise SourceError(f"outcomes are {named}, not Yes and No; use a token id in the map")
    if len(tokens) != 2 or not TOKEN.fullmatch(tokens[0]):
        raise SourceError("the token ids cannot be read")
    return tokens[0]


def read_best(body: bytes, token: str) -> tuple[Level | None, Level | None, Ts | None]:
    """Return the best bid, the best ask and the time of an order book; finer prices are rounded to the worse side."""
    book = _decoded(_book, body, "an order book")
    if book.asset_id != token:
        raise SourceError("order book of a different token")
    bids, asks = _levels(book.bids), _levels(book.asks)
    bid = _rounded(max(bids), ROUND_FLOOR) if bids else None
    ask = _rounded(min(asks), ROUND_CEILING) if asks else None
    return bid, ask, Ts(int(book.timestamp)) if _MOMENT.fullmatch(book.timestamp) else None


def _levels(levels: Iterable[_Level]) -> list[tuple[Decimal, Decimal]]:
    found = []
    for level in levels:
        if not _NUMBER.fullmatch(level.price) or not _NUMBER.fullmatch(level.size):
            raise SourceError(f"invalid price level: {safe_text(f'{level.price} x {level.size}', 60)!r}")
        price, size = Decimal(level.price), Decimal(level.size)
        if price > 1:
            raise SourceError(f"price above one dollar: {level.price}")
        if size:
            found.append((price, size))
    return found


def _rounded(level: tuple[Decimal, Decimal], rounding: str) -> Level:
    price, size = level
    return (
        Price(int((price * ONE_DOLLAR).to_integral_value(rounding))),
        Qty(int((size * ONE_CONTRACT).to_integral_value(ROUND_FLOOR))),
    )


def _turned(level: Level | None) -> Level | None:
    """Return a level on the scale of the opposite outcome: a bid becomes an ask at one dollar less its price."""
    return None if level is None else (Price(ONE_DOLLAR - level[0]), level[1])


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes, what: str) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"the response is not {what}: {safe_text(str(error), 100)}") from None
