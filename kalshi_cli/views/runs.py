"""Views of runs, backtests and their status. Rules as in `row`."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.monitoring.feed_check import without_books
from kalshi_cli.views import backtests
from kalshi_cli.views.formats import Ratio, SignedMoney, TradingStateCell, TruncatableText
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.row import Outcome, OutputRow, names


class StrategyPartRow(OutputRow, frozen=True, kw_only=True):
    """A strategy of a run: its own orders, and the gain of its own fills since the run began.

    The row without a name has all other trading, so that `net` and `fees` of all rows add up to the run's. Each
    strategy has its own ledger, as in `pnl --by strategy`: where two hold opposite sides of a market, the account has
    realized a result that is still open for each of them. `at_risk` is the most that it can still lose with all its
    orders, `budget` the limit of that.
    """

    strategy: str
    live_orders: int
    at_risk: Money
    budget: Money | None
    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney

    shown = ("strategy", "net", "realized", "unrealized", "fees", "at_risk", "budget", "live_orders")


class StrategyRefusalsRow(OutputRow, frozen=True, kw_only=True):
    """The order requests of a strategy that were refused with a code, in a run of several strategies."""

    strategy: str
    code: str
    denied: int


class SentOrderRow(OutputRow, frozen=True, kw_only=True):
    """An order request that a run sent: an order that was placed, or an amend; `price` is on the YES scale."""

    time: Ts
    ticker: str
    strategy: str
    is_amend: bool
    book_side: Side
    price: Price
    count: Qty


class RunFillRow(OutputRow, frozen=True, kw_only=True):
    """A fill of an order of a run's strategies; `price` is on the YES scale."""

    time: Ts
    ticker: str
    strategy: str
    book_side: Side
    price: Price
    count: Qty


class StartingPositionRow(OutputRow, frozen=True, kw_only=True):
    """A position that was open when a run began; the price is that of its side, each subaccount has a row."""

    ticker: str
    side: Outcome
    count: Qty
    average_price: Price


class TradeSummary(OutputRow, frozen=True, kw_only=True):
    """A run of `trade` in numbers; `denied` counts refusals by code, `day_net` is the net of the trading day.

    `orders` counts the requests that were sent: orders that were placed, and amends; cancels are no requests.
    Amounts are those of this run: `unrealized` is the change since its start, also of positions that it took over.
    `net` is realized plus unrealized minus fees, and the `strategies` add up to it.
    `failed_strategies` were disabled because they raised an error or hung, each with the reason. `markets` counts those
    of the run, `starting_balance` is the cash and `starting_positions` are the open positions at its start. `latency`
    is the measured median from sending an order to its response, None without one; on paper it is the simulated one.
    `slow_hooks` counts the hook calls of 50 ms or more, if there were at least three. `sent` lists the first 1,000
    requests that were sent, `run_fills` as many fills. `settings` has the version of kalshi, the interval between
    cycles, the checksums of strategy files, the budget and sizing of the strategies, and the risk limits and other
    settings of orders that differ from the default.
    """

    strategy: str
    params: dict[str, str] = msgspec.field(default_factory=dict)
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    env: str
    mode: str
    latency: str | None = None
    slow_hooks: int = 0
    slowest_hook_ms: int | None = None
    started: Ts | None = None
    ended: Ts | None = None
    markets: int = 0
    starting_balance: Money | None = None
    starting_positions: tuple[StartingPositionRow, ...] = ()
    uptime_s: float
    cycles: int
    intents: int
    orders: int
    fills: int
    maker_fills: int
    taker_fills: int
    open_positions: int
    live_orders: int
    win_rate: Ratio | None
    denied: dict[str, int]
    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney
    balance: Money | None
    day_net: SignedMoney
    stopped_by: str
    failed_strategies: tuple[str, ...] = ()
    strategies: tuple[StrategyPartRow, ...]
    denied_by_strategy: tuple[StrategyRefusalsRow, ...] = ()
    sent: tuple[SentOrderRow, ...] = ()
    run_fills: tuple[RunFillRow, ...] = ()

    headings = names(unrealized="unrealized change")
    screen = (
        "strategy", "params", "env", "mode", "latency", "started", "ended", "markets", "uptime_s", "cycles", "intents",
        "orders", "fills", "maker_fills", "taker_fills", "open_positions", "live_orders", "win_rate", "denied",
        "realized", "unrealized", "fees", "net", "balance", "day_net", "stopped_by", "failed_strategies",
    )  # fmt: skip


