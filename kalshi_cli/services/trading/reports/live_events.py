"""The event stream that every screen follows: what a loop publishes, and what a reader gets with and without a loop."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Money, Ts, pluralize
from kalshi_cli.core.account.ledger import Ledger, in_trading_order
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.market.order_book import OrderBook, PriceLevel
from kalshi_cli.core.model.effects import AlertRaised, Effect, FillBooked
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.markets import ENDED, Market, MarketStatus
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.exchange_state import pause_text
from kalshi_cli.net.local_events import EventPublisher, NoPublisherError, read_events
from kalshi_cli.services.account.portfolio import FillCounter, account_portfolio
from kalshi_cli.services.account.summary import holding_row, live_orders, summary_of
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.reports.screen_alerts import ScreenAlerts
from kalshi_cli.services.trading.reports.status import NO_STRATEGY, RunStatus, run_status
from kalshi_cli.store.lock import holder
from kalshi_cli.store.records import CountedHistory, Halt
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import SignedMoney, TradingStateCell, TruncatableText, format_clock
from kalshi_cli.views.live import (
    LiveEvent,
    LiveFillRow,
    LiveRunView,
    LiveSettlementRow,
    RecentAlertRow,
    TopRow,
    live_fill,
)
from kalshi_cli.views.order_book import book_view, orderbook_view
from kalshi_cli.views.portfolio import HoldingRow

if TYPE_CHECKING:
    from kalshi_cli.core.engine.engine import TradingEngine
    from kalshi_cli.services.trading.reports.run_summary import RunPlan, StrategyResults

PUBLISH_EVERY_S = 0.2
"""Seconds between two events of a loop: a person cannot follow more than five a second."""

SILENCE_S = 1.0
"""Seconds without an event after which a reader gets an event that says how long it has been silent."""

ACCOUNT_EVERY_S = 2.0
"""Seconds from one read of the account to the next where no loop runs: screens announce numbers older than three."""

MAX_RECENT = 100
"""Fills, and alerts, that an event has."""

RECENT_MS = 86_400_000

MAX_MARKETS = 500
"""Markets whose best prices an event has."""

MAX_LEVELS = 50
"""Levels of each side of a book in an event."""

_DECODER = msgspec.json.Decoder(prepared(LiveEvent))


class UnconfirmedCash:
    """The part of the cash that only the last read of the account shows.

    The balance is read after fills and settlements: one that was paid in between is in the cash, and its position is
    not closed yet. Such a difference has gone at the next read; a deposit is still there. Until then it is unconfirmed.
    """

    def __init__(self) -> None:
        self._read: Ts | None = None
        self._seen = self._confirmed = Money(0)

    def after(self, read: Ts | None, besides: Money) -> Money:
        """Return the unconfirmed part; `besides` is the balance of the read at that time, less all bookings."""
        if self._read is None or (read != self._read and besides == self._seen):
            self._confirmed = besides
        self._read, self._seen = read, besides
        return Money(besides - self._confirmed)


class LoopEvents:
    """Publishes the state of a running loop for readers; without a reader it costs next to nothing.

    `publish` is called in the loop's own thread after a message, if `is_due`.
    """

    def __init__(
        self, publisher: EventPublisher, clock: Clock, store: Store, *, host: str, has_real_money: bool
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._host = host
        self._has_real_money = has_real_money
        self._due = 0.0
        self._cash = UnconfirmedCash()
        self._counter = FillCounter()
        known, now = history(store, clock.now()), clock.now()
        self._fills = deque(recent_fills(store, known.fills, now, self._counter), MAX_RECENT)
        self._settled = deque(_settlements_on_file(known, now)[::-1], MAX_RECENT)
        """Settlements, oldest first."""
        self._alerts = deque(recent_alerts(store, clock.now()), MAX_RECENT)

    @property
    def is_due(self) -> bool:
        """Return whether there is a reader and the last event is old enough."""
        return self._publisher.has_readers and self._clock.monotonic() >= self._due

    def note(self, effect: Effect, strategy: str = "") -> None:
        """Keep a fill or an alert for the next event."""
        if isinstance(effect, FillBooked):
            typed = effect.order.outcome if effect.order is not None else ""
            self._fills.appendleft(live_fill(effect.fill, strategy, self._counter.before(effect.fill), typed))
        elif isinstance(effect, AlertRaised):
            self._alerts.appendleft(alert_row(effect))

    def note_settlement(self, settlement: Settlement, ledger: Ledger) -> None:
        """Keep a settlement that the ledger has booked for the next event."""
        self._settled.extend(recent_settlements((settlement,), ledger, settlement.ts))

    def publish(self, engine: TradingEngine, score: StrategyResults, run: LiveRunView) -> None:
        """Publish the state of the loop now."""
        self._due = self._clock.monotonic() + PUBLISH_EVERY_S
        state = engine.state
        asked = (state.books[ticker] for ticker in sorted(self._publisher.topics) if ticker in state.books)
        early = Money(0) if state.cash_besides is None else self._cash.after(state.account_read, state.cash_besides)
        event = LiveEvent(
            run=msgspec.structs.replace(
                run,
                host=self._host,
                real_money=self._has_real_money,
                settling=bool(early),
                equity=None if run.equity is None else Money(run.equity - early),
            ),
            positions=holding_rows(engine),
            orders=live_orders(state.orders.live()[::-1], state.ledger.positions.values())[::-1],
            fills=tuple(self._fills),
            settlements=tuple(reversed(self._settled)),
            strategies=score.parts(),
            alerts=tuple(self._alerts),
            markets=top_rows(state.books, state.markets),
            books=tuple(book_view(book, MAX_LEVELS) for book in asked),
        )
        fields = msgspec.structs.asdict(event).items()
        parts = {name: encode_part(value) for name, value in fields if isinstance(value, tuple | LiveRunView)}
        self._publisher.publish(parts)


def encode_part(value: object) -> bytes:
    """Return a part of an event as JSON. Text that is not valid Unicode is replaced: it must not end the loop."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace")


