"""Backtests: the trading loop over recordings, without a store, and its profit and loss over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from kalshi_cli.base.clock import Clock, stopwatch
from kalshi_cli.base.units import Money, Ts, contracts, format_ts, pluralize, show_money, show_price
from kalshi_cli.core.account.pnl import ProfitAndLoss, group_by
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderRefused
from kalshi_cli.core.model.messages import Message, Tick
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.feeds.replay import is_chosen
from kalshi_cli.services.research.report.measures import BacktestFacts, Measurements, report_fields
from kalshi_cli.services.research.report.unknown import UnknownData, add_up, lines_of
from kalshi_cli.services.runner import RecorderProtocol, VenueProtocol, run
from kalshi_cli.services.trading.reports import run_summary
from kalshi_cli.views.backtests import FillBoundRow, RecordingPartRow
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.positions import PnlRow
from kalshi_cli.views.runs import BacktestView

FillChoice = Literal["proportional", "optimistic", "pessimistic"]


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A backtest: recordings in any order, and files with the results of their markets.

    With `lake`, the recordings are those of the lake, of these `series` and `sessions` (all, if there are none), and
    `files` can only be outside prices. With `tickers`, only these markets are played; the name of an event or of a
    series chooses all of its markets. The recordings are cut to the times from `since` to before `until`. `holes` says
    what to do where messages were lost: `refuse`; `forget` the books until their next snapshot; or `ignore` it. Without
    `latency_ms`, latencies are drawn from the recorded distribution. `interval_s` is the recorded time between two
    ticks; None is that of the trade loop. Ticks come `phase_ms` earlier than they would.
    """

    strategies: tuple[str, ...]
    files: tuple[Path, ...]
    results: tuple[Path, ...] = ()
    params: dict[str, str] = {}
    latency_ms: int | None = 150
    fill_model: FillChoice = "proportional"
    lake: Path | None = None
    series: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    tickers: tuple[str, ...] = ()
    since: Ts | None = None
    until: Ts | None = None
    holes: str = "forget"
    interval_s: float | None = None
    phase_ms: int = 0

    def is_played(self, ticker: str) -> bool:
        """Return whether a market is one of `tickers`, or there are none."""
        return not self.tickers or is_chosen(ticker, self.tickers)

    @property
    def sources(self) -> str:
        """Return the names of the files and of the lake."""
        names = [path.name for path in self.files]
        return ", ".join([*names, *([f"the lake {self.lake}"] if self.lake is not None else [])])

    @property
    def recording(self) -> str:
        """Return the name of the first recording, the only one of a part of `split_by_tape`; "" without one."""
        return next(iter((*self.sessions, *(path.name for path in self.files))), "")

    @property
    def latency(self) -> str:
        """Return the latency as a report shows it: 150ms, or recorded."""
        return "recorded" if self.latency_ms is None else f"{self.latency_ms}ms"


