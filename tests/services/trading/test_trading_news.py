"""Trades, big wins, a fall from the day's best, the day in one line, and halts: what the state file says, as alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.alerting import EVERYTHING, PHONE, T0, AlertProgram

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.model.effects import FillBooked, SettlementBooked
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.incidents import RESUMED_MS
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import Halt, Heartbeat

Open = Callable[..., AlertProgram]
DAY_MS = 86_400_000


@pytest.fixture
def desk_of(tmp_path: Path) -> Iterator[Open]:
    opened: list[AlertProgram] = []

    def open_desk(**more: Any) -> AlertProgram:
        opened.append(AlertProgram(tmp_path, **{"sinks": {"phone": EVERYTHING}, **more}))
        return opened[-1]

    yield open_desk
    for each in opened:
        each.close()


_trades = count(1)


def fill(
    desk: AlertProgram, side: Side, price: int, qty: int, ticker: str = "KXA", ts: Ts | None = None, order_id: str = ""
) -> None:
    number = next(_trades)
    desk.store.record(
        FillBooked(
            Fill(
                trade_id=f"t{number}", order_id=order_id or f"o{number}", ticker=ticker, side=side, price=cents(price),
                qty=contracts(qty), fee=Money(70_000), is_taker=True, ts=ts or desk.clock.now(),
            )
        )
    )  # fmt: skip


def settle(desk: AlertProgram, value: Price = ONE_DOLLAR, ticker: str = "KXA") -> None:
    desk.store.record(
        SettlementBooked(
            Settlement(
                ticker=ticker, event_ticker="KX", result="yes", value=value, yes_qty=Qty(0), no_qty=Qty(0),
                revenue=Money(0), fee=Money(0), ts=desk.clock.now(),
            )
        )
    )  # fmt: skip


def beat(desk: AlertProgram, day_pnl: int) -> None:
    """A loop completed a cycle, with so many dollars made today."""
    now = desk.clock.now()
    desk.store.beat(
        Heartbeat(
            run_id="r", pid=1, mode="live", strategy="s", started=now, completed=now, cycles=1, is_running=True,
            day_pnl=dollars(day_pnl),
        )
    )  # fmt: skip


def texts(desk: AlertProgram, code: str) -> list[str]:
    return [notice.text for _, notice in desk.receiver.taken if notice.code == code]


# -- trades -------------------------------------------------------------------------------------------------------


def test_a_trade_is_told_once_to_who_asked_for_trades(desk_of: Open) -> None:
    desk = desk_of(
        sinks={"desk": AlertChannel(url="https://example.com", tiers=(), events=("trade_executed",)), "phone": PHONE}
    )
    fill(desk, BID, 40, 10)
    assert desk.tell() == ["[sim] INFO TRADE_EXECUTED KXA"]
    assert desk.receiver.taken[0][0] == "desk"
    assert texts(desk, "TRADE_EXECUTED") == ["bought 10 YES at $0.40 (taker, fee $0.07)"]
    assert desk.tell() == []


def test_trades_that_follow_are_told_together(desk_of: Open) -> None:
    desk = desk_of()
    for number in range(5):
        fill(desk, ASK, 40 + number, 1, f"KX{number}")
    assert desk.tell() == ["[sim] INFO TRADE_EXECUTED KX0 (+4 more)"]
    fill(desk, BID, 40, 10)
    fill(desk, BID, 40, 10)
    assert desk.tell() == []
    desk.clock.advance(300)
    assert desk.tell() == ["[sim] INFO TRADE_EXECUTED KXA (+1 more)"]


def test_a_trade_of_long_ago_that_is_read_only_now_is_no_news(desk_of: Open) -> None:
    desk = desk_of()
    fill(desk, BID, 40, 10, ts=Ts(T0 - 2 * DAY_MS))
    assert desk.tell() == []


def test_a_late_trade_is_told_though_later_ones_were(desk_of: Open) -> None:
    desk = desk_of()
    fill(desk, BID, 40, 10)
    desk.tell()
    fill(desk, BID, 41, 10, "KXB", ts=Ts(T0 - 60_000))
    desk.clock.advance(300)
    assert desk.tell() == ["[sim] INFO TRADE_EXECUTED KXB"]


# -- wins ---------------------------------------------------------------------------------------------------------


def test_a_closing_trade_that_brings_enough_is_a_big_win(desk_of: Open) -> None:
    desk = desk_of(big_win=dollars(5))
    fill(desk, BID, 40, 20)
    desk.clock.advance(1)  # of two orders that fill at one moment, nobody knows which came first
    fill(desk, ASK, 60, 10)
    assert "BIG_WIN" not in " ".join(desk.tell()), "two dollars are none"
    desk.clock.advance(1)
    fill(desk, ASK, 95, 10)
    assert "[sim] INFO BIG_WIN KXA" in desk.tell()
    assert texts(desk, "BIG_WIN") == ["closed, gain $5.43 after its fee"]


def test_the_fills_of_a_closing_order_are_one_win_and_told_once(desk_of: Open) -> None:
    desk = desk_of(big_win=dollars(5))
    fill(desk, BID, 40, 40)
    fill(desk, ASK, 60, 10, order_id="close")
    fill(desk, ASK, 60, 10, order_id="close")
    desk.tell()
    assert texts(desk, "BIG_WIN") == [], "3.86 are not enough"
    fill(desk, ASK, 60, 10, order_id="close")
    desk.tell()
    assert texts(desk, "BIG_WIN") == ["closed, gain $5.79 after the fees of its fills so far"]
    desk.clock.advance(6 * 3_600)
    fill(desk, ASK, 60, 10, order_id="close")
    desk.tell()
    assert len(texts(desk, "BIG_WIN")) == 1


def test_the_summary_counts_the_fills_of_a_closing_order_once(desk_of: Open) -> None:
    desk = desk_of()
    desk.tell()
    fill(desk, BID, 40, 20)
    fill(desk, ASK, 60, 10, order_id="close")
    fill(desk, ASK, 60, 10, order_id="close")
    desk.tell()
    desk.clock.advance(DAY_MS / 1_000)
    desk.tell()
    (text,) = texts(desk, "DAILY_SUMMARY")
    assert "3 trades, 1 of 1 closing order won, 0 open positions" in text


def test_a_settlement_can_be_one_too_and_only_the_first_time_it_is_read(desk_of: Open) -> None:
    desk = desk_of(big_win=dollars(5))
    fill(desk, BID, 40, 10)
    settle(desk)
    desk.tell()
    assert texts(desk, "BIG_WIN") == ["settled, gain $6.00 after its fee"]
    desk.clock.advance(6 * 3_600)
    settle(desk)
    desk.tell()
    assert len(texts(desk, "BIG_WIN")) == 1


def test_a_loss_is_no_win(desk_of: Open) -> None:
    desk = desk_of(big_win=dollars(5))
    fill(desk, BID, 40, 20)
    fill(desk, ASK, 1, 20)
    desk.tell()
    assert texts(desk, "BIG_WIN") == []


# -- the day ------------------------------------------------------------------------------------------------------


def test_a_fall_from_the_best_of_the_day_is_told_while_it_lasts(desk_of: Open) -> None:
    desk = desk_of(drawdown=dollars(50))
    beat(desk, 30)
    assert desk.tell() == []
    beat(desk, -20)
    assert desk.tell() == ["[sim] WARNING DAY_DRAWDOWN account"]
    assert texts(desk, "DAY_DRAWDOWN") == ["$50.00 below the day's high of $30.00, limit $50.00"]
    beat(desk, 0)
    assert desk.tell() == ["[sim] RESOLVED WARNING DAY_DRAWDOWN account"]


def test_the_best_of_the_day_outlives_the_program_and_not_the_day(desk_of: Open) -> None:
    first = desk_of(drawdown=dollars(50))
    beat(first, 30)
    first.tell()
    desk = desk_of(drawdown=dollars(50), clock=first.clock)
    beat(desk, -20)
    assert desk.tell() == ["[sim] WARNING DAY_DRAWDOWN account"]
    desk.clock.advance(DAY_MS / 1_000)
    beat(desk, -20)
    assert "[sim] RESOLVED WARNING DAY_DRAWDOWN account" in desk.tell()


def test_the_fall_of_a_day_ends_with_it_though_no_loop_runs(desk_of: Open) -> None:
    desk = desk_of(drawdown=dollars(50))
    beat(desk, -60)
    assert desk.tell() == ["[sim] WARNING DAY_DRAWDOWN account"]
    desk.clock.advance(DAY_MS / 2_000)
    assert desk.tell() == ["[sim] RESOLVED WARNING DAY_DRAWDOWN account"]


def test_a_day_is_summed_up_when_what_came_late_is_booked(desk_of: Open) -> None:
    desk = desk_of()
    desk.tell()
    midnight = Ts(day_start(desk.clock.now(), ZoneInfo("America/New_York")) + DAY_MS)
    desk.clock.advance((midnight - desk.clock.now()) / 1_000 + 1)
    desk.tell()
    fill(desk, BID, 40, 10, ts=Ts(midnight - 1_000))
    assert texts(desk, "DAILY_SUMMARY") == []
    desk.clock.advance(600)
    desk.tell()
    assert len(texts(desk, "DAILY_SUMMARY")) == 1


def test_without_a_bound_no_fall_is_told(desk_of: Open) -> None:
    desk = desk_of(drawdown=Money(0))
    beat(desk, 30)
    desk.tell()
    beat(desk, -500)
    assert desk.tell() == []


def test_after_a_trading_day_there_is_one_summary_of_it(desk_of: Open) -> None:
    desk = desk_of()
    fill(desk, BID, 40, 10, "KXOLD", ts=Ts(T0 - 3 * DAY_MS))
    desk.tell()
    fill(desk, BID, 40, 10)
    fill(desk, ASK, 60, 10)
    fill(desk, ASK, 60, 10, "KXB")
    fill(desk, BID, 70, 5, "KXB")
    desk.tell()
    desk.clock.advance(DAY_MS / 1_000)
    desk.tell()
    text = "realized $1.22 after fees of $0.28, 4 trades, 1 of 2 closing orders won, 2 open positions"
    assert texts(desk, "DAILY_SUMMARY") == [text]
    desk.tell()
    desk.clock.advance(DAY_MS / 1_000)
    desk.tell()
    assert texts(desk, "DAILY_SUMMARY") == [text], "a day without a trade has none"


def test_the_summary_of_a_day_is_told_by_one_of_two_programs(desk_of: Open) -> None:
    one = desk_of()
    two = desk_of(clock=one.clock, receiver=one.receiver)
    one.tell()
    fill(one, BID, 40, 10)
    one.tell()
    one.clock.advance(DAY_MS / 1_000)
    one.store.summing = two.alerting.look  # type: ignore[attr-defined]
    one.tell()
    two.tell()
    one.clock.advance(301)
    one.tell()
    assert [n.count for _, n in one.receiver.taken if n.code == "DAILY_SUMMARY"] == [1]


# -- halts --------------------------------------------------------------------------------------------------------


def test_a_halt_is_an_emergency_stop_until_a_person_resumes(desk_of: Open) -> None:
    desk = desk_of(sinks={"phone": AlertChannel(url="https://example.com", tiers=(), events=("emergency_stop",))})
    desk.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", desk.clock.now()))
    assert desk.tell() == ["[sim] CRITICAL CANCEL_ALL account"]
    assert texts(desk, "CANCEL_ALL") == ["trading is halted: kill switch. A notice of its own says what was canceled"]
    desk.resume()
    assert desk.tell() == [], "a loop may stop again at its next tick"
    desk.clock.advance(RESUMED_MS / 1_000 + 1)
    assert desk.tell() == ["[sim] RESOLVED CRITICAL CANCEL_ALL account"]


def test_what_the_loop_says_of_its_own_halt_is_not_told_twice(desk_of: Open) -> None:
    desk = desk_of()
    desk.store.set_halt(Halt(TradingState.HALTED, "DAILY_LOSS", "lost $100.00", desk.clock.now()))
    desk.record("DAILY_LOSS", "today", tier="critical")
    assert desk.tell() == ["[sim] CRITICAL DAILY_LOSS account"]


def test_to_only_reduce_is_an_emergency_stop_as_well(desk_of: Open) -> None:
    desk = desk_of()
    desk.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "lost $100.00", desk.clock.now()))
    assert desk.tell() == ["[sim] CRITICAL DAILY_LOSS account"]
    assert desk.receiver.taken[0][1].event == "emergency_stop"
    desk.record("FEED_DOWN", "stream")
    assert desk.tell() == ["[sim] WARNING FEED_DOWN stream"]


def test_a_pause_is_no_emergency(desk_of: Open, tmp_path: Path) -> None:
    desk = desk_of()
    pause(tmp_path, "lunch")
    assert desk.tell() == []
