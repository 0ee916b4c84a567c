"""A test harness that plays order books, trades and time to a strategy.

    tape = StrategyHarness(Fade(FadeParams()))
    (order,) = submitted_orders(tape.book(bid=17, ask=19))


Engine and fills are those of a backtest. No limits apply unless given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, Message, PublicTrade, ReferencePrice, Tick
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.services.runner import process_messages
from kalshi_cli.simulator.paper.venue import PaperVenue
from kalshi_cli.strategies.base import Strategy

T0 = Ts(1_780_000_000_000)
"""The start of a harness, in milliseconds UTC."""
TICKER = "KXA-1"
"""The market of a harness that is given no others."""
NO_LIMITS = RiskLimits(
    max_position=None,
    max_exposure=None,
    max_order_qty=None,
    max_order_cost=None,
    price_collar=None,
    max_orders_per_minute=None,
    min_edge=None,
    max_book_age_ms=None,
)


def market(ticker: str = TICKER, **changes: Any) -> Market:
    """Return an active market of the event KXA with whole-cent prices that closes a day after the start.

    `changes` replace its fields.
    """
    fields: dict[str, Any] = {
        "ticker": ticker,
        "event_ticker": "KXA",
        "title": "Will it?",
        "status": MarketStatus.ACTIVE,
        "grid": CENT_GRID,
        "yes_bid": None,
        "yes_bid_size": Qty(0),
        "yes_ask": None,
        "yes_ask_size": Qty(0),
        "last": None,
        "volume": Qty(0),
        "volume_24h": Qty(0),
        "open_interest": Qty(0),
        "open_time": Ts(T0 - 1_000),
        "close_time": Ts(T0 + 86_400_000),
    }
    return Market(**(fields | changes))


class StrategyHarness:
    """A harness that plays messages to strategies. `at` is in seconds since the start.

    It has the market KXA-1, or the given `markets`: `StrategyHarness(strategy, markets=[market(), market("KXA-2")])`.
    `effects` lists everything that the engine requested so far. With `are_own_in_books` the books that you play have
    own orders, as in live trading; otherwise they have none, as in a backtest.
    """

    def __init__(
        self,
        *strategies: Strategy,
        limits: RiskLimits = NO_LIMITS,
        latency_ms: int = 0,
        are_own_in_books: bool = False,
        markets: Sequence[Market] = (),
    ) -> None:
        ids = count(1)
        self.at = 0.0
        self.effects: list[Effect] = []
        references = {"KXA": "BRTI"}
        markets = markets or [market()]
        state = EngineState(markets=markets, references=references, are_own_in_books=are_own_in_books, now=T0)
        self.engine = TradingEngine(state, limits, strategies, new_id=lambda: f"c{next(ids)}", order_expiry_s=None)
        self.venue = PaperVenue(
            cash=dollars(10_000),
            fees=lambda _: FeeSchedule(),
            new_id=lambda: f"v{next(ids)}",
            latency_ms=latency_ms,
        )

    def recall(self, orders: Iterable[Order] = (), fills: Iterable[Fill] = ()) -> None:
        """Restore orders and fills of an earlier run."""
        self.engine.recall(orders, fills)

    def record(self, effect: Effect) -> None:
        """Record an effect; the runner calls this."""
        self.effects.append(effect)

    def play(self, message: Message) -> list[Effect]:
        """Play a message of `kalshi_cli.core.model.messages`; return its effects and those of all that followed."""
        before = len(self.effects)
        process_messages((*self.venue.observe(message), message), self.engine, self.venue, self)
        return self.effects[before:]

    @property
    def now(self) -> Ts:
        """Return the current time, in milliseconds UTC."""
        return Ts(T0 + int(self.at * 1000))

    def book(
        self,
        bid: int | None = None,
        ask: int | None = None,
        *,
        after: float = 1.0,
        size: int = 100,
        bids: Sequence[tuple[int, int]] = (),
        asks: Sequence[tuple[int, int]] = (),
        ticker: str = TICKER,
    ) -> list[Effect]:
        """Play an order book `after` seconds, in cents and contracts.

        `bid` and `ask` are one level of `size` contracts each; `bids` and `asks` more levels: [(40, 100), (39, 250)].
        """
        self.at += after
        sides = ([*([] if at is None else [(at, size)]), *more] for at, more in ((bid, bids), (ask, asks)))
        yes, no = (tuple((_price(at), _count(qty)) for at, qty in side) for side in sides)
        if yes and no and max(yes)[0] >= min(no)[0]:
            raise UsageError(
                f"A bid of {max(yes)[0] / 100:g}c and an ask of {min(no)[0] / 100:g}c would trade with each other",
                hint="play a book whose best bid is below its best ask",
            )
        return self.play(BookSnapshot(self.now, self._known(ticker), yes, no))

    def trade(self, at_price: int, qty: int, taker: Side, *, ticker: str = TICKER) -> list[Effect]:
        """Play a public trade in cents and contracts by a taker. It may fill resting orders."""
        name = f"p{len(self.effects)}-{self.at}"
        return self.play(PublicTrade(self.now, self._known(ticker), name, _price(at_price), _count(qty), taker))

    def tick(self, after: float = 1.0) -> list[Effect]:
        """Let time pass, in seconds."""
        self.at += after
        return self.play(Tick(self.now))

    def index(self, value: int) -> list[Effect]:
        """Play a value of the reference index, in ten-thousandths of a dollar."""
        return self.play(ReferencePrice(self.now, "BRTI", value))

    @property
    def position(self) -> Qty:
        """Return the signed position in KXA-1, in hundredths of a contract."""
        return self.position_in(TICKER)

    def position_in(self, ticker: str) -> Qty:
        """Return the signed position in a market, in hundredths of a contract."""
        return self.engine.state.ledger.position(self._known(ticker)).qty

    def _known(self, ticker: str) -> str:
        """Return the ticker. UsageError for a market that the harness does not have."""
        if ticker not in self.engine.state.markets:
            hint = f'create it with `StrategyHarness(strategy, markets=[market(), market("{ticker}")])`'
            raise UsageError(f"The harness has no market {ticker}", hint=hint)
        return ticker


def _price(given: int) -> Price:
    """Return a price of a book or trade. UsageError for one that the market of the harness cannot have."""
    if type(given) is not int or not 1 <= given <= 99:
        hint = "prices of the harness are whole cents: tape.book(bid=17, ask=19)"
        raise UsageError(f"{given!r:.40} is not a price from 1 to 99 cents", hint=hint)
    return cents(given)


def _count(given: int) -> Qty:
    """Return the contracts of a level or trade. UsageError for none."""
    count = contracts(given)
    if count <= 0:
        raise UsageError(
            f"{given!r:.40} is not a number of contracts", hint="use 1 or more: tape.book(bid=17, size=10)"
        )
    return count


def submitted_orders(effects: Iterable[Effect]) -> list[Order]:
    """Return the submitted orders."""
    return [effect.order for effect in effects if isinstance(effect, SubmitOrder)]


def amended_orders(effects: Iterable[Effect]) -> list[Order]:
    """Return the orders as the amends want them."""
    return [effect.wanted for effect in effects if isinstance(effect, AmendOrder)]


def cancel_reasons(effects: Iterable[Effect]) -> list[str]:
    """Return the reasons of the cancels."""
    return [effect.reason for effect in effects if isinstance(effect, CancelOrder)]


def refused_requests(effects: Iterable[Effect]) -> list[OrderRefused]:
    """Return the refusals of requests, with `code` and `detail`."""
    return [effect for effect in effects if isinstance(effect, OrderRefused)]
