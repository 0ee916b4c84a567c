"""What a run gained, and which strategy gained it."""

from __future__ import annotations

from collections.abc import Iterable

from kalshi_cli.base.units import Money, Price, Qty
from kalshi_cli.core.account.ledger import Ledger, Position
from kalshi_cli.core.account.pnl import ProfitAndLoss
from kalshi_cli.core.account.sizing import NO_ALLOTMENT
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.risk.budget import at_risk
from kalshi_cli.core.state.state import mark
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.runs import StrategyPartRow


class StrategyResults:
    """What a run gained since it began, from the engine's ledger; a position without a price counts at cost.

    What it began with in markets that are not its own has no price yet: it counts from the first one that is known.
    Else a run would have lost what was lost before it.
    """

    def __init__(self, engine: TradingEngine) -> None:
        self._engine = engine
        self._start = self._now(engine.state.ledger)
        self._start_of = {name: self._now(self._own(name)) for name in engine.strategies}
        self._unpriced = {
            position.ticker: {name: [*self._own(name).holdings(position.ticker)] for name in engine.strategies}
            | {UNOWNED_STRATEGY: [*engine.state.ledger.holdings(position.ticker)]}
            for position in engine.state.ledger.positions.values()
            if position.qty and self._price(position.ticker) is None
        }

    def gained(self) -> ProfitAndLoss:
        self._price_the_start()
        return _less(self._now(self._engine.state.ledger), self._start)

    def parts(self) -> tuple[StrategyPartRow, ...]:
        """By strategy, in the order in which they are asked, and then all others where they gained or lost anything."""
        self._price_the_start()
        by_name = {name: _less(self._now(self._own(name)), start) for name, start in self._start_of.items()}
        rest = self.gained()
        for part in by_name.values():
            rest = _less(rest, part)
        found = [self._part(name, gained) for name, gained in by_name.items()]
        return (*found, self._part(UNOWNED_STRATEGY, rest)) if rest.net or rest.fees else tuple(found)

    def unrealized(self) -> Money:
        """What is open now, against what it cost."""
        self._price_the_start()
        return self._now(self._engine.state.ledger).unrealized

    def _own(self, strategy: str) -> Ledger:
        return self._engine.state.by_strategy.get(strategy) or Ledger()

    def _price_the_start(self) -> None:
        for ticker in [ticker for ticker in self._unpriced if self._price(ticker) is not None]:
            for name, held in self._unpriced.pop(ticker).items():
                before = ProfitAndLoss(Money(0), self._open(held), Money(0))
                if name == UNOWNED_STRATEGY:
                    self._start = _sum(self._start, before)
                else:
                    self._start_of[name] = _sum(self._start_of[name], before)

    def _price(self, ticker: str) -> Price | None:
        """One price for a market, whoever holds it: else the parts would not add up to the whole."""
        state = self._engine.state
        of_all = sum(each.qty for each in state.ledger.holdings(ticker))
        return mark(state.books.get(ticker), state.seen(ticker), Qty(of_all))

    def _open(self, positions: Iterable[Position]) -> Money:
        """What these are worth now, against what they cost."""
        return Money(sum(each.unrealized(self._price(each.ticker)) or 0 for each in positions if each.qty))

    def _now(self, ledger: Ledger) -> ProfitAndLoss:
        return ProfitAndLoss(ledger.realized, self._open(ledger.positions.values()), ledger.fees)

    def _part(self, strategy: str, gained: ProfitAndLoss) -> StrategyPartRow:
        engine = self._engine
        return StrategyPartRow(
            strategy=strategy,
            live_orders=sum(1 for order in engine.state.orders.live() if order.strategy == strategy),
            at_risk=at_risk(engine.state, strategy),
            budget=engine.limits.allotments.get(strategy, NO_ALLOTMENT).budget,
            realized=SignedMoney(gained.realized),
            unrealized=SignedMoney(gained.unrealized),
            fees=gained.fees,
            net=SignedMoney(gained.net),
        )


def _sum(one: ProfitAndLoss, other: ProfitAndLoss) -> ProfitAndLoss:
    return ProfitAndLoss(
        Money(one.realized + other.realized),
        Money(one.unrealized + other.unrealized),
        Money(one.fees + other.fees),
    )


def _less(one: ProfitAndLoss, other: ProfitAndLoss) -> ProfitAndLoss:
    return ProfitAndLoss(
        Money(one.realized - other.realized),
        Money(one.unrealized - other.unrealized),
        Money(one.fees - other.fees),
    )
