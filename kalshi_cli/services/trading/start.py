"""Before any strategy acts: we agree with the exchange about the account, or the run does not start.

The rules, in this order. An account that cannot be read completely is waited for, and then there is no start. An order
in doubt is waited for while its proof falls due within two minutes, which that of every order of a loop does; where the
proof does not come there is no start. One that a person gave a longer life keeps its whole exposure reserved and is
named. A market of this run whose position our fills do not explain, all of them read again, is not traded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, ExchangeError, OutcomeUnknownError, RefusedError, UnreachableError
from kalshi_cli.base.units import Ts, format_ts, pluralize, show_money, show_price, show_qty
from kalshi_cli.core.account.reconciliation import drift, provable_at
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect, FillBooked, OrderChanged, SettlementBooked
from kalshi_cli.core.model.messages import AccountSnapshot
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.account.recovery import (
    LOOK_EVERY_S,
    is_in_doubt,
    read_account,
    reconciliation_result,
    unconfirmed_orders,
    wait_until_resolved,
)
from kalshi_cli.store.state_store import OrderStore

UNREAD_S = 60.0
"""How long a start waits for an account that cannot be read."""

PROOF_S = 120.0
"""... and for proofs: longer than an order of a loop lives (90 s by default), and a bit for reads that trail."""

DRIFT_S = 15.0
"""... and for positions and fills to agree: either may trail the other by a moment."""

MAX_LINES = 20


class AccountDifferences:
    """What was found to differ, for a person."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self._before = {_name(order): order for order in orders}
        self._after: dict[str, Order] = {}
        self._repaired: dict[str, str] = {}
        self.fills: list[Fill] = []
        self.settlements: list[Settlement] = []
        self.latest: AccountSnapshot | None = None

    def hear(self, snapshot: AccountSnapshot, effects: Iterable[Effect]) -> None:
        """Take a read and its repairs."""
        self.latest = snapshot
        for effect in effects:
            if isinstance(effect, FillBooked):
                self.fills.append(effect.fill)
            elif isinstance(effect, SettlementBooked):
                self.settlements.append(effect.settlement)
            elif isinstance(effect, OrderChanged):
                self._after[_name(effect.order)] = effect.order
                if effect.repaired:
                    self._repaired[_name(effect.order)] = effect.repaired

    @property
    def orders(self) -> list[tuple[str, Order]]:
        """Orders that turned out other than we knew them, each with what it turned out as."""
        found = [(self._kind(name, order), order) for name, order in self._after.items()]
        return [(kind, order) for kind, order in found if kind]

    def _kind(self, name: str, order: Order) -> str:
        if name in self._repaired:
            return "repaired"
        before = self._before.get(name)
        if before is None:
            return "foreign" if order.is_foreign and order.status.is_live else ""
        if is_in_doubt(before):
            return "" if is_in_doubt(order) else reconciliation_result(order)
        if not order.status.is_live:
            return "ended"
        return "changed" if order != before else ""

    def summary(self) -> str:
        """One line: `reconciled: 3 fills, 1 settlement, 1 order adopted`."""
        kinds = [kind for kind, _ in self.orders]
        booked = ((len(self.fills), "fill"), (len(self.settlements), "settlement"))
        parts = [pluralize(many, what) for many, what in booked if many]
        parts += [f"{pluralize(kinds.count(kind), 'order')} {kind.replace('_', ' ')}" for kind in dict.fromkeys(kinds)]
        return "reconciled: " + (", ".join(parts) if parts else "nothing differs")

    def lines(self) -> list[str]:
        """The differences one by one, the first of them where they are many."""
        found = [_order_line(kind, order, self._repaired.get(_name(order), "")) for kind, order in self.orders]
        found += [
            f"  settled {each.ticker}: {each.result}, paid {show_money(each.revenue)}" for each in self.settlements
        ]
        found += [_fill_line(fill) for fill in self.fills]
        rest = len(found) - MAX_LINES
        return found[:MAX_LINES] + ([f"  ... and {rest} more"] if rest > 0 else [])


def reconcile_at_start(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    *,
    tell: Callable[[str], None],
    note: Callable[[str], None],
) -> None:
    """Read, repair and wait until there is no doubt left, by the rules above; `tell` hears what differed.

    Raises what cannot be waited away: UnreachableError (6), OutcomeUnknownError (7), RefusedError (3, DRIFT).
    """
    differences = AccountDifferences(engine.state.orders.live())
    try:
        differences.hear(*_read_patiently(client, store, clock, engine, tell))
        until = clock.monotonic() + PROOF_S
        wait_until_resolved(client, store, clock, engine, until=until, note=tell, heard=differences.hear)
        unexplained = _unexplained(client, store, clock, engine, tell, differences)
    finally:
        lines = differences.lines()
        for line in (differences.summary(), *lines):
            (tell if lines else note)(line)
    _refuse_doubt(unconfirmed_orders(engine), clock.now(), tell)
    _refuse_drift(unexplained, engine, tell)


