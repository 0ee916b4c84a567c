"""The whole way of an outside price: the simulated world's venues, real sockets, the reader, the loop, a trade."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.served import bare_variables, eventually, finish, program, set_variables, start

from kalshi_cli.base.clock import SystemClock

HOUR_MS, HALF_MS = 3_600_000, 1_800_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A simulated exchange on which it is half past the hour: its hourly markets are open, and stay so."""
    set_variables(monkeypatch, tmp_path, {**bare_variables(tmp_path), "KALSHI_ENV": "sim", "KALSHI_SIM__SPEED": "3"})
    ahead = HALF_MS + HOUR_MS - SystemClock().now() % HOUR_MS
    assert program("sim", "clock", "--forward", f"{ahead // 1000}s").code == 0
    return tmp_path


CERTAIN = ("bar_s=0.25", "min_bars=5", "vol_bars=20", "vol_factor=0.1", "max_markets=20")
"""So sure of itself that it always finds something to trade: what is under test here is the way there."""


PARAMS = [word for param in CERTAIN for word in ("--param", param)]
TRADE = ("trade", "--strategy", "crypto-ta", "--series", "KXBTCD", "--json", *PARAMS)


def test_crypto_ta_trades_on_the_worlds_own_spot_over_real_sockets(home: Path) -> None:
    loop = start([*TRADE, "--duration", "60s"], dict(os.environ), home)
    eventually(lambda: program("fills", "--json").json or loop.poll() is not None)
    loop.send_signal(signal.SIGTERM)
    ended = finish(loop)
    assert ended.code == 143, ended.err
    summary = ended.json
    assert summary["fills"], summary
    assert len(summary["run_fills"]) == summary["fills"]
    assert summary["live_orders"] == 0


@pytest.mark.usefixtures("home")
def test_what_was_recorded_with_its_strategy_is_traded_in_a_backtest_and_refused_without() -> None:
    listed = program("markets", "--series", "KXBTCD", "--sort", "volume", "--limit", "20", "--json").json
    tickers = [market["ticker"] for market in listed]
    with_it = ("--strategy", "crypto-ta", *PARAMS)
    for seconds in (4, 20):  # a slow machine hears less
        name = f"with-{seconds}.jsonl.gz"
        assert program("record", *tickers, "--out", name, *with_it, "--duration", f"{seconds}s").code == 0
        report = program("backtest", *with_it, "--data", name, "--json")
        if report.json["fills"]:
            break
    assert report.json["fills"], report
    assert "charges" not in report.err, "what a series charges is in the recording"
    assert program("record", *tickers, "--out", "without.jsonl.gz", "--duration", "1s").code == 0
    refused = program("backtest", *with_it, "--data", "without.jsonl.gz", "--json")
    assert (refused.code, refused.out, refused.error["code"]) == (2, "", "nothing_heard")
    assert "No outside price of BTC or ETH in without.jsonl.gz" in refused.error["message"]
    assert program("backtest", "--strategy", "spike", "--data", "without.jsonl.gz").code == 0, "it hears the exchange"


@pytest.mark.usefixtures("home")
def test_without_outside_prices_it_trades_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for venue in ("COINBASE", "KRAKEN", "BINANCE"):
        monkeypatch.setenv(f"KALSHI_SPOT__{venue}__WS_URL", "ws://127.0.0.1:1")
        monkeypatch.setenv(f"KALSHI_SPOT__{venue}__REST_URL", "http://127.0.0.1:1")
    ended = program(*TRADE, "--duration", "3s")
    assert ended.code == 0, ended.err
    summary = ended.json
    assert (summary["intents"], summary["fills"]) == (0, 0)
