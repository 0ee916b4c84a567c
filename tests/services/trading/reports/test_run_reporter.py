"""What a run tells on: enough to reconstruct it, pings only when all is well, and never a different outcome."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from support.notice_receiver import Receiver, receiving
from support.paper import Desk
from support.places import ROOT
from support.served import eventually
from support.simulation import TICKER, Simulation
from support.trading import NO_EDGE, Bidder, TradingSession

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.units import Money, Ts, cents, contracts, format_ts, parse_money, parse_price, parse_qty
from kalshi_cli.core.engine.book_validity import ACCOUNT_AGE_MS
from kalshi_cli.core.model.effects import (
    AlertRaised,
    AmendOrder,
    CancelOrder,
    OrderChanged,
    OrderRefused,
    SettlementBooked,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import FeedGap, Message, NewsSignal, OrderAccepted, Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.trading.reports.run_reporter import CycleReport, EventLog, LogOutputs
from kalshi_cli.services.trading.reports.run_summary import RunSummary
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import ALERT_REASON_PREFIX, PAUSED, Halt
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.telemetry.heartbeat import HeartbeatPinger
from kalshi_cli.telemetry.logs import LOG, LineFile, Log
from kalshi_cli.telemetry.metrics import Metrics
from kalshi_cli.telemetry.systemd import SystemdNotifier
from kalshi_cli.telemetry.tables import DAYS, TRADES, Tables

RUN = "0d338dcc-a054-11ec-b909-0242ac120002"


class Flipper(Strategy):
    """Buys ten at 40, sells them at 43, and begins again."""

    name = "flipper"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if view.orders(ticker):
            return
        if view.position(ticker) < contracts(10):
            yield Place(ticker, BID, cents(40), contracts(10), fair=cents(42), reason="cheap")
        else:
            yield Place(ticker, ASK, cents(43), contracts(10), fair=cents(42), reason="dear")


class Told:
    """A run with everything on. `folder` has the log and the tables."""

    def __init__(self, sim: Simulation, run: TradingSession, *, url: str = "", folder: Path | None = None) -> None:
        self.folder = folder or sim.path.parent / "logs"
        self.warned: list[str] = []
        self.metrics = Metrics(env="sim")
        clock = sim.clock
        log = Log(LineFile(self.folder / LOG, 10_000_000, 2, self.warned.append), clock, run_id=RUN, env="sim")
        # On the machine's clock: in sim time, a ping would be late before it was sent.
        self.heartbeat = HeartbeatPinger(url, RUN, 1e-9, SystemClock(), self.warned.append) if url else None
        outputs = LogOutputs(
            line=log.line,
            tables=Tables(self.folder, self.warned.append),
            metrics=self.metrics,
            heartbeat=self.heartbeat,
            service=SystemdNotifier({}, 1, clock),
        )
        run.journal = EventLog(clock, NO_EDGE, outputs, day_of=lambda ts: format_ts(ts).split("T")[0])
        sim.store.on_record = run.journal.note

    def lines(self, *events: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in (self.folder / LOG).read_text().splitlines()]
        return [line for line in found if not events or line["event"] in events]

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


def day_of_trading(sim: Simulation) -> Callable[[int], None]:
    """Others trade with us: a buy that fills in two parts, a sale that fills at once, and a new beginning."""

    def others(n: int) -> None:
        if n == 3:
            sim.take(ASK, 40, 4)
        elif n == 6:
            sim.take(ASK, 40, 6)
        elif n == 10:
            sim.take(BID, 43, 10)

    return others


def run_a_day(sim: Simulation, *, ticks: int = 16) -> tuple[Told, TradingSession, RunSummary]:
    run = TradingSession(sim, Flipper(StrategyParams()))
    told = Told(sim, run)
    return told, run, run.over(run.ticks(ticks, day_of_trading(sim)))


# -- the log as evidence --------------------------------------------------------------------------------------------


def test_a_session_can_be_reconstructed_from_its_log_alone(sim: Simulation) -> None:
    before = sim.client.balance().cash
    told, _, _ = run_a_day(sim)
    orders: dict[str, dict[str, Any]] = {}
    fills: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    cash, held = 0, 0
    for line in told.lines():
        if line["event"] == "order_submitted":
            assert line["limits"]["max_position"] == "100.00", "what it was held against"
            assert parse_qty(line["position"]) == held, "what was held when it was decided on"
            orders[line["client_order_id"]] = line
        elif line["event"] == "order_acknowledged":
            orders[line["client_order_id"]]["order_id"] = line["order_id"]
        elif line["event"] == "fill":
            price, qty, sign = parse_price(line["price"]), parse_qty(line["qty"]), 1 if line["side"] == "bid" else -1
            held += sign * qty
            cash -= sign * price * qty + parse_money(line["fee"])
            fills[line["order_id"]].append((line["trade_id"], line["side"], price, qty))
    theirs = defaultdict(list)
    for fill in reversed(list(sim.client.fills())):
        theirs[fill.order_id].append((fill.trade_id, fill.side.value, fill.price, fill.qty))
    assert fills == theirs
    assert len(fills) == 2
    assert sum(map(len, fills.values())) == 3
    assert sim.client.balance().cash - before == cash
    assert sum(position.position for position in sim.client.positions()) == held
    placed = {order.order_id: order for order in sim.client.all_orders()}
    assert {line["order_id"] for line in orders.values()} == placed.keys()
    for line in orders.values():
        order = placed[line["order_id"]]
        assert (line["side"], line["price"], line["qty"]) == (
            order.side.value,
            f"{order.price / 10_000:.4f}",
            f"{order.qty / 100:.2f}",
        )
        assert (line["strategy"], line["reason"] in ("cheap", "dear"), line["fair"]) == ("flipper", True, "0.4200")


def test_the_log_says_of_which_content_the_strategy_files_were(sim: Simulation) -> None:
    run = TradingSession(sim, code=("/home/me/fade.py (sha256 1f0c)",))
    told = Told(sim, run)
    run.over(run.ticks(1))
    assert told.lines("start")[-1]["strategy_files"] == ["/home/me/fade.py (sha256 1f0c)"]
    other = TradingSession(sim)
    told = Told(sim, other)
    other.over(other.ticks(1))
    assert "strategy_files" not in told.lines("start")[-1], "what is built in has the version of the program"


def test_every_line_says_when_by_both_clocks_and_of_which_run_and_the_run_has_a_frame(sim: Simulation) -> None:
    told, _, _ = run_a_day(sim)
    lines = told.lines()
    assert all({"ts", "mono_ms", "event", "run_id", "env"} <= line.keys() for line in lines)
    assert [line["mono_ms"] for line in lines] == sorted(line["mono_ms"] for line in lines)
    assert (lines[0]["event"], lines[-1]["event"]) == ("start", "stop")
    assert (lines[-1]["orders"], lines[-1]["fills"], lines[-1]["stopped_by"]) == (3, 3, "end of data")
    assert told.warned == []


def test_how_long_an_order_waited_for_its_acknowledgement_is_in_the_log_and_in_the_metrics(sim: Simulation) -> None:
    def slow(request: httpx.Request) -> None:
        if request.method == "POST":
            sim.clock.advance(0.25)

    sim.wire.after = slow
    run = TradingSession(sim)
    told = Told(sim, run)
    run.over(run.ticks(2))
    (line,) = told.lines("order_acknowledged")
    assert line["latency_ms"] == 250.0
    assert told.metrics.registry.get_sample_value("trading_placement_seconds_sum") == pytest.approx(0.25)


def test_on_paper_an_order_waited_from_its_time_to_that_of_its_acknowledgement(sim: Simulation) -> None:
    """Messages come 73 ms late, so that the simulated 150 ms take 77 ms of the clock of the machine."""
    desk = Desk(latency_ms=150)
    run, journal = TradingSession(sim, simulated_latency="150ms"), EventLog(sim.clock)
    journal.on_start(run.plan, run.engine, sim.store)
    desk.book({39: 5}, {44: 5})
    order = desk.order()
    journal.note(SubmitOrder(order), sim.store)
    sim.clock.advance(0.077)
    (accepted,) = [each for each in desk.wait(150) if isinstance(each, OrderAccepted)]
    known = msgspec.structs.replace(order, order_id=accepted.order_id, status=OrderStatus.RESTING, updated=accepted.ts)
    journal.note(OrderChanged(known), sim.store)
    assert sim.store.history.placements([order.client_order_id]) == {order.client_order_id: 150}


def test_what_became_of_a_lost_reply_is_told_step_by_step(sim: Simulation) -> None:
    def lose(request: httpx.Request) -> None:
        if request.method == "POST":
            sim.wire.after = lambda _: None
            raise httpx.ReadTimeout("lost", request=request)

    sim.wire.after = lose
    run = TradingSession(sim)
    told = Told(sim, run)
    run.over(run.ticks(6))
    events = [line["event"] for line in told.lines("order_submitted", "order_unknown", "order_acknowledged")]
    assert events == ["order_submitted", "order_unknown", "order_acknowledged"]
    assert told.lines("alert")[0]["code"] == "ORDER_UNKNOWN"


def test_an_answer_that_is_no_plain_yes_is_kept_without_secrets(sim: Simulation) -> None:
    """F07: a 2xx without an order, a refusal; cut to two kilobytes, one line."""
    text = '{"error": "odd \x1b[31m", "see": "https://hooks.slack.com/services/T0/B0/canary"}' + " " * 5_000
    journals: list[EventLog] = []
    sim.client = sim.connect(on_answer=lambda *answer: [each.requested(*answer) for each in journals])
    run = TradingSession(sim)
    told = Told(sim, run)
    assert run.journal is not None
    journals.append(run.journal)
    sim.wire.before = lambda request: httpx.Response(200, text=text) if request.method == "POST" else None
    run.over(run.ticks(1))
    (line, *_) = told.lines("request")
    assert (line["method"], line["status"]) == ("POST", 200)
    assert line["detail"].startswith('{"error": "odd [31m"')
    assert len(line["detail"]) <= 2_000
    assert "canary" not in line["detail"]
    assert told.lines("order_unknown")


def test_the_exchange_repeats_itself_and_the_log_does_not(sim: Simulation) -> None:
    told, _, _ = run_a_day(sim)
    states = [
        (line["client_order_id"], line["status"], line.get("filled"))
        for line in told.lines("order_submitted", "order_acknowledged", "order_changed")
    ]
    assert len(states) == len(set(states))


def test_refusals_are_told_once_a_minute_and_cause_and_then_counted(sim: Simulation) -> None:
    run = TradingSession(sim)
    told = Told(sim, run)
    assert run.journal is not None
    for _ in range(100):
        run.journal.note(OrderRefused(sim.clock.now(), "bidder", TICKER, "MIN_EDGE", "edge=0"))
    run.journal.note(OrderRefused(sim.clock.now(), "bidder", TICKER, "EXPOSURE", "exposure=1"))
    run.journal.heard(FeedGap(sim.clock.now(), (TICKER,), "a number is missing"))
    sim.clock.advance(60)
    run.journal.note(OrderRefused(sim.clock.now(), "bidder", TICKER, "EXPOSURE", "exposure=2"))
    assert [(line["event"], line.get("code"), line.get("count")) for line in told.lines()] == [
        ("denied", "MIN_EDGE", None), ("denied", "EXPOSURE", None), ("feed_gap", None, None),
        ("denied_repeated", None, 99), ("denied", "EXPOSURE", None),
    ]  # fmt: skip
    assert told.metrics.registry.get_sample_value("trading_denied_total", {"code": "MIN_EDGE"}) == 100
    untouched = told.metrics.registry.get_sample_value("trading_denied_total", {"code": "SELF_CROSS"})
    assert untouched == 0, "there from the start, so that the first is an increase"


def test_a_thousand_causes_at_once_are_bounded(sim: Simulation) -> None:
    run = TradingSession(sim)
    told = Told(sim, run)
    assert run.journal is not None
    for number in range(5_000):
        run.journal.note(OrderRefused(sim.clock.now(), "bidder", f"KX{number}", "MIN_EDGE", ""))
    assert len(told.lines("denied")) == 1_000


DOCUMENT = ROOT / "docs/operations.md"


def documented(heading: str) -> set[str]:
    """The names in the first column of the table after this text."""
    part = DOCUMENT.read_text().split(heading, 1)[1].split("\n\n", 2)[1]
    return {name for row in part.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_document_names_every_event_and_field_and_no_other(sim: Simulation) -> None:
    told, run, _ = run_a_day(sim)
    assert run.journal is not None
    (_, order, *_), now = sim.store.orders(), sim.clock.now()
    whole = msgspec.structs.replace(
        order, client_order_id="other", order_group_id="g", is_foreign=True, code="refused", filled=contracts(1)
    )
    for status in OrderStatus:
        changed = msgspec.structs.replace(whole, client_order_id=f"c-{status}", status=status)
        if status is not OrderStatus.CANCELED:
            run.journal.note(SubmitOrder(changed))
        run.journal.note(OrderChanged(changed))
    run.journal.note(OrderChanged(msgspec.structs.replace(whole, order_id="true"), "its id was false, is true"))
    run.journal.note(AmendOrder(order, whole, whole))
    run.journal.note(CancelOrder(order, "why"))
    run.journal.note(StateChanged(now, TradingState.HALTED, "DAILY_LOSS", "lost"))
    run.journal.note(AlertRaised(now, "critical", "DRIFT", "KX", "text"))
    settled = Settlement(
        ticker=TICKER, event_ticker="E", result="yes", value=cents(100), yes_qty=contracts(0), no_qty=contracts(0),
        revenue=Money(0), fee=Money(0), ts=now,
    )  # fmt: skip
    run.journal.note(SettlementBooked(settled))
    run.journal.requested("POST", "/portfolio/events/orders", 201, 0.1, b"{}")
    run.journal.open(msgspec.structs.replace(run.journal._out, is_debug=True))
    run.journal.heard(NewsSignal(now, "n1", TICKER, BID, 7_000, "a goal"))
    run.engine.state.blind_since = now
    sim.clock.advance(60)
    run.journal.cycle(
        CycleReport(
            cycles=1,
            is_fresh=False,
            day_net=Money(0),
            run_net=Money(0),
            unrealized=Money(0),
            halt=Halt(TradingState.HALTED, "DRIFT", "why", now),
            feed_age_s=0.1,
            feed_lag_ms=None,
        )
    )
    for _ in range(2):
        run.journal.note(OrderRefused(now, "s", TICKER, "MIN_EDGE", "edge=0"))
        run.journal.heard(FeedGap(now, (TICKER,), "gap"))
    sim.clock.advance(60)
    run.journal.note(OrderRefused(now, "s", TICKER, "MIN_EDGE", "edge=0"))
    lines = told.lines()
    assert {line["event"] for line in lines} | {"lines_lost"} == documented("\nEvents:")
    fields = {name for line in lines for name in line} | {"mode"}
    assert fields == documented("\nIn every line:") | documented("\nWhere it applies:")


def test_the_document_names_every_metric_and_no_other(sim: Simulation) -> None:
    told, _, _ = run_a_day(sim)
    names = {family.name + ("_total" if family.type == "counter" else "") for family in told.metrics.registry.collect()}
    assert names == documented("\nMetric names:")


# -- tables -----------------------------------------------------------------------------------------------------------


def test_the_tables_have_each_fill_and_days_that_add_up_to_the_account(sim: Simulation) -> None:
    before = sim.client.balance().cash
    told, run, _ = run_a_day(sim)
    trades, (day,) = told.table(TRADES), told.table(DAYS)
    assert [(row["side"], row["price"], row["qty"], row["realized"], row["edge"]) for row in trades] == [
        ("bid", "0.4000", "4.00", "0.000000", "0.0200"),
        ("bid", "0.4000", "6.00", "0.000000", "0.0200"),
        ("ask", "0.4300", "10.00", "0.300000", "0.0100"),
    ]
    assert (day["trades"], day["realized"]) == ("3", "0.300000")
    assert parse_money(day["net"]) == sim.client.balance().cash - before
    assert parse_money(day["balance"]) == run.engine.cash


def test_each_order_is_counted_once_as_submitted_acknowledged_and_filled(sim: Simulation) -> None:
    told, run, _ = run_a_day(sim)
    counted = {
        status: told.metrics.registry.get_sample_value("trading_orders_total", {"status": status})
        for status in ("submitted", "acknowledged", "filled", "canceled", "resting", "rejected")
    }
    assert counted == {
        "submitted": 3, "acknowledged": 3, "filled": 2, "canceled": 1, "resting": None, "rejected": 0,
    }  # fmt: skip
    name = run.engine.strategies[0]
    for metric, value in {"trading_trades": 3, "trading_orders_filled": 2}.items():
        assert told.metrics.registry.get_sample_value(f"{metric}_total", {"strategy": name}) == value
    expected = told.metrics.registry.get_sample_value("trading_expected_pnl_usd", {"strategy": name})
    fills = told.lines("fill")
    kept = sum(float(f["edge"]) * float(f["qty"]) - float(f["fee"]) for f in fills)
    assert expected == pytest.approx(kept)
    assert float(fills[-1]["edge_total"]) == pytest.approx(kept)
    assert all(0 <= fill["latency_ms"] < 60_000 for fill in fills)


def test_the_log_has_a_heartbeat_with_the_positions_and_the_p_and_l(sim: Simulation) -> None:
    told, _, summary = run_a_day(sim)
    first, *later = told.lines("heartbeat")
    assert (first["state"], first["level"], first["cycles"]) == ("active", "info", 1)
    assert {"open_positions", "live_orders", "exposure", "day_net", "run_net", "unrealized", "balance"} <= first.keys()
    assert len(later) < summary.cycles - 1, "every status_every_s, not every cycle"


def test_debug_shows_every_refusal_and_every_signal(sim: Simulation) -> None:
    told, run, _ = run_a_day(sim)
    now, journal = sim.clock.now(), run.journal
    assert journal is not None
    refused = OrderRefused(now, "s", TICKER, "MIN_EDGE", "edge=0")
    signal = NewsSignal(now, "n1", TICKER, BID, 7_000, "a goal")
    for is_debug, count in ((False, 0), (True, 3)):
        journal.open(msgspec.structs.replace(journal._out, is_debug=is_debug))
        for _ in range(3):
            journal.note(refused)
        journal.heard(signal)
        found = told.lines("denied_repeat", "signal")
        assert len(found) == (count + 1 if is_debug else 0)
    assert (found[-1]["confidence"], found[-1]["reason"], found[-1]["level"]) == (0.7, "a goal", "debug")


def test_a_second_run_doubles_nothing_and_adds_what_is_missing(sim: Simulation) -> None:
    told, _, _ = run_a_day(sim)
    whole = (told.folder / TRADES).read_text()
    first, days = told.table(TRADES), told.table(DAYS)
    (told.folder / TRADES).write_text("".join(whole.splitlines(keepends=True)[:2]))
    again = TradingSession(sim, Flipper(StrategyParams()))
    told = Told(sim, again)
    again.over(again.ticks(2))
    assert told.table(TRADES) == first
    assert told.table(DAYS)[0]["net"] == days[0]["net"]


# -- pings ------------------------------------------------------------------------------------------------------------


def pinged(there: Receiver) -> Callable[[int], None]:
    """Before each cycle, wait for the ping of the one before: in sim time they are faster than any wire."""

    def wait(n: int) -> None:
        eventually(lambda: len(there.paths) > n)

    return wait


def test_a_run_pings_when_it_begins_and_after_each_completed_cycle(sim: Simulation) -> None:
    with receiving() as there:
        run = TradingSession(sim)
        Told(sim, run, url=f"{there.url}/p")
        run.over(run.ticks(4, pinged(there)))
    assert there.paths == ["/p/start", "/p", "/p", "/p", "/p"]
    assert all(got.path.endswith(f"rid={RUN}") for got in there.received)


def test_a_halt_is_a_failure_at_once_until_somebody_resumes(sim: Simulation) -> None:
    with receiving() as there:
        run = TradingSession(sim)
        Told(sim, run, url=f"{there.url}/p")

        def halt(n: int) -> None:
            wait_for = {0: 1, 1: 2, 2: 3, 6: 3, 8: 4}
            if n in wait_for:
                eventually(lambda: len(there.paths) >= wait_for[n])
            if n in (3, 4, 5, 6):
                threading.Event().wait(0.1)  # for pings that must not come
                assert there.paths == ["/p/start", "/p", "/p/fail"]
            state = {1: TradingState.HALTED, 6: TradingState.ACTIVE}.get(n)
            if state is not None:
                sim.store.set_halt(Halt(state, "CANCEL_ALL", "kill switch", sim.clock.now()))

        run.over(run.ticks(9, halt))
    assert there.paths[:4] == ["/p/start", "/p", "/p/fail", "/p"]
    assert there.received[2].body == "CANCEL_ALL: kill switch"


@pytest.mark.parametrize(
    ("state", "code", "reason", "is_wrong"),
    [
        (TradingState.REDUCING, "DAILY_LOSS", "too much was lost", True),
        (TradingState.HALTED, PAUSED, f"{ALERT_REASON_PREFIX}FILLS_MISSING account", True),
        (TradingState.HALTED, PAUSED, "lunch", False),
    ],
)
def test_trading_that_only_reduces_and_a_pause_by_an_alert_are_failures_and_a_pause_by_a_person_is_none(
    sim: Simulation, state: TradingState, code: str, reason: str, is_wrong: bool
) -> None:
    with receiving() as there:
        run = TradingSession(sim)
        told = Told(sim, run, url=f"{there.url}/p")

        def change(n: int) -> None:
            eventually(lambda: len(there.paths) >= min(n + 1, 2))
            if n == 1 and code == PAUSED:
                pause(sim.path.parent, reason)
            elif n == 1:
                sim.store.set_halt(Halt(state, code, reason, sim.clock.now()))

        run.over(run.ticks(4, change))
        eventually(lambda: len(there.paths) >= 3)
    assert ("/p/fail" in there.paths) is is_wrong, told.warned
    if is_wrong:
        assert there.received[2].body == f"{code}: {reason}"
        assert len(there.paths) == 3, "nothing more while it lasts"


def test_out_of_sight_of_the_account_there_is_no_ping_and_no_failure_either(sim: Simulation) -> None:
    blind: list[int] = []
    with receiving() as there:
        run = TradingSession(sim)
        told = Told(sim, run, url=f"{there.url}/p")

        def cut(request: httpx.Request) -> None:
            if "/portfolio/" in request.url.path and request.method == "GET":
                raise httpx.ConnectError("no route", request=request)

        def others(n: int) -> None:
            if n == 3:
                sim.wire.before = cut
            last_pass = sim.clock.now() - 2_000
            if last_pass - (run.engine.state.account_read or last_pass) <= ACCOUNT_AGE_MS:
                pinged(there)(n)
                return
            if not blind:
                eventually(lambda: len(there.paths) == n)  # the cycle before was the first without a ping
            blind.append(len(there.paths))

        summary = run.over(run.ticks(30, others))
    assert summary.cycles == 30
    assert len(blind) > 20
    assert set(blind) == {blind[0]}, "not one more since the last read was too old"
    assert len(there.paths) == blind[0]
    assert told.metrics.registry.get_sample_value("trading_blind") == 1


def test_a_strategy_that_hangs_stops_the_pings(sim: Simulation) -> None:
    """F68. Nothing but a completed cycle pings: while a hook does not come back, hours may pass without one."""
    counts: list[int] = []
    with receiving() as there:

        class Hangs(Bidder):
            seen = 0

            def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
                self.seen += 1
                if self.seen == 3:
                    eventually(lambda: len(there.paths) == 3)
                    for _ in range(3):
                        sim.clock.advance(3_600)
                        threading.Event().wait(0.1)
                        counts.append(len(there.paths))
                yield from super().on_book(view, ticker)

        run = TradingSession(sim, Hangs(StrategyParams()))
        Told(sim, run, url=f"{there.url}/p")
        run.over(run.ticks(4, lambda n: pinged(there)(n) if n < 3 else None))
    assert counts == [3, 3, 3]
    assert len(there.paths) == 4, "and go on once it came back"


def test_a_strategy_that_was_taken_out_and_an_error_are_failures_with_their_reason(sim: Simulation) -> None:
    class Raises(Bidder):
        def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
            raise LookupError("lost my way")
            yield

    with receiving() as there:
        run = TradingSession(sim, Raises(StrategyParams()))
        Told(sim, run, url=f"{there.url}/p")
        run.over(run.ticks(3))
        assert there.paths[-1] == "/p/fail"
        assert there.received[-1].body.startswith("bidder: LookupError: lost my way")

        def broken() -> Iterator[Message]:
            yield Tick(sim.clock.now())
            raise KalshiError("the stream is gone for good")

        run = TradingSession(sim)
        told = Told(sim, run, url=f"{there.url}/p")
        with pytest.raises(KalshiError, match="gone for good"):
            run.over(broken())
    assert (there.paths[-1], there.received[-1].body) == ("/p/fail", "the stream is gone for good")
    assert told.lines("stop")[-1]["reason"] == "the stream is gone for good"


def test_a_run_that_breaks_before_its_first_cycle_is_completed_never_says_that_it_lives(sim: Simulation) -> None:
    """The crash loop of F68: what restarts it every ten seconds must not keep the alarm quiet."""

    def broken() -> Iterator[Message]:
        yield sim.client.orderbook(TICKER)
        raise KalshiError("gone again")

    with receiving() as there:
        for _ in range(3):
            run = TradingSession(sim)
            Told(sim, run, url=f"{there.url}/p")
            with pytest.raises(KalshiError, match="gone again"):
                run.over(broken())
        assert "/p/fail" in there.paths
        assert "/p" not in there.paths


def test_a_state_file_that_takes_nothing_down_any_more_is_a_failure(sim: Simulation) -> None:
    def break_it(n: int) -> None:
        pinged(there)(n)
        if n == 2:
            with closing(sqlite3.connect(sim.path)) as other:
                other.execute("DROP TABLE cycle")

    with receiving() as there:
        run = TradingSession(sim)
        Told(sim, run, url=f"{there.url}/p")
        with pytest.raises(StateFileError):
            run.over(run.ticks(5, break_it))
    assert there.paths == ["/p/start", "/p", "/p", "/p/fail"]


# -- it changes nothing -----------------------------------------------------------------------------------------------


def outcome(sim: Simulation, summary: RunSummary) -> Any:
    """What a run did: its numbers, each request on the wire, each fill, and what the state file has.

    Not its latency, which the event log measures, so it is unknown where that is off.
    """
    fills = [(fill.side, fill.price, fill.qty, fill.fee, fill.ts) for fill in sim.client.fills()]
    orders = [(order.side, order.price, order.qty, order.status) for order in sim.store.orders()]
    return msgspec.structs.replace(summary, uptime_s=0.0, latency=None), sim.wire.sent, fills, orders


def test_trading_is_the_same_with_all_of_it_on_off_or_broken(tmp_path: Path) -> None:
    found = []
    for name in ("off", "on", "broken"):
        (tmp_path / name).mkdir()
        sim = Simulation(tmp_path / name)
        run = TradingSession(sim, Flipper(StrategyParams()))
        with receiving() as there:
            if name == "on":
                Told(sim, run, url=f"{there.url}/p")
            elif name == "broken":
                (tmp_path / "in the way").write_text("")
                told = Told(sim, run, url="http://127.0.0.1:9/p", folder=tmp_path / "in the way" / "logs")
            found.append(outcome(sim, run.over(run.ticks(16, day_of_trading(sim)))))
        sim.close()
    assert found[0] == found[1]
    assert found[0] == found[2]
    assert found[0][0].fills == 3
    assert len(told.warned) == 3, "the log, the tables and the pings each said once that they do not work"


@pytest.mark.parametrize("text", ["\x1b[31m", "=1+1", "\u202e", "{}", "%s {0}", "\ud800", "x" * 100_000, ""])
def test_hostile_text_in_any_effect_is_only_text(sim: Simulation, text: str) -> None:
    run = TradingSession(sim)
    told = Told(sim, run)
    assert run.journal is not None
    now = sim.clock.now()
    run.journal.note(OrderRefused(now, text, text, text, text))
    run.journal.note(AlertRaised(now, "warning", text, text, text))
    run.journal.note(StateChanged(Ts(now), TradingState.REDUCING, text, text))
    run.journal.heard(FeedGap(now, (text,), text))
    assert len(told.lines()) == 4
    assert all(line.isprintable() for line in (told.folder / LOG).read_text().splitlines())
