"""One order, typed by a person: the same review, the same write-ahead, the same engine as in the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Literal

import msgspec

from kalshi_cli.clock import Clock
from kalshi_cli.core.engine import Engine
from kalshi_cli.core.fees import estimate
from kalshi_cli.core.messages import (
    Alert,
    CloseOrder,
    Denied,
    Effect,
    OrderRejected,
    OrdersBeside,
    Place,
    SubmitOrder,
)
from kalshi_cli.core.model import ASK, BID, FeeSchedule, Market, Order, OrderStatus, StpMode, Tif, TradingState
from kalshi_cli.core.orders import DUPLICATE_ID, is_as_sent
from kalshi_cli.core.state import Limits, mirror
from kalshi_cli.desk.account import load_engine, read_account
from kalshi_cli.desk.health import refuse_skewed
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
from kalshi_cli.exchange.snapshot import valued
from kalshi_cli.exchange.venue import LiveVenue
from kalshi_cli.exchange.wire.replies import advice, short_of_cash
from kalshi_cli.runner import act, pump
from kalshi_cli.store.base import Halt, Memory, MovedError, Notebook
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional, show_price

TRIES = 3
"""How often an order is reviewed because another program was faster with its own."""

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
    order_group_id: str = ""
    subaccount: int = 0
    self_trade_prevention: StpMode = StpMode.TAKER
    cancel_on_pause: bool = False

    def intent(self, market: Market) -> Place:
        """The order on the YES book; buying NO at q is an ask at one dollar less q, translated here and only here.

        UsageError where the price is not on the market's grid: a person's price is never moved.
        """
        side = BID if self.action == "buy" else ASK
        price = self.price
        if self.outcome == "no":
            side, price = mirror(side, price)
        check_grid(market, price, self.outcome)
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
            order_group_id=self.order_group_id,
            subaccount=self.subaccount,
            self_trade_prevention=self.self_trade_prevention,
            cancel_on_pause=self.cancel_on_pause,
        )


def look_for(client: KalshiClient, store: Notebook, clock: Clock, engine: Engine, orders: Sequence[Order]) -> None:
    """Read the account until none of these is unknown any more, or RESOLVE_S is over."""
    until = clock.monotonic() + RESOLVE_S
    known = engine.state.orders
    while clock.monotonic() < until:
        names = (order.client_order_id for order in orders)
        doubtful = [found for name in names if (found := known.get(name)) and found.status is OrderStatus.UNKNOWN]
        if not doubtful:
            return
        since = Ts(min(order.created for order in doubtful) - 60_000)
        with suppress(KalshiError):  # whatever is wrong with looking, they may be live, and that must be said
            read_account(client, store, clock, engine, since=since, lookup=doubtful)
        if any((known.get(each.client_order_id) or each).status is OrderStatus.UNKNOWN for each in doubtful):
            clock.sleep(1.0)


def check_grid(market: Market, price: Price, outcome: Literal["yes", "no"]) -> None:
    """UsageError where a price on the YES scale, typed as that of an outcome, is not on the market's grid."""
    if market.grid.is_valid(price):
        return
    typed, *near = (
        at if outcome == "yes" else Price(ONE_DOLLAR - at)
        for at in (price, *market.grid.nearest(price))
        if at is not None
    )
    raise UsageError(
        f"{show_price(typed)} is not a price of {market.ticker}",
        hint="the nearest prices are " + " and ".join(show_price(at) for at in sorted(near)),
        code="OFF_GRID_PRICE",
    )


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewed order and what it can cost, to be confirmed before anything is sent."""

    market: Market
    submit: SubmitOrder | CloseOrder
    cost: Money
    fee: Money
    ticket: Ticket | None = None
    """As it was typed, to propose it again; of a close there is none."""

    @property
    def worst_loss(self) -> Money:
        """If it fills and the market settles the other way."""
        return Money(self.cost + self.fee)


class Aloud:
    """The state file of a command that a person waits for: what is critical is told as well as written down."""

    def __init__(self, store: Notebook, tell: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell

    def record(self, effect: Effect) -> None:
        self._store.record(effect)
        if isinstance(effect, Alert) and effect.tier == "critical":
            self._tell(f"CRITICAL {effect.code} {effect.subject}: {effect.text}")

    def together(self) -> AbstractContextManager[None]:
        return self._store.together()

    def load(self) -> Memory:
        return self._store.load()

    def news(self) -> tuple[Order, ...]:
        return self._store.news()

    def order(self, any_id: str) -> Order | None:
        return self._store.order(any_id)

    def halt(self) -> Halt:
        return self._store.halt()


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
        self.client = client
        self.store = store
        self.clock = clock
        self._limits = limits
        self.schedule_of = schedule_of
        self._new_id = new_id

    def engine(self, markets: Sequence[Market]) -> Engine:
        """An engine that knows the account as of now, with the books and fees of these markets."""
        engine = load_engine(
            self.client,
            self.store,
            self.clock,
            self._limits,
            markets=markets,
            fees={market.ticker: self.schedule_of(market) for market in markets},
            new_id=self._new_id,
        )
        if len(markets) == 1:
            engine.step(self.client.orderbook(markets[0].ticker))
        else:
            for book in self.client.orderbooks([market.ticker for market in markets]):
                engine.step(book)
        self._mark_elsewhere(engine)
        self.count_beside(engine)
        return engine

    def count_beside(self, engine: Engine) -> None:
        """What other programs began since the engine was loaded counts too, right before anything is reviewed."""
        engine.step(OrdersBeside(engine.state.now, self.store.news()))

    def look_again(self, engine: Engine) -> None:
        """Bring an engine up to date: the books first, so that the day's loss is counted by them."""
        for book in self.client.orderbooks(list(engine.state.markets)):
            engine.step(book)
        read_account(self.client, self.store, self.clock, engine)
        self._mark_elsewhere(engine)

    def _mark_elsewhere(self, engine: Engine) -> None:
        """What is held in other markets counts for the day's loss at what it is worth now."""
        for message in valued(self.client, self.clock, engine.state.elsewhere()):
            for effect in engine.step(message):
                self.store.record(effect)

    def refuse_used(self, client_order_id: str) -> None:
        """RefusedError where an order of ours has this id, by what is on file here."""
        if client_order_id and self.store.order(client_order_id) is not None:
            raise duplicate(client_order_id)

    def taken(self, engine: Engine, tickets: Sequence[Ticket]) -> set[str]:
        """Which of the ids that a person typed an order of the account has, whoever made it, whatever became of it.

        Looked for at the exchange: where it refuses only the ids of open orders, it would take an older one again.
        """
        typed = {ticket.client_order_id: ticket.ticker for ticket in tickets if ticket.client_order_id}
        found = {name for name in typed if engine.state.orders.get(name) is not None}
        for ticker in sorted(set(typed.values())):
            found |= typed.keys() & {order.client_order_id for order in self.client.all_orders(ticker=ticker)}
        return found

    def venue(self, engine: Engine) -> LiveVenue:
        """Where the engine's effects go; without a stream."""
        orders = engine.state.orders
        return LiveVenue(
            self.client, None, self.clock, live=orders.live, known=orders.by_order_id, since=engine.state.last_entry
        )

    def propose(self, ticket: Ticket) -> tuple[Engine, Proposal]:
        """Bring account and market up to date and hold the order against every control.

        Raises RefusedError with the control's code. Sends nothing.
        """
        self.refuse_used(ticket.client_order_id)
        market = self.client.market(ticket.ticker)
        refuse_skewed(self.client)
        intent = ticket.intent(market)
        engine = self.engine([market])
        if self.taken(engine, [ticket]):
            raise duplicate(ticket.client_order_id)
        verdict = engine.place(intent, client_order_id=ticket.client_order_id)
        return engine, msgspec.structs.replace(self.judged(engine, market, verdict), ticket=ticket)

    def judged(self, engine: Engine, market: Market, verdict: SubmitOrder | CloseOrder | Denied) -> Proposal:
        """What passed the review, with what it can cost. RefusedError with the code of the control that objected."""
        if isinstance(verdict, Denied):
            self.store.record(verdict)
            raise refusal(verdict)
        cost, fee = price_of(verdict.order, engine.state.fees[market.ticker])
        return Proposal(market=market, submit=verdict, cost=cost, fee=fee)

    def send(self, engine: Engine, proposal: Proposal) -> Order:
        """Write it down, send it once, and say what became of it; OutcomeUnknownError where nobody knows.

        Where another program was faster with its own order, this one is reviewed again, a few times at most.
        """
        client_order_id = proposal.submit.order.client_order_id
        for last_try in (False,) * (TRIES - 1) + (True,):
            venue = self.venue(engine)
            try:
                replies = list(act(proposal.submit, venue, self.store))
                break
            except MovedError as error:
                if last_try or proposal.ticket is None:
                    raise halted(error) from error
                again = msgspec.structs.replace(proposal.ticket, client_order_id=client_order_id)
                engine, proposal = self.propose(again)
            except HaltedError as error:
                raise halted(error) from error
        try:
            pump(replies, engine, venue, self.store)
        except StateError as error:
            raise unwritten(f"order {client_order_id} was sent", error) from error
        order = engine.state.orders.get(client_order_id) or proposal.submit.order
        if order.status is OrderStatus.UNKNOWN:
            order = resolve(self.client, self.store, self.clock, engine, order)
        if order.status is OrderStatus.NEVER_ARRIVED:
            raise UnreachableError(
                f"no answer came, and order {client_order_id} is proven not to be on the exchange",
                hint="nothing is outstanding; place it again, with another client order id",
                code="never_arrived",
            )
        if order.status is OrderStatus.REJECTED and order.code == DUPLICATE_ID:
            raise duplicate(client_order_id)
        if order.status is OrderStatus.REJECTED:
            details = "".join(reply.detail for reply in replies if isinstance(reply, OrderRejected))
            raise rejection("nothing was placed", order, order.code, details)
        if not is_as_sent(proposal.submit.order, order):
            raise clash(order)
        return order


