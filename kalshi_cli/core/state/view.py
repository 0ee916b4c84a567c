"""The read-only view of the state that strategies and risk controls use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import structs

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.sizing import NO_ALLOTMENT, order_size
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.inputs import FairInput, Input, SpotInput
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.cooldowns import cooldown_reason
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AHEAD_MS
from kalshi_cli.core.state.state import EngineState

INDEX_MS = 15_000
"""The exchange publishes an index every second. An older value is stale."""


class StrategyContext:
    """The market and account data that a strategy may read.

    A strategy receives its own context with every message. The context shows only this strategy's orders and position,
    plus the data of the markets that the run trades. Prices are on the YES scale in ten-thousandths of a dollar
    (`Price`), quantities in hundredths of a contract (`Qty`), amounts in micro-dollars (`Money`), and times in
    milliseconds UTC (`Ts`). Missing values are None, never 0.

    `inputs` are the data inputs that the strategy requests: reading another one raises LookupError, because no run
    delivers it. Without them, everything can be read.
    """

    def __init__(
        self,
        state: EngineState,
        strategy: str,
        limits: RiskLimits | None = None,
        inputs: Iterable[Input] | None = None,
    ) -> None:
        self._state = state
        self._strategy = strategy
        self._limits = limits or RiskLimits()
        self._is_checked = inputs is not None
        requested = tuple(inputs or ())
        self._coins = [each.symbol for each in requested if isinstance(each, SpotInput)]
        self._has_fairs = any(isinstance(each, FairInput) for each in requested)

    if not TYPE_CHECKING:  # pragma: no branch - a type checker reports a wrong name itself

        def __getattr__(self, name: str) -> None:
            """Raise AttributeError with the names that exist: another one disables a strategy with this text."""
            names = (each for each in dir(type(self)) if not each.startswith("_"))
            raise AttributeError(f"view has no {name}; it has {', '.join(names)}", name=name, obj=self)

    @property
    def now(self) -> Ts:
        """Return the time of the current message, in milliseconds UTC."""
        return self._state.now

    @property
    def tickers(self) -> list[str]:
        """Return the markets that this run trades."""
        return list(self._state.books)

    def book(self, ticker: str) -> OrderBook:
        """Return the order book of a market, empty and unusable for a market that this run does not trade.

        Check `is_usable` before you rely on an empty side.
        """
        return self._state.books.get(ticker) or OrderBook(ticker)

    def external_book(self, ticker: str) -> OrderBook:
        """Return the order book of a market without the orders of this account: what others quote.

        In live trading `book` has them, in a backtest and on paper it does not. Quote against this one, or a quote
        follows itself in live trading.
        """
        return self._state.external_book(ticker)

    def market(self, ticker: str) -> Market | None:
        """Return a market that this run trades, None for any other.

        Its fields are those of its last reading; its volume also counts what the ticker channel has told since.
        """
        market, quote = self._state.markets.get(ticker), self._state.quotes.get(ticker)
        if market is None or quote is None or quote.volume <= market.volume:
            return market
        return structs.replace(market, volume=quote.volume)

    def position(self, ticker: str) -> Qty:
        """Return this strategy's signed position: positive for YES, negative for NO.

        A trade counts from the response on, even before its fill arrives. Contracts that another party closed, or that
        settled, no longer count.
        """
        return self._state.owned(ticker, self._strategy)

    def cost(self, ticker: str) -> Money | None:
        """Return the cost of this strategy's position without fees, None while one of its fills is in transit.

        It is positive for NO too: 5 NO at 58 cents cost $2.90.
        """
        ledger, held = self._state.by_strategy.get(self._strategy), abs(self.position(ticker))
        numbers = [each.subaccount for each in ledger.holdings(ticker)] if ledger is not None else []
        holdings = [self._state.share(ticker, self._strategy, number) for number in numbers]
        qty = sum(abs(position.qty) for position in holdings)
        return None if held > qty else Money(-(-sum(position.cost for position in holdings) * held // max(1, qty)))

    def is_cooling_down(self, ticker: str) -> bool:
        """Return whether an order that opens would be refused with COOLDOWN, after a close at a loss in this market."""
        return bool(cooldown_reason(self._state, self._limits, ticker, self._strategy))

    def orders(self, ticker: str | None = None) -> list[Order]:
        """Return the live orders of this strategy, in one market or in all."""
        return [order for order in self._state.orders.live(ticker) if order.strategy == self._strategy]

    def reference(self, ticker: str) -> int | None:
        """Return the reference index of a market in ten-thousandths of a dollar, None if it is stale or missing."""
        found = self._state.indexes.get(self._state.index_of(ticker) or "")
        return found.value if found is not None and _is_young(found, self.now, INDEX_MS) else None

    def spot(self, symbol: str, within_s: float) -> int | None:
        """Return the spot price of a coin in ten-thousandths of a dollar, None if none is that recent."""
        if self._is_checked and symbol not in self._coins:
            read = next((each for each in self._coins if symbol.upper().startswith(each)), "")
            if read:
                raise LookupError(f'view.spot("{symbol}", ...): the name of the requested price is "{read}"')
            raise _unrequested(f'view.spot("{symbol}", ...)', f'SpotInput(symbol="{symbol}")', self._coins)
        if within_s > self._state.spot_ages.get(symbol, 0.0):
            self._state.spot_ages[symbol] = within_s
        found = self._state.spots.get(symbol)
        return found.price if found is not None and _is_young(found, self.now, within_s * 1000) else None

    def fair(self, ticker: str) -> Price | None:
        """Return an outside model's fair value of YES, None without a valid one."""
        if self._is_checked and not self._has_fairs:
            raise _unrequested("view.fair(...)", 'FairInput(source="fairs.csv", every_s=30, valid_s=300)')
        found = self._state.fairs.get(ticker)
        is_over = found is None or (found.until is not None and self.now > found.until)
        return None if found is None or is_over or found.ts - self.now > AHEAD_MS else found.fair

    def family(self, ticker: str) -> Family:
        """Return the event and series of a market, and whether at most one market of the event settles YES."""
        market = self._state.markets.get(ticker)
        return self._state.family(market.event_ticker if market is not None else "")

    def siblings(self, ticker: str) -> list[str]:
        """Return the markets of the same event that this run trades, including this one, sorted by ticker."""
        market = self._state.markets.get(ticker)
        if market is None:
            return []
        same = (other.ticker for other in self._state.markets.values() if other.event_ticker == market.event_ticker)
        return sorted(same)

    def fees(self, ticker: str) -> FeeSchedule:
        """Return the fee schedule of a market, for `estimate`."""
        return self._state.fees.get(ticker, FeeSchedule())

    @property
    def cash(self) -> Money | None:
        """Return the account's cash balance, shared by all strategies; None until it was read."""
        return self._state.cash

    def size(self, ticker: str, side: Side, price: Price, fair: Price | None, fixed: Qty) -> Qty:
        """Return the size of an opening order in contracts, 0 for none: `fixed` unless sizing is configured.

        With configured sizing, it is a share of the cash balance or of the strategy's budget, whichever is less; see
        `core/account/sizing.py`.
        """
        limits, cash = self._limits, self.cash
        allotment = limits.allotments.get(self._strategy, NO_ALLOTMENT)
        found = order_size(
            allotment.sizing,
            side,
            price,
            fair,
            fixed=fixed,
            money=cash if cash is None or allotment.budget is None else min(cash, allotment.budget),
            fees=self.fees(ticker),
            held=Qty(max(0, self.position(ticker) * side.sign)),
            max_qty=limits.max_order_qty,
            max_cost=limits.max_order_cost,
        )
        if not found:
            self._state.empty_sizes += 1
        return found

    def snap(self, ticker: str, side: Side, price: int) -> Price | None:
        """Return the nearest valid price that is no worse: bids round down, asks round up."""
        market = self._state.markets.get(ticker)
        return market.grid.snap(side, Price(price)) if market is not None else None


def _unrequested(call: str, example: str, coins: Iterable[str] = ()) -> LookupError:
    """Return the error of a strategy that reads an outside value without requesting it, with the line to write."""
    known = f" (it requests the prices of {', '.join(coins)})" if coins else ""
    line = f"`def inputs(self): return ({example},)`"
    return LookupError(f"{call} reads data that inputs() does not request{known}; request it, as in {line}")


def _is_young(heard: Message, now: Ts, within_ms: float) -> bool:
    return -AHEAD_MS <= now - heard.ts <= within_ms
