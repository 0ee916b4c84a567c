"""The GET endpoints. Portfolio reads show the account's mirror, which may lag; public ones show the market as it is."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from kalshi_cli.core.model import MarketStatus
from kalshi_cli.sim.mirror import Mirror
from kalshi_cli.sim.records import HoldingRecord, MarketRecord, OrderRecord, TradeRecord
from kalshi_cli.sim.replies import Json, Query, nested
from kalshi_cli.sim.routing import Call
from kalshi_cli.sim.shapes import (
    SHARD,
    book_json,
    event_json,
    event_position_json,
    fill_json,
    market_json,
    order_json,
    position_json,
    rfc3339,
    series_json,
    settlement_json,
    trade_json,
)
from kalshi_cli.sim.state import Member, State
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty, Ts, format_money, format_qty, notional

_SHOWN_AS = {
    MarketStatus.INITIALIZED: "unopened",
    MarketStatus.ACTIVE: "open",
    MarketStatus.INACTIVE: "paused",
    MarketStatus.FINALIZED: "settled",
}
_FILTERS = ("unopened", "open", "paused", "closed", "settled")
_FAMILIES = {  # which status a family of timestamps may be combined with; families exclude each other
    "created": (None, "unopened", "open"),
    "close": (None, "closed"),
    "settled": (None, "settled"),
    "updated": (None,),
}
_FAR = 1 << 62


class Reads:
    """Every method answers the body of a 200."""

    def __init__(self, state: State) -> None:
        self._state = state

    # -- the exchange --

    def status(self, _: Call) -> Json:
        switches = self._state.switches
        flags = {
            "exchange_active": switches.is_active,
            "trading_active": switches.is_trading,
            "intra_exchange_transfers_active": switches.is_active,
        }
        return flags | {"exchange_index_statuses": [{"exchange_index": SHARD, "description": "simulated"} | flags]}

    def schedule(self, call: Call) -> Json:
        """Always open; the weekly maintenance of the real exchange is announced so that clients meet one."""
        day = [{"open_time": "00:00", "close_time": "23:59"}]
        names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
        week = 7 * 86_400_000
        start = Ts(call.now // week * week)
        hours = {"start_time": rfc3339(start), "end_time": rfc3339(Ts(start + 52 * week))}
        return {"schedule": {"standard_hours": [hours | dict.fromkeys(names, day)], "maintenance_windows": []}}

    def user_data_timestamp(self, call: Call) -> Json:
        return {"as_of_time": rfc3339(Ts(call.now - self._state.options.read_lag_ms))}

    def limits(self, _: Call) -> Json:
        options = self._state.options
        return {
            "usage_tier": options.usage_tier,
            "read": {"refill_rate": options.read_rate, "bucket_capacity": options.read_rate},
            "write": {"refill_rate": options.write_rate, "bucket_capacity": options.write_rate},
            "grants": [],
        }

    # -- public market data --

    def markets(self, call: Call) -> Json:
        query, now = call.query, call.now
        status = query.one_of("status", _FILTERS)
        windows = _windows(query, status)
        tickers, events = set(query.many("tickers")), set(query.many("event_ticker"))
        series, combos = query.text("series_ticker"), query.one_of("mve_filter", ("only", "exclude"))

        def wanted(market: MarketRecord) -> bool:
            spec = market.spec
            if combos == "only" or (tickers and spec.ticker not in tickers):
                return False
            if (events and spec.event_ticker not in events) or (series and self._series_of(market) != series):
                return False
            if status and _SHOWN_AS.get(market.status(now), "closed") != status:
                return False
            return all(low <= (_moment(market, family) or -1) <= high for family, (low, high) in windows.items())

        found, cursor = query.page(filter(wanted, self._state.markets.values()), lambda market: market.number)
        return {"markets": [self._market(market, now) for market in found], "cursor": cursor}

    def market(self, call: Call) -> Json:
        return {"market": self._market(self._find(call.path[0]), call.now)}

    def orderbook(self, call: Call) -> Json:
        market = self._find(call.path[0])
        depth = call.query.number("depth", most=100) or 0
        return {"orderbook_fp": book_json(self._state.books[market.spec.ticker], depth)}

    def orderbooks(self, call: Call) -> Json:
        known = [ticker for ticker in call.query.repeated("tickers") if ticker in self._state.books]
        books = [{"ticker": ticker, "orderbook_fp": book_json(self._state.books[ticker], 0)} for ticker in known]
        return {"orderbooks": books}

    def trades(self, call: Call) -> Json:
        query = call.query
        ticker, (low, high) = query.text("ticker"), _seconds(query)
        tapes = [self._state.trades.get(ticker, ())] if ticker else self._state.trades.values()
        newest: Iterator[TradeRecord] = heapq.merge(*map(reversed, tapes), key=lambda trade: -trade.number)
        inside = (trade for trade in newest if low <= trade.ts <= high and query.text("is_block_trade") != "true")
        found, cursor = query.page(inside, lambda trade: -trade.number)
        return {"trades": [trade_json(trade) for trade in found], "cursor": cursor}

    def events(self, call: Call) -> Json:
        query, state = call.query, self._state
        status = query.one_of("status", ("unopened", "open", "closed", "settled"))
        series, tickers = query.text("series_ticker"), set(query.many("tickers"))
        closing = (query.number("min_close_ts") or 0) * 1000
        children: dict[str, list[MarketRecord]] = {ticker: [] for ticker in state.events}
        for market in state.markets.values():
            children[market.spec.event_ticker].append(market)

        def wanted(item: tuple[int, str]) -> bool:
            event, markets = state.events[item[1]], children[item[1]]
            if (series and event.series_ticker != series) or (tickers and event.event_ticker not in tickers):
                return False
            shown = {_SHOWN_AS.get(market.status(call.now), "closed") for market in markets}
            if status and status not in shown:
                return False
            return not closing or any(market.close_time >= closing for market in markets)

        found, cursor = query.page(filter(wanted, enumerate(state.events)), lambda item: item[0], usual=200, most=200)
        is_nested = query.flag("with_nested_markets")
        shown = [self._event(ticker, children[ticker] if is_nested else None, call.now) for _, ticker in found]
        return {"events": shown, "milestones": [], "cursor": cursor}

    def event(self, call: Call) -> Json:
        ticker = call.path[0]
        if ticker not in self._state.events:
            raise nested(404, "not_found")
        markets = [market for market in self._state.markets.values() if market.spec.event_ticker == ticker]
        is_nested = call.query.flag("with_nested_markets")
        return {
            "event": self._event(ticker, markets if is_nested else None, call.now),
            "markets": [self._market(market, call.now) for market in markets],
        }

    def series_list(self, call: Call) -> Json:
        category = call.query.text("category")
        series = self._state.series.values()
        return {"series": [series_json(spec) for spec in series if category in (None, spec.category)]}

    def series(self, call: Call) -> Json:
        spec = self._state.series.get(call.path[0])
        if spec is None:
            raise nested(404, "not_found")
        return {"series": series_json(spec)}

    # -- the account --

    def orders(self, call: Call) -> Json:
        query, member, mirror = call.query, self._member(call), self._mirror(call)
        status = query.one_of("status", ("resting", "canceled", "executed"))
        ticker, events = query.text("ticker"), set(query.many("event_ticker", most=10))
        low, high = _seconds(query)

        def wanted(order: OrderRecord) -> bool:
            if ticker not in (None, order.ticker) or status not in (None, order.status):
                return False
            if events and self._find(order.ticker).spec.event_ticker not in events:
                return False
            return low <= order.created <= high

        newest = filter(wanted, reversed(mirror.orders.values()))
        found, cursor = query.page(newest, lambda order: -order.rank)
        return {"orders": [order_json(order, member.record.user_id) for order in found], "cursor": cursor}

    def order(self, call: Call) -> Json:
        order = self._mirror(call).orders.get(call.path[0])
        if order is None:
            raise nested(404, "not_found")
        return {"order": order_json(order, self._member(call).record.user_id)}

    def queue_position(self, call: Call) -> Json:
        order = self._state.live.get(call.path[0])
        if order is None or order.account != call.account:
            raise nested(404, "not_found")
        return {"queue_position_fp": format_qty(self._state.books[order.ticker].ahead_of(order))}

    def fills(self, call: Call) -> Json:
        query, (low, high) = call.query, _seconds(call.query)
        tickers, order_id = set(query.many("ticker")), query.text("order_id")
        newest = (
            fill
            for fill in reversed(self._mirror(call).fills)
            if low <= fill.ts <= high and (not tickers or fill.ticker in tickers) and order_id in (None, fill.order_id)
        )
        found, cursor = query.page(newest, lambda fill: -fill.number)
        return {"fills": [fill_json(fill) for fill in found], "cursor": cursor}

    def settlements(self, call: Call) -> Json:
        query, (low, high) = call.query, _seconds(call.query)
        ticker, event = query.text("ticker"), query.text("event_ticker")
        newest = (
            one
            for one in reversed(self._mirror(call).settlements)
            if low <= one.ts <= high and ticker in (None, one.ticker) and event in (None, one.event_ticker)
        )
        found, cursor = query.page(newest, lambda one: -one.number)
        return {"settlements": [settlement_json(one) for one in found], "cursor": cursor}

    def positions(self, call: Call) -> Json:
        query = call.query
        shown = query.one_of("settlement_status", ("unsettled", "settled", "all")) or "unsettled"
        ticker, event, counted = query.text("ticker"), query.text("event_ticker"), query.many("count_filter")
        holdings = [
            (place, holding)
            for place, holding in enumerate(self._mirror(call).holdings.values())
            if shown in ("all", "settled" if holding.is_settled else "unsettled")
            and ticker in (None, holding.ticker)
            and event in (None, self._find(holding.ticker).spec.event_ticker)
            and (not counted or ("position" in counted and holding.qty) or ("total_traded" in counted))
        ]
        found, cursor = query.page(holdings, lambda item: item[0])
        by_event: dict[str, list[HoldingRecord]] = {}
        for _, holding in found:
            by_event.setdefault(self._find(holding.ticker).spec.event_ticker, []).append(holding)
        return {
            "cursor": cursor,
            "market_positions": [position_json(holding) for _, holding in found],
            "event_positions": [event_position_json(event, held) for event, held in by_event.items()],
        }

    def balance(self, call: Call) -> Json:
        mirror = self._mirror(call)
        account = mirror.account
        cash = account.cash if account else Money(0)
        exact = format_money(Money(cash // 100 * 100))[:-2]
        return {
            "balance": cash // 10_000,
            "balance_dollars": exact,
            "portfolio_value": self._value(mirror) // 10_000,
            "updated_ts": (account.updated if account else call.now) // 1000,
            "balance_breakdown": [{"exchange_index": SHARD, "balance": exact}],
        }

    # -- parts --

    def _value(self, mirror: Mirror) -> Money:
        """Positions at the last price: 2 contracts at 0.99 were shown as 198 cents (recorded in June 2026)."""
        total = 0
        for holding in mirror.holdings.values():
            last = self._state.markets[holding.ticker].last
            if holding.qty and last is not None:
                price = last if holding.qty > 0 else Price(ONE_DOLLAR - last)
                total += notional(price, Qty(abs(holding.qty)))
        return Money(total)

    def _member(self, call: Call) -> Member:
        assert call.account is not None
        return self._state.members[call.account]

    def _mirror(self, call: Call) -> Mirror:
        mirror = self._member(call).mirror
        assert mirror is not None
        return mirror.at(call.now)

    def _find(self, ticker: str) -> MarketRecord:
        market = self._state.markets.get(ticker)
        if market is None:
            raise nested(404, "not_found")
        return market

    def _series_of(self, market: MarketRecord) -> str:
        return self._state.events[market.spec.event_ticker].series_ticker

    def _market(self, market: MarketRecord, now: Ts) -> Json:
        return market_json(market, self._state.books[market.spec.ticker], now)

    def _event(self, ticker: str, markets: list[MarketRecord] | None, now: Ts) -> Json:
        event = self._state.events[ticker]
        shown = event_json(event, self._state.series[event.series_ticker])
        if markets is not None:
            shown["markets"] = [self._market(market, now) for market in markets]
        return shown


def _seconds(query: Query) -> tuple[int, int]:
    """`min_ts` and `max_ts`, as milliseconds; both ends included."""
    low, high = query.number("min_ts"), query.number("max_ts")
    return (low or 0) * 1000, _FAR if high is None else high * 1000 + 999


def _windows(query: Query, status: str | None) -> dict[str, tuple[int, int]]:
    """The timestamp filters of GET /markets by family; families cannot be mixed, nor joined with every status."""
    windows: dict[str, tuple[int, int]] = {}
    for family, allowed in _FAMILIES.items():
        low, high = query.number(f"min_{family}_ts"), query.number(f"max_{family}_ts")
        if low is None and high is None:
            continue
        windows[family] = ((low or 0) * 1000, _FAR if high is None else high * 1000 + 999)
        if status not in allowed:
            raise nested(400, "invalid_parameters", f"{family} timestamps do not go with status {status}")
    if len(windows) > 1:
        raise nested(400, "invalid_parameters", "timestamp filters are mutually exclusive")
    return windows


def _moment(market: MarketRecord, family: str) -> Ts | None:
    match family:
        case "created":
            return market.created
        case "close":
            return market.close_time
        case "settled":
            return market.settled
        case _:
            return market.updated