def loop_view(
    engine: TradingEngine,
    plan: RunPlan,
    halt: Halt,
    now: Ts,
    *,
    started: Ts,
    cycles: int,
    feed_age_s: float | None,
    feed_lag_ms: int | None,
) -> LiveRunView:
    """Return a running loop in numbers."""
    value = sum(row.cost if row.value is None else row.value for row in holding_rows(engine))
    return LiveRunView(
        env=plan.env,
        mode=plan.mode,
        host="",
        real_money=False,
        running=True,
        pid=plan.pid,
        strategy=plan.strategy,
        started=started,
        ends=plan.ends(started),
        cycles=cycles,
        time=now,
        cash=engine.cash,
        equity=None if engine.cash is None else Money(engine.cash + value),
        day_pnl=SignedMoney(engine.day_net),
        exposure=engine.state.total_exposure(),
        exposure_limit=engine.limits.max_exposure,
        daily_loss_limit=engine.limits.max_daily_loss,
        feed_age_s=feed_age_s,
        feed_lag_ms=feed_lag_ms,
        waiting=TruncatableText(engine.hooks.waiting) if engine.hooks.waiting else None,
        denied=dict(sorted(engine.tally.denied.items())),
        problem=_unreadable(engine.state.blind_since),
        attention=TruncatableText(NO_STRATEGY) if 0 < len(engine.strategies) == len(engine.failed) else None,
        **_halt_fields(halt),
    )


def _unreadable(blind_since: Ts | None) -> TruncatableText | None:
    """Return that a loop cannot read the account, and since when; None while it can."""
    if blind_since is None:
        return None
    since = format_clock(blind_since)
    return TruncatableText(f"BLIND: the account has been unreadable since {since}; nothing watches its resting orders")


def follow(
    resources: Resources, home: Home | None, tickers: tuple[str, ...], wait: Callable[[float], object] | None = None
) -> Iterator[LiveEvent]:
    """Yield the events of the running loop; without one, those of the account every few seconds, until a loop starts.

    Without a `home` it is that of the loop that runs, or the account's. The first event, and the first after the source
    has changed, has every part. Never ends by itself. `wait` takes the seconds between two events of the account.
    """
    wait = wait or resources.machine.sleep
    while True:
        at = home or next((each for each in resources.homes if holder(each.folder / "trade.lock")), resources.home)
        alerts = ScreenAlerts(resources, at)
        if at.events is not None:
            with suppress(NoPublisherError):
                yield from map(alerts.add_to, _loop_events(at.events, tickers, resources.machine))
        began = resources.machine.monotonic()
        yield alerts.add_to(account_event(resources, at, tickers))
        is_due = False
        while not is_due:  # a read that takes long is followed by a pause too
            wait(SILENCE_S)
            age_s = resources.machine.monotonic() - began
            is_due = age_s + SILENCE_S / 2 >= ACCOUNT_EVERY_S
            yield LiveEvent(silent_s=age_s)


def _loop_events(path: Path, tickers: tuple[str, ...], clock: Clock) -> Iterator[LiveEvent]:
    heard = clock.monotonic()
    for line in read_events(path, tickers, lambda: SILENCE_S):
        if line is None:
            yield LiveEvent(silent_s=clock.monotonic() - heard)
        else:
            heard = clock.monotonic()
            yield _DECODER.decode(line)


