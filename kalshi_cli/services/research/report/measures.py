"""The measures of a backtest: collected while it runs, and turned into the fields of its view."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, pairwise

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import LedgerEntry, ProfitAndLoss, group_by, sort_by_time, total
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import MAX_INTENTS
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.effects import AlertRaised, AmendOrder, Effect, FillBooked, SubmitOrder
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import (
    FairValue,
    Message,
    NewsSignal,
    RecordingEnded,
    ReferencePrice,
    SpotPrice,
    SpotUnavailable,
    Tick,
)
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.state import mark_source
from kalshi_cli.services.research.report.closed_positions import closed_nets, position_fields, time_in_market
from kalshi_cli.services.research.report.round_trips import RoundTrip, round_trips
from kalshi_cli.services.research.report.statistics import (
    MIN_OBSERVATIONS,
    RatioEstimate,
    drawdowns,
    highest_cost,
    sharpe,
    sortino,
)
from kalshi_cli.services.research.report.unknown import UnknownData
from kalshi_cli.services.trading.reports.sent_orders import MAX_SENT, SentOrderList
from kalshi_cli.views.backtests import BacktestSettlementRow, BacktestTradeRow, EquityRow, ProfitPartRow, RatioRow
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.runs import SentOrderRow

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FAR_AWAY_MS = 100 * 365 * DAY_MS
"""A close that is further away than this is the placeholder of an unknown one."""

_NOT_RECORDED = (ReferencePrice, SpotPrice, SpotUnavailable, FairValue, NewsSignal, Tick)
"""Outside data, which may begin long before the recording, and the ticks that it brings."""

_BAND = Price(1_000)
_TO_CLOSE = (
    (60_000, "under 1m"),
    (300_000, "1m to 5m"),
    (900_000, "5m to 15m"),
    (HOUR_MS, "15m to 1h"),
    (6 * HOUR_MS, "1h to 6h"),
    (DAY_MS, "6h to 1d"),
    (7 * DAY_MS, "1d to 7d"),
    (FAR_AWAY_MS, "over 7d"),
)
_UNKNOWN_CLOSE = "unknown"


class BacktestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The measures of a finished backtest, beside its summary.

    `runs` are the parts of several separate runs. Each has its own positions, marks and ids, so that trades, round
    trips and profit follow from each part alone, and are then listed and summed.
    """

    runs: tuple[BacktestFacts, ...] = ()
    started: Ts | None = None
    ended: Ts | None = None
    pauses: tuple[tuple[Ts, Ts], ...] = ()
    """The times between its recordings."""
    tickers: frozenset[str] = frozenset()
    """The markets of the recording."""
    starting_balance: Money | None = None
    ordered: Qty = Qty(0)
    largest: Qty = Qty(0)
    """The contracts of the largest order that was placed."""
    entries: tuple[LedgerEntry, ...] = ()
    highest: Money = Money(0)
    """The highest cost of all positions at one time; of several runs, that of the one with the most."""
    marks: dict[str, Price | None] = {}
    """The closing price of each traded market. Without a position, the last fill's: strategies may hold opposite ones,
    which add up to their net at any price."""
    events: dict[str, str] = {}
    closes: dict[str, Ts] = {}
    strategies: dict[tuple[str, str], str] = {}
    days: dict[int, Money] = {}
    """The gain of each day (UTC), by its number since 1970."""
    unknown: tuple[UnknownData, ...] = ()
    has_trades: bool = True
    """Says whether the data has public trades."""
    group_limits: tuple[AlertRaised, ...] = ()
    """Where live trading would have stopped, because the fills reached the limit of an order group; one a run."""
    bids: tuple[Price, Price] | None = None
    """The lowest and the highest best bid that strategies saw before the first order request; None without one."""
    asks: tuple[Price, Price] | None = None
    sent: tuple[SentOrderRow, ...] = ()
    """The first order requests that were sent."""
    waiting: str = ""
    """The data that the strategies still needed at the end, in their own words; "" if none."""

    @property
    def accounts(self) -> tuple[BacktestFacts, ...]:
        """Return the separate runs, or these facts themselves if they are of one run."""
        return self.runs or (self,)


