"""Whether an order that opens anything was allowed to leave: the limits of the program, by the exchange's own records.

What nobody here can know when an order is decided is allowed for:

- what other programs place on the account, and copies of an order that the network made (`slack`, for good: what it
  traded stays; in the budget of its strategy a copy is left out, and only until a read can have shown it: from then on
  it is one of the strategy's orders);
- a hedge that is gone since the loop began this step, because a person closed it, and a market that was settled: only
  where one market of an event pays for another, so only in exclusive events, and in categories with one;
- a strategy's own fills where others trade in the same market (`limits.budget_used`);
- a state file that was lost takes with it whose an order was, and the orders of the last minute.

A rate is counted at the moments of the decisions: an order may wait in the program, for the pace or for a reply to
another one, but it is not decided again.
"""

from __future__ import annotations

from collections import deque

import msgspec

from kalshi_cli.base.units import Qty, Ts, parse_price, parse_qty
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from verification import limits as reckoned
from verification.limits import Open, Slack
from verification.simulate.exchange import ME
from verification.simulate.sent import Sent
from verification.simulate.stage import Stage

MINUTE_MS = 60_000


class Admission:
    """Of one session, over all its processes."""

    def __init__(self, stage: Stage, limits: RiskLimits) -> None:
        self._stage = stage
        self._limits = limits
        self._owners: dict[str, str] = {}
        self._decided: dict[str, Ts] = {}
        self._asked: set[str] = set()
        self._last_guarded: Order | None = None
        self._rate: deque[Ts] = deque()
        self._is_unhedged = False

    def decided(
        self, effect: SubmitOrder, untold: frozenset[str], engine: TradingEngine | None, *, is_guarded: bool
    ) -> list[str]:
        """It is on file: whose it is, and when it was decided. `engine` is the loop's. `is_guarded`: API_GUARD holds.

        `untold` are the exchange ids of orders that the network made and no reply told of, until the stream or a read
        showed them.
        """
        order = effect.order
        self._owners[order.client_order_id] = order.strategy
        self._decided[order.client_order_id] = order.created
        if not order.strategy:
            return []
        return self._closes_nothing_of_others(effect, untold) + self._backs_off(order, engine, is_guarded=is_guarded)

    def _closes_nothing_of_others(self, effect: SubmitOrder, untold: frozenset[str]) -> list[str]:
        """What only reduces, and all while trading only reduces, closes what its strategy holds itself.

        What the untold orders did counts where it leaves the strategy more to close, and not where it leaves less: of
        each the program may know or not.
        """
        order, exchange = effect.order, self._stage.exchange
        wanted = Open("", order.ticker, order.side, order.price, order.qty, order.strategy)
        held = reckoned.own_held(exchange, ME, wanted, self._owners, untold)
        is_reducing = effect.reviewed is TradingState.REDUCING
        if is_reducing and reckoned.opens_own(exchange, ME, wanted, self._owners, untold):
            return [f"I-HALT {order.strategy} holds {held} and sends {wanted} while trading only reduces"]
        if order.reduce_only and held is not None and held * order.side.sign >= 0:
            return [f"I-RISK {order.strategy} holds {held}, and would reduce what others hold with {wanted}"]
        return []

    def _backs_off(self, order: Order, engine: TradingEngine | None, *, is_guarded: bool) -> list[str]:
        """Under API_GUARD a second after the last order of any strategy, and two where that got no answer."""
        last, self._last_guarded = self._last_guarded, order if is_guarded else None
        if last is None or engine is None or not is_guarded:
            return []
        known = engine.state.orders.get(last.client_order_id)
        is_open = known is not None and known.status in (OrderStatus.SUBMITTED, OrderStatus.UNKNOWN)
        gap = order.created - last.created
        if 0 <= gap < (2_000 if is_open else 1_000):
            return [f"F05 {order.client_order_id} is decided {gap} ms after another, under API_GUARD"]
        return []

    def step(self) -> None:
        """The loop looks anew: what others closed before now it can know."""
        self._is_unhedged = False

    def closed(self) -> None:
        """A person closed something."""
        self._is_unhedged = True

    def forget(self) -> None:
        """The state file is gone, or an old one."""
        self._owners.clear()
        self._rate.clear()

    def leaves(self, sent: Sent, slack: Slack) -> list[str]:
        """Orders or an amend are about to leave for the exchange."""
        found = []
        for name, wanted in self._wanted(sent):
            found += self._objections(name, wanted, slack)
        return found

    def _wanted(self, sent: Sent) -> list[tuple[str, Open]]:
        """Under their client order ids. What only reduces is none: the exchange itself keeps it from opening."""
        if not sent.names and not sent.path.endswith("/amend"):
            return []
        body = msgspec.json.decode(sent.request.read())
        if sent.names:
            creates = [each for each in body.get("orders", [body]) if not each.get("reduce_only")]
            return [(each["client_order_id"], self._open(each, parse_qty(each["count"]))) for each in creates]
        order = self._stage.exchange._state.live.get(sent.path.split("/")[-2])
        if order is None:
            return []
        left = Qty(parse_qty(body["count"]) - order.filled)
        known = body | {"client_order_id": order.client_order_id}
        return [(order.client_order_id, self._open(known, left)._replace(order_id=order.order_id))]

    def _open(self, body: dict[str, str], left: Qty) -> Open:
        owner = self._owners.get(body["client_order_id"], "")
        return Open("", body["ticker"], Side(body["side"]), parse_price(body["price"]), left, owner)

    def _objections(self, name: str, wanted: Open, slack: Slack) -> list[str]:
        exchange, limits = self._stage.exchange, self._limits
        now = self._stage.clock.now()
        decided = now if wanted.order_id else self._decided.get(name, now)
        if self._is_unhedged or self._has_lost_a_leg(wanted.ticker):
            limits = msgspec.structs.replace(limits, max_event_exposure=None, max_category_exposure=None)
        found = reckoned.objections(exchange, ME, limits, wanted, decided, self._owners, slack)
        if not wanted.order_id and name not in self._asked and reckoned.opens(exchange, ME, wanted, self._owners):
            found += self._pace(decided, slack)
        self._asked.add(name)
        return found

    def _has_lost_a_leg(self, ticker: str) -> bool:
        """A market settled, and others may have lost what paid for them. The account hears of that later."""
        state = self._stage.exchange._state
        is_exclusive = state.events[state.markets[ticker].spec.event_ticker].mutually_exclusive
        return is_exclusive and any(market.settled is not None for market in state.markets.values())

    def _pace(self, decided: Ts, slack: Slack) -> list[str]:
        """Closes may always go. A clock that is set back finds the orders that it knew before, as the program does."""
        limit = self._limits.max_orders_per_minute
        while self._rate and self._rate[0] <= decided - MINUTE_MS:
            self._rate.popleft()
        self._rate.append(decided)
        if limit is None or len(self._rate) <= limit + slack.orders:
            return []
        return [f"I-RISK {len(self._rate)} orders that open within a minute, the limit is {limit} (+{slack.orders})"]
