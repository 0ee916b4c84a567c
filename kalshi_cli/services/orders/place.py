"""Place one manual order with the same review, the same write-ahead and the same engine as the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.checked import check_fields, check_own_id, check_text
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Money, Price, Qty, Ts, show_price, show_qty
from kalshi_cli.config.config import refuse_read_only, refuse_unread_limits
from kalshi_cli.core.account.closed_markets import ClosedMarket
from kalshi_cli.core.account.order_index import is_as_sent
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.order_book import FillEstimate
from kalshi_cli.core.model.effects import AlertRaised, CloseOrder, Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import ExternalOrders, Filled, OrderAccepted, OrderRejected
from kalshi_cli.core.model.order_terms import SelfTradePrevention, TimeInForce, book_terms, outcome_price
from kalshi_cli.core.model.orders import DUPLICATE_ID, Order, OrderStatus, was_never_sent
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import MAX_ELSEWHERE, external_markets, marks_update
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.account.recovery import EXTERNAL, load_engine, read_account
from kalshi_cli.services.monitoring.health import require_synced_clock
from kalshi_cli.services.orders import order_effect
from kalshi_cli.services.plans import PlanningService
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.runner import perform_effects, process_messages
from kalshi_cli.services.trading import refusals
from kalshi_cli.services.trading.loop_limit import limits_of_command
from kalshi_cli.store.records import ConcurrentChangeError, Halt, RecoveredState
from kalshi_cli.store.state_store import OrderStore, ReadOnlyStore

TRIES = 3
"""The number of reviews of an order when other programs place orders at the same time."""

RESOLVE_S = 10.0
"""The time for which a single order is looked up on the exchange after an unanswered send."""

LOOK_EVERY_S = 1.0

BOOK_PAUSES_S = (0.0, 0.3, 0.3, 0.4)
"""The pause before each read of the fills of an order that filled at once; lists trail by about 0.4 s (June 2026)."""

BOOK_S = 1.5
"""The longest time of all these reads together."""

TIMES_IN_FORCE = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
SELF_TRADE_PREVENTIONS = {"taker": SelfTradePrevention.TAKER, "maker": SelfTradePrevention.MAKER}
"""The words of a ticket, as typed."""


class OrderTicket(msgspec.Struct, frozen=True, kw_only=True):
    """An order as typed: an outcome, buy or sell, and the price of that outcome.

    Attributes:
        ticker: The market, in capitals.
        outcome: The outcome to trade, "yes" or "no".
        action: "buy" or "sell".
        qty: The number of contracts, such as `contracts(10)` of `kalshi_cli.units`.
        price: The limit price of that outcome, such as `cents(47)`.
        tif: Good till canceled (GTC), immediate or cancel (IOC), or fill or kill (FOK).
        post_only: Reject the order if it would take liquidity.
        reduce_only: Only reduce a position; needs IOC.
        expires_in_s: Seconds until the exchange cancels the order; None means never.
        client_order_id: Your own id, which is used once; None means a new one.
        order_group_id: The order group that the order joins; empty means none.
        subaccount: The subaccount that trades; None means the primary one.
        self_trade_prevention: Which of two own orders is canceled when they would trade.
        cancel_on_pause: Cancel the order when trading pauses.
    """

    ticker: str
    outcome: Literal["yes", "no"]
    action: Literal["buy", "sell"]
    qty: int
    price: int
    tif: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires_in_s: float | None = None
    client_order_id: str | None = None
    order_group_id: str = ""
    subaccount: int | None = None
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.TAKER
    cancel_on_pause: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a value of another type, an unknown word, or an id that is empty or not plain."""
        check_fields(self)
        check_text("ticker", self.ticker)
        check_own_id("client_order_id", self.client_order_id)

    def intent(self, market: Market) -> Place:
        """Return the order on the YES book, translated only here.

        UsageError where the price is not on the market's grid: a typed price is never changed.
        """
        side, price = book_terms(self.outcome, self.action, Price(self.price))
        check_grid(market, price, self.outcome)
        return Place(
            self.ticker,
            side,
            price,
            Qty(self.qty),
            reason="typed",
            tif=self.tif,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
            expires_in_s=self.expires_in_s or 0,
            order_group_id=self.order_group_id,
            subaccount=self.subaccount or 0,
            self_trade_prevention=self.self_trade_prevention,
            cancel_on_pause=self.cancel_on_pause,
            outcome=self.outcome,
        )


