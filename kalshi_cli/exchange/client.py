"""The exchange's REST interface: one method an endpoint, core objects in and out.

Lists are complete or they are an error: a page that fails, a cursor that comes twice or a list without end never yields
a short list that looks whole. A create is sent again only where it provably did not arrive; see `rest`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import httpx

from kalshi_cli.clock import Clock
from kalshi_cli.core.messages import BookSnapshot, OrderAccepted, OrderCanceled, PublicTrade
from kalshi_cli.core.model import (
    Balance,
    Event,
    ExchangePosition,
    ExchangeStatus,
    Fill,
    Market,
    Order,
    Series,
    Settlement,
)
from kalshi_cli.errors import NotFoundError, OutcomeUnknownError, UsageError
from kalshi_cli.exchange import wire, wire_account
from kalshi_cli.exchange.ratelimit import API_ROOT, RateLimiter
from kalshi_cli.exchange.rest import CANCEL, CREATE, READ, Params, Rest, Timeouts
from kalshi_cli.exchange.signing import Signer
from kalshi_cli.exchange.wire import Page, Schedule, WireError
from kalshi_cli.exchange.wire_account import Costs, Limits
from kalshi_cli.units import Ts

if TYPE_CHECKING:
    import random

T = TypeVar("T")

PAGE = 1000
MOST_PAGES = 5000
_NAMES_A_CALL = 100
_ORDERS = "/portfolio/events/orders"


class KalshiClient:
    """The client. Every method may raise the errors of `kalshi_cli.errors`; private ones need a signer.

    `before_create` is called before each attempt to place an order, and may raise: a halt can come at any time.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        clock: Clock,
        rng: random.Random,
        signer: Signer | None = None,
        transport: httpx.BaseTransport | None = None,
        limiter: RateLimiter | None = None,
        timeouts: Timeouts | None = None,
        is_read_only: bool = False,
        before_create: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._limiter = limiter or RateLimiter(clock)
        self._rest = Rest(
            rest_url,
            clock=clock,
            rng=rng,
            signer=signer,
            transport=transport,
            limiter=self._limiter,
            timeouts=timeouts or Timeouts(),
            is_read_only=is_read_only,
            before_create=before_create,
        )

    def __enter__(self) -> KalshiClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._rest.close()

    @property
    def clock_skew_ms(self) -> int | None:
        """How far this machine's clock is ahead of the exchange's (minus: behind), within about half a second.

        From the `Date` of the replies; None until there was one.
        """
        return self._rest.clock_skew_ms

    # -- markets --------------------------------------------------------------------------------------------------

    def markets(
        self,
        status: str | None = None,
        series: str | None = None,
        event: str | None = None,
        tickers: Sequence[str] | None = None,
        min_close: Ts | None = None,
        max_close: Ts | None = None,
        combos: bool = False,
        limit: int | None = None,
    ) -> Iterator[Market]:
        """Markets by filter; `status` is unopened, open, paused, closed or settled. No combos unless asked for."""
        params: dict[str, str | int | None] = {
            "status": status,
            "series_ticker": series,
            "event_ticker": event,
            "min_close_ts": _seconds(min_close),
            "max_close_ts": _seconds(max_close),
            "mve_filter": None if combos or tickers else "exclude",
        }
        if not tickers:
            return self._pages("/markets", params, wire.read_markets, limit, is_public=True)
        batches = (",".join(tickers[at : at + _NAMES_A_CALL]) for at in range(0, len(tickers), _NAMES_A_CALL))
        found = chain.from_iterable(
            self._pages("/markets", {**params, "tickers": names}, wire.read_markets, is_public=True)
            for names in batches
        )
        return islice(found, limit)

    def market(self, ticker: str) -> Market:
        """One market, rules and grid included."""
        with _named(ticker):
            return wire.read_market(self._get(f"/markets/{_part(ticker)}", is_public=True))

    def event(self, ticker: str) -> Event:
        """An event, which names its series and may override the fees."""
        return wire.read_event(self._get(f"/events/{_part(ticker)}", is_public=True))

    def series(self, ticker: str) -> Series:
        """A series and its fee schedule."""
        return wire.read_series(self._get(f"/series/{_part(ticker)}", is_public=True))

    def orderbook(self, ticker: str, depth: int = 0) -> BookSnapshot:
        """The book on the YES scale; `depth` best levels, 0 for all. Stamped with the time it was asked for."""
        now = self._clock.now()
        with _named(ticker):
            body = self._get(f"/markets/{_part(ticker)}/orderbook", {"depth": depth or None}, is_public=True)
        return wire.read_orderbook(body, ticker, now)

    def orderbooks(self, tickers: Sequence[str]) -> list[BookSnapshot]:
        """The whole books of many markets, a hundred a request."""
        books: list[BookSnapshot] = []
        for start in range(0, len(tickers), _NAMES_A_CALL):
            now = self._clock.now()
            some = list(tickers[start : start + _NAMES_A_CALL])
            books += wire.read_orderbooks(self._get("/markets/orderbooks", {"tickers": some}, is_public=True), now)
        return books

    def trades(
        self, ticker: str | None = None, min_ts: Ts | None = None, max_ts: Ts | None = None, limit: int | None = None
    ) -> Iterator[PublicTrade]:
        """Public prints, newest first."""
        params = {"ticker": ticker, "min_ts": _seconds(min_ts), "max_ts": _seconds(max_ts)}
        return self._pages("/markets/trades", params, wire.read_trades, limit, is_public=True)

    # -- the exchange ---------------------------------------------------------------------------------------------

    def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange and trading are up."""
        # During maintenance the same body comes with 503 or 504.
        body = self._rest.call("GET", "/exchange/status", READ, is_public=True, also=(503, 504))
        return wire.read_status(body)

    def schedule(self) -> Schedule:
        """Opening hours and announced maintenance."""
        return wire.read_schedule(self._get("/exchange/schedule", is_public=True))

    def user_data_timestamp(self) -> Ts:
        """Up to when the account's reads are complete. They trail the matching engine."""
        return wire.read_user_data_timestamp(self._get("/exchange/user_data_timestamp", is_public=True))

    def limits(self) -> Limits:
        """The account's tier and allowances."""
        return wire_account.read_limits(self._get("/account/limits"))

    def endpoint_costs(self) -> Costs:
        """What requests cost."""
        return wire_account.read_costs(self._get("/account/endpoint_costs", is_public=True))

    def refresh_limits(self) -> Limits:
        """Read both and pace by them from now on."""
        limits = self.limits()
        self._limiter.configure(limits, self.endpoint_costs())
        return limits

    # -- orders ---------------------------------------------------------------------------------------------------

    def create_order(self, order: Order) -> OrderAccepted:
        """Place it, once. OutcomeUnknownError where it may be live; any other error means that it is not."""
        subject = f"order {order.client_order_id} on {order.ticker}"
        reply = self._rest.call("POST", _ORDERS, CREATE, subject=subject, body=wire_account.create_body(order))
        try:
            return wire_account.read_created(reply, order.client_order_id)
        except WireError as error:
            raise _unknown(subject, error) from error

    def cancel_order(self, order: Order) -> OrderCanceled:
        """Take it back. NotFoundError proves nothing: filled, gone already, or not visible yet."""
        subject = f"the cancel of order {order.order_id}"
        path = f"{_ORDERS}/{_part(order.order_id)}"
        reply = self._rest.call("DELETE", path, CANCEL, subject=subject, params=wire_account.cancel_params(order))
        try:
            return wire_account.read_canceled(reply, order)
        except WireError as error:
            raise _unknown(subject, error) from error

    def cancel_all(self) -> None:
        """Everything that rests, on all shards; also orders placed within the next minute. Verify by a fresh list."""
        self._rest.call("DELETE", _ORDERS, CANCEL, subject="the cancel of all orders")

    def orders(self, status: str | None = None, ticker: str | None = None, min_ts: Ts | None = None) -> Iterator[Order]:
        """Orders of the last two weeks; `status` is resting, canceled or executed."""
        params = {"status": status, "ticker": ticker, "min_ts": _seconds(min_ts)}
        return self._pages("/portfolio/orders", params, wire_account.read_orders)

    def order(self, order_id: str) -> Order:
        """One order. Right after a create or a cancel it may be missing or stale."""
        return wire_account.read_order(self._get(f"/portfolio/orders/{_part(order_id)}"))

    # -- portfolio ------------------------------------------------------------------------------------------------

    def fills(self, ticker: str | None = None, min_ts: Ts | None = None) -> Iterator[Fill]:
        """Our fills, newest first, without client order ids."""
        params = {"ticker": ticker, "min_ts": _seconds(min_ts)}
        return self._pages("/portfolio/fills", params, wire_account.read_fills)

    def positions(self) -> Iterator[ExchangePosition]:
        """Positions in markets that have not settled."""
        return self._pages("/portfolio/positions", {}, wire_account.read_positions)

    def settlements(self, min_ts: Ts | None = None) -> Iterator[Settlement]:
        """What paid out."""
        return self._pages("/portfolio/settlements", {"min_ts": _seconds(min_ts)}, wire_account.read_settlements)

    def balance(self) -> Balance:
        """Cash, in all and by shard, and the value of the positions."""
        return wire_account.read_balance(self._get("/portfolio/balance"))

    # -- anything else --------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, params: Params | None = None, body: bytes = b"") -> bytes:
        """A raw, signed call; `path` follows `/trade-api/v2`. Writes are never repeated on an unknown outcome."""
        path = path.removeprefix(API_ROOT)
        if not path.startswith("/") or "?" in path or "#" in path or ".." in path:
            raise UsageError(f"not a path: {path[:80]!r}", hint="like /portfolio/balance, with fields given as -f k=v")
        retry = READ if method == "GET" else CREATE
        is_public = not path.startswith(("/portfolio", "/account", "/api_keys", "/communications", "/fcm"))
        return self._rest.call(method, path, retry, params=params, body=body, is_public=is_public)

    def _get(self, path: str, params: Params | None = None, *, is_public: bool = False) -> bytes:
        return self._rest.call("GET", path, READ, params=params, is_public=is_public)

    def _pages(
        self,
        path: str,
        params: Params,
        read: Callable[[bytes], Page[T]],
        limit: int | None = None,
        *,
        is_public: bool = False,
    ) -> Iterator[T]:
        size = PAGE if limit is None else max(1, min(limit, PAGE))
        items = self._all_pages(path, {**params, "limit": size}, read, is_public)
        return islice(items, limit)

    def _all_pages(self, path: str, params: Params, read: Callable[[bytes], Page[T]], is_public: bool) -> Iterator[T]:
        seen: set[str] = set()
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = read(self._get(path, {**params, "cursor": cursor}, is_public=is_public))
            yield from page.items
            cursor = page.cursor
            if not cursor:
                return
            if cursor in seen:
                raise WireError(f"{path}: the list repeats itself and cannot be read to its end", code="cursor_loop")
            seen.add(cursor)
        raise WireError(f"{path}: the list has more than {MOST_PAGES} pages", code="too_many_pages")


def _seconds(ts: Ts | None) -> int | None:
    """Filters are in whole seconds; rounding down never leaves anything out of a `min`."""
    return None if ts is None else ts // 1000


def _part(name: str) -> str:
    """A ticker or id inside a path. An empty one would turn the cancel of one order into that of all."""
    if not name or name.strip(".") == "":
        raise UsageError(f"not a ticker or an id: {name!r}")
    return quote(name, safe="")


@contextmanager
def _named(ticker: str) -> Iterator[None]:
    """A 404 in a person's words."""
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(
            f"there is no market {ticker}",
            hint="kalshi markets --search TEXT; markets that settled months ago are not listed any more",
            code=error.code,
            status=error.status,
        ) from error


def _unknown(subject: str, error: WireError) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"{subject}: it is not known whether this happened. {error}",
        hint="run `kalshi order reconcile` before anything else",
    )
