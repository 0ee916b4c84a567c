"""A loop on paper, a recording and a backtest see markets only: nothing of the account whose key signs the stream."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.fault_frames import StreamFault
from support.fault_proxy import FaultProxy, fault_proxy
from support.served import ME, TWO_SIDED, Served, eventually, finish, program, said, served, set_variables, start

from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.stream.subscription import FILL, GROUPS, ORDERS, POSITIONS

OF_THE_ACCOUNT = {FILL, ORDERS, GROUPS, POSITIONS}

WATCHER = """
from kalshi_cli.strategies.base import Strategy


class Watcher(Strategy):
    name = "watcher"

    def on_book(self, view, ticker):
        return ()
"""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "watcher.py").write_text(WATCHER)
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


@pytest.fixture
def proxy(exchange: Served) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        yield one


def subscribed(exchange: Served) -> set[str]:
    """The channels of every connection, as the exchange has them."""
    hub = exchange.exchange._hub
    return exchange.call(
        lambda: {each.channel for connection in hub.connections for each in connection.subscriptions.values()}
    )


def trade_for_real(exchange: Served) -> None:
    """The account buys at once, rests an order with an id like this program's, and trips a group of nobody's."""
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "3", client_order_id="kcli-of-another-program")
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1", client_order_id="kcli-that-rests")
    exchange.submit("maker", TWO_SIDED, ASK, "0.9000", "1")  # the book moves: the loop has heard of all before


def test_a_loop_on_paper_books_no_fill_of_the_account_and_asks_for_none(exchange: Served, proxy: FaultProxy) -> None:
    words = ("trade", "--strategy", "./watcher.py:Watcher", "--ticker", TWO_SIDED, "--paper", "--interval", "0.2s")
    home = exchange.state / "sim-paper"
    variables = exchange.variables(proxy.moved(exchange.server.rest_url), proxy.moved(exchange.server.ws_url))
    loop = start((*words, "--json"), variables, exchange.home)
    try:
        eventually(lambda: "orderbook_delta" in subscribed(exchange) or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        assert subscribed(exchange) & OF_THE_ACCOUNT == set()
        before = program("status", "--paper", "--json").json["cycles"] or 0
        trade_for_real(exchange)
        eventually(lambda: (program("status", "--paper", "--json").json["cycles"] or 0) > before + 5)
        loop.send_signal(signal.SIGTERM)
        ended = finish(loop)
    finally:
        loop.kill()
        loop.communicate()
    assert ended.code == 143, ended.err
    assert (ended.json["fills"], ended.json["open_positions"], ended.json["fees"]) == (0, 0, "0.000000")
    assert "INSTANCE" not in ended.err
    with closing(sqlite3.connect(home / "state.db")) as file:
        for table in ("fills", "settlements", "orders", "alerts"):
            assert file.execute(f"SELECT * FROM {table}").fetchall() == [], table
    asked = {(answer.method, answer.path.partition("?")[0]) for answer in proxy.answers}
    assert {method for method, _ in asked} == {"GET"}
    assert [path for _, path in asked if "/portfolio/" in path] == []
    assert exchange.resting() != [], "nor did it cancel what rests there"


def test_frames_of_the_account_that_come_all_the_same_are_ignored_on_paper(exchange: Served, proxy: FaultProxy) -> None:
    fill = {
        "trade_id": "t-1", "order_id": "o-1", "market_ticker": TWO_SIDED, "is_taker": True, "side": "yes",
        "yes_price_dollars": "0.4700", "count_fp": "3.00", "fee_cost": "0.0600", "action": "buy", "ts_ms": 1,
        "client_order_id": "kcli-x", "post_position_fp": "3.00", "purchased_side": "yes", "subaccount": 0,
        "outcome_side": "yes", "book_side": "bid",
    }  # fmt: skip
    frame = json.dumps({"type": "fill", "sid": 99, "seq": 1, "msg": fill}).encode()
    proxy.stream_faults.append(StreamFault("inject", "orderbook_delta", times=1_000, text=frame))
    words = ("trade", "--strategy", "./watcher.py:Watcher", "--ticker", TWO_SIDED, "--paper", "--interval", "0.2s")
    variables = exchange.variables(proxy.moved(exchange.server.rest_url), proxy.moved(exchange.server.ws_url))
    loop = start((*words, "--json"), variables, exchange.home)
    try:
        eventually(lambda: (program("status", "--paper", "--json").json["cycles"] or 0) > 1)
        hits = proxy.stream_faults[0].hits
        exchange.submit("maker", TWO_SIDED, ASK, "0.9000", "1")
        eventually(lambda: proxy.stream_faults[0].hits > hits)
        before = program("status", "--paper", "--json").json["cycles"]
        eventually(lambda: program("status", "--paper", "--json").json["cycles"] > before + 3)
        loop.send_signal(signal.SIGTERM)
        ended = finish(loop)
    finally:
        loop.kill()
        loop.communicate()
    assert (ended.json["fills"], ended.json["open_positions"]) == (0, 0), ended.err
    assert "INSTANCE" not in ended.err


def test_a_recording_holds_no_frame_of_the_account(exchange: Served) -> None:
    out = exchange.home / "tape.jsonl"
    recorder = start(("record", TWO_SIDED, "--out", str(out)), exchange.variables(), exchange.home)
    try:
        eventually(lambda: "orderbook_delta" in subscribed(exchange) or recorder.poll() is not None)
        assert subscribed(exchange) & OF_THE_ACCOUNT == set()
        trade_for_real(exchange)
        eventually(lambda: "0.9000" in out.read_text() or recorder.poll() is not None)
        recorder.send_signal(signal.SIGINT)
        ended = finish(recorder)
    finally:
        recorder.kill()
        recorder.communicate()
    assert ended.code == 130, ended.err
    kinds = {json.loads(line)["frame"].get("type") for line in out.read_text().splitlines() if '"frame"' in line}
    assert "orderbook_delta" in kinds
    assert kinds & {"fill", "user_order", "order_group_updates"} == set()


def test_watching_a_market_subscribes_to_nothing_of_the_account(exchange: Served) -> None:
    watch = start(("watch", TWO_SIDED, "--json"), exchange.variables(), exchange.home)
    try:
        eventually(lambda: "orderbook_delta" in subscribed(exchange) or watch.poll() is not None)
        assert subscribed(exchange) & OF_THE_ACCOUNT == set()
    finally:
        watch.kill()
        watch.communicate()


BUYER = """
from kalshi_cli.strategies.api import BID, Place, Strategy, contracts


class Buyer(Strategy):
    name = "buyer"

    def on_tick(self, view):
        for ticker in view.tickers:
            ask = view.book(ticker).best_ask
            if ask is not None and not view.orders(ticker):
                yield Place(ticker, BID, ask, contracts(1), fair=ask + 1_000, reason="an offer")
"""


def test_a_loop_on_paper_says_where_live_trading_would_have_been_stopped(exchange: Served) -> None:
    (exchange.home / "buyer.py").write_text(BUYER)
    words = ("trade", "--strategy", "./buyer.py", "--ticker", TWO_SIDED, "--paper", "--interval", "0.2s")
    loop = start((*words, "--json"), {**exchange.variables(), "KALSHI_TRADE__GROUP_LIMIT": "2"}, exchange.home)
    try:
        eventually(lambda: "GROUP_LIMIT" in program("alerts", "--paper", "--json").out or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        loop.send_signal(signal.SIGTERM)
        ended = finish(loop)
    finally:
        loop.kill()
        loop.communicate()
    assert "2 contracts traded within 15 s, and trade.group_limit is 2: live, " in ended.err