def wait_for_orders(
    client: KalshiClient, store: OrderStore, clock: Clock, engine: TradingEngine, orders: Sequence[Order]
) -> None:
    """Read the account until the outcome of all these orders is known, or RESOLVE_S is over; at least once."""
    until = clock.monotonic() + RESOLVE_S
    known = engine.state.orders

    def unknown() -> list[Order]:
        found = (known.get(order.client_order_id) for order in orders)
        return [order for order in found if order and order.status is OrderStatus.UNKNOWN]

    while doubtful := unknown():
        since = Ts(min(order.created for order in doubtful) - 60_000)
        with suppress(errors.KalshiError):  # a failed read must not hide that they may be live
            read_account(client, store, clock, engine, since=since, lookup=doubtful)
        if (left_s := until - clock.monotonic()) <= 0:
            return
        if unknown():
            clock.sleep(min(LOOK_EVERY_S, left_s))


def check_grid(market: Market, price: Price, outcome: Literal["yes", "no"]) -> None:
    """Raise UsageError where a price, on the YES scale and typed for an outcome, is off the market's price grid."""
    if market.grid.is_valid(price):
        return
    typed, *near = (outcome_price(outcome, at) for at in (price, *market.grid.nearest(price)) if at is not None)
    raise errors.UsageError(
        f"{show_price(typed)} is off the price grid of {market.ticker}",
        hint="nearest valid prices: " + " and ".join(show_price(at) for at in sorted(near)),
        code="OFF_GRID_PRICE",
    )


class OrderProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewed order and its cost, to be confirmed before anything is sent."""

    market: Market
    submit: SubmitOrder | CloseOrder
    cost: Money
    fee: Money
    effect: order_effect.OrderEffect
    ticket: OrderTicket | None = None
    """The order as typed, to propose it again; None for a close."""
    now: FillEstimate | None = None
    """What the book fills of the order at once; None if that is unknown."""

    @property
    def worst_loss(self) -> Money:
        """Return the loss if the order fills and the market settles the other way, as if all of it were a purchase."""
        return Money(self.cost + self.fee)


class NotifyingStore(OrderStore):
    """The state file of an interactive command: critical alerts and external orders are shown as well as saved."""

    def __init__(self, store: OrderStore, tell: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell

    def record(self, effect: Effect) -> None:
        self._store.record(effect)
        if isinstance(effect, AlertRaised) and (effect.tier == "critical" or effect.code in EXTERNAL):
            self._tell(effect.line)

    def together(self) -> AbstractContextManager[None]:
        return self._store.together()

    def load(self) -> RecoveredState:
        return self._store.load()

    def close_markets(self, now: Ts, limit: int) -> None:
        self._store.close_markets(now, limit)

    def closed_market(self, ticker: str) -> ClosedMarket | None:
        return self._store.closed_market(ticker)

    def opening_marks(self, start: Ts, marks: Mapping[str, Price] | None = None) -> dict[str, Price]:
        return self._store.opening_marks(start, marks)

    def news(self) -> tuple[Order, ...]:
        return self._store.news()

    def order(self, any_id: str) -> Order | None:
        return self._store.order(any_id)

    def halt(self) -> Halt:
        return self._store.halt()


@dataclass(eq=False, repr=False)
class OrderEntry:
    """Places one order: `propose` reads and reviews, `send` sends it once.

    Without `family_of` no event is known to be exclusive, and none of any category.
    """

    client: KalshiClient
    store: OrderStore
    clock: Clock
    limits: RiskLimits
    schedule_of: Callable[[Market], FeeSchedule]
    new_id: Callable[[], str]
    family_of: Callable[[Market], Family] = lambda market: Family(event_ticker=market.event_ticker)

    def engine(self, markets: Sequence[Market]) -> TradingEngine:
        """Return an engine with the current account and the books and fees of these markets."""
        engine = load_engine(
            self.client,
            self.store,
            self.clock,
            self.limits,
            markets=markets,
            fees={market.ticker: self.schedule_of(market) for market in markets},
            families={market.event_ticker: self.family_of(market) for market in markets},
            new_id=self.new_id,
            agree=lambda *parts: self.look_again(parts[-1]),
        )
        self.include_external_orders(engine)
        return engine

    def include_external_orders(self, engine: TradingEngine) -> None:
        """Add the orders that other programs placed since the engine was loaded, right before a review."""
        engine.step(ExternalOrders(engine.state.now, self.store.news()))

    def look_again(self, engine: TradingEngine) -> None:
        """Update an engine: the prices of all positions first, so that the account's day loss includes them."""
        state, tickers = engine.state, list(engine.state.markets)
        books = [self.client.orderbook(tickers[0])] if len(tickers) == 1 else self.client.orderbooks(tickers)
        for book in books:
            engine.step(book)
        held = state.untraded_held_markets()[:MAX_ELSEWHERE]
        state.valued.update({each.ticker: each for each in external_markets(self.client, held, state.orders.live())})
        state.exposures.refresh(held)
        read_account(self.client, self.store, self.clock, engine)
        new = [ticker for ticker in state.untraded_held_markets()[:MAX_ELSEWHERE] if ticker not in held]
        for message in marks_update(self.client, self.clock, new, state.orders.live()):
            for effect in engine.step(message):
                self.store.record(effect)

    def used(self, client_order_id: str | None) -> errors.RefusedError | None:
        """Return the error for an id that an order on file has; None if it is free, or its order was never sent."""
        filed = self.store.order(client_order_id) if client_order_id else None
        return None if filed is None or was_never_sent(filed) else refusals.duplicate(client_order_id or "", filed)

    def taken(self, engine: TradingEngine, tickets: Sequence[OrderTicket]) -> set[str]:
        """Return the typed client order ids that an order of the account already has, of any program.

        They are looked up at the exchange, which refuses only ids of open orders and would accept an older one again.
        """
        typed = {ticket.client_order_id: ticket.ticker for ticket in tickets if ticket.client_order_id}
        known = ((name, engine.state.orders.get(name)) for name in typed)
        found = {name for name, order in known if order is not None and not was_never_sent(order)}
        for ticker in sorted(set(typed.values())):
            found |= typed.keys() & {order.client_order_id for order in self.client.all_orders(ticker=ticker)}
        return found

    def venue(self, engine: TradingEngine) -> LiveVenue:
        """Return the venue of the engine's effects, without a stream."""
        orders = engine.state.orders
        return LiveVenue(
            self.client, None, self.clock,
            live=orders.looked_for, known=orders.by_order_id, since=engine.state.last_entry,
        )  # fmt: skip

    def propose(self, ticket: OrderTicket) -> tuple[TradingEngine, OrderProposal]:
        """Update account and market and review the order against every control. Sends nothing.

        Raises RefusedError with the control's code.
        """
        if (used := self.used(ticket.client_order_id)) is not None:
            raise used
        self.client.whose(ticket.subaccount)
        market = self.client.market(ticket.ticker)
        require_synced_clock(self.client)
        intent = ticket.intent(market)
        engine = self.engine([market])
        if self.taken(engine, [ticket]):
            raise refusals.duplicate(ticket.client_order_id or "")
        verdict = engine.place(intent, client_order_id=ticket.client_order_id or "")
        proposal = self.judged(engine, market, verdict)
        now = order_effect.fills_now(proposal.submit.order, engine)
        return engine, msgspec.structs.replace(proposal, ticket=ticket, now=now)

    def judged(
        self, engine: TradingEngine, market: Market, verdict: SubmitOrder | CloseOrder | OrderRefused
    ) -> OrderProposal:
        """Return a passed review with its cost. RefusedError with the code of the control that refused it."""
        if isinstance(verdict, OrderRefused):
            self.store.record(verdict)
            raise refusals.refusal(verdict, self.store.halt())
        cost, fee = order_effect.price_of(verdict.order, engine)
        effect = order_effect.effect_at(engine, verdict.order)
        return OrderProposal(market=market, submit=verdict, cost=cost, fee=fee, effect=effect)

    def send(self, engine: TradingEngine, proposal: OrderProposal) -> Order:
        """Save the order, send it once, and return its result; OutcomeUnknownError where the outcome is unknown.

        The result has the time of creation that the exchange stated, which is that of its lists.

        Where another program placed an order in between, this one is reviewed again, TRIES times at most.
        """
        client_order_id = proposal.submit.order.client_order_id
        for last_try in (False,) * (TRIES - 1) + (True,):
            venue = self.venue(engine)
            try:
                replies = list(perform_effects(proposal.submit, venue, self.store))
                break
            except ConcurrentChangeError as error:
                if last_try or proposal.ticket is None:
                    raise refusals.halted(error, self.store.halt()) from error
                again = msgspec.structs.replace(proposal.ticket, client_order_id=client_order_id)
                engine, proposal = self.propose(again)
            except errors.HaltedError as error:
                raise refusals.halted(error, self.store.halt()) from error
            except errors.StateFileError as error:  # an order was placed with its id since the review
                raise refusals.refused_id(error, client_order_id, self.store) from error
        try:
            process_messages(replies, engine, venue, self.store)
        except errors.StateFileError as error:
            raise refusals.sent_but_not_saved(f"order {client_order_id} was sent", error) from error
        order = engine.state.orders.get(client_order_id) or proposal.submit.order
        if order.status is OrderStatus.UNKNOWN:
            order = resolve_unconfirmed(self.client, self.store, self.clock, engine, order)
        if order.status is OrderStatus.NEVER_ARRIVED:
            raise errors.UnreachableError(
                f"No response, and order {client_order_id} is verified not to be on the exchange",
                hint="nothing is outstanding; place it again with another client order id",
                code="never_arrived",
            )
        if order.status is OrderStatus.REJECTED and order.code == DUPLICATE_ID:
            raise refusals.duplicate(client_order_id)
        if order.status is OrderStatus.REJECTED:
            details = "".join(reply.detail for reply in replies if isinstance(reply, OrderRejected))
            raise refusals.rejection("No order was placed", order, order.code, details)
        if not is_as_sent(proposal.submit.order, order):
            raise refusals.id_conflict(order)
        self.book_fills(engine, [order])
        # The state file keeps the time before the send; a list of the exchange shows the time that it stated.
        stated = (reply.ts for reply in replies if isinstance(reply, OrderAccepted))
        return msgspec.structs.replace(order, created=next(stated, order.created))

    def book_fills(self, engine: TradingEngine, orders: Sequence[Order]) -> None:
        """Read the fills that the replies announced, so that the state file shows the position at once.

        The next read of the account books what these reads do not show, so a failed read is no error.
        """
        until = self.clock.monotonic() + BOOK_S
        sent = {order.order_id for order in orders if order.filled}
        since = Ts(min((order.created for order in orders), default=0) - 60_000)
        for pause_s in BOOK_PAUSES_S:
            unbooked = {order.ticker for order, _ in engine.state.orders.untold() if order.order_id in sent}
            if not unbooked:
                return
            self.clock.sleep(pause_s)
            with suppress(errors.KalshiError), self.client.reading_within(max(0.0, until - self.clock.monotonic())):
                for fill in [fill for ticker in unbooked for fill in self.client.fills(ticker, since)]:
                    if fill.order_id in sent:
                        for effect in engine.step(Filled(fill.ts, fill)):
                            self.store.record(effect)


