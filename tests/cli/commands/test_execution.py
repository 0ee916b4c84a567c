"""`kalshi execution` and `kalshi check execution`: what orders leave behind, and the four states of the check."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.served import KEY_ID, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Money, Price, Ts, cents, contracts
from kalshi_cli.core.model.effects import FillBooked, OrderChanged, OrderRefused
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store

HOUR_MS = 3_600_000

ONCE = '''
import signal

from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.base.units import cents, contracts


class Once(Strategy):
    """Buys ten once, with a limit of 46 cents and a fair value of 50, and asks for an orderly stop."""

    name, Params, is_done = "once", StrategyParams, False

    def on_book(self, view, ticker):
        if not self.is_done and view.book(ticker).ask:
            self.is_done = True
            yield Place(ticker, BID, cents(46), contracts(10), fair=cents(50), reason="once")

    def on_fill(self, view, fill):
        signal.raise_signal(signal.SIGTERM)
'''


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("execution")) as found:
        yield found


@pytest.fixture(autouse=True)
def place(one: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, one.variables(home=tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The state file of the account."""
    found = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
    yield found
    found.close()


def check(*words: str) -> Ended:
    return program("check", "execution", "--no-notify", "--json", *words)


def found(ended: Ended) -> set[tuple[str, str, str]]:
    return {(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]}


def measures(ended: Ended) -> dict[str, float]:
    return {each["label"]: each["value"] for each in ended.json["measures"]}


def remember(
    store: Store, count: int, *, rate: float = 0.5, latency_ms: int = 100, price: int = 40, ago_s: int = 600
) -> None:
    """Orders of a strategy, one a millisecond; `rate` of them traded, after a second, at `price` against a fair 44."""
    dice, start = random.Random(count + ago_s), SystemClock().now() - ago_s * 1000
    with store.together():
        for number in range(count):
            name, at = f"{ago_s}-{number}", Ts(start + number)
            order = Order(
                client_order_id=name, order_id=f"order {name}", ticker=TWO_SIDED, side=BID, price=cents(price),
                qty=contracts(10), status=OrderStatus.CANCELED, created=at, updated=at, strategy="spike",
                fair=cents(44),
            )  # fmt: skip
            store.record(OrderChanged(order))
            store.record_placement(name, latency_ms + dice.randint(-10, 10))
            if number % 50 < 50 * rate:
                fill = Fill(
                    trade_id=name, order_id=order.order_id, ticker=TWO_SIDED, side=BID,
                    price=Price(order.price + dice.randint(-10, 10)), qty=contracts(10), fee=Money(0), is_taker=False,
                    ts=Ts(at + 1000),
                )  # fmt: skip
                store.record(FillBooked(fill))


def sent(store: Store, name: str, **changes: Any) -> None:
    """An order of a strategy, a moment ago."""
    now = SystemClock().now()
    fields: dict[str, Any] = {
        "ticker": TWO_SIDED, "side": BID, "price": cents(40), "qty": contracts(1), "status": OrderStatus.RESTING,
        "created": now, "updated": now, "strategy": "spike",
    }  # fmt: skip
    store.record(OrderChanged(Order(client_order_id=name, **(fields | changes))))


# -- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def ran(one: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A strategy bought ten at 45 cents, in a run that is over; what others left of the book may be far apart."""
    monkeypatch.setenv("KALSHI_RISK__MAX_SPREAD", "0.99")
    # The tests share an exchange and not a state file: the orders of the others are those of another instance.
    monkeypatch.setenv("KALSHI_ALERTS__ON_CRITICAL", "none")
    one.submit("maker", TWO_SIDED, ASK, "0.4500", "10", client_order_id=f"ask {tmp_path}")
    (tmp_path / "once.py").write_text(ONCE)
    words = ("--strategy", f"{tmp_path}/once.py:Once", "--ticker", TWO_SIDED)
    ended = program("trade", *words, "--interval", "0.1s", "--duration", "60s", "--json")
    assert (ended.json["fills"], ended.json["stopped_by"]) == (1, "SIGTERM"), ended.err
    yield
    one.call(lambda: one.exchange.cancel_all("maker", one.clock.now(), TWO_SIDED))


