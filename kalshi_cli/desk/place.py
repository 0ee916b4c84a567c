"""One order, typed by a person: the same review, the same write-ahead, the same engine as in the loop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec

from kalshi_cli.clock import Clock
from kalshi_cli.core.engine import Engine
from kalshi_cli.core.fees import estimate
from kalshi_cli.core.messages import Denied, OrderRejected, Place, SubmitOrder
from kalshi_cli.core.model import ASK, BID, FeeSchedule, Market, Order, OrderStatus, Tif
from kalshi_cli.core.state import Limits, mirror
from kalshi_cli.desk.account import load_engine, read_account
from kalshi_cli.errors import (
    CredentialsError,
    ExchangeError,
    HaltedError,
    KalshiError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    StateError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.replies import advice, short_of_cash
from kalshi_cli.exchange.venue import LiveVenue
from kalshi_cli.runner import act, pump
from kalshi_cli.store.base import Notebook
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional, show_price

RESOLVE_S = 10.0
"""How long a one-shot order looks for itself on the exchange after an unanswered send."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """An order as a person typed it: an outcome, buy or sell, and the price of that outcome."""

    ticker: str
    outcome: Literal["yes", "no"]
    action: Literal["buy", "sell"]
    qty: Qty
    price: Price
    tif: Tif = Tif.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires_in_s: float | None = None
    client_order_id: str = ""

    def intent(self, market: Market) -> Place:
        """The order on the YES book; buying NO at q is an ask at one dollar less q, translated here and only here.

        UsageError where the price is not on the market's grid: a person's price is never moved.
        """
        side = BID if self.action == "buy" else ASK
        price = self.price
        if self.outcome == "no":
            side, price = mirror(side, price)
        if not market.grid.is_valid(price):
            near = [at for at in market.grid.nearest(price) if at is not None]
            typed = [at if self.outcome == "yes" else Price(ONE_DOLLAR - at) for at in near]
            raise UsageError(
                f"{show_price(self.price)} is not a price of {market.ticker}",
                hint="the nearest prices are " + " and ".join(show_price(at) for at in sorted(typed)),
                code="OFF_GRID_PRICE",
            )
        return Place(
            self.ticker,
            side,
            price,
            self.qty,
            reason="typed",
            tif=self.tif,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
            expires_in_s=self.expires_in_s or 0,
        )


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewed order and what it can cost, to be confirmed before anything is sent."""

    market: Market
    submit: SubmitOrder
    cost: Money
    fee: Money

    @property
    def worst_loss(self) -> Money:
        """If it fills and the market settles the other way."""
        return Money(self.cost + self.fee)


class OrderDesk:
    """Places one order: `propose` reads and reviews, `send` sends, once."""

    def __init__(
        self,
        client: KalshiClient,
        store: Notebook,
        clock: Clock,
        limits: Limits,
        schedule_of: Callable[[Market], FeeSchedule],
        new_id: Callable[[], str],
    ) -> None:
        self._client = client
        self._store = store
        self._clock = clock
        self._limits = limits
        self._schedule_of = schedule_of
        self._new_id = new_id

    def propose(self, ticket: Ticket) -> tuple[Engine, Proposal]:
        """Bring account and market up to date and hold the order against every control.

        Raises RefusedError with the control's code. Sends nothing.
        """
        if ticket.client_order_id and self._store.order(ticket.client_order_id) is not None:
            raise RefusedError(
                f"refused: there is an order with the id {ticket.client_order_id} already",
                hint=f"kalshi order show {ticket.client_order_id}",
                code="DUPLICATE_ID",
            )
        market = self._client.market(ticket.ticker)
        intent = ticket.intent(market)
        schedule = self._schedule_of(market)
        engine = load_engine(
            self._client,
            self._store,
            self._clock,
            self._limits,
            markets=[market],
            fees={market.ticker: schedule},
            new_id=self._new_id,
        )
        engine.step(self._client.orderbook(market.ticker))
        verdict = engine.place(intent, client_order_id=ticket.client_order_id)
        if isinstance(verdict, Denied):
            self._store.record(verdict)
            raise _refusal(verdict)
        own_price = intent.price if intent.side is BID else Price(ONE_DOLLAR - intent.price)
        fee = estimate(schedule, intent.price, intent.qty, is_taker=not intent.post_only)
        return engine, Proposal(market=market, submit=verdict, cost=notional(own_price, intent.qty), fee=fee)

    def send(self, engine: Engine, proposal: Proposal) -> Order:
        """Write it down, send it once, and say what became of it; OutcomeUnknownError where nobody knows."""
        client_order_id = proposal.submit.order.client_order_id
        state = engine.state
        venue = LiveVenue(self._client, None, self._clock, live=state.orders.live, since=state.last_entry)
        try:
            replies = list(act(proposal.submit, venue, self._store))
        except HaltedError as error:
            raise RefusedError(error.message, hint=_HINTS["HALTED"], code="HALTED") from error
        try:
            pump(replies, engine, venue, self._store)
        except StateError as error:
            raise OutcomeUnknownError(
                f"order {client_order_id} was sent, but what came of it could not be written down: {error.message}",
                hint=f"{error.hint or 'repair the state file'}, then: kalshi order reconcile",
            ) from error
        order = engine.state.orders.get(client_order_id) or proposal.submit.order
        if order.status is OrderStatus.UNKNOWN:
            order = resolve(self._client, self._store, self._clock, engine, order)
        if order.status is OrderStatus.NEVER_ARRIVED:
            raise UnreachableError(
                f"no answer came, and order {client_order_id} is proven not to be on the exchange",
                hint="nothing is outstanding; place it again, with another client order id",
                code="never_arrived",
            )
        if order.status is OrderStatus.REJECTED:
            details = "".join(reply.detail for reply in replies if isinstance(reply, OrderRejected))
            kind = _REASONS.get(order.code, ExchangeError)
            hint = _HINTS.get(order.code.upper()) or short_of_cash(order.code, proposal.market.exchange_index)
            hint = hint or advice(order.code, details) or f"kalshi market {order.ticker}"
            raise kind(f"nothing was placed: {details or order.code}", hint=hint, code=order.code)
        return order