def resolve_unconfirmed(
    client: KalshiClient, store: OrderStore, clock: Clock, engine: TradingEngine, order: Order
) -> Order:
    """Look up an unanswered order until it is found, proven absent, or RESOLVE_S is over.

    OutcomeUnknownError, naming the client order id, where the outcome is still unknown.
    """
    before = engine.state.trading
    wait_for_orders(client, store, clock, engine, [order])
    found = engine.state.orders.get(order.client_order_id) or order
    if found.status is not OrderStatus.UNKNOWN:
        return found
    if engine.state.trading is TradingState.HALTED and before is not TradingState.HALTED:
        raise refusals.id_conflict(order)
    raise refusals.unconfirmed(order)


def open_order_entry(resources: Resources, *, is_rehearsal: bool = False) -> OrderEntry:
    """Return the component that places one order. RefusedError where writes are switched off.

    ConfigError where a limit is missing because its variable is mistyped. A rehearsal writes nothing.
    """
    refuse_unread_limits(resources.config)
    if not is_rehearsal:
        refuse_read_only(resources.config)
    learn_key(resources, None if is_rehearsal else resources.store)
    store = ReadOnlyStore(resources.remembered()) if is_rehearsal else NotifyingStore(resources.store, resources.tell)
    limits, kin = limits_of_command(resources), resources.families
    return OrderEntry(resources.client, store, resources.clock, limits, kin.fees, resources.new_order_id, kin.family)