def price_of(order: Order, schedule: FeeSchedule) -> tuple[Money, Money]:
    """What the order costs if it fills, and the fee it may pay besides."""
    own_price = order.price if order.side is BID else Price(ONE_DOLLAR - order.price)
    fee = estimate(schedule, order.price, order.qty, is_taker=not order.post_only)
    return notional(own_price, order.qty), fee


def resolve(client: KalshiClient, store: Notebook, clock: Clock, engine: Engine, order: Order) -> Order:
    """No answer came. Look for the order until it is found, is proven absent, or the patience ends.

    Raises OutcomeUnknownError, naming the client order id, where it is still not known after RESOLVE_S.
    """
    before = engine.state.trading
    look_for(client, store, clock, engine, [order])
    found = engine.state.orders.get(order.client_order_id) or order
    if found.status is not OrderStatus.UNKNOWN:
        return found
    if engine.state.trading is TradingState.HALTED and before is not TradingState.HALTED:
        raise clash(order)
    raise OutcomeUnknownError(
        f"no answer came, and order {order.client_order_id} is not seen on the exchange yet: it may be live",
        hint=f"kalshi order reconcile   (client order id {order.client_order_id})",
    )


def duplicate(client_order_id: str) -> RefusedError:
    """An id is used once."""
    return RefusedError(
        f"refused: there is an order with the id {client_order_id} already; nothing was placed",
        hint=f"kalshi order show {client_order_id}",
        code=DUPLICATE_ID,
    )


