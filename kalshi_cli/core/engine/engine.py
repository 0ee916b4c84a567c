"""The trading engine: `step(message) -> effects`. It is pure; the runner performs the effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account import reconciliation
from kalshi_cli.core.account.closed_markets import ClosedMarket
from kalshi_cli.core.account.order_index import ids_of
from kalshi_cli.core.engine.book_validity import BookWatch
from kalshi_cli.core.engine.market_updates import MarketUpdates
from kalshi_cli.core.engine.order_group_watch import OrderGroupWatch
from kalshi_cli.core.engine.strategy_runner import StrategyProtocol, StrategyRunner, Watches
from kalshi_cli.core.engine.tally import RunCounters
from kalshi_cli.core.engine.unowned_fills import UnownedFills
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.effects import (
    AlertRaised,
    AmendOrder,
    CancelOrder,
    CloseOrder,
    Effect,
    FillBooked,
    OrderChanged,
    OrderRefused,
    SettlementBooked,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Amend, Cancel, Close, Intent, Place
from kalshi_cli.core.model.orders import DUPLICATE_ID, Fill, Order, was_never_sent
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.risk import review
from kalshi_cli.core.risk.exits import BLOCKED_BY_EXIT, ProtectiveExits
from kalshi_cli.core.risk.guards import Guards
from kalshi_cli.core.state import exchange_state
from kalshi_cli.core.state.back_off import back_off_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import MINUTE_MS, SentOrder
from kalshi_cli.core.state.state import EngineState

CANCEL_AGAIN_MS = 2_000
"""The time after which an unanswered cancel is sent again."""

_Verdict = TypeVar("_Verdict", bound=SubmitOrder | CloseOrder | AmendOrder | OrderRefused)

_ORDER_MESSAGES = (
    messages.OrderAccepted, messages.OrderRejected, messages.OrderUnknown, messages.OrderNeverArrived,
    messages.OrderState, messages.OrderCanceled, messages.CancelFailed, messages.AmendEnded,
)  # fmt: skip


class TradingEngine:
    """The engine of one account. `risk.review` checks every order, and every change of state is an effect."""

    def __init__(
        self,
        state: EngineState,
        limits: RiskLimits,
        strategies: Sequence[StrategyProtocol],
        *,
        new_id: Callable[[], str],
        order_expiry_s: float | None,
        on_file: Callable[[str], Order | None] = lambda _any_id: None,
        closed: Callable[[str], ClosedMarket | None] = lambda _ticker: None,
    ) -> None:
        """Create the engine; `on_file` finds an order, by either id, and `closed` a market only the state file has."""
        self.state = state
        self.limits = limits
        self.tally = RunCounters()
        self.is_starting = False
        """While true, no strategy is called, because the account has not been reconciled yet."""
        self.is_stopping = False
        self.disputed: tuple[Order, ...] = ()
        """Orders that the last account read contradicts without final proof."""
        self.hooks = StrategyRunner(state, limits, strategies, self._consider, self._withdraw, self._may_ask)
        state.strategies = self.hooks.names
        self._new_id = new_id
        self._order_expiry_s = order_expiry_s
        self._on_file = on_file
        self._closed = closed
        self._cancelling: dict[str, Ts] = {}
        self._repaired = state.orders.repaired
        self._book_watch = BookWatch(state, limits)
        self._is_account_unread = False
        self._drift = reconciliation.DriftWatch()
        self._groups = OrderGroupWatch(state)
        self._guards = Guards(state, limits, self._tighten, self._known)
        self.exits = ProtectiveExits(state, limits, self.hooks.names, self.place, self._cancel, self.hooks.hedged)
        self._unreported_fills: list[tuple[str, Fill]] | None = None
        self._unowned = UnownedFills()
        self._reactions: dict[type[messages.Message], Callable[[Any], list[Effect]]] = {
            **dict.fromkeys(_ORDER_MESSAGES, self._on_order),
            **MarketUpdates(state, self._book_watch, self.hooks, self._guards, self._look_at_exits).reactions,
            **exchange_state.exchange_reactions(state, self._cancelling.clear),
            messages.BookVerification: self._book_watch.check,
            messages.Tick: self._on_tick,
            messages.OrderRepaired: self._on_repaired,
            messages.ExternalOrders: self._on_external_orders,
            messages.Filled: self._on_filled,
            messages.Settled: self._on_settled,
            messages.GroupChange: self._groups.on_change,
            messages.AccountSnapshot: self._on_account,
            messages.AccountStale: self._on_account_unread,
            messages.ReadFailed: self._guards.unread,
            messages.StateCommand: self._on_command,
        }

    @property
    def cash(self) -> Money | None:
        """Return the account's cash balance; see `EngineState.cash`."""
        return self.state.cash

    @property
    def day_net(self) -> Money:
        """Return the P&L of the trading day with open positions, as the loss limit counts it."""
        return self._guards.day_net()

    @property
    def gained(self) -> Money | None:
        """Return the P&L since the first fill, as the drawdown counts it; None while a position has no price."""
        return self._guards.gained()

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the names of the strategies in calling order."""
        return tuple(self.hooks.names)

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the disabled strategies with their errors."""
        return tuple(f"{name}: {why}" for name, why in sorted(self.hooks.failed.items()))

    @property
    def watches(self) -> Watches | None:
        """Return the part of order books whose changes matter to the strategies and the exits; None for no part."""
        of_exits: Watches | None = None if not self.exits.are_used else "depth" if self.exits.sell else "price"
        return "depth" if of_exits == "depth" else self.hooks.watches or of_exits

    @property
    def due_books(self) -> set[str]:
        """Return the markets in which the next end of a group of changes matters, whatever changed in the book."""
        crossed = self._book_watch.crossed
        return self.hooks.due | crossed.keys() if crossed else self.hooks.due

    def _may_ask(self) -> bool:
        """Return whether strategies may be called."""
        return not (
            self.is_starting or self.is_stopping or self._is_account_unread or self.state.trading is TradingState.HALTED
        )

    def step(self, message: messages.Message) -> list[Effect]:
        """Process one message and return the effects.

        The message's time becomes "now". It never goes back, except by a Tick, so that one wild timestamp cannot freeze
        the clock.
        """
        if message.ts > self.state.now or type(message) is messages.Tick:
            self.state.now = message.ts
        react = self._reactions.get(type(message))
        effects = react(message) if react is not None else []
        if self._repaired:
            for before, after in self._repaired:
                self._cancelling.pop(before.order_id, None)
                effects = effects + reconciliation.repair_effects(before, after, self.state.now)
            self._repaired.clear()
        return effects

    def recall(self, orders: Iterable[Order], entries: Iterable[Fill | Settlement]) -> None:
        """Restore the content of the state file before the first message. No effects follow.

        Own orders come first: the stream may have reported one as foreign before its response arrived.
        """
        self._restore(orders, entries)
        self._guards.on_restored()

    def reopen(self, ticker: str) -> None:
        """Read the entries of a closed market again, before a booking there; no effects follow."""
        if self.state.ledger.has(ticker) or (market := self._closed(ticker)) is None:
            return
        self.state.carry(market.results, -1)
        known = self.state.orders
        new = (o for o in market.orders if not (known.get(o.client_order_id) or known.by_order_id(o.order_id)))
        self._restore(new, market.entries)
        self._guards.day.reopened(ticker)

    def _restore(self, orders: Iterable[Order], entries: Iterable[Fill | Settlement]) -> None:
        known = sorted(orders, key=lambda order: (order.is_foreign, order.created))
        named = {name: order for order in reversed(known) for name in (order.client_order_id, order.order_id) if name}
        """Includes the orders beyond the number that the registry remembers: their fills may still be open
        positions."""
        for order in known:
            if order.is_foreign:
                self.state.orders.adopt(order)
                continue
            self.state.orders.add(order)
            if order.created > self.state.now - MINUTE_MS:
                self.state.count_sent(SentOrder.of(order))  # a restart does not reset the order rate
        for entry in entries:
            if isinstance(entry, Settlement):
                self._settle(entry)
            elif self._book(entry):
                self.state.orders.apply(messages.Filled(entry.ts, entry))
                owner = self._owner(entry) or named.get(entry.client_order_id) or named.get(entry.order_id)
                if owner is None:
                    self._unowned.keep(entry)  # its order may be one of ours without a response
                elif owner.strategy:
                    self.state.record_own_fill(owner.strategy, entry)

    def _on_tick(self, _message: messages.Tick) -> list[Effect]:
        effects = self._guards.tick() + self._withdraw()
        for order, reason in self._book_watch.orders_to_cancel():
            effects += self._cancel(order, reason)
        effects += self._book_watch.tick() + self._look_at_exits()
        return effects + self.hooks.ask_all("on_tick")

    def _look_at_exits(self, ticker: str = "") -> list[Effect]:
        """Check the exits, also of failed strategies, unless strategies may not be called."""
        return self.exits.look(ticker) if self.exits.are_used and self._may_ask() else []

    def _consider(self, strategy: str, intent: Intent) -> list[Effect]:
        if isinstance(intent, Cancel):
            order = self.state.orders.get(intent.client_order_id)
            return self._cancel(order, intent.reason) if order is not None and order.strategy == strategy else []
        if isinstance(intent, Amend):
            before = self.state.orders.by_order_id(intent.order_id)
            if before is None or before.strategy != strategy or not self.exits.blocks_exit(before, intent):
                return [self.amend(intent, strategy)]
            return [self._denied(strategy, before.ticker, BLOCKED_BY_EXIT)]
        if not isinstance(intent, Place):
            raise TypeError(f"hooks yield or return Place, Amend or Cancel, not {type(intent).__name__} {intent!r:.40}")
        needs = intent.needs if isinstance(intent.needs, tuple) else ()
        belong = (intent, *(each for each in needs if isinstance(each, Place)))  # the review reports invalid needs
        asked = (self.exits.refusal_reason(strategy, each) for each in belong)
        objection = next((each for each in asked if each is not None), None)
        if objection is None:
            verdict = self.place(intent, strategy)
            is_met = isinstance(verdict, OrderRefused) and verdict.code == "SELF_CROSS" and intent.reduce_only
            return [verdict, *(self.exits.cancel_opposing_quotes(strategy, intent) if is_met else ())]
        return [self._denied(strategy, intent.ticker, objection)]

    def _denied(self, strategy: str, ticker: str, objection: tuple[str, str]) -> OrderRefused:
        return self._accept(OrderRefused(self.state.now, strategy, ticker, *objection))

    def place(self, intent: Place, strategy: str = "", client_order_id: str = "") -> SubmitOrder | OrderRefused:
        """Review an intent; if it passes, its order counts as live from now on. Orders of the user have no strategy."""
        client_order_id = client_order_id or self._new_id()
        expiry_s = self._order_expiry_s if strategy else None
        return self._accept(
            review.review(
                self.state, self.limits, intent, client_order_id=client_order_id, strategy=strategy, expiry_s=expiry_s
            )
        )

    def take_back(self, order: Order) -> None:
        """Release a reviewed order that was not sent, so that it no longer counts and may be placed later."""
        self.state.take_back(order)

    def close(self, intent: Close) -> CloseOrder | OrderRefused:
        """Review a close by the user; if it passes, its order counts as live from now on. A halt does not stop it."""
        return self._accept(review.review_close(self.state, self.limits, intent, client_order_id=self._new_id()))

    def amend(self, intent: Amend, strategy: str = "") -> AmendOrder | OrderRefused:
        """Review an amend; if it passes, the order counts as the worse of both terms. The user's has no strategy."""
        is_going = intent.order_id in self._cancelling
        return self._accept(review.review_amend(self.state, self.limits, intent, strategy=strategy, is_going=is_going))

    def _accept(self, verdict: _Verdict) -> _Verdict:
        """Count a verdict, and from now on the order that passed."""
        self.tally.intents += 1
        if isinstance(verdict, OrderRefused):
            self.tally.count_denied(verdict.strategy, verdict.code)
            return verdict
        self.tally.orders += 1
        sent = review.counted(self.state, verdict)
        self.state.count_sent(sent)
        if sent.strategy and self.state.back_off is not None:
            self.state.back_off.sent(self.state.now)
        if isinstance(verdict, AmendOrder):
            self.state.orders.mark_unconfirmed(verdict.doubtful, verdict.wanted)
        else:
            self.state.orders.add(verdict.order)
        return verdict

    def _cancel(self, order: Order, reason: str) -> list[Effect]:
        """Cancel an order. An order without an exchange id must be reconciled first, or expires."""
        asked = self._cancelling.get(order.order_id)
        if not order.status.is_live or not order.order_id:
            return []
        if asked is not None and -exchange_state.CLOSED_RECHECK_MS <= self.state.now - asked < CANCEL_AGAIN_MS:
            return []
        self._cancelling[order.order_id] = self.state.now
        return [CancelOrder(order, reason)]

    def _withdraw(self) -> list[Effect]:
        """Cancel the orders that must not rest.

        While halted or stopping these are all orders of strategies; while reducing, those that could add to a position,
        even of strategies that no longer run; and always those of failed strategies. This repeats on every tick,
        because a cancel can fail and an order can turn out to exist later.
        """
        trading, failed = self.state.trading, self.hooks.failed
        doomed: list[tuple[Order, str]] = []
        if self.is_stopping or trading is TradingState.HALTED:
            doomed = [(order, "stopping") for order in self.state.orders.live() if order.strategy]
        elif failed:
            doomed = [(order, "strategy failed") for order in self.state.orders.live() if order.strategy in failed]
        if trading is TradingState.REDUCING:
            doomed += [(order, "reducing") for order in review.adding(self.state)]
        return [effect for order, reason in doomed for effect in self._cancel(order, reason)]

    def _tighten(self, trading: TradingState, code: str, subject: str, text: str) -> list[Effect]:
        """Make the trading state stricter, never looser. The alert is raised even in a halt, which may be a pause."""
        if self.state.trading is not TradingState.HALTED:
            self.state.trading = trading
        alert = AlertRaised(self.state.now, "critical", code, subject, text)
        return [StateChanged(self.state.now, self.state.trading, code, text), alert, *self._withdraw()]

    def _on_order(self, message: messages.Message) -> list[Effect]:
        if isinstance(message, messages.OrderState):
            message = self._groups.with_cause(message)
            if message.order.filled:
                self.reopen(message.order.ticker)
        before = self._known(*ids_of(message))
        order = self.state.orders.apply(message)
        if isinstance(message, messages.CancelFailed):
            self._cancelling.pop(message.order_id, None)
            if exchange_state.is_closed(message.code):
                self._cancelling[message.order_id] = Ts(self.state.now + exchange_state.CLOSED_RECHECK_MS)
        guarded = self._guards.order(message, before, order)
        if order is None or self._guards.external.is_undecided(order):
            return guarded
        self.hooks.forget(order.ticker)
        if not order.status.is_live:
            self._cancelling.pop(order.order_id, None)
        if isinstance(message, messages.OrderRejected):
            self.tally.count_rejected(order.strategy, order.code)
            guarded += self._groups.on_rejected(order, message)
        if isinstance(message, messages.AmendEnded) and message.code:
            self.tally.count_rejected(order.strategy, message.code)
        effects = [*guarded, OrderChanged(order)]  # after a crash, a stored order raises no alert again
        if isinstance(message, messages.OrderUnknown):
            text = f"{self.state.order_words(order)} may be live: {message.reason}"
            effects.append(AlertRaised(self.state.now, "warning", "ORDER_UNKNOWN", order.client_order_id, text))
        return effects + self._credit_unowned(order)

    def _on_repaired(self, message: messages.OrderRepaired) -> list[Effect]:
        """Apply a repaired order and report what was wrong."""
        before, order = message.known, self.state.orders.apply(message)
        if order is None:
            return []
        self.hooks.forget(order.ticker)
        self._cancelling.pop(before.order_id, None)
        effects = [
            *self._guards.order(message, before, order),
            *reconciliation.repair_effects(before, order, self.state.now),
        ]
        return effects + self._credit_unowned(order)

    def _credit_unowned(self, order: Order) -> list[Effect]:
        """Credit the kept fills of an order to its strategy, once the order is known."""
        return [effect for fill in self._unowned.take(order.order_id) for effect in self._credit(order, fill)]

    def _on_filled(self, message: messages.Filled) -> list[Effect]:
        fill = message.fill
        self.reopen(fill.ticker)
        before = self.state.ledger.position(fill.ticker, fill.subaccount)
        if not self._book(fill):
            return []
        after = self.state.ledger.position(fill.ticker, fill.subaccount)
        self.hooks.forget(fill.ticker)
        known = self._known(fill.order_id, fill.client_order_id)
        changed = self.state.orders.apply(message)
        effects: list[Effect] = [FillBooked(fill, changed, before.qty)]
        if changed is not None:  # the guards come first, as in `_on_order`
            effects = [*self._guards.order(message, known, changed), *effects, OrderChanged(changed)]
        effects += self._count_day(fill)
        order = self._owner(fill)
        if order is None:
            self._guards.external.traded(fill)
            self._unowned.keep(fill)
            return effects
        if order.strategy and before.qty * fill.side.sign < 0:
            self.tally.count_close(Money(after.realized - before.realized - fill.fee))
        return effects + self._credit(order, fill)

    def _credit(self, order: Order, fill: Fill) -> list[Effect]:
        """Credit a fill to its order's strategy, and report it at once or after the whole account read."""
        effects = [*self._guards.fees.charged(fill, order), *self._groups.on_fill(order, fill)]
        if not order.strategy or not self.state.record_own_fill(order.strategy, fill):
            return effects
        self.tally.count_fill(fill)
        if self._unreported_fills is not None:
            self._unreported_fills.append((order.strategy, fill))
            return effects
        return effects + self.hooks.ask_all("on_fill", fill, owner=order.strategy)

    def _count_day(self, entry: Fill | Settlement) -> list[Effect]:
        """Count the day before anyone acts on it; an account read is counted when all of it is booked."""
        self._guards.day.booked(entry)
        return self._guards.loss() if self._unreported_fills is None else []

    def _on_settled(self, message: messages.Settled) -> list[Effect]:
        settlement = message.settlement
        self.reopen(settlement.ticker)
        held = [position for position in self.state.ledger.holdings(settlement.ticker) if position.qty]
        holds = self._settle(settlement)
        if holds is None:
            return []
        self.hooks.forget(settlement.ticker)
        for before in held:
            after = self.state.ledger.position(settlement.ticker, before.subaccount)
            self.tally.count_close(Money(after.realized - before.realized))
        return [SettlementBooked(holds), *self._count_day(holds)]

    def _book(self, fill: Fill) -> bool:
        return self._is_news(self.state.ledger.book(fill), fill.ts)

    def _settle(self, settlement: Settlement) -> Settlement | None:
        for ledger in self.state.by_strategy.values():
            ledger.settle(settlement)
        holds = self.state.ledger.settle(settlement)
        self._is_news(holds is not None, settlement.ts)
        return holds

    def _is_news(self, is_booked: bool, ts: Ts) -> bool:
        """Update the time of the last entry, unless the entry was booked before: a read may date it anew."""
        if is_booked:
            self.state.last_entry = max(self.state.last_entry, ts)
        return is_booked

    def _known(self, order_id: str, client_order_id: str) -> Order | None:
        """Return the order with these ids. An order that another program placed joins from the state file."""
        orders = self.state.orders
        known = orders.find(order_id, client_order_id)
        filed = self._on_file(client_order_id or order_id) if known is None or was_never_sent(known) else None
        if filed is None or filed.is_foreign or filed.code == DUPLICATE_ID:
            return known
        if not orders.is_new(filed):
            return known
        joined = orders.add(filed)
        return joined if filed.order_id in ("", order_id) or not order_id else None  # else it is a second order

    def _on_external_orders(self, message: messages.ExternalOrders) -> list[Effect]:
        """Add orders that other programs on this machine placed or amended, before the exchange reports them.

        Our unsent orders are reviewed again under their ids, each with the earlier ones live.
        """
        for order in message.orders:
            if self.state.orders.merge(order):
                self.state.count_sent(SentOrder.of(order))
        for each in message.unsent:
            self.take_back(each.order)
            self.tally.take_back()
            self.hooks.forget(each.order.ticker)
        again = ((each.intent, each.order) for each in message.unsent)
        return [self.place(i, order.strategy, order.client_order_id) for i, order in again if i is not None]

    def _owner(self, fill: Fill) -> Order | None:
        return self.state.orders.get(fill.client_order_id) or self.state.orders.by_order_id(fill.order_id)

    def _on_account(self, message: messages.AccountSnapshot) -> list[Effect]:
        self._is_account_unread = False
        self.state.account_read = message.ts
        self._guards.responses.answered()
        for ticker in {fill.ticker for fill in message.fills}:
            self.reopen(ticker)
        unreported: list[tuple[str, Fill]] = []
        self._unreported_fills = unreported
        repairs = reconciliation.diff(self.state.orders, self.state.ledger.is_booked, message)
        effects = [effect for repair in repairs for effect in self.step(repair)]
        self._unreported_fills = None
        found = reconciliation.disputes(self.state.orders, message)
        self.disputed = tuple(each.known for each in found if message.as_of >= each.known.updated)
        self.state.cash_besides = Money(message.balance.cash - self.state.ledger.cash)
        held = {p.ticker: p.qty for p in self.state.ledger.positions.values() if p.subaccount == self.state.home}
        effects += self._drift.look(held, message, booked_until=self.state.last_entry) + self._guards.loss()
        for strategy, fill in unreported:
            effects += self.hooks.ask_all("on_fill", fill, owner=strategy)
        return effects

    def _on_account_unread(self, _message: messages.AccountStale) -> list[Effect]:
        """Call no strategy until the account was read again."""
        self._is_account_unread = True
        return []

    def _on_command(self, message: messages.StateCommand) -> list[Effect]:
        if message.state is None:
            self.is_stopping = True
            return self._withdraw()
        if message.state is self.state.trading:
            return []
        self.state.trading = message.state
        self.state.back_off = self.state.back_off or back_off_of(message.source, self.state.now)
        changed = StateChanged(message.ts, message.state, message.source, message.reason)
        resumed = self._guards.resumed() if message.state is TradingState.ACTIVE else []
        return [changed, *resumed, *self._withdraw()]