def _read_patiently(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    tell: Callable[[str], None],
    since: Ts | None = None,
) -> tuple[AccountSnapshot, list[Effect]]:
    """A complete read, or the error of the last attempt once the patience is over."""
    until = clock.monotonic() + UNREAD_S
    pause = LOOK_EVERY_S
    is_told = False
    while True:
        try:
            return read_account(client, store, clock, engine, since=since)
        except CredentialsError:
            raise
        except (ExchangeError, UnreachableError) as error:
            if clock.monotonic() + pause > until:
                raise UnreachableError(
                    f"not started: the account could not be read for {UNREAD_S:.0f} s. {error.message}",
                    hint=error.hint,
                    code=error.code,
                ) from error
            if not is_told:
                tell(f"cannot read the account yet, and nothing starts before that: {error.message}")
            is_told = True
        clock.sleep(pause)
        pause = min(2 * pause, 10.0)


def _unexplained(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    tell: Callable[[str], None],
    differences: AccountDifferences,
) -> dict[str, str]:
    """What is wrong with a position, by market, where our fills do not make it, even all of them read again."""
    until = clock.monotonic() + DRIFT_S
    while True:
        assert differences.latest is not None
        found = _wrong_positions(engine, differences.latest)
        if not found or clock.monotonic() >= until:
            return found
        clock.sleep(LOOK_EVERY_S)
        differences.hear(*_read_patiently(client, store, clock, engine, tell, since=Ts(0)))


def _wrong_positions(engine: TradingEngine, snapshot: AccountSnapshot) -> dict[str, str]:
    """By market: the exchange's position is another, or an order traded more than we have fills of."""
    positions, home = engine.state.ledger.positions.values(), engine.state.home  # a read has that one alone
    held = {position.ticker: position.qty for position in positions if position.subaccount == home}
    found = {
        order.ticker: f"{show_qty(qty)} that order {_name(order)} traded are in no fill yet"
        for order, qty in engine.state.orders.untold()
    }
    for ticker, (ours, theirs) in drift(held, snapshot).items():
        found[ticker] = f"our fills make it {show_qty(ours)}, the exchange says {show_qty(theirs)}"
    return found


def _refuse_doubt(doubtful: list[Order], now: Ts, tell: Callable[[str], None]) -> None:
    due = [order for order in doubtful if provable_at(order) - now <= 0]
    if due:
        names = ", ".join(order.client_order_id for order in due[:5])
        raise OutcomeUnknownError(
            f"not started: no fresh read of the account ends the doubt about {names}",
            hint="kalshi order reconcile",
        )
    for order in doubtful:
        until = format_ts(provable_at(order))
        tell(f"still in doubt until {until}, its whole exposure reserved: {order.client_order_id} {order.ticker}")


def _refuse_drift(found: dict[str, str], engine: TradingEngine, tell: Callable[[str], None]) -> None:
    traded = [f"{ticker}: {text}" for ticker, text in found.items() if ticker in engine.state.markets]
    if traded:
        raise RefusedError(
            f"not started: a position cannot be explained. {'; '.join(traded[:5])}",
            hint="kalshi fills --ticker TICKER; or trade other markets, named with --ticker",
            code="DRIFT",
        )
    for ticker, text in found.items():
        tell(f"warning: a position cannot be explained, and its market is not traded here. {ticker}: {text}")


def _name(order: Order) -> str:
    return order.client_order_id or order.order_id


def _order_line(kind: str, order: Order, repaired: str) -> str:
    side = "bid" if order.side is BID else "ask"
    what = f"{side} {show_qty(order.qty)} {order.ticker} at {show_price(order.price)}"
    filled = f", {show_qty(order.filled)} filled" if order.filled else ""
    text = f"  order {kind.replace('_', ' ')}: {_name(order)} {what} is {order.status.value.lower()}{filled}"
    return f"{text}; a reply was false: {repaired}" if repaired else text


def _fill_line(fill: Fill) -> str:
    verb = "bought" if fill.side is BID else "sold"
    return f"  {verb} {show_qty(fill.qty)} YES {fill.ticker} at {show_price(fill.price)} on {format_ts(fill.ts)}"