class BacktestView(OutputRow, frozen=True, kw_only=True):
    """A run over recordings: its results, ratios, parts of the profit, trades and equity curve.

    `holes` counts the gaps, in which messages of a market were lost; `unknown` says what the recording does not tell.
    `orders` counts the requests that were sent: orders that were placed, and amends. `realized` of all `trades` and
    `settlements`, less `fees`, is `net` without an open position. With both fill models, `bounds` has both runs, and
    all other fields are those of the pessimistic one.
    `phase_nets` are the net with each phase of the ticks. `runs` counts the separate runs of `--jobs`, of which this is
    the sum. `sent` lists the first 1,000 requests that were sent. `settings` are those of `trade --json`, with the
    treatment of gaps and the choice of times and markets; `recordings` names the recordings and the other files.
    """

    strategy: str
    params: dict[str, str] = msgspec.field(default_factory=dict)
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    recordings: tuple[str, ...] = ()
    unknown: tuple[str, ...]
    fill_model: str
    latency: str
    started: Ts | None
    ended: Ts | None
    markets: int
    markets_traded: int
    starting_balance: Money | None
    intents: int
    orders: int
    fills: int
    maker_fills: int
    taker_fills: int
    win_rate: Ratio | None
    denied: dict[str, int]
    realized: SignedMoney
    unrealized: SignedMoney
    fees: Money
    net: SignedMoney
    total_return: Ratio | None
    max_drawdown: Money
    balance: Money | None
    maker_share: Ratio | None
    fill_rate: Ratio | None
    turnover: Money
    highest_exposure: Money
    closed_positions: int | None = None
    winning_positions: int | None = None
    position_win_rate: Ratio | None = None
    profit_factor: float | None = None
    average_win: SignedMoney | None = None
    average_loss: SignedMoney | None = None
    time_in_market: Ratio | None = None
    bounds: tuple[backtests.FillBoundRow, ...]
    ratios: tuple[backtests.RatioRow, ...]
    rows: tuple[PnlRow, ...]
    holes: int
    by_strategy: tuple[backtests.ProfitPartRow, ...]
    denied_by_strategy: tuple[StrategyRefusalsRow, ...] = ()
    by_hour: tuple[backtests.ProfitPartRow, ...]
    by_price: tuple[backtests.ProfitPartRow, ...]
    by_time_to_close: tuple[backtests.ProfitPartRow, ...]
    trades: tuple[backtests.BacktestTradeRow, ...]
    settlements: tuple[backtests.BacktestSettlementRow, ...] = ()
    curve: tuple[backtests.EquityRow, ...]
    phase_nets: tuple[SignedMoney, ...] = ()
    runs: int = 1
    by_recording: tuple[backtests.RecordingPartRow, ...] = ()
    sent: tuple[SentOrderRow, ...] = ()

    screen = (
        "strategy", "params", "fill_model", "latency", "started", "ended", "markets", "markets_traded",
        "starting_balance",
        "net", "total_return", "realized", "unrealized", "fees", "max_drawdown", "highest_exposure", "turnover",
        "time_in_market", "closed_positions", "winning_positions", "position_win_rate", "win_rate", "profit_factor",
        "average_win", "average_loss", "intents", "orders", "denied", "fills", "maker_fills", "taker_fills",
        "maker_share", "fill_rate", "balance",
    )  # fmt: skip
    rows_title = "by market"
    sentences = ("unknown",)


class RecordedView(OutputRow, frozen=True, kw_only=True):
    """A finished recording: its markets, its file (missing for the lake), and the number of lines."""

    tickers: tuple[str, ...]
    file: str | None
    lines: int


class StatusView(OutputRow, frozen=True, kw_only=True):
    """The running loop and its state.

    The counts of positions and orders are those of the state file, `as_of` its newest record, or the last account read
    of a loop that cannot read it; without a loop the exchange may know more. `strategy` to `cycles` belong to the last
    run. `ends`, `uptime_s`, and the fields from `feed_age_s` on, are missing once it has `ended`.
    """

    env: str
    mode: str
    trading_day: str
    running: bool
    pid: int | None
    stalled_since: Ts | None
    state: TradingStateCell
    paused: bool
    state_code: str | None
    state_reason: TruncatableText | None
    state_since: Ts | None
    open_positions: int
    unknown_orders: int
    resting_orders: int
    external_orders: int
    resting_until: Ts | None
    triggered_groups: tuple[str, ...]
    flatten_asked: Ts | None
    blind_since: Ts | None
    strategy: str | None
    failed_strategies: tuple[str, ...]
    started: Ts | None
    uptime_s: float | None
    last_cycle: Ts | None
    cycles: int | None
    ended: Ts | None
    ended_in_order: bool | None
    stopped_by: TruncatableText | None
    exit_code: int | None
    feed_age_s: float | None
    feed_lag_s: float | None
    no_book: TruncatableText | None
    waiting: TruncatableText | None
    cash: Money | None
    day_pnl: SignedMoney | None
    sources: tuple[str, ...]
    stale_sources: tuple[str, ...]
    as_of: Ts | None
    ends: Ts | None

    named = names(
        running="is_running", paused="halt.is_pause", state_code="halt.code",
        state_reason="halt.reason", state_since="halt.since", strategy="cycle.strategy",
        started="cycle.started", last_cycle="cycle.completed", cycles="cycle.cycles",
        no_book="running.no_book", waiting="running.waiting", cash="running.cash",
        day_pnl="running.day_pnl",
    )  # fmt: skip
    headings = names(state="trading state", paused="only paused")
    screen = (
        "env", "mode", "running", "stalled_since", "state", "state_code", "state_reason", "state_since", "blind_since",
        "flatten_asked", "triggered_groups", "failed_strategies", "stale_sources", "trading_day", "day_pnl", "cash",
        "as_of", "open_positions", "resting_orders", "external_orders", "resting_until", "unknown_orders", "strategy",
        "pid", "started", "ends", "last_cycle", "cycles", "ended", "ended_in_order", "stopped_by", "exit_code",
        "feed_age_s", "feed_lag_s", "no_book", "waiting", "sources",
    )  # fmt: skip


def status_brief(view: StatusView) -> StatusView:
    """Return a status that names the first market without an order book and counts the others."""
    missing, count = without_books(view.no_book or "")
    if count < 2:
        return view
    first = f"{count} markets; {missing[0].subject}: {missing[0].value}"
    return msgspec.structs.replace(view, no_book=TruncatableText(first))
