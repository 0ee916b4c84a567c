"""The read-only view of the state that strategies and risk controls see."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.sizing import NO_ALLOTMENT, order_size
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import AHEAD_MS, EngineState

INDEX_MS = 15_000
"""An index comes every second. One that is older than this is not that of now."""


class StrategyContext:
    """Read-only; what one strategy sees. `now` is the time of the message at hand, in milliseconds."""

    def __init__(self, state: EngineState, strategy: str, limits: RiskLimits | None = None) -> None:
        self._state = state
        self._strategy = strategy
        self._limits = limits or RiskLimits()

    @property
    def now(self) -> Ts:
        return self._state.now

    @property
    def tickers(self) -> list[str]:
        """The markets this run trades."""
        return list(self._state.books)

    def book(self, ticker: str) -> OrderBook:
        """The book, usable or not; an empty unusable one for a market that is not traded here."""
        return self._state.books.get(ticker) or OrderBook(ticker)

    def market(self, ticker: str) -> Market | None:
        return self._state.markets.get(ticker)

    def position(self, ticker: str) -> Qty:
        """What this strategy holds, signed; positions of other strategies and of people are not its business.

        What its orders traded counts from the reply on, also while the fills themselves are still on their way. What
        others closed or settled of it counts no more.
        """
        return self._state.owned(ticker, self._strategy)

    def cost(self, ticker: str) -> Money | None:
        """What this strategy paid for what it holds there, without fees; None while a fill of it is on its way.

        Of what others closed, its share of the cost is gone.
        """
        ledger, held = self._state.by_strategy.get(self._strategy), abs(self.position(ticker))
        numbers = [each.subaccount for each in ledger.holdings(ticker)] if ledger is not None else []
        holdings = [self._state.share(ticker, self._strategy, number) for number in numbers]
        qty = sum(abs(position.qty) for position in holdings)
        return None if held > qty else Money(-(-sum(position.cost for position in holdings) * held // max(1, qty)))

    def orders(self, ticker: str | None = None) -> list[Order]:
        """Live orders of this strategy."""
        return [order for order in self._state.orders.live(ticker) if order.strategy == self._strategy]

    def reference(self, ticker: str) -> int | None:
        """The outside index behind the market in ten-thousandths of a dollar; None where there is no young one."""
        found = self._state.indexes.get(self._state.index_of(ticker) or "")
        return found.value if found is not None and _is_young(found, self.now, INDEX_MS) else None

    def spot(self, symbol: str, within_s: float) -> int | None:
        """The outside price of a coin in ten-thousandths of a dollar; None where there is none so young."""
        found = self._state.spots.get(symbol)
        return found.price if found is not None and _is_young(found, self.now, within_s * 1000) else None

    def fair(self, ticker: str) -> Price | None:
        """What an outside model believes the market to be worth; None where none does, or not any more."""
        found = self._state.fairs.get(ticker)
        is_over = found is None or (found.until is not None and self.now > found.until)
        return None if found is None or is_over or found.ts - self.now > AHEAD_MS else found.fair

    def family(self, ticker: str) -> Family:
        """The event and series of a market, and whether at most one market of the event settles YES."""
        market = self._state.markets.get(ticker)
        return self._state.family(market.event_ticker if market is not None else "")

    def siblings(self, ticker: str) -> list[str]:
        """The markets of the same event that this run trades, with itself, in the order of their tickers."""
        market = self._state.markets.get(ticker)
        if market is None:
            return []
        same = (other.ticker for other in self._state.markets.values() if other.event_ticker == market.event_ticker)
        return sorted(same)

    def fees(self, ticker: str) -> FeeSchedule:
        """How the market charges, for `core.fees.estimate`."""
        return self._state.fees.get(ticker, FeeSchedule())

    @property
    def cash(self) -> Money | None:
        """The balance of the account, whichever strategy it is for; None while nobody has read it."""
        return self._state.cash

    def size(self, ticker: str, side: Side, price: Price, fair: Price | None, fixed: Qty) -> Qty:
        """How many contracts an order that opens shall be for, 0 for none: `fixed` where nothing else is configured.

        Elsewhere a share of the balance, or of the strategy's budget where that is less; see `core/account/sizing.py`.
        """
        limits, cash = self._limits, self.cash
        allotment = limits.allotments.get(self._strategy, NO_ALLOTMENT)
        return order_size(
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

    def snap(self, ticker: str, side: Side, price: int) -> Price | None:
        """The nearest valid price that is no worse: bids down, asks up."""
        market = self._state.markets.get(ticker)
        return market.grid.snap(side, Price(price)) if market is not None else None


def _is_young(heard: Message, now: Ts, within_ms: float) -> bool:
    return -AHEAD_MS <= now - heard.ts <= within_ms