def resolve(client: KalshiClient, store: Notebook, clock: Clock, engine: Engine, order: Order) -> Order:
    """No answer came. Look for the order until it is found, is proven absent, or the patience ends.

    Raises OutcomeUnknownError, naming the client order id, where it is still not known after RESOLVE_S.
    """
    until = clock.monotonic() + RESOLVE_S
    while clock.monotonic() < until:
        with suppress(KalshiError):  # whatever is wrong with looking, the order may be live, and that must be said
            read_account(client, store, clock, engine, since=Ts(order.created - 60_000), lookup=[order])
        found = engine.state.orders.get(order.client_order_id) or order
        if found.status is not OrderStatus.UNKNOWN:
            return found
        clock.sleep(1.0)
    raise OutcomeUnknownError(
        f"no answer came, and order {order.client_order_id} is not seen on the exchange yet: it may be live",
        hint=f"kalshi order reconcile   (client order id {order.client_order_id})",
    )


def _refusal(denied: Denied) -> RefusedError:
    return RefusedError(
        f"refused: {denied.code} {denied.detail}", hint=_HINTS.get(denied.code, "nothing was sent"), code=denied.code
    )


_REASONS: dict[str, type[KalshiError]] = {
    "credentials": CredentialsError,
    "unreachable": UnreachableError,
    "rate_limited": RateLimitedError,
    "halted": RefusedError,
}
"""An order that provably never left is not one that the exchange refused; the exit code tells them apart."""

_HINTS = {
    "HALTED": "trading is halted; see `kalshi status`, then `kalshi resume --reason ...`",
    "REDUCING": "only orders that make a position smaller are taken; see `kalshi status`",
    "MARKET_NOT_OPEN": "see the market's times with `kalshi market TICKER`",
    "MARKET_CLOSING": "the market is about to close; pick another with `kalshi markets`",
    "STALE_BOOK": "the order book could not be trusted; look at `kalshi orderbook TICKER` and try again",
    "PRICE_COLLAR": "check the price; the limit is risk.price_collar in the configuration",
    "ORDER_SIZE": "check the count; the limit is risk.max_order_count in the configuration",
    "ORDER_COST": "check the count; the limit is risk.max_order_cost in the configuration",
    "ORDER_RATE": "wait a minute; the limit is risk.max_orders_per_minute in the configuration",
    "POSITION_LIMIT": "see `kalshi positions`; the limit is risk.max_position in the configuration",
    "EXPOSURE": "see `kalshi positions`; the limit is risk.max_exposure in the configuration",
    "SELF_CROSS": "cancel your own order first: `kalshi order list`",
    "BAD_FLAGS": "see `kalshi order place -h`",
}