@pytest.mark.usefixtures("ran")
def test_a_run_leaves_behind_how_its_orders_were_carried_out() -> None:
    ended = program("execution", "--json")
    (row,) = ended.json["rows"]
    assert (ended.code, row["key"], row["orders"], row["orders_filled"], row["fills"]) == (0, "once", 1, 1, 1)
    assert (row["edge_at_order"], row["contracts"], row["maker_share"]) == ("0.0400", "10.00", 0.0)
    fill = program("fills", "--json").json[0]
    kept = 0.05 - float(fill["fee"]) / 10
    assert float(row["edge_kept"]) == pytest.approx(kept, abs=0.0001)
    assert row["slippage"] == f"-{row['edge_kept']}"
    assert (row["compared_fills"], row["slippage_to_best"]) == (1, "0.0000"), "it bought at the ask that it saw"
    assert (row["timed"], row["placement_median_ms"]) == (1, row["placement_p99_ms"])
    assert {key: ended.json[key] for key in row if key != "key"} == {key: row[key] for key in row if key != "key"}


@pytest.mark.usefixtures("ran")
def test_an_order_by_hand_is_timed_too_and_has_no_edge() -> None:
    words = ("--side", "yes", "--action", "buy", "--count", "1", "--price", "0.10")
    assert program("order", "place", TWO_SIDED, *words).code == 0
    assert "orders traded within 30 s of their decision" in program("execution", "--format", "table").err
    assert "orders traded within 5 s of" in program("execution", "--within", "5s").err
    rows = {row["key"]: row for row in program("execution", "--json").json["rows"]}
    assert (rows["(none)"]["orders"], rows["(none)"]["timed"], rows["(none)"]["edge_kept"]) == (1, 1, None)
    assert rows.keys() == {"(none)", "once"}


def test_parts_are_by_strategy_market_or_day(store: Store) -> None:
    remember(store, 30)
    for by, key in (("strategy", "spike"), ("market", TWO_SIDED)):
        (row,) = program("execution", "--by", by, "--json").json["rows"]
        assert (row["key"], row["orders"], row["fills"]) == (key, 30, 25)
    rows = program("execution", "--by", "day", "--json").json["rows"]
    assert sum(row["orders"] for row in rows) == 30


def test_those_of_paper_are_shown_where_they_are_asked_for(store: Store, tmp_path: Path) -> None:
    remember(store, 10)
    home = tmp_path / "state" / "sim-paper"
    with closing(Store.open(home / "state.db", account="paper", environment="sim")) as paper:
        remember(paper, 20)
    assert [program("execution", *words, "--json").json["orders"] for words in ((), ("--paper",))] == [10, 20]


def test_orders_from_before_are_left_out(store: Store) -> None:
    remember(store, 30, ago_s=7_200)
    remember(store, 10, ago_s=600)
    assert program("execution", "--since", "1h", "--json").json["orders"] == 10


def test_where_nothing_was_sent_that_is_said() -> None:
    ended = program("execution", "--format", "plain")
    assert (ended.code, "No orders in this period" in ended.err) == (0, True)
    assert program("execution", "--json").json["slippage"] is None


def test_the_last_orders_stand_beside_those_before(store: Store) -> None:
    remember(store, 200, ago_s=7_200)
    remember(store, 50, latency_ms=900)
    shown = program("execution", "--json").json
    assert [(row["key"], row["orders"]) for row in shown["trend"]] == [("last", 50), ("before", 200)]
    assert shown["worse"] == ["placement"]


# -- the check ----------------------------------------------------------------------------------------------------


def test_without_orders_there_is_nothing_to_judge_and_that_no_loop_runs_is_said() -> None:
    ended = check()
    assert (ended.code, ended.json["summary"]) == (0, "no trading loop is running; no orders in the last 24 hours")


def test_orders_too_young_to_judge_are_not_called_none(store: Store) -> None:
    remember(store, 2, ago_s=3, rate=0)
    assert check().json["summary"] == "no trading loop is running; no order is older than 30 s"


