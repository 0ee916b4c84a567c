"""All other participants: makers, takers, other tools of the same account."""

from __future__ import annotations

import random

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.model.records import BookChange, BookCleared, Happening, OrderRecord
from verification.invariants import BookHistory, Levels
from verification.simulate.checker import Checker
from verification.simulate.exchange import ME, TICKERS
from verification.simulate.stage import Stage


class World:
    """Moves the markets until it is told to be quiet."""

    def __init__(self, stage: Stage, checker: Checker, history: BookHistory, dice: random.Random) -> None:
        self._stage = stage
        self._checker = checker
        self._history = history
        self._dice = dice
        self._mids = {ticker: dice.randint(30, 70) for ticker in TICKERS}
        self._rebuilt: dict[str, dict[Side, dict[Price, int]]] = {ticker: {BID: {}, ASK: {}} for ticker in TICKERS}
        self.is_quiet = False
        self._listen()
        for ticker in TICKERS:
            self._quote(ticker)

    # -- what the books were ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Rebuild every book from what happened, apart from whoever else does."""
        hub = self._stage.exchange._hub
        publish = hub.publish

        def heard(happened: list[Happening], now: Ts) -> bool:
            for item in happened:
                if isinstance(item, BookChange):
                    self._change(item, now)
                elif isinstance(item, BookCleared):
                    self._rebuilt[item.ticker] = {BID: {}, ASK: {}}
                    self._history.put(item.ticker, ((), ()), now)
            self._checker.touch()
            return publish(happened, now)

        hub.publish = heard  # type: ignore[method-assign]
        for ticker in TICKERS:
            self._history.put(ticker, ((), ()), self._stage.timeline.now())

    def _change(self, change: BookChange, now: Ts) -> None:
        side = self._rebuilt[change.ticker][change.side]
        left = side.get(change.price, 0) + change.delta
        if left:
            side[change.price] = left
        else:
            side.pop(change.price, None)
        self._history.put(change.ticker, self.levels(change.ticker), now)

    def levels(self, ticker: str) -> Levels:
        """The book as rebuilt here."""
        book = self._rebuilt[ticker]
        bids = tuple((price, Qty(book[BID][price])) for price in sorted(book[BID], reverse=True))
        asks = tuple((price, Qty(book[ASK][price])) for price in sorted(book[ASK]))
        return bids, asks

    # -- what the others do -----------------------------------------------------------------------------------------

    def live(self) -> None:
        """One act of somebody, and the appointment for the next."""
        if not self.is_quiet:
            self._stage.timeline.after(self._dice.uniform(0.4, 2.4), self.live)
            self.act()
            self._stage.exchange.advance(self._stage.timeline.now())

    def act(self) -> None:
        """Somebody does something."""
        stage, dice = self._stage, self._dice
        ticker = dice.choice(TICKERS)
        if stage.exchange.status(ticker) is not MarketStatus.ACTIVE:
            return
        act = dice.random()
        if act < 0.45:
            self._mids[ticker] = max(8, min(92, self._mids[ticker] + dice.choice((-3, -2, -1, 0, 1, 2, 3))))
            self._quote(ticker)
        elif act < 0.7:
            self._take(ticker, dice.choice((BID, ASK)), dice.randint(1, 30))
        elif act < 0.9:
            self.take_ours(ticker)
        elif stage.plan.has_others:
            self.other_program(ticker)

    def _submit(self, who: str, order: NewOrder) -> OrderReceipt | None:
        stage = self._stage
        receipt = stage.exchange.submit(who, order, stage.timeline.next_ms())
        return receipt if isinstance(receipt, OrderReceipt) else None

    def _quote(self, ticker: str) -> None:
        stage, dice, mid = self._stage, self._dice, self._mids[ticker]
        stage.exchange.cancel_all("maker", stage.timeline.now(), ticker)
        half = dice.choice((1, 2, 2, 3))
        for step in range(2):
            qty = contracts(dice.randint(3, 40))
            for side in (BID, ASK):
                price = mid - side.sign * (half + step)
                if 0 < price < 100:
                    self._submit("maker", NewOrder(ticker=ticker, side=side, price=cents(price), qty=qty))

    def thin_out(self, ticker: str, side: Side) -> None:
        """The maker's quotes go; on this side one contract stays near, and many further away."""
        self._stage.exchange.cancel_all("maker", self._stage.timeline.now(), ticker)
        for away, count in ((2, 1), (10, 100)):
            price = self._mids[ticker] - side.sign * away
            if 0 < price < 100:
                self._submit("maker", NewOrder(ticker=ticker, side=side, price=cents(price), qty=contracts(count)))

    def _take(self, ticker: str, side: Side, qty: int) -> None:
        price = self._mids[ticker] + side.sign * 3
        if 0 < price < 100:
            order = NewOrder(ticker=ticker, side=side, price=cents(price), qty=contracts(qty), tif=TimeInForce.IOC)
            self._submit("bob", order)

    def take_ours(self, ticker: str) -> None:
        """Somebody meets an order of the account: all of it or a part."""
        orders = list(self._stage.exchange._state.members[ME].orders(ticker))
        if orders:
            self.meet(self._dice.choice(orders), self._dice.choice((1.0, 0.5, 0.2)))

    def meet(self, order: OrderRecord, share: float) -> bool:
        """Trade with this order through whatever is better; whether any of it traded."""
        before = order.filled
        better = sum(
            qty
            for price, qty in self._stage.exchange.levels(order.ticker, order.side)
            if (price - order.price) * order.side.sign >= 0
        )
        mine = max(1, int(order.remaining * share))
        qty = Qty(better - order.remaining + mine) if share < 1 else Qty(better)
        crossing = NewOrder(
            ticker=order.ticker, side=order.side.opposite, price=order.price, qty=Qty(max(1, qty)), tif=TimeInForce.IOC
        )
        self._submit("bob", crossing)
        return order.filled > before

    def other_program(self, ticker: str) -> None:
        """The web site, or another tool of the account's: it knows nothing of this program."""
        stage, dice = self._stage, self._dice
        resting = [order for order in stage.exchange._state.members[ME].orders() if order.client_order_id == ""]
        if resting and dice.random() < 0.5:
            stage.exchange.cancel(ME, dice.choice(resting).order_id, stage.timeline.now())
            return
        side = dice.choice((BID, ASK))
        price = cents(max(1, min(99, self._mids[ticker] + side.sign * dice.choice((-4, -2, 3)))))
        qty = contracts(dice.randint(1, 3))
        if self._submit(ME, NewOrder(ticker=ticker, side=side, price=price, qty=qty)) is not None:
            leg = price if side is BID else 10_000 - price
            self._checker.excuse(leg * qty, qty)
            self._checker.others_placed += 1
            stage.hit("F26")