def account_event(resources: Resources, home: Home, tickers: tuple[str, ...]) -> LiveEvent:
    """Return the account as an event, from the state file and the exchange.

    Where the exchange cannot be read, the event lacks those parts, and `run.problem` says why.
    """
    status, now = run_status(resources, home), resources.clock.now()
    store = resources.remembered(home)
    known = history(store, now) if store is not None else None
    event = LiveEvent(
        run=_account_view(resources, status, now),
        fills=tuple(recent_fills(store, known.fills, now)) if known is not None else (),
        settlements=_settlements_on_file(known, now) if known is not None else (),
        strategies=(),
        alerts=tuple(recent_alerts(store, now)) if store is not None else (),
        markets=(),
        books=(),
    )
    if not home.is_at_exchange:
        return event
    try:
        found = _with_account(resources, event, store, tickers)
    except KalshiError as error:
        assert event.run is not None
        run = msgspec.structs.replace(event.run, problem=TruncatableText(error.message))
        return msgspec.structs.replace(event, run=run, markets=None, books=None)
    assert found.run is not None
    resting = f"{pluralize(len(found.orders), 'order')} resting: {SHOW_OR_CANCEL}" if found.orders else "no order rests"
    said = "; ".join(filter(None, (_killed(status, resting), exchange_pause(resources))))
    attention = TruncatableText(said) if said else None
    return msgspec.structs.replace(found, run=msgspec.structs.replace(found.run, attention=attention))


def exchange_pause(resources: Resources) -> str:
    """Return what the exchange has paused; empty where nothing is, or its status cannot be read."""
    with suppress(KalshiError):
        return pause_text(resources.client.exchange_status())
    return ""


def _with_account(resources: Resources, event: LiveEvent, store: Store | None, tickers: tuple[str, ...]) -> LiveEvent:
    client, cash = resources.client, resources.client.balance().cash
    orders = list(client.all_orders(status="resting"))
    found = account_portfolio(resources)
    whole = summary_of(resources, orders, found, None, store)
    watched = sorted({*tickers, *(each.ticker for each in whole.positions)})[:MAX_MARKETS]
    markets = {market.ticker: market for market in client.markets(tickers=watched)} if watched else {}
    assert event.run is not None
    run = msgspec.structs.replace(
        event.run,
        cash=whole.cash,
        equity=whole.total,
        day_pnl=whole.pnl_today,
        exposure=whole.exposure,
        settling=whole.cash != cash,
    )
    return msgspec.structs.replace(
        event,
        run=run,
        positions=whole.positions,
        orders=whole.orders,
        fills=tuple(recent_fills(store, found.fills, run.time)),
        settlements=recent_settlements(found.settlements, found.ledger, run.time),
        markets=top_rows({}, markets),
        books=tuple(orderbook_view(client.orderbook(ticker), MAX_LEVELS) for ticker in tickers if ticker in markets),
    )


def _account_view(resources: Resources, status: RunStatus, now: Ts) -> LiveRunView:
    cycle, limits = status.running or status.cycle, resources.limits
    known = None if cycle is None else cycle.cash
    return LiveRunView(
        env=status.env,
        mode=status.mode,
        host=host_of(resources) if status.is_at_exchange else "",
        real_money=status.is_at_exchange and resources.needs_confirmation,
        running=status.is_running,
        pid=status.pid,
        strategy=None if cycle is None else cycle.strategy,
        started=None if cycle is None else cycle.started,
        ends=None if status.running is None else status.ends,
        cycles=None if cycle is None else cycle.cycles,
        time=now,
        cash=known,
        equity=None,
        day_pnl=None,
        exposure=None,
        exposure_limit=limits.max_exposure,
        daily_loss_limit=limits.max_daily_loss,
        feed_age_s=None,
        feed_lag_ms=None,
        waiting=None,
        denied={},
        problem=TruncatableText("This loop publishes no events") if status.is_running else None,
        attention=_killed(status, f"orders may be resting: {SHOW_OR_CANCEL}"),
        **_halt_fields(status.halt),
    )


SHOW_OR_CANCEL = "`kalshi order list`, `kalshi cancel-all`"


def _killed(status: RunStatus, orders: str) -> TruncatableText | None:
    """Return that the last run was killed, and what it may have left; None if it ended by itself."""
    if not status.is_abandoned or status.cycle is None:
        return None
    at = format_clock(status.cycle.completed)
    return TruncatableText(f"The last run was killed after {at}; {orders}")