class Measurements:
    """The measures of a running backtest: it reads each message once and keeps no message."""

    def __init__(self, engine: TradingEngine) -> None:
        self._engine = engine
        self._balance = engine.cash
        self.started: Ts | None = None
        """The time of the first message of the markets."""
        self._last: Ts | None = None
        self._is_over = False
        self._ordered = self._largest = 0
        self._sent = SentOrderList()
        self._floods: Counter[str] = Counter()
        self._group_limits: list[AlertRaised] = []
        self._strategies: dict[tuple[str, str], str] = {}
        self._day_nets: dict[int, Money] = {}
        self._calls = 0
        self._bids: tuple[Price, Price] | None = None
        self._asks: tuple[Price, Price] | None = None

    def on_message(self, message: Message) -> None:
        """Count a message of the recording; outside prices before its first one and results after it are not of it."""
        if self.started is None and not isinstance(message, _NOT_RECORDED):
            self.started = message.ts or None
        if not self._is_over:
            self._last = message.ts
        self._is_over |= isinstance(message, RecordingEnded)
        calls = self._engine.hooks.calls
        if calls != self._calls:
            self._calls = calls
            self._see(getattr(message, "ticker", ""))

    def on_tick(self, ts: Ts, net: Money) -> None:
        """Keep the profit at the end of each day (UTC)."""
        self._day_nets[ts // DAY_MS] = net
        self._see()

    def _see(self, ticker: str = "") -> None:
        """Keep the range of the prices that strategies saw in a market, or in all, until an order is requested."""
        if not self._engine.tally.intents:
            known = self._engine.state.books
            books = [known[ticker]] if ticker in known else known.values()
            self._bids = span([self._bids, *((book.best_bid,) for book in books)])
            self._asks = span([self._asks, *((book.best_ask,) for book in books)])

    def on_effect(self, effect: Effect) -> None:
        """Count the contracts of an order that is sent and the discarded requests; keep the strategy of a fill."""
        self._sent.add(effect, self._engine.state)
        if isinstance(effect, SubmitOrder):
            self._ordered += effect.order.qty
            self._largest = max(self._largest, effect.order.qty)
        elif isinstance(effect, AmendOrder):
            self._ordered += max(0, effect.wanted.qty - effect.before.qty)
        elif isinstance(effect, FillBooked):
            fill = effect.fill  # only the last piece of an order changes it: the response told the whole quantity
            order = self._engine.state.orders.find(fill.order_id, fill.client_order_id)
            self._strategies[fill.key] = order.strategy if order is not None else ""
        elif isinstance(effect, AlertRaised) and effect.code == "STRATEGY_FLOOD":
            self._floods[effect.subject] += 1
        elif isinstance(effect, AlertRaised) and effect.code == "GROUP_LIMIT":
            self._group_limits.append(effect)

    def facts(self, net: Money) -> BacktestFacts:
        """Return the measures at the end of a run with this net."""
        state = self._engine.state
        entries, marks = tuple(sort_by_time(state.ledger.entries)), state.marks()
        if self._day_nets:
            self._day_nets[max(self._day_nets)] = net
        days = sorted(self._day_nets)
        ends = [Money(0), *(self._day_nets[day] for day in days)]
        last = {entry.ticker: entry.price for entry in entries if isinstance(entry, Fill)}
        seen = {ticker: state.seen(ticker) for ticker in last}
        return BacktestFacts(
            started=self.started,
            ended=self._last,
            tickers=frozenset(state.markets),
            starting_balance=self._balance,
            ordered=Qty(self._ordered),
            largest=Qty(self._largest),
            entries=entries,
            highest=highest_cost(entries),
            marks=marks | {ticker: last[ticker] for ticker in last.keys() - marks.keys()},
            events={ticker: market.event_ticker for ticker, market in seen.items() if market is not None},
            closes={ticker: market.close_time for ticker, market in seen.items() if market is not None},
            strategies=dict(self._strategies),
            days={day: Money(after - before) for day, (before, after) in zip(days, pairwise(ends), strict=True)},
            unknown=self._unknown(marks),
            group_limits=tuple(self._group_limits),
            bids=self._bids,
            asks=self._asks,
            sent=self._sent.rows,
            waiting=self._engine.hooks.waiting,
        )

    def _unknown(self, marks: dict[str, Price | None]) -> tuple[UnknownData, ...]:
        """Return what the run could not know at its end."""
        state = self._engine.state
        found = [
            UnknownData(
                words=f"order requests of {name} beyond {MAX_INTENTS} in one call of a hook: the rest was discarded "
                "{times} (STRATEGY_FLOOD)",
                times=times,
            )
            for name, times in sorted(self._floods.items())
        ]
        held = {ticker: qty for ticker, qty in state.net_held().items() if qty}
        by_value: dict[str, list[tuple[str, Qty]]] = {how: [] for how in (_NO_BID, _NO_ASK, _NO_BOOK, _NO_PRICE)}
        for ticker, qty in held.items():
            how = _valued_by(*state.priced(ticker), qty)
            if how:
                by_value[how].append((ticker, qty))
        return (*found, *(_estimated(positions, marks, how) for how, positions in by_value.items() if positions))


_NO_BID = "no bid at the end; valued at {value} by estimate, the lower of the last price and the other side"
_NO_ASK = "no ask at the end; valued at {value} by estimate, the higher of the last price and the other side"
_NO_BOOK = "no open order book at the end; valued at {value} by the last known prices"
_NO_PRICE = "no usable price; valued at {value} by the price of the last fill"


def _valued_by(book: OrderBook | None, market: Market | None, qty: Qty) -> str:
    """Return how a position without a result is valued that no order in the book would close; empty for any other."""
    source = mark_source(market, qty, book)
    if source == "settlement" or (source == "quote" and book is not None):
        return ""
    if source is None:
        return _NO_PRICE
    if book is None:
        return _NO_BOOK
    return _NO_BID if qty > 0 else _NO_ASK


def _estimated(positions: Sequence[tuple[str, Qty]], marks: dict[str, Price | None], how: str) -> UnknownData:
    """Return how many contracts nothing in the book would close, and their estimated value."""
    value = sum(
        notional(Price(at if qty > 0 else ONE_DOLLAR - at), Qty(abs(qty)))
        for ticker, qty in positions
        if (at := marks.get(ticker)) is not None
    )
    return UnknownData(
        words=f"price to close {{contracts}} contracts in {{markets}} at: {how}",
        markets=frozenset(ticker for ticker, _ in positions),
        qty=Qty(sum(abs(qty) for _, qty in positions)),
        value=Money(value),
    )


def span(parts: Iterable[tuple[Price | None, ...] | None]) -> tuple[Price, Price] | None:
    """Return the lowest and the highest known price; None without one."""
    known = [price for part in parts for price in part or () if price is not None]
    return (min(known), max(known)) if known else None


# -- from facts to rows -------------------------------------------------------------------------------------------


def report_fields(facts: BacktestFacts, net: Money, curve: Sequence[tuple[Ts, Money]]) -> dict[str, object]:
    """Return the fields of `BacktestView` that follow from the facts."""
    fills = [entry for entry in facts.entries if isinstance(entry, Fill)]
    traded = sum(fill.qty for fill in fills)
    made = sum(fill.qty for fill in fills if not fill.is_taker)
    of_runs = [round_trips(run.entries, run.marks) for run in facts.accounts]
    trips = list(chain.from_iterable(of_runs))
    times = [(found, run.started, run.ended, run.pauses) for found, run in zip(of_runs, facts.accounts, strict=True)]
    return {
        "runs": len(facts.accounts),
        "started": facts.started,
        "ended": facts.ended,
        "markets": len(facts.tickers),
        "markets_traded": len({fill.ticker for fill in fills}),
        "starting_balance": facts.starting_balance,
        "total_return": Ratio(net / facts.starting_balance) if facts.starting_balance else None,
        "maker_share": Ratio(made / traded) if traded else None,
        "fill_rate": Ratio(traded / facts.ordered) if facts.ordered else None,
        "turnover": Money(sum(trip.traded_value for trip in trips)),
        "highest_exposure": facts.highest,
        **position_fields([net for found in of_runs for net in closed_nets(found)]),
        "time_in_market": time_in_market(times),
        "ratios": tuple(ratio_rows([facts.days[day] for day in sorted(facts.days)], _by_event(facts))),
        "by_strategy": tuple(_by_strategy(facts)),
        "by_hour": tuple(parts(trips, hour_of)),
        "by_price": tuple(parts(trips, price_band)),
        "by_time_to_close": tuple(_by_time_to_close(trips, facts.closes)),
        "trades": tuple(row for run in facts.accounts for row in trade_rows(run)),
        "settlements": tuple(settlement_rows(facts)),
        "sent": tuple(chain.from_iterable(run.sent for run in facts.accounts))[:MAX_SENT],
        "curve": tuple(
            EquityRow(time=ts, net=SignedMoney(value), drawdown=below)
            for (ts, value), (_, below) in zip(curve, drawdowns(curve), strict=True)
        ),
    }


def _by_event(facts: BacktestFacts) -> list[ProfitAndLoss]:
    """Return the profit of each event that was traded, in all runs together."""
    found: dict[str, list[ProfitAndLoss]] = {}
    for run in facts.accounts:
        for ticker, part in group_by(run.entries, run.marks, lambda ticker, _: ticker).items():
            found.setdefault(run.events.get(ticker, ticker), []).append(part)
    return [total(parts) for parts in found.values()]


def ratio_rows(days: Sequence[Money], events: Sequence[ProfitAndLoss]) -> Iterable[RatioRow]:
    """Yield Sharpe and Sortino by day and by event."""
    samples: tuple[tuple[str, Sequence[int]], ...] = (("day", days), ("event", [part.net for part in events]))
    measures: tuple[tuple[str, Callable[[Sequence[int]], RatioEstimate | None], str], ...] = (
        ("sharpe", sharpe, "all observations are equal"),
        ("sortino", sortino, "no observation is a loss"),
    )
    for name, measure, why in measures:
        for per, sample in samples:
            found = measure(sample)
            few = f"needs {MIN_OBSERVATIONS} observations" if len(sample) < MIN_OBSERVATIONS else why
            yield RatioRow(
                measure=name,
                per=per,
                observations=len(sample),
                value=None if found is None else round(found.value, 6),
                standard_error=None if found is None else round(found.error, 6),
                note=few if found is None else None,
            )


def parts(trips: Iterable[RoundTrip], key: Callable[[RoundTrip], str]) -> list[ProfitPartRow]:
    """Return the profit of round trips by a key, sorted by it."""
    groups: dict[str, list[RoundTrip]] = {}
    for trip in trips:
        groups.setdefault(key(trip), []).append(trip)
    return [
        ProfitPartRow(
            part=name,
            round_trips=len(group),
            count=Qty(sum(trip.qty for trip in group)),
            gross=SignedMoney(Money(sum(trip.gross for trip in group))),
            fees=Money(sum(trip.fees for trip in group)),
            net=SignedMoney(Money(sum(trip.net for trip in group))),
        )
        for name, group in sorted(groups.items())
    ]


def _by_strategy(facts: BacktestFacts) -> Iterable[ProfitPartRow]:
    """Yield the profit of each strategy from its own fills, where several traded; they add up to the net."""
    names = sorted({name for run in facts.accounts for name in run.strategies.values()})
    for name in names if len(names) > 1 else ():
        trips = (trip for run in facts.accounts for trip in _trips_of(run, name))
        yield from parts(trips, partial(_always, name))


def _trips_of(run: BacktestFacts, strategy: str) -> list[RoundTrip]:
    own = [
        entry for entry in run.entries if not isinstance(entry, Fill) or run.strategies.get(entry.key, "") == strategy
    ]
    return round_trips(own, run.marks)


def _always(name: str, _trip: RoundTrip) -> str:
    return name


def hour_of(trip: RoundTrip) -> str:
    """Return the hour of the day, UTC, at which the contracts were opened."""
    return f"{trip.opened % DAY_MS // HOUR_MS:02d}:00"


def price_band(trip: RoundTrip) -> str:
    """Return the band of ten cents of the price that was paid."""
    start = min(trip.entry // _BAND, 9) * 10
    return f"${start / 100:.2f} to ${(start + 10) / 100:.2f}"


def time_to_close(trip: RoundTrip, close: Ts | None) -> str:
    """Return the part of the time from the opening to the close of the market."""
    if close is None:
        return _UNKNOWN_CLOSE
    left = close - trip.opened
    return next((name for limit, name in _TO_CLOSE if left < limit), _UNKNOWN_CLOSE)


def _by_time_to_close(trips: Iterable[RoundTrip], closes: dict[str, Ts]) -> list[ProfitPartRow]:
    order = {name: number for number, (_, name) in enumerate(_TO_CLOSE)}
    rows = parts(trips, lambda trip: time_to_close(trip, closes.get(trip.ticker)))
    return sorted(rows, key=lambda row: order.get(row.part, len(order)))


def settlement_rows(facts: BacktestFacts) -> list[BacktestSettlementRow]:
    """Return every settlement of an open position with its profit, at average cost as in `pnl`, run after run."""
    return [row for run in facts.accounts for row in _settlements_of(run.entries)]


def _settlements_of(entries: Iterable[LedgerEntry]) -> list[BacktestSettlementRow]:
    ledger, rows = Ledger(), []
    for entry in entries:
        before = ledger.position(entry.ticker)
        ledger.add(entry)
        if isinstance(entry, Settlement):
            realized = Money(ledger.position(entry.ticker).realized - before.realized)
            rows.append(
                BacktestSettlementRow(
                    time=entry.ts, ticker=entry.ticker, result=entry.result, position=before.qty,
                    payout=entry.revenue, realized=SignedMoney(realized),
                )
            )  # fmt: skip
    return rows


def trade_rows(facts: BacktestFacts) -> Iterable[BacktestTradeRow]:
    """Yield every fill of one run with the profit of the contracts that it closed, at average cost as in `pnl`."""
    ledger = Ledger()
    for entry in facts.entries:
        before = ledger.position(entry.ticker).realized
        ledger.add(entry)
        if not isinstance(entry, Fill):
            continue
        after = ledger.position(entry.ticker)
        close = facts.closes.get(entry.ticker)
        left = None if close is None or close - entry.ts >= FAR_AWAY_MS else (close - entry.ts) / 1000
        yield BacktestTradeRow(
            time=entry.ts,
            ticker=entry.ticker,
            event_ticker=facts.events.get(entry.ticker, ""),
            strategy=facts.strategies.get(entry.key, ""),
            book_side=entry.side,
            price=entry.price,
            count=entry.qty,
            fee=entry.fee,
            is_taker=entry.is_taker,
            realized=SignedMoney(Money(after.realized - before)),
            position_after=after.qty,
            to_close_s=left,
            order_id=entry.order_id,
        )
