"""The measures of a backtest: collected while it runs, and turned into the fields of its view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, pluralize
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import LedgerEntry, ProfitAndLoss, group_by, sort_by_time
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, Effect, FillBooked, SubmitOrder
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.services.research.report.round_trips import RoundTrip, round_trips
from kalshi_cli.services.research.report.statistics import (
    MIN_OBSERVATIONS,
    RatioEstimate,
    drawdowns,
    highest_cost,
    sharpe,
    sortino,
)
from kalshi_cli.views.backtests import BacktestSettlementRow, BacktestTradeRow, EquityRow, ProfitPartRow, RatioRow
from kalshi_cli.views.formats import Ratio, SignedMoney

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
FAR_AWAY_MS = 100 * 365 * DAY_MS
"""A close that is further away than this is the placeholder of an unknown one."""

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
    """The measures of a finished backtest, beside its summary."""

    started: Ts | None = None
    ended: Ts | None = None
    markets: int = 0
    starting_balance: Money | None = None
    ordered: Qty = Qty(0)
    entries: tuple[LedgerEntry, ...] = ()
    marks: dict[str, Price | None] = {}
    events: dict[str, str] = {}
    closes: dict[str, Ts] = {}
    strategies: dict[tuple[str, str], str] = {}
    days: tuple[Money, ...] = ()
    unknown: tuple[str, ...] = ()


class Measurements:
    """The measures of a running backtest: it reads each message once and keeps no message."""

    def __init__(self, engine: TradingEngine) -> None:
        self._engine = engine
        self._balance = engine.cash
        self._started: Ts | None = None
        self._last: Ts | None = None
        self._ordered = 0
        self._strategies: dict[tuple[str, str], str] = {}
        self._day_nets: dict[int, Money] = {}

    def on_message(self, message: Message) -> None:
        """Count a message of the recording."""
        if self._started is None:
            self._started = message.ts or None
        self._last = message.ts

    def on_tick(self, ts: Ts, net: Money) -> None:
        """Keep the profit at the end of each day (UTC)."""
        self._day_nets[ts // DAY_MS] = net

    def on_effect(self, effect: Effect) -> None:
        """Count the contracts of an order that is sent, and keep the strategy of a fill."""
        if isinstance(effect, SubmitOrder):
            self._ordered += effect.order.qty
        elif isinstance(effect, AmendOrder):
            self._ordered += max(0, effect.wanted.qty - effect.before.qty)
        elif isinstance(effect, FillBooked):
            self._strategies[effect.fill.key] = effect.order.strategy if effect.order is not None else ""

    def facts(self, net: Money) -> BacktestFacts:
        """Return the measures at the end of a run with this net."""
        state = self._engine.state
        entries, marks = tuple(sort_by_time(state.ledger.entries)), state.marks()
        if self._day_nets:
            self._day_nets[max(self._day_nets)] = net
        ends = [Money(0), *(self._day_nets[day] for day in sorted(self._day_nets))]
        traded = {entry.ticker for entry in entries}
        seen = {ticker: state.seen(ticker) for ticker in traded}
        return BacktestFacts(
            started=self._started,
            ended=self._last,
            markets=len(state.markets),
            starting_balance=self._balance,
            ordered=Qty(self._ordered),
            entries=entries,
            marks=marks,
            events={ticker: market.event_ticker for ticker, market in seen.items() if market is not None},
            closes={ticker: market.close_time for ticker, market in seen.items() if market is not None},
            strategies=dict(self._strategies),
            days=tuple(Money(after - before) for before, after in pairwise(ends)),
            unknown=self._unknown(marks),
        )

    def _unknown(self, marks: dict[str, Price | None]) -> tuple[str, ...]:
        """Return what the run could not know at its end, one sentence each."""
        state = self._engine.state
        found = []
        held = [ticker for ticker, qty in state.net_held().items() if qty]
        priced = [ticker for ticker in held if marks.get(ticker) is not None]
        if len(held) > len(priced):
            found.append(
                f"No price for {pluralize(len(held) - len(priced), 'market')} with an open position: valued at cost"
            )
        return tuple(found)


# -- from facts to rows -------------------------------------------------------------------------------------------


def report_fields(facts: BacktestFacts, net: Money, curve: Sequence[tuple[Ts, Money]]) -> dict[str, object]:
    """Return the fields of `BacktestView` that follow from the facts."""
    fills = [entry for entry in facts.entries if isinstance(entry, Fill)]
    traded = sum(fill.qty for fill in fills)
    made = sum(fill.qty for fill in fills if not fill.is_taker)
    trips = round_trips(facts.entries, facts.marks)
    by_event = group_by(facts.entries, facts.marks, lambda ticker, _: facts.events.get(ticker, ticker))
    return {
        "unknown": facts.unknown,
        "started": facts.started,
        "ended": facts.ended,
        "markets": facts.markets,
        "markets_traded": len({fill.ticker for fill in fills}),
        "starting_balance": facts.starting_balance,
        "total_return": Ratio(net / facts.starting_balance) if facts.starting_balance else None,
        "maker_share": Ratio(made / traded) if traded else None,
        "fill_rate": Ratio(traded / facts.ordered) if facts.ordered else None,
        "turnover": Money(sum(trip.traded_value for trip in trips)),
        "highest_exposure": highest_cost(facts.entries),
        "ratios": tuple(ratio_rows(facts.days, list(by_event.values()))),
        "by_strategy": tuple(_by_strategy(facts)),
        "by_hour": tuple(parts(trips, hour_of)),
        "by_price": tuple(parts(trips, price_band)),
        "by_time_to_close": tuple(_by_time_to_close(trips, facts.closes)),
        "trades": tuple(trade_rows(facts)),
        "curve": tuple(
            EquityRow(time=ts, net=SignedMoney(value), drawdown=below)
            for (ts, value), (_, below) in zip(curve, drawdowns(curve), strict=True)
        ),
    }


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
    names = sorted(set(facts.strategies.values()))
    for name in names if len(names) > 1 else ():
        own = [
            entry
            for entry in facts.entries
            if not isinstance(entry, Fill) or facts.strategies.get(entry.key, "") == name
        ]
        yield from parts(round_trips(own, facts.marks), partial(_always, name))


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


def settlement_rows(entries: Iterable[LedgerEntry]) -> list[BacktestSettlementRow]:
    """Return every settlement of an open position with its profit, at average cost as in `pnl`."""
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
    """Yield every fill with the profit of the contracts that it closed, at average cost as in `pnl`."""
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