@contextmanager
def looping(store: Store, tmp_path: Path, *, hours: float, waiting: str = "") -> Iterator[None]:
    """A loop that has been running for so long holds the account."""
    now = SystemClock().now()
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        store.beat(
            Heartbeat(
                run_id="r", pid=os.getpid(), mode="sim", strategy="spike", started=Ts(now - int(hours * HOUR_MS)),
                completed=now, cycles=10, is_running=True, waiting=waiting,
            )
        )  # fmt: skip
        yield


def test_a_loop_that_sends_no_order_for_a_day_is_a_warning(store: Store, tmp_path: Path) -> None:
    with looping(store, tmp_path, hours=23.9):
        assert (check().code, measures(check())["no_orders_for"] // 60) == (0, 23.9 * 60)
    with looping(store, tmp_path, hours=25, waiting="spike: 3 of 30 samples"):
        ended = check()
        assert (ended.code, found(ended)) == (1, {("warning", "NO_ORDERS", "loop")})
        assert ended.json["runbook"] == "execution"
        assert ended.json["breaches"][0]["value"] == "no order sent for 25.0 h; spike: 3 of 30 samples"
    ended = check()
    assert (ended.code, ended.json["summary"].partition(";")[0]) == (0, "no trading loop is running")


def test_an_order_of_a_strategy_ends_the_wait_and_one_by_hand_does_not(store: Store, tmp_path: Path) -> None:
    with looping(store, tmp_path, hours=100):
        remember(store, 1, ago_s=90_000)
        assert measures(check())["no_orders_for"] // 10 == 9_000
        sent(store, "hand", strategy="")
        sent(store, "refused here", status=OrderStatus.REJECTED, code="STATE_MOVED")
        assert found(check()) == {("warning", "NO_ORDERS", "loop")}
        sent(store, "refused there", status=OrderStatus.REJECTED, code="invalid_price")
        assert found(check()) == set()


def test_the_wait_begins_anew_when_trading_goes_on_and_does_not_count_while_it_stands(
    store: Store, tmp_path: Path
) -> None:
    now = SystemClock().now()
    with looping(store, tmp_path, hours=100):
        for state, code in ((TradingState.HALTED, "CANCEL_ALL"), (TradingState.REDUCING, "DAILY_LOSS")):
            store.set_halt(Halt(state, code, "why", now))
            assert ("no_orders_for" in measures(check()), found(check())) == (False, set())
        store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "why", Ts(now - HOUR_MS)))
        assert measures(check())["no_orders_for"] // 60 == 60


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.UNKNOWN])
def test_a_loop_of_which_the_exchange_took_no_order_is_critical(
    store: Store, tmp_path: Path, status: OrderStatus
) -> None:
    for number in range(10):
        sent(store, f"c{number}", status=status, code="invalid_price")
        with looping(store, tmp_path, hours=5):
            ended = check()
        expected = {("critical", "NO_ORDERS", "loop")} if number == 9 else set()
        assert found(ended) == expected
    assert "the exchange accepted none of 10 orders" in ended.json["summary"]
    assert check().code == 0, "without a loop it is over"
    remember(store, 1)
    with looping(store, tmp_path, hours=5):
        assert found(check()) == set()


@pytest.mark.parametrize(("denied", "taken", "code"), [(74, 10, 1), (3, 1, 0), (19, 0, 0), (20, 0, 1), (60, 30, 0)])
def test_order_requests_that_kalshi_denies_are_seen(store: Store, denied: int, taken: int, code: int) -> None:
    now = SystemClock().now()
    for number in range(denied):
        denial = "MIN_EDGE" if number % 4 else "SPREAD"
        store.record(OrderRefused(now, "spike", TWO_SIDED, denial, ""))
    for _ in range(500):
        store.record(OrderRefused(now, "", TWO_SIDED, "PRICE_COLLAR", "a person"))
        store.record(OrderRefused(Ts(now - 2 * HOUR_MS), "spike", TWO_SIDED, "MIN_EDGE", "long ago"))
    for number in range(taken):
        sent(store, f"c{number}", order_id=f"o{number}", status=OrderStatus.CANCELED)
    store.denials(now)
    ended = check()
    assert (ended.code, found(ended)) == (code, {("warning", "DENIED_RATE", "order requests")} if code else set())
    if denied == 74:
        assert measures(ended)["denied_pct"] == 88.1
        (value,) = [each["value"] for each in ended.json["breaches"]]
        assert value == "74 of 84 order requests of the last hour refused by kalshi, most often MIN_EDGE (55)"