def clash(order: Order) -> OutcomeUnknownError:
    """What is on the exchange under our id is not what we sent; the engine has halted trading."""
    return OutcomeUnknownError(
        f"the exchange has another order than the one sent under the client order id {order.client_order_id}; trading "
        "is halted",
        hint="look at `kalshi order list`; is another state file in use? Then: kalshi resume --reason TEXT",
        code="ID_CLASH",
    )


def refusal(denied: Denied) -> RefusedError:
    """A control said no."""
    return RefusedError(
        f"refused: {denied.code} {denied.detail}", hint=_HINTS.get(denied.code, "nothing was sent"), code=denied.code
    )


def halted(error: HaltedError) -> RefusedError:
    """A halt, or what another program did, came between the review and the request."""
    code = error.code.upper()
    return RefusedError(error.message, hint=_HINTS[code], code=code)


def sent(write: Callable[[], None]) -> None:
    """A write that a halt stops; RefusedError where it did, and nothing was sent."""
    try:
        write()
    except HaltedError as error:
        raise halted(error) from error


def unwritten(what: str, error: StateError) -> OutcomeUnknownError:
    """Something was sent, and the state file took no note of what came of it."""
    return OutcomeUnknownError(
        f"{what}, but what came of it could not be written down: {error.message}",
        hint=f"{error.hint or 'repair the state file'}, then: kalshi order reconcile",
    )