class OrderPlanningService(PlanningService):
    """The base of services that plan orders."""

    @property
    def entry(self) -> OrderEntry:
        """Return the component that reviews and sends orders. RefusedError where writes are switched off."""
        self._resources.require_open()
        return self._own_entry

    @cached_property
    def _own_entry(self) -> OrderEntry:
        return open_order_entry(self._resources, is_rehearsal=self._is_rehearsal)


def place_facts(env: str, ticket: OrderTicket, proposal: OrderProposal) -> tuple[str, ...]:
    """Return the order, its market with the best prices, what it closes and brings, and what it can cost and pay."""
    market, order, now, outcome = proposal.market, proposal.submit.order, proposal.now, ticket.outcome.upper()
    line = f"{ticket.action} {show_qty(ticket.qty)} {outcome} at {show_price(ticket.price)}"
    bid, ask = (market.yes_bid, market.yes_ask) if ticket.outcome == "yes" else (market.no_bid, market.no_ask)
    return (
        f"{env}: {line} on {ticket.ticker}{order_effect.terms_phrase(order)}",
        *([market.full_title] if market.full_title else []),
        f"{outcome}: best bid {show_price(bid)}, best ask {show_price(ask)}",
        *([order_effect.fill_phrase(order, now, ticket.outcome)] if now is not None else []),
        *(text[0].upper() + text[1:] for text in order_effect.effect_phrases(proposal.effect, proposal.fee)),
    )


def place_warnings(ticket: OrderTicket, proposal: OrderProposal, collar: int | None) -> tuple[str, ...]:
    """Return the warnings of an order: about its price, what it cannot do now, and what else it does than it says."""
    market, order, warnings = proposal.market, proposal.submit.order, []
    if market.yes_bid is market.yes_ask is market.last is None:
        warnings.append("This market has no quotes and no trades yet, so the price could not be compared")
    warnings.extend(order_effect.effect_warnings(order, ticket.action, proposal.effect))
    if proposal.now is not None:
        warnings.extend(order_effect.fill_warnings(order, proposal.now))
    if ticket.tif is TimeInForce.GTC:
        warnings.extend(order_effect.price_warnings(market, order, ticket.outcome, collar))
    return tuple(warnings)