def test_an_order_that_was_stopped_on_its_way_out_is_a_denial(store: Store) -> None:
    for number in range(20):
        sent(store, f"c{number}", status=OrderStatus.REJECTED, code="STATE_MOVED")
    assert found(check()) == {("warning", "DENIED_RATE", "order requests")}


def test_orders_as_they_should_be_are_fine(store: Store) -> None:
    remember(store, 550)
    ended = check()
    assert (ended.code, found(ended)) == (0, set())
    shown = measures(ended)
    assert (shown["orders"], shown["fills"], shown["fill_rate_pct"]) == (50, 50, 50.0)


@pytest.mark.parametrize(
    ("last", "code", "breach"),
    [
        ({"rate": 0.04}, 1, ("warning", "FILL_RATE", "fill rate")),
        ({"latency_ms": 3_000}, 1, ("warning", "PLACEMENT_SLOW", "placement")),
        ({"latency_ms": 6_000}, 2, ("critical", "PLACEMENT_SLOW", "placement")),
        ({"price": 46}, 1, ("warning", "SLIPPAGE", "slippage")),
        ({"price": 49}, 2, ("critical", "SLIPPAGE", "slippage")),
    ],
)
def test_numbers_beyond_their_bounds_warn_or_are_critical(
    store: Store, last: dict[str, Any], code: int, breach: tuple[str, str, str]
) -> None:
    remember(store, 50, **({"rate": 1.0} | last))
    ended = check()
    assert (ended.code, found(ended), ended.json["runbook"]) == (code, {breach}, "execution")


@pytest.mark.parametrize(("slow", "code"), [(1, 0), (2, 2)])
def test_one_slow_order_is_no_slow_exchange_and_two_are(store: Store, slow: int, code: int) -> None:
    remember(store, 48, rate=1.0)
    remember(store, slow, rate=1.0, latency_ms=6_000, ago_s=300)
    ended = check()
    expected = {("critical", "PLACEMENT_SLOW", "placement")} if code else set()
    assert (ended.code, found(ended)) == (code, expected)


@pytest.mark.parametrize(
    ("last", "subject", "told"),
    [
        ({"rate": 0.3}, "fill rate", r"30% filled within 30 s, previously 100% filled within 30 s"),
        ({"latency_ms": 900}, "placement", r"placement [89]\d\d ms, previously placement \d+ ms"),
        ({"price": 42}, "slippage", r"slippage -(2.0|1.9)\d cents, previously slippage -(4.0|3.9)\d cents"),
    ],
)
def test_what_got_worse_than_it_was_is_a_warning(store: Store, last: dict[str, Any], subject: str, told: str) -> None:
    remember(store, 300, rate=1.0, ago_s=7_200)
    remember(store, 50, **({"rate": 1.0} | last))
    ended = check()
    assert (ended.code, found(ended)) == (1, {("warning", "EXECUTION_DROP", subject)})
    assert re.fullmatch(told, ended.json["breaches"][0]["value"])


def test_few_orders_say_nothing(store: Store) -> None:
    remember(store, 19, rate=0.0, latency_ms=60_000)
    ended = check()
    assert (ended.code, measures(ended)) == (0, {"orders": 19, "fills": 0})
    assert "sample too small (20 needed): fill rate 19, placement 19, " in ended.json["summary"]


def test_bounds_on_the_command_line_are_of_the_fill_rate(store: Store) -> None:
    remember(store, 50, rate=0.3)
    assert measures(check())["fill_rate_pct"] == 30
    assert found(check("-c", "40:")) == {("critical", "FILL_RATE", "fill rate")}


def test_what_was_slow_days_ago_is_not_what_goes_on_now(store: Store) -> None:
    remember(store, 50, latency_ms=60_000, ago_s=2 * 86_400)
    assert check().code == 0


def test_a_state_file_that_cannot_be_read_leaves_it_unknown(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no state file " * 500)
    ended = check()
    assert (ended.code, {code for _, code, _ in found(ended)}) == (3, {"STATE_UNUSABLE"})
