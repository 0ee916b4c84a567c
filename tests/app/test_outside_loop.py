"""The whole way of an outside price: the simulated world's venues, real sockets, the reader, the loop, a trade."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.served import bare_variables, program, set_variables

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


def trade(*words: str) -> dict[str, object]:
    params = [word for param in CERTAIN for word in ("--param", param)]
    ended = program("trade", "--strategy", "crypto-ta", "--series", "KXBTCD", "--json", *params, *words)
    assert ended.code == 0, ended.err
    found: dict[str, object] = ended.json
    return found


@pytest.mark.usefixtures("home")
def test_crypto_ta_trades_on_the_worlds_own_spot_over_real_sockets() -> None:
    summary = trade("--duration", "10s")
    assert summary["fills"], summary
    filled = summary["run_fills"]
    assert isinstance(filled, list)
    assert len(filled) == summary["fills"]
    assert summary["live_orders"] == 0


@pytest.mark.usefixtures("home")
def test_what_was_recorded_with_its_strategy_is_traded_in_a_backtest_and_refused_without() -> None:
    listed = program("markets", "--series", "KXBTCD", "--sort", "volume", "--limit", "20", "--json").json
    tickers = [market["ticker"] for market in listed]
    params = [word for param in CERTAIN for word in ("--param", param)]
    with_it = ("--strategy", "crypto-ta", *params)
    assert program("record", *tickers, "--out", "with.jsonl.gz", *with_it, "--duration", "15s").code == 0
    report = program("backtest", *with_it, "--data", "with.jsonl.gz", "--json")
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
    summary = trade("--duration", "3s")
    assert (summary["intents"], summary["fills"]) == (0, 0)
