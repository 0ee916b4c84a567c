"""The exchange of one run: served, observed from inside, moved by other traders, reached through a proxy."""

from __future__ import annotations

import json
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import served
from support.fault_proxy import Answer, FaultProxy, fault_proxy
from support.served import ME, TWO_SIDED, Served

from kalshi_cli.base.units import Price, Qty, Ts, contracts
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.simulator.model.listing import NewOrder
from kalshi_cli.simulator.protocol.replies import Request, Response

served.SPECS = Path("-")  # holding every answer against the specification takes longer than the rest of a run

MARKETS = (TWO_SIDED, served.FINE)
MOST_HELD = contracts(15)
EXPIRY_S = 20.0
JUMP_S = 75.0
"""So long after a crash every order of the loop is over, and what never arrived is proven not to be there."""

CREATE, CANCEL = "/portfolio/events/orders", "/portfolio/events/orders/"
CREATES = (CREATE, CREATE + "/batched")

_CONFIG = f"""
risk:
  max_position: {MOST_HELD // 100}
  max_order_count: 6
  max_orders_per_minute: 100000
  min_edge: null
trade:
  order_expiry_s: {EXPIRY_S:g}
  stop_budget_s: 3
exchange:
  connect_timeout_s: 1
  read_timeout_s: 2
  total_timeout_s: 3
"""

_BUSY = """
import random
from kalshi_cli.core.model.intents import Cancel, Place
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.base.units import cents, contracts


class Busy(Strategy):
    name = "busy"

    def __init__(self, params):
        super().__init__(params)
        self.dice = random.Random({seed})

    def on_book(self, view, ticker):
        yield from self.act(view, ticker)

    def on_fill(self, view, fill):
        yield from self.act(view, fill.ticker)

    def on_tick(self, view):
        for ticker in view.tickers:
            yield from self.act(view, ticker)

    def act(self, view, ticker):
        dice, mine, book = self.dice, view.orders(ticker), view.book(ticker)
        if mine and dice.random() < 0.35:
            yield Cancel(dice.choice(mine).client_order_id, "tired of it")
        if len(mine) > 4 or not book.is_usable or None in (book.best_bid, book.best_ask):
            return
        side = dice.choice((BID, ASK))
        taking = dice.random() < 0.3
        touch = book.best_ask if (side is BID) is taking else book.best_bid
        price = view.snap(ticker, side, touch if taking else touch - side.sign * dice.choice((0, 0, 50, 100)))
        if price is None:
            return
        fair = price + side.sign * cents(2)
        tif = TimeInForce.IOC if taking and dice.random() < 0.5 else TimeInForce.GTC
        yield Place(ticker, side, price, contracts(dice.randint(1, 3)), fair=fair, reason="busy", tif=tif)
"""


class _Watched(list[Answer]):
    """The proxy's list of answers. Whoever watches hears of one before the client gets it."""

    watch: Callable[[Answer], None] = staticmethod(lambda _answer: None)

    def append(self, answer: Answer) -> None:
        super().append(answer)
        self.watch(answer)