def rejection(what: str, order: Order, code: str, details: str) -> KalshiError:
    """The exchange said no, or the request never got there: the exit code tells them apart."""
    hint = _HINTS.get(code.upper()) or short_of_cash(code, order.exchange_index)
    hint = hint or advice(code, details) or f"kalshi market {order.ticker}"
    return NEVER_THERE.get(code, ExchangeError)(f"{what}: {details or code}", hint=hint, code=code)


NEVER_THERE: dict[str, type[KalshiError]] = {
    "credentials": CredentialsError,
    "unreachable": UnreachableError,
    "rate_limited": RateLimitedError,
    "halted": RefusedError,
    "REDUCING": RefusedError,
    "STATE_MOVED": RefusedError,
}
"""An order that provably never left is not one that the exchange refused; the exit code tells them apart."""

_HINTS = {
    "HALTED": "trading is halted; see `kalshi status`, then `kalshi resume --reason ...`",
    "REDUCING": "only orders that make a position smaller are taken; see `kalshi status`",
    "STATE_MOVED": "nothing was sent; try again once the other program is quiet",
    "DAILY_LOSS": "only orders that make a position smaller are taken today; the limit is risk.max_daily_loss",
    "MARKET_NOT_OPEN": "see the market's times with `kalshi market TICKER`",
    "MARKET_CLOSING": "the market is about to close; pick another with `kalshi markets`",
    "STALE_BOOK": "the order book could not be trusted; look at `kalshi orderbook TICKER` and try again",
    "PRICE_COLLAR": "check the price; the limit is risk.price_collar in the configuration",
    "ORDER_SIZE": "check the count; the limit is risk.max_order_count in the configuration",
    "ORDER_COST": "check the count; the limit is risk.max_order_cost in the configuration",
    "ORDER_RATE": "wait a minute; the limit is risk.max_orders_per_minute in the configuration",
    "MARKET_RATE": "wait a minute; the limit is risk.max_market_orders_per_minute in the configuration",
    "POSITION_LIMIT": "see `kalshi positions`; the limit is risk.max_position in the configuration",
    "EXPOSURE": "see `kalshi positions`; the limit is risk.max_exposure in the configuration",
    "GROUP_TRIGGERED": "the group takes nothing until it is reset: `kalshi order group reset ID`",
    "SELF_CROSS": "cancel your own order first: `kalshi order list`",
    "BAD_FLAGS": "see `kalshi order place -h`",
    "NOT_RESTING": "only an order that rests can be amended; see `kalshi order list`, or `kalshi order reconcile`",
    "NOT_CLOSING": "own orders on that side would close it too: `kalshi cancel-all --ticker TICKER --no-halt` first",
    "BAD_COUNT": "give at least 0.01; to take the whole order back: kalshi order cancel ID",
}
