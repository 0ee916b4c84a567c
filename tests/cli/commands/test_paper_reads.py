"""`positions`, `fills`, `pnl` and `portfolio` with `--paper` show the paper account, and without it they say so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import KEY_ID, TWO_SIDED, Served, program, served, set_variables

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, format_ts
from kalshi_cli.core.model.effects import FillBooked, SettlementBooked
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store

NOTICE = "The last run was on paper; use --paper to see it"


def _traded(store: Store, ts: int, ticker: str, side: Side, price: int, count: int) -> None:
    fill = Fill(
        trade_id=f"t{ts}", order_id=f"o{ts}", ticker=ticker, side=side, price=cents(price), qty=contracts(count),
        fee=Money(10_000), is_taker=True, ts=Ts(ts), client_order_id=f"c{ts}",
    )  # fmt: skip
    order = Order(
        client_order_id=f"c{ts}", order_id=f"o{ts}", ticker=ticker, side=side, price=cents(price), qty=contracts(count),
        status=OrderStatus.FILLED, created=Ts(ts), updated=Ts(ts), strategy="fade",
    )  # fmt: skip
    store.record(FillBooked(fill, order))


def _ran(store: Store, completed: Ts) -> None:
    store.beat(
        Heartbeat(
            run_id="r", pid=1, mode="paper", strategy="fade", started=completed, completed=completed, cycles=1,
            is_running=False,
        )
    )  # fmt: skip


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A paper account that bought 5 YES, sold 2, and was paid for 3 of another market."""
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        now = one.clock.now()
        with Store.open(one.state / "sim-paper" / "state.db", account="paper", environment="sim") as store:
            _traded(store, now - 4, TWO_SIDED, BID, 40, 5)
            _traded(store, now - 3, TWO_SIDED, ASK, 45, 2)
            _traded(store, now - 2, "KXGONE-1", BID, 60, 3)
            store.record(
                SettlementBooked(
                    Settlement(
                        ticker="KXGONE-1", event_ticker="KXGONE", result="yes", value=Price(10_000),
                        yes_qty=contracts(3), no_qty=Qty(0), revenue=Money(3_000_000), fee=Money(10_000),
                        ts=Ts(now - 1),
                    )
                )
            )  # fmt: skip
            _ran(store, now)
        yield one


def test_the_paper_account_is_read_from_its_state_file(exchange: Served) -> None:
    fills = program("fills", "--paper", "--json")
    assert [(row["ticker"], row["action"], row["side"], row["count"]) for row in fills.json] == [
        ("KXGONE-1", "buy", "yes", "3.00"),
        (TWO_SIDED, "sell", "yes", "2.00"),
        (TWO_SIDED, "buy", "yes", "5.00"),
    ]
    assert [row["count"] for row in program("fills", "--paper", "--ticker", "KXGONE-1", "--json").json] == ["3.00"]
    assert len(program("fills", "--paper", "--limit", "1", "--json").json) == 1
    (held,) = program("positions", "--paper", "--json").json
    assert (held["ticker"], held["position"], held["cost"]) == (TWO_SIDED, "3.00", "1.200000")
    assert held["mark"] is not None, "its closing price comes from the exchange"
    pnl = program("pnl", "--paper", "--by", "strategy", "--json").json
    assert (pnl["realized"], pnl["fees"]) == ("1.300000", "0.030000")
    assert [row["key"] for row in pnl["rows"]] == ["fade"]
    days = program("pnl", "--paper", "--by", "day", "--json").json
    assert (days["net"], days["realized"]) == (pnl["net"], "1.300000")
    end = format_ts(Ts(exchange.clock.now() + 60_000))
    assert program("pnl", "--paper", "--until", end, "--json").json["unrealized"] == days["unrealized"], "not past yet"
    assert program("order", "list", "--paper", "--json").json == []
    orders = program("order", "list", "--paper", "--status", "executed", "--json").json
    assert [(row["ticker"], row["book_side"], row["status"]) for row in orders] == [
        ("KXGONE-1", "bid", "filled"), (TWO_SIDED, "ask", "filled"), (TWO_SIDED, "bid", "filled"),
    ]  # fmt: skip
    assert program("order", "list", "--paper", "--status", "canceled", "--json").json == []
    every = program("order", "list", "--paper", "--status", "all", "--ticker", "KXGONE*", "--json").json
    assert [row["ticker"] for row in every] == ["KXGONE-1"]
    assert program("order", "list", "--paper", "--event", "KXGONE").code == 2
    whole = program("portfolio", "--paper", "--json").json
    assert whole["cash"] == "1000.070000", "1000 + 1.30 realized - 0.03 fees - 1.20 cost"
    assert (whole["resting_orders"], len(whole["positions"])) == (0, 1)


def test_the_past_of_the_paper_account_has_no_unrealized_part(exchange: Served) -> None:
    bought = program("fills", "--paper", "--json").json[0]["time"]
    for by, rows in (("market", [TWO_SIDED]), ("strategy", ["fade"]), ("month", None)):
        past = program("pnl", "--paper", "--by", by, "--until", bought, "--json").json
        assert (past["realized"], past["unrealized"], past["fees"]) == ("0.100000", "0.000000", "0.020000"), by
        assert rows is None or [row["key"] for row in past["rows"]] == rows
    since = program("pnl", "--paper", "--since", bought, "--json").json
    assert (since["realized"], since["fees"]) == ("1.200000", "0.010000")


def test_without_the_option_the_account_of_the_exchange_is_shown_with_a_notice(exchange: Served) -> None:
    for words in (("fills",), ("positions",), ("pnl",), ("portfolio",), ("order", "list")):
        shown, paper = program(*words), program(*words, "--paper")
        assert NOTICE in shown.err, words
        assert NOTICE not in paper.err, words
    assert program("fills", "--json").json == []
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        _ran(store, Ts(exchange.clock.now() + 1000))
    assert NOTICE not in program("fills").err, "a later run was at the exchange"


def test_before_the_first_paper_run_it_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        assert program("fills", "--paper", "--json").json == []
        assert program("positions", "--paper", "--json").json == []
        assert program("pnl", "--paper", "--json").json["net"] == "0.000000"
        assert program("portfolio", "--paper", "--json").json["cash"] == "1000.000000"
        assert NOTICE not in program("fills").err
        assert not (one.state / "sim-paper").exists()