class Stage:
    """One exchange and one home for the program. What it sees of the program's requests it checks at once."""

    def __init__(self, home: Path, dice: random.Random) -> None:
        self.home = home
        self.dice = dice
        self.served = Served(home)
        self.exchange = self.served.exchange
        self.violations: list[str] = []
        self.created: Counter[str] = Counter()
        """How many creates reached the exchange, by client order id."""
        self.asked: list[tuple[str, str]] = []
        """Every request that reached the exchange: method and path."""
        self.proxy: FaultProxy
        self.answers = _Watched()
        self._handle = self.exchange.handle
        self.exchange.handle = self._watch  # type: ignore[method-assign]
        (home / "busy.py").write_text(_BUSY.replace("{seed}", str(dice.randrange(1 << 30))))
        (home / "config.yaml").write_text(_CONFIG)
        self.ahead.write_bytes(struct.pack("d", 0.0))
        self.start_cash = self.exchange.cash(ME)

    @property
    def ahead(self) -> Path:
        """Where the program reads how far this run is ahead of the machine's clock."""
        return self.home / "ahead"

    @property
    def state(self) -> Path:
        return self.served.state / "sim" / "state.db"

    @property
    def variables(self) -> dict[str, str]:
        """Those of somebody who reaches the exchange by way of the proxy."""
        rest_url, ws_url = (self.proxy.moved(url) for url in (self.served.server.rest_url, self.served.server.ws_url))
        return self.served.variables(rest_url, ws_url) | {"KALSHI_CONFIG": str(self.home / "config.yaml")}

    def jump(self, seconds: float = JUMP_S) -> None:
        """Time passes, for the exchange and for the program, whoever runs."""
        self.served.clock.shift_s += seconds
        with self.ahead.open("r+b") as file:
            file.write(struct.pack("d", self.served.clock.shift_s))
        self.served.call(lambda: self.exchange.advance(self.now))

    @property
    def now(self) -> Ts:
        return self.served.clock.now()

    # -- what others do ---------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """Somebody else trades: against our orders, or beside them, so that the book moves."""
        self.served.call(self._stir)

    def _stir(self) -> None:
        dice, now = self.dice, self.now
        mine = self.exchange.resting(ME)
        if mine and dice.random() < 0.5:
            order_id, side, price, remaining = dice.choice(mine)
            ticker = self.exchange._state.live[order_id].ticker
            against, qty = (ASK if side is BID else BID), Qty(dice.choice((remaining, max(100, remaining // 2))))
            taking = NewOrder(ticker=ticker, side=against, price=price, qty=qty, tif=TimeInForce.IOC)
            self.exchange.submit("maker", taking, now)
            return
        ticker = dice.choice(MARKETS)
        for order_id, *_ in self.exchange.resting("maker", ticker)[4:]:
            self.exchange.cancel("maker", order_id, now)
        bid, ask = (4500, 4600) if ticker == TWO_SIDED else (320, 330)
        side = dice.choice((BID, ASK))
        price = Price((bid if side is BID else ask) + dice.choice((0, -10, 10)) * (10 if ticker == TWO_SIDED else 1))
        self.exchange.submit("maker", NewOrder(ticker=ticker, side=side, price=price, qty=contracts(2)), now)

    # -- what is checked on the way, by the exchange's books ----------------------------------------------------------

    def _watch(self, request: Request, now: Ts) -> Response:
        response = self._handle(request, now)
        path = request.path.removeprefix("/trade-api/v2")
        self.asked.append((request.method, path))
        if request.method == "POST" and path in CREATES:
            body = json.loads(request.body)
            if response.status != 429:
                self.created.update(each["client_order_id"] for each in body.get("orders", [body]))
            self._check_limits()
        return response

    def _check_limits(self) -> None:
        """The worst case of what is held and what rests, in every market, as the exchange has it."""
        for ticker in MARKETS:
            held = self.exchange.position(ME, ticker)
            orders = self.exchange.resting(ME, ticker)
            longest = held + sum(left for _, side, _, left in orders if side is BID)
            shortest = -held + sum(left for _, side, _, left in orders if side is ASK)
            if max(longest, shortest) > MOST_HELD:
                self.violations.append(f"limit: {ticker} could come to {longest}/{-shortest}, allowed {MOST_HELD}")


@contextmanager
def staged(home: Path, dice: random.Random) -> Iterator[Stage]:
    """The exchange, answering, and the proxy in front of it."""
    stage = Stage(home, dice)
    stage.served.server.start()
    try:
        with fault_proxy(stage.served.server.rest_url) as proxy:
            proxy.answers = stage.answers
            stage.proxy = proxy
            yield stage
    finally:
        stage.served.server.stop()


def words(kind: str, dice: random.Random, home: Path) -> list[str]:
    """A command line that trades."""
    if kind in ("trade", "migrate"):
        return ["trade", "--strategy", "./busy.py:Busy", "--ticker", ",".join(MARKETS), "--interval", "0.1s", "--json"]
    if kind == "place":
        return ["order", "place", *_typed(dice), "--json"]
    if kind == "batch":
        lines = [_ticket(dice) for _ in range(4)]
        (home / "orders.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ["order", "batch", "orders.ndjson", "--json"]
    return ["cancel-all", "--within", "10s", "--json"]


def _ticket(dice: random.Random) -> dict[str, Any]:
    price = dice.choice(("0.44", "0.43", "0.45", "0.47"))
    return {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": dice.randint(1, 3), "price": price}


def _typed(dice: random.Random) -> list[str]:
    ticket = _ticket(dice)
    return [
        ticket["ticker"], "--side", "yes", "--action", "buy",
        "--count", str(ticket["count"]), "--price", ticket["price"],
    ]  # fmt: skip
