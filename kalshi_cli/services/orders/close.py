"""Close positions with reduce-only, immediate-or-cancel orders at prices that concede step by step, up to a limit.

No order ever rests. The position is read from the exchange before each order, because another program may have traded.
A halt does not stop a close: a close can only reduce risk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from kalshi_cli.base.checked import check_fields
from kalshi_cli.base.errors import (
    ExchangeError,
    KalshiError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, notional, show_money, show_price, show_qty
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.fees import highest_fee
from kalshi_cli.core.market.order_book import OrderBook, book_without
from kalshi_cli.core.model.intents import Close
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.model.positions import ExchangePosition
from kalshi_cli.services.orders.cancel import cancel_by_any_id, is_list_current
from kalshi_cli.services.orders.cancel import failure as cancel_failure
from kalshi_cli.services.orders.order_effect import best_for, sale_phrase
from kalshi_cli.services.orders.place import OrderEntry, OrderProposal
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.refusals import SEVERAL_BLOCKED
from kalshi_cli.services.trading.stop_signals import in_flight
from kalshi_cli.views.row import own_price

PAUSE_S = 0.5
"""The pause between two attempts at the limit price, for the book to fill again."""

A_CENT = cents(1)
USUAL_SLIPPAGE = cents(5)
OVERLAP_MS = 60_000
NOTHING_SENT = "nothing was sent"


class ClosePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a close.

    Attributes:
        max_slippage: The largest distance from the best price at the start; None means that of `usual_slippage`, or
            `risk.max_close_slippage` where that is less.
        step: How much further from the best price each attempt may go.
        tries: The most orders for each position.
        within_s: The most seconds for each position.
        may_reach_a_cent: Whether sales at one cent or less are allowed.
    """

    max_slippage: int | None = None
    step: int = cents(1)
    tries: int = 10
    within_s: float = 30.0
    may_reach_a_cent: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError for a value of another type."""
        check_fields(self)


class ClosePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A position and the expected result of closing it. Prices are on the YES scale; None without a usable book.

    `held` is below zero for NO; `count` is the number of contracts to close, None for all. `expected` is the proceeds
    of the `fillable` contracts in the book within the limit; `least` the proceeds of all contracts at the worst price.
    Both are before fees. `fee` is the highest fee of all contracts, `basis` their cost without fees, 0 if unknown.
    """

    market: Market
    held: Qty
    count: Qty | None = None
    subaccount: int = 0
    touch: Price | None = None
    worst: Price | None = None
    fillable: Qty = Qty(0)
    expected: Money = Money(0)
    least: Money = Money(0)
    fee: Money = Money(0)
    basis: Money = Money(0)
    refusal: RefusedError | None = None

    @property
    def side(self) -> Side:
        """Return the side of the orders that close the position."""
        return ASK if self.held > 0 else BID

    @property
    def outcome(self) -> Literal["yes", "no"]:
        """Return the outcome of the position."""
        return "yes" if self.held > 0 else "no"

    @property
    def size(self) -> Qty:
        """Return the number of contracts of the position."""
        return Qty(abs(self.held))

    @property
    def qty(self) -> Qty:
        """Return the number of contracts to close."""
        return self.size if self.count is None else self.count

    @property
    def pnl(self) -> Money | None:
        """Return the least profit or loss if all of it is closed, after fees; None without a price or a cost."""
        return Money(self.least - self.basis - self.fee) if self.worst is not None and self.basis else None

    def own(self, price: Price) -> Price:
        """Convert a price on the YES scale to the outcome of the position."""
        return own_price(self.outcome, price)

    @property
    def own_touch(self) -> Price | None:
        """Return the best price, for the outcome of the position."""
        return None if self.touch is None else self.own(self.touch)

    @property
    def own_worst(self) -> Price | None:
        """Return the worst allowed price, for the outcome of the position."""
        return None if self.worst is None else self.own(self.worst)


class CloseResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result for one position. `average` is on the YES scale, `proceeds` and `net` are of its outcome.

    These and `fees` are None while the fills cannot be read, and `net` also where the cost is unknown.

    `left` are the contracts that the position still has. `error` says why not all that was asked for was closed; after
    a result that `stops`, no other position is closed. `was_sent`: an order was sent, filled or not.
    """

    plan: ClosePlan
    closed: Qty
    left: Qty
    average: Price | None = None
    fees: Money | None = None
    proceeds: Money | None = None
    net: Money | None = None
    error: KalshiError | None = None
    was_sent: bool = False

    @property
    def own_average(self) -> Price | None:
        """Return the average price, for the outcome of the position."""
        return None if self.average is None else self.plan.own(self.average)

    @property
    def is_done(self) -> bool:
        """Return whether all that was asked for was closed."""
        return (not self.left or self.plan.count is not None) and self.error is None

    @property
    def stops(self) -> bool:
        """Return whether the error concerns more than this market."""
        return self.error is not None and type(self.error) not in (KalshiError, RefusedError, ExchangeError)


class PositionCloser:
    """Closes positions of one subaccount: `plans` reads, `close` sends.

    RefusedError where the slippage exceeds the configured limit.
    """

    def __init__(
        self, orders: OrderEntry, walk: ClosePolicy, tell: Callable[[str], None], subaccount: int | None = None
    ) -> None:
        self._orders = orders
        self._client, self._clock = orders.client, orders.clock
        self._walk = walk
        _refuse_slippage(walk.max_slippage, orders.limits.max_close_slippage)
        self._tell = tell
        self._subaccount = self._client.whose(subaccount) or 0
        self._written = self._clock.monotonic()

    # -- positions ------------------------------------------------------------------------------------------------

    def plans(self, ticker: str = "", count: Qty | None = None) -> list[ClosePlan]:
        """Return the open positions, of one market or of all, with the expected result of closing them. Sends nothing.

        With a `count`, close this many contracts of the position in one market; UsageError where it has fewer.
        NotFoundError where the market does not exist.
        """
        market = self._client.market(ticker) if ticker else None
        held = self._held(ticker)
        if count is not None:
            _refuse_excess(ticker, count, held[ticker].position if ticker in held else Qty(0))
        if not held:
            return []
        markets: dict[str, Market] = {market.ticker: market} if market is not None else {}
        if market is None:
            markets = {each.ticker: each for each in self._client.markets(tickers=list(held))}
        resting = self._client.all_orders(status="resting", ticker=ticker or None)
        books = {seen.ticker: book_without(seen, resting) for seen in self._client.orderbooks(list(held))}
        return [
            self._plan(markets.get(name) or self._client.market(name), own, count, books.get(name))
            for name, own in held.items()
        ]

    def _held(self, ticker: str = "") -> dict[str, ExchangePosition]:
        """Return positions from a read that is newer than the last order here and than the start of this close."""
        if not is_list_current(self._client, self._clock, self._written):
            raise UnreachableError(
                "The exchange's lists are out of date; positions cannot be determined",
                hint="try again, or run `kalshi positions`",
            )
        found = self._client.positions(subaccount=self._subaccount or None, ticker=ticker or None)
        return {each.ticker: each for each in found if each.position}

    def _plan(self, market: Market, own: ExchangePosition, count: Qty | None, book: OrderBook | None) -> ClosePlan:
        plan = ClosePlan(market=market, held=own.position, count=count, subaccount=self._subaccount)
        plan = replace(plan, basis=Money(own.exposure * plan.qty // plan.size))
        if market.status is not MarketStatus.ACTIVE:
            hint = f"`kalshi market {market.ticker}` shows its status, times and result"
            return _refused(plan, "MARKET_NOT_OPEN", f"{market.ticker} is not trading: {market.status.value}", hint)
        touch = None if book is None else best_for(book, plan.side)
        if book is None or touch is None:
            return _refused(plan, "NO_BIDS", f"No bids for {plan.outcome.upper()} in {market.ticker}")
        plan = replace(plan, touch=touch)
        worst = self._limit(plan, self._slippage(plan))
        if worst is None:
            best = f"The best price for {plan.outcome.upper()} in {market.ticker} is {show_price(plan.own(touch))}"
            why = f"{best}, and a close sells at $0.01 or less only with --max-slippage"
            return _refused(plan, "AT_A_CENT", why, f"`kalshi close {market.ticker} --max-slippage 1c` sells there")
        return _priced(plan, worst, book, self._orders.schedule_of(market))

    def _slippage(self, plan: ClosePlan) -> int:
        """Return the allowed distance from the price at the start."""
        if self._walk.max_slippage is not None:
            return self._walk.max_slippage
        assert plan.own_touch is not None
        usual, most = usual_slippage(plan.own_touch), self._orders.limits.max_close_slippage
        return usual if most is None else min(usual, most)

    def _limit(self, plan: ClosePlan, away: int) -> Price | None:
        """Return the price `away` from the one at the start, on the grid and within the limit; None without one."""
        assert plan.touch is not None
        own = max(plan.own(plan.touch) - away, 1 if self._walk.may_reach_a_cent else A_CENT + 1)
        limit = plan.market.grid.snap(plan.side, plan.own(Price(own)))
        reach = None if limit is None else plan.own(limit)
        return limit if reach is not None and reach <= plan.own(plan.touch) else None

    def review(self, plan: ClosePlan) -> None:
        """Raise RefusedError where the first order of this close would be refused now. Sends nothing."""
        for refusal in (plan.refusal, *self.refusals([plan]).values()):
            if refusal is not None:
                raise refusal

    def _reviewed(self, engine: TradingEngine, market: Market, limit: Price, qty: Qty, held: Qty) -> OrderProposal:
        """Return the next order of a close; RefusedError where a control refuses it. `held` is below zero for NO."""
        verdict = engine.close(Close(market.ticker, limit, qty, held=held, subaccount=self._subaccount))
        try:
            return self._orders.judged(engine, market, verdict)
        except RefusedError as error:
            if error.code != "SELF_CROSS":
                raise
            hint = f"{error.hint}, or `kalshi close {market.ticker} --cancel-orders`"
            raise RefusedError(error.message, hint=hint, code=error.code) from error

    def refusals(self, plans: Sequence[ClosePlan]) -> dict[str, RefusedError]:
        """Return why first orders would be refused now, by market, for plans without a refusal. Sends nothing."""
        priced = [(plan, plan.touch) for plan in plans if plan.refusal is None and plan.touch is not None]
        if not priced:
            return {}
        engine = self._orders.engine([plan.market for plan, _ in priced])
        found = {}
        for plan, touch in priced:
            try:
                self._reviewed(engine, plan.market, touch, plan.qty, plan.held)
            except RefusedError as error:
                found[plan.market.ticker] = error
        return found

    def warnings(self, plans: Sequence[ClosePlan]) -> tuple[str, ...]:
        """Return a line for each position whose first order would be refused now, with the remedy. Sends nothing.

        Several that own orders block, as those of a loop do, have their remedy once, in the last line.
        """
        found = self.refusals(plans)
        is_shared = sum(error.code == "NOT_CLOSING" for error in found.values()) > 1
        lines = [
            f"{ticker}: a close would be refused now. {error.message}"
            + ("" if is_shared and error.code == "NOT_CLOSING" else f"; {error.hint}")
            for ticker, error in found.items()
        ]
        return (*lines, *([f"NOT_CLOSING: {SEVERAL_BLOCKED}"] if is_shared else []))

    def cancel(self, resources: Resources, orders: Sequence[Order]) -> None:
        """Cancel orders before a close; raise where not all of them were canceled."""
        error = cancel_failure(cancel_by_any_id(resources, [order.order_id for order in orders]))
        self._written = self._clock.monotonic()
        if error is not None:
            raise error

    # -- closing it -----------------------------------------------------------------------------------------------

    def close(self, plans: Sequence[ClosePlan]) -> list[CloseResult]:
        """Close one position after the other.

        No other position is started after an unknown outcome or an error that concerns all of them.
        """
        done: list[CloseResult] = []
        stopper: CloseResult | None = None
        for plan in plans:
            if stopper is not None:
                why = KalshiError(f"Not started, because of {stopper.plan.market.ticker}", code="not_begun")
                done.append(CloseResult(plan=plan, closed=Qty(0), left=plan.size, error=why))
            elif plan.refusal is not None:
                done.append(CloseResult(plan=plan, closed=Qty(0), left=plan.size, error=plan.refusal))
            else:
                done.append(self._close_one(plan))
                stopper = done[-1] if done[-1].stops else None
        return done

    def _close_one(self, plan: ClosePlan) -> CloseResult:
        """Send orders until nothing is left or the limits are reached; return the result from a fresh read."""
        started, sent = self._clock.now(), _Sent()
        error: KalshiError | None = None
        try:
            self._take_steps(plan, sent)
        except KalshiError as raised:
            error = raised
        left = Qty(plan.size - sent.filled)
        was_sent = bool(sent.order_ids or sent.filled)
        closing = CloseResult(plan=plan, closed=sent.filled, left=left, error=error, was_sent=was_sent)
        if isinstance(error, OutcomeUnknownError):
            return closing
        try:
            return self._read_again(closing, sent, started)
        except KalshiError as raised:
            return replace(closing, error=error or raised)

    def _take_steps(self, plan: ClosePlan, sent: _Sent) -> None:
        """Send order after order. Raise KalshiError with the reason where contracts are left."""
        walk, ticker = self._walk, plan.market.ticker
        until = self._clock.monotonic() + walk.within_s
        limit: Price | None = None
        for attempt in range(walk.tries):
            if attempt and self._clock.monotonic() >= until:
                break
            held = self._still_held(plan)
            left = Qty(min(held, plan.qty - sent.filled))
            if left <= 0:
                return
            market = self._client.market(ticker)
            engine = self._orders.engine([market])
            limit = self._limit(plan, min(self._slippage(plan), attempt * walk.step))
            best = engine.state.best_external_price(ticker, plan.side.opposite)
            filled = Qty(0)
            if limit is not None and best is not None and (limit - best) * plan.side.sign >= 0:
                signed = Qty(-plan.side.sign * held)
                proposal = self._reviewed(engine, market, limit, left, signed)
                with in_flight(f"order {proposal.submit.order.client_order_id}"):
                    order = self._orders.send(engine, proposal)
                self._written = self._clock.monotonic()
                filled = order.filled
                sent.note(order)
                price = show_price(plan.own(limit))
                self._tell(f"{ticker}: sold {show_qty(filled)} of {show_qty(left)} at {price} or better")
            if not filled:
                self._clock.sleep(PAUSE_S)
        if sent.filled < plan.qty:
            price = f"at {show_price(plan.own(limit))} or better" if limit is not None else "at any price"
            raise KalshiError(
                f"No more bids for {plan.outcome.upper()} in {ticker} {price}",
                hint=f"check `kalshi orderbook {ticker}`, or raise --max-slippage",
                code="not_filled",
            )

    def _still_held(self, plan: ClosePlan) -> Qty:
        """Return the contracts of the planned position that are still open; 0 for none, or for the other side."""
        position = self._held(plan.market.ticker).get(plan.market.ticker)
        return Qty(max(0, -plan.side.sign * position.position) if position is not None else 0)

    def _read_again(self, closing: CloseResult, sent: _Sent, started: Ts) -> CloseResult:
        """Return the contracts left and the amounts paid, as the exchange states them."""
        plan = closing.plan
        left = self._still_held(plan)
        found = self._client.fills(plan.market.ticker, min_ts=Ts(started - OVERLAP_MS)) if sent.order_ids else ()
        fills = [fill for fill in found if fill.order_id in sent.order_ids]
        error = closing.error
        if left and error is None and plan.count is None:
            error = KalshiError(
                f"Another program increased the position in {plan.market.ticker}",
                hint="find out which program, then run this again",
                code="position_moved",
            )
        is_open = min(left, plan.qty - sent.filled) > 0 if plan.count is not None else left > 0
        closing = replace(closing, left=left, error=error if is_open else None)
        if not fills or sum(fill.qty for fill in fills) != sent.filled:
            return closing
        paid = plan.side.sign * sum(notional(fill.price, fill.qty) for fill in fills)
        average = Price(plan.side.sign * -(-paid // sent.filled))  # rounded to our disadvantage
        proceeds = Money(sum(notional(plan.own(fill.price), fill.qty) for fill in fills))
        fees = Money(sum(fill.fee for fill in fills))
        net = Money(proceeds - plan.basis * sent.filled // plan.qty - fees) if plan.basis else None
        return replace(closing, average=average, fees=fees, proceeds=proceeds, net=net)


class _Sent:
    """The orders of one close and their fills."""

    def __init__(self) -> None:
        self.filled = Qty(0)
        self.order_ids: set[str] = set()

    def note(self, order: Order) -> None:
        self.filled = Qty(self.filled + order.filled)
        self.order_ids.add(order.order_id)


def _refuse_excess(ticker: str, count: Qty, held: Qty) -> None:
    """Raise UsageError where a count is not above zero, or exceeds the position, which is below zero for NO."""
    if not 0 < count <= abs(held):
        have = f"{show_qty(Qty(abs(held)))} {'YES' if held > 0 else 'NO'}" if held else "no contracts"
        raise UsageError(f"Cannot close {show_qty(count)}: you hold {have} of {ticker}", hint=NOTHING_SENT)


def usual_slippage(best: Price) -> int:
    """Return the slippage that is allowed where none is chosen: 5 cents, or less for a contract of a few cents.

    That is a quarter of the best price of what is sold, but at least one cent.
    """
    return min(USUAL_SLIPPAGE, max(A_CENT, best // 4))


def _refuse_slippage(wanted: int | None, most: Price | None) -> None:
    """Raise RefusedError where the wanted slippage exceeds the configured limit."""
    if wanted is not None and most is not None and wanted > most:
        raise RefusedError(
            f"A slippage of {show_price(wanted)} exceeds risk.max_close_slippage ({show_price(most)})",
            hint="use a smaller value; to exceed it once, set KALSHI_RISK__MAX_CLOSE_SLIPPAGE for this command",
            code="SLIPPAGE",
        )


def _refused(plan: ClosePlan, code: str, text: str, hint: str = "") -> ClosePlan:
    hint = f"{hint or f'check `kalshi orderbook {plan.market.ticker}`'}; {NOTHING_SENT}"
    return replace(plan, refusal=RefusedError(text, hint=hint, code=code))


def _priced(plan: ClosePlan, worst: Price, book: OrderBook, schedule: FeeSchedule) -> ClosePlan:
    """Add the proceeds that the book would pay now, level by level within the limit, and the highest fee."""
    left, expected = plan.qty, 0
    for price, standing in book.levels(plan.side.opposite):
        if (worst - price) * plan.side.sign < 0 or not left:
            break
        taken = Qty(min(left, standing))
        left = Qty(left - taken)
        expected += notional(plan.own(price), taken)
    return replace(
        plan,
        worst=worst,
        fillable=Qty(plan.qty - left),
        expected=Money(expected),
        least=notional(plan.own(worst), plan.qty),
        fee=highest_fee(schedule, plan.touch or worst, worst, plan.qty, is_taker=True),
    )


def describe_plan(plan: ClosePlan) -> str:
    """Return one line about a planned close, to show before the user agrees."""
    part = "" if plan.count is None else f"{show_qty(plan.count)} of "
    what = f"{plan.market.ticker}: {part}{show_qty(plan.size)} {plan.outcome.upper()}"
    if plan.touch is None or plan.worst is None:
        return f"{what}: cannot be closed now: {plan.refusal}"
    return (
        f"{what}: best price {show_price(plan.own(plan.touch))}, worst allowed {show_price(plan.own(plan.worst))}; "
        f"proceeds {show_money(plan.expected)} for the {show_qty(plan.fillable)} available now, "
        f"{sale_phrase(plan.least, plan.basis, plan.fee)}"
    )