class BacktestReport(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a backtest, its maximum drawdown, and the profit and loss of each market.

    `curve` has the cumulative profit and loss in recorded time, one point per change. `refusals` are the first refusal
    of each code. `holes` counts the times at which messages of a market were lost, `lost_s` the seconds until its next
    snapshot or the end, summed over markets, `gap_mode` says how they were treated; `bounds` are the other fill models
    under which the same backtest ran. `unused_results` are the tickers of given results whose markets are not in the
    data, if a result is missing.
    """

    summary: run_summary.RunSummary
    max_drawdown: Money
    markets: dict[str, ProfitAndLoss]
    curve: tuple[tuple[Ts, Money], ...]
    refusals: tuple[OrderRefused, ...] = ()
    holes: int = 0
    lost_s: float = 0.0
    gap_mode: str = "forget"
    unused_results: tuple[str, ...] = ()
    facts: BacktestFacts = BacktestFacts()
    fill_model: str = "proportional"
    latency: str = ""
    bounds: tuple[BacktestReport, ...] = ()
    by_recording: tuple[RecordingPartRow, ...] = ()
    """The results of the recordings of separate runs; empty for one run."""
    phase_nets: tuple[Money, ...] = ()
    """The net of the same backtest with each phase of its ticks, first that of this report; empty for one phase."""

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Return every fill in the order of time."""
        return tuple(entry for entry in self.facts.entries if isinstance(entry, Fill))

    @property
    def total_return(self) -> Ratio | None:
        """Return the net as a share of the starting balance."""
        start = self.facts.starting_balance
        return Ratio(self.summary.net / start) if start else None


NO_BOUNDS = (
    "the bounds of --fills both could not be computed: without public trades the queue position decides no fill, and "
    "equal results do not show that it has no effect"
)
"""What the two fill models cannot tell."""

INVERTED_BOUNDS = (
    "The pessimistic run is better here: after other fills the strategy took other decisions, so that the two results "
    "are no interval"
)
"""A remark on bounds of which the pessimistic one has the higher net."""

MAX_POINTS = 20_000
"""Points of a curve; of a longer one every second point is dropped until it fits."""


class Unrecorded:
    """A store that keeps nothing but the first refusal of each code, and counts orders and fills."""

    def __init__(self, measured: Measurements) -> None:
        self.refusals: dict[str, OrderRefused] = {}
        self._measured = measured

    def record(self, effect: Effect) -> None:
        """Keep the first refusal of a code, and count the other effects."""
        if isinstance(effect, OrderRefused):
            self.refusals.setdefault(effect.code, effect)
        else:
            self._measured.on_effect(effect)


Drive = Callable[[Iterable[Message], TradingEngine, VenueProtocol, RecorderProtocol, Callable[[Message], None]], None]
"""A trading loop; `runner.run` is the reference."""


def backtest(
    plan: run_summary.RunPlan,
    engine: TradingEngine,
    feed: Iterable[Message],
    venue: VenueProtocol,
    clock: Clock,
    drive: Drive = run,
) -> BacktestReport:
    """Run the trading loop `drive` over a recording, and measure equity on every tick."""
    score, measured = run_summary.StrategyResults(engine), Measurements(engine)
    engine.hooks.timer = stopwatch
    store = Unrecorded(measured)
    cycles, peak, deepest = 0, 0, 0
    curve: list[tuple[Ts, Money]] = []

    def look(message: Message) -> None:
        nonlocal cycles, peak, deepest
        measured.on_message(message)
        if isinstance(message, Tick):
            cycles += 1
            net = score.gained().net
            peak = max(peak, net)
            deepest = max(deepest, peak - net)
            add_point(curve, message.ts, net)
            measured.on_tick(message.ts, net)

    drive(feed, engine, venue, store, look)
    state = engine.state
    entries = state.ledger.entries
    summary = run_summary.summarize(
        engine,
        score,
        plan,
        cycles=cycles,
        uptime_s=(clock.now() - (measured.started or clock.now())) / 1000,
        day_net=score.gained().net,
        stopped_by="end of data",
    )
    markets = group_by(entries, state.marks(), lambda ticker, _: ticker)
    return BacktestReport(
        summary=summary,
        max_drawdown=Money(max(deepest, peak - summary.net)),
        markets=dict(sorted(markets.items())),
        curve=(*curve, (clock.now(), summary.net)),
        refusals=tuple(store.refusals.values()),
        facts=measured.facts(summary.net),
    )


def add_point(curve: list[tuple[Ts, Money]], ts: Ts, net: Money) -> None:
    """Add a point where the value changed. The first point stays, and the number of points is limited."""
    if not curve or curve[-1][1] != net:
        curve.append((ts, net))
    if len(curve) > MAX_POINTS:
        del curve[1::2]


def backtest_view(report: BacktestReport) -> BacktestView:
    """Return the results of a backtest in total, and by market, hour, price and time to close.

    `made_with` adds the settings and the recordings.
    """
    fields = report_fields(report.facts, report.summary.net, report.curve)
    return BacktestView.of(
        report.summary,
        settings={},
        recordings=(),
        fill_model=report.fill_model,
        latency=report.latency,
        max_drawdown=report.max_drawdown,
        bounds=tuple(FillBoundRow.of(bound) for bound in report.bounds),
        holes=report.holes,
        by_recording=report.by_recording,
        phase_nets=tuple(map(SignedMoney, report.phase_nets)),
        rows=tuple(PnlRow.of(part, key=ticker) for ticker, part in report.markets.items()),
        unknown=unknown_lines(report),
        **fields,
    )


def unknown_lines(report: BacktestReport) -> tuple[str, ...]:
    """Return what the data does not say, one line each: first an input without any data, then its gaps."""
    return lines_of(unknown_data(report))


def unknown_data(report: BacktestReport) -> tuple[UnknownData, ...]:
    """Return what the data does not say, such that it adds up with that of other runs: first its gaps."""
    found = []
    if report.holes:
        done = "ignored" if report.gap_mode == "ignore" else "no trading in a market until its next snapshot"
        words = f"{{gaps}} in the data, {{lost}} without a book (summed over markets): {done}"
        found.append(UnknownData(words=words, times=report.holes, lost_s=report.lost_s))
    if report.bounds and not report.facts.has_trades:
        found.append(UnknownData(words=NO_BOUNDS))
    return (*found, *add_up(map(_after_group_limit, report.facts.group_limits)), *report.facts.unknown)


def _after_group_limit(reached: AlertRaised) -> UnknownData:
    """Return from where on live trading would have differed, because its order group had been triggered."""
    first = f"{format_ts(reached.ts)}: {reached.subject}: {reached.text}"
    return UnknownData(words="trading after {first} (GROUP_LIMIT{others})", times=1, first=first)


def backtest_warnings(report: BacktestReport, *, with_unknown: bool = True) -> list[str]:
    """Return what limits the report: results of other markets, and `with_unknown` what the data does not say."""
    lines = []
    if report.unused_results:
        first, *others = report.unused_results
        more = f" and of {pluralize(len(others), 'other market')}" if others else ""
        lines.append(f"Warning: --results has the result of {first}{more}, which the data does not have")
    return lines + [f"Unknown: {each}" for each in unknown_lines(report) if with_unknown]


def backtest_notes(report: BacktestReport) -> list[str]:
    """Return the first refusal of each code in words, why live fills differ, and orders below one contract.

    If the strategies requested nothing, return what they saw and the likely causes.
    """
    slow = run_summary.slow_hooks_text(report.summary)
    notes = [slow] if slow else []
    if not report.summary.intents:
        return [_no_orders_text(report), *notes]
    refusals = list(report.refusals)
    if is_all_refused(report):
        notes.append(all_refused_text(report))
        del refusals[0]
    else:
        notes += decisive_rules(report.summary.denied, report.summary.intents)
    if 0 < report.facts.largest < contracts(1):
        notes.append("Every order was for less than one contract: a bare 5 is 0.05 contracts, contracts(5) is 5")
    if report.facts.has_trades and any(bound.summary.net < report.summary.net for bound in report.bounds):
        notes.append(INVERTED_BOUNDS)
    notes += bound_notes([report.summary.net, *(bound.summary.net for bound in report.bounds)])
    simulated = f"latency {report.latency}, {report.fill_model} queue positions, no market impact"
    if report.facts.runs:
        notes.append(f"Sum of {len(report.facts.runs)} separate runs, each with its own cash and positions")
    if report.fills:
        notes += phase_notes(report.phase_nets)
        ticks = "ticks come at other moments than in a run"
        how = "" if report.phase_nets else " (--phases 4 shows how much that changes)"
        notes.append(f"Fills are simulated ({simulated}), and {ticks}{how}: live results differ for these reasons")
    return notes + [_refused_text(report, refusal) for refusal in refusals]


def bound_notes(nets: Sequence[Money]) -> list[str]:
    """Return a warning if the sign of the net depends on the fill model."""
    least, most = min(nets), max(nets)
    if not least < 0 < most:
        return []
    both = f"{show_money(most, signed=True)} or {show_money(least, signed=True)}"
    return [f"The net is {both}: the fill model decides its sign, so this is no demonstrated edge"]


def phase_notes(nets: Sequence[Money]) -> list[str]:
    """Return the range of the net over the phases of the ticks, with a warning if its sign depends on them."""
    if not nets:
        return []
    least, most = min(nets), max(nets)
    spread = f"Net with {len(nets)} phases of the ticks: {show_money(least, signed=True)} to "
    doubt = "; the phase decides its sign, so this is no demonstrated edge" if least < 0 < most else ""
    return [f"{spread}{show_money(most, signed=True)}{doubt}"]


def is_all_refused(report: BacktestReport) -> bool:
    """Return whether orders were requested, and all of them refused."""
    return bool(report.refusals) and not report.summary.orders


def all_refused_text(report: BacktestReport) -> str:
    """Return that no order was sent, why the first was refused, and the next step."""
    denied = report.summary.denied
    return (
        f"Warning: nothing was traded: no order was sent, {sum(denied.values()):,} requests were refused. "
        f"{_refused_text(report, report.refusals[0])}. Correct the strategy or the setting, then run it again"
    )


def decisive_rules(denied: Mapping[str, int], requested: int, of: str = "") -> list[str]:
    """Return a warning if one code refused more than half of the order requests: the result is then that of a limit.

    `of` names the run in the text, such as ` of the best variant`.
    """
    return [
        f"Warning: {code}{_rule(code)} refused {count:,} of {requested:,} order requests{of}: the result shows this "
        "rule more than the strategy. Correct the strategy or the setting, then run it again"
        for code, count in decisive_codes(denied, requested).items()
    ]


def decisive_codes(denied: Mapping[str, int], requested: int) -> dict[str, int]:
    """Return the codes that refused more than half of the order requests, with their number."""
    return {code: count for code, count in denied.items() if 2 * count > requested}


def refusal_texts(report: BacktestReport) -> dict[str, str]:
    """Return a line for each code: the number of its refusals, its setting or cause, and the first of them."""
    return {refusal.code: _refused_text(report, refusal) for refusal in report.refusals}


def _refused_text(report: BacktestReport, refusal: OrderRefused) -> str:
    """Return the number of refusals of a code, its setting or cause, and the first of them."""
    where = " ".join(filter(None, (format_ts(refusal.ts), refusal.ticker)))
    detail = f": {refusal.detail}" if refusal.detail else ""
    count = report.summary.denied.get(refusal.code, 1)
    return f"Refused {count} by {refusal.code}{_rule(refusal.code)}; first {where}{detail}"


def _rule(code: str) -> str:
    """Return the setting or cause of a code in parentheses, after a space; empty for an unknown code."""
    from kalshi_cli.services.trading.reports.order_funnel import RULE_OF_CODE  # with the store, which few reports need

    return f" ({RULE_OF_CODE[code]})" if code in RULE_OF_CODE else ""


def _no_orders_text(report: BacktestReport) -> str:
    """Return what strategies saw that requested no order; only the missing input if one was missing throughout."""
    missing = next((part.line for part in report.facts.unknown if part.is_whole and not part.is_known), "")
    if missing:
        return f"No orders were requested: {missing}. Add its data with --data FILE.csv, then run it again"
    if report.summary.empty_sizes:
        return f"No orders were requested: {run_summary.empty_sizes_text(report.summary)}"
    facts, spans = report.facts, []
    for name, span in (("asks", facts.asks), ("bids", facts.bids)):
        if span is not None:
            spans.append(f"the {name} were {show_price(span[0])} to {show_price(span[1])}")
    seen = (
        f"in {pluralize(len(facts.tickers), 'market')} {' and '.join(spans)}" if spans else "no order book had a price"
    )
    wants = f"; it waits for {facts.waiting}" if facts.waiting else ""
    names = report.summary.strategy.replace(",", " ")
    return (
        f"No orders were requested: {seen}{wants}. Compare the parameters (`kalshi strategies {names}`), or record "
        "other markets; a hook must `yield` its orders"
    )