def host_of(resources: Resources) -> str:
    """Return the host and port of the exchange."""
    return urlsplit(resources.rest_url).netloc


def _halt_fields(halt: Halt) -> dict[str, Any]:
    is_active = halt.state is TradingState.ACTIVE
    return {
        "state": TradingStateCell(halt.standing),
        "state_code": None if is_active else halt.code,
        "state_reason": None if is_active else TruncatableText(halt.reason),
        "paused": halt.is_pause,
    }


def holding_rows(engine: TradingEngine) -> tuple[HoldingRow, ...]:
    """Return the open positions of a loop."""
    state, marks = engine.state, engine.state.marks()
    held = sorted((each for each in state.ledger.positions.values() if each.qty), key=lambda each: each.ticker)
    return tuple(holding_row(each, marks[each.ticker], state.seen(each.ticker)) for each in held)


def alert_row(alert: AlertRaised) -> RecentAlertRow:
    """Return an alert as a row."""
    return RecentAlertRow.of(alert, state=None)


def history(store: Store, now: Ts) -> CountedHistory:
    """Return all bookings on file of markets that are open or had one in the last day, oldest first."""
    return store.history.counted(Ts(now - RECENT_MS))


def recent_fills(
    store: Store | None, fills: Iterable[Fill], now: Ts, counter: FillCounter | None = None
) -> Iterator[LiveFillRow]:
    """Yield the fills of the last day, newest first, at most MAX_RECENT.

    `fills` is the whole history of their markets, oldest first; the counter then has counted it.
    """
    counter = counter or FillCounter()
    met = [(fill, counter.before(fill)) for fill in in_trading_order(fills)]
    for fill, held_before in [each for each in met if each[0].ts >= now - RECENT_MS][: -MAX_RECENT - 1 : -1]:
        order = store.order(fill.order_id) if store is not None else None
        if order is None:
            yield live_fill(fill, "", held_before)
        else:
            yield live_fill(fill, order.strategy, held_before, order.outcome)


def recent_settlements(settlements: Iterable[Settlement], ledger: Ledger, now: Ts) -> tuple[LiveSettlementRow, ...]:
    """Return the settlements of positions in the last day, newest first, at most MAX_RECENT; `ledger` has booked them.

    The last result of a market is the one that holds.
    """
    last = {each.ticker: each for each in settlements if (each.yes_qty or each.no_qty) and each.ts >= now - RECENT_MS}
    newest = sorted(last.values(), key=lambda each: each.ts, reverse=True)[:MAX_RECENT]
    return tuple(LiveSettlementRow.of(each, net=_net_of(ledger, each.ticker)) for each in newest)


def _net_of(ledger: Ledger, ticker: str) -> SignedMoney:
    return SignedMoney(Money(sum(held.realized - held.fees for held in ledger.holdings(ticker))))


def _settlements_on_file(known: CountedHistory, now: Ts) -> tuple[LiveSettlementRow, ...]:
    ledger = build_ledger((*known.fills, *known.settlements))
    return recent_settlements(known.settlements, ledger, now)


def recent_alerts(store: Store, now: Ts) -> list[RecentAlertRow]:
    """Return the alerts of the last day, newest first, at most MAX_RECENT."""
    return [alert_row(alert) for alert in store.alerts(Ts(now - RECENT_MS))[:MAX_RECENT]]


def top_rows(books: Mapping[str, OrderBook], markets: Mapping[str, Market]) -> tuple[TopRow, ...]:
    """Return the best prices of markets, from their order books where there are any."""
    return tuple(_top(market, books.get(ticker)) for ticker, market in sorted(markets.items())[:MAX_MARKETS])


def _ended(market: Market) -> str:
    """Return the word that says why there are no prices, and none while there can be."""
    if market.status not in ENDED:
        return ""
    return "settled: " if market.status is MarketStatus.FINALIZED else "closed: "


def _top(market: Market, book: OrderBook | None) -> TopRow:
    bid: PriceLevel | None
    ask: PriceLevel | None
    if market.status in ENDED:
        bid = ask = None
    elif book is None:
        bid = None if market.yes_bid is None else PriceLevel(market.yes_bid, market.yes_bid_size)
        ask = None if market.yes_ask is None else PriceLevel(market.yes_ask, market.yes_ask_size)
    else:
        bid, ask = book.bid, book.ask
    return TopRow(
        ticker=market.ticker,
        title=TruncatableText(_ended(market) + market.full_title),
        bid=bid and bid.price,
        bid_count=bid and bid.qty,
        ask=ask and ask.price,
        ask_count=ask and ask.qty,
    )
