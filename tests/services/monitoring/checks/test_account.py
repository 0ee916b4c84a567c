"""The checks that look at the account, each in its four states, against a served exchange."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import KEY_ID, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Price,
    Ts,
    cents,
    contracts,
    dollars,
    format_money,
    format_price,
    format_qty,
    parse_ts,
)
from kalshi_cli.core.model.effects import AlertRaised, FillBooked, OrderChanged, SettlementBooked
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.services.monitoring.checks import drift, readings
from kalshi_cli.simulator.model.listing import EventSpec, MarketSpec
from kalshi_cli.store.lock import lock
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import format_time

EXCLUSIVE = "KXONE-40JAN01"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, FaultProxy]]:
    """6 YES at 45 cents, 20 NO at 88; resting: a bid for 5 at 40, an ask for 2.5 at 55. And 10 NO of two markets of
    which only one can win."""
    with served(tmp_path_factory.mktemp("account")) as one, fault_proxy(one.server.rest_url) as proxy:
        one.trade_a_little()
        one.call(lambda: _list_exclusive(one))
        for strike in (1, 2):
            one.submit("maker", f"{EXCLUSIVE}-{strike}", BID, "0.3000", "10")
            one.submit("alice", f"{EXCLUSIVE}-{strike}", ASK, "0.3000", "10", client_order_id=f"no{strike}")
        yield one, proxy


def _list_exclusive(one: Served) -> None:
    now = one.clock.now()
    spec = EventSpec(event_ticker=EXCLUSIVE, series_ticker="KXRAIN", title="Which?", mutually_exclusive=True)
    one.exchange.list_event(spec, now)
    for strike in (1, 2):
        market = MarketSpec(
            ticker=f"{EXCLUSIVE}-{strike}", event_ticker=EXCLUSIVE, title="This one?",
            open_time=parse_ts("2024-01-01T15:00:00Z"), close_time=parse_ts("2040-01-01T15:00:00Z"),
        )  # fmt: skip
        one.exchange.list_market(market, now)
    one.exchange.advance(now)


@pytest.fixture
def proxy(shared: tuple[Served, FaultProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    one, found = shared
    found.edits.clear()
    found.faults.clear()
    set_variables(monkeypatch, tmp_path, one.variables(found.moved(one.server.rest_url), home=tmp_path))
    # No trading day ends while these run: midnight is hours away.
    monkeypatch.setenv("KALSHI_DAY_ZONE", "UTC" if 4 <= datetime.now(UTC).hour < 20 else "America/Los_Angeles")
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The state file of the account."""
    one = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
    yield one
    one.close()


def check(name: str, *words: str) -> Ended:
    return program("check", name, "--no-notify", "--json", *words)


def codes(ended: Ended) -> set[tuple[str, str]]:
    return {(breach["severity"], breach["code"]) for breach in ended.json["breaches"]}


def measure(ended: Ended, label: str) -> float:
    return next(float(each["value"]) for each in ended.json["measures"] if each["label"] == label)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """What gets no answer is given up soon: no check comes near its deadline, which would end this process."""
    monkeypatch.setenv("KALSHI_EXCHANGE__TOTAL_TIMEOUT_S", "0.5")


def cut(proxy: FaultProxy, path: str) -> None:
    proxy.faults.append(Fault("reset", "GET", path, times=1_000))


def edited(proxy: FaultProxy, path: str, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Each item of a list in an answer is different."""

    def edit(body: Any) -> Any:
        for item in body[name]:
            change(item)
        return body

    proxy.edits[path] = edit


# -- positions ----------------------------------------------------------------------------------------------------


def test_positions_within_their_limits_are_fine(proxy: FaultProxy) -> None:
    ended = check("positions")
    assert ended.code == 0
    # 20 NO of 100 contracts is 20 %; the rest is less.
    assert measure(ended, "limit_used_pct") == 20.0
    assert "4 positions, 2 resting orders" in ended.json["summary"]


@pytest.mark.parametrize(
    ("limit", "code", "severity"), [("24", 1, "warning"), ("20", 1, "warning"), ("19.99", 2, "critical")]
)
def test_a_position_near_its_limit_warns_and_beyond_it_is_critical(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, limit: str, code: int, severity: str
) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_POSITION", limit)
    ended = check("positions")
    assert (ended.code, codes(ended)) == (code, {(severity, "POSITION_LIMIT")})
    assert ended.json["runbook"] == "position-limit"


def test_what_rests_counts_as_if_it_were_filled(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_POSITION", "10")
    subjects = {breach["subject"]: breach["value"] for breach in check("positions").json["breaches"]}
    assert subjects[TWO_SIDED].startswith("11 ")


def test_the_account_is_what_the_exchange_says_and_not_our_file(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.record(FillBooked(_fill("t1", TWO_SIDED, 90)))
    assert measure(check("positions"), "limit_used_pct") == 20.0
    edited(proxy, r"/portfolio/positions", "market_positions", lambda item: item.update(position_fp="101.00"))
    ended = check("positions")
    assert (ended.code, ("critical", "POSITION_LIMIT") in codes(ended)) == (2, True)


def test_what_a_subaccount_holds_counts(proxy: FaultProxy) -> None:
    def one_more(body: Any) -> Any:
        first = body["subaccount_balances"][0]
        body["subaccount_balances"].append(first | {"subaccount_number": 3})
        return body

    proxy.edits[r"/portfolio/subaccounts/balances"] = one_more
    assert check("positions").code == 0

    def ninety(body: Any) -> Any:
        held = {"ticker": TWO_SIDED, "position_fp": "90.00", "market_exposure_dollars": "40.0000"}
        more = {"realized_pnl_dollars": "0", "fees_paid_dollars": "0", "total_traded_dollars": "40.0000"}
        return {"market_positions": [held | more | {"last_updated_ts": "2026-11-21T00:00:00Z"}], "cursor": ""}

    proxy.edits[r"/portfolio/positions\?.*subaccount=3"] = ninety
    ended = check("positions")
    (breach,) = ended.json["breaches"]
    assert (ended.code, breach["subject"], breach["value"]) == (
        2, TWO_SIDED, "101 if its resting orders fill (101 %), now 96",
    )  # fmt: skip


def refuse_subaccounts(proxy: FaultProxy, status: int) -> None:
    body = b'{"error":{"code":"refused","message":"no"}}'
    proxy.faults.append(Fault("status", "GET", "subaccounts/balances", times=1_000, status=status, body=body))


def test_a_key_that_may_not_see_subaccounts_has_none_to_show(proxy: FaultProxy) -> None:
    refuse_subaccounts(proxy, 403)
    assert check("positions").code == 0


@pytest.mark.usefixtures("hasty")
def test_subaccounts_that_cannot_be_read_leave_the_positions_unknown(proxy: FaultProxy) -> None:
    refuse_subaccounts(proxy, 429)
    assert check("positions").code == 3


def test_the_whole_account_has_a_limit(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_EXPOSURE", "20")
    ended = check("positions")
    assert (ended.code, codes(ended)) == (2, {("critical", "EXPOSURE")})


def test_an_event_in_which_one_can_win_counts_its_worst_outcome(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_EVENT_EXPOSURE", "4.50")
    ended = check("positions")
    found = {breach["subject"]: breach["value"] for breach in ended.json["breaches"]}
    # 10 NO for $7 each of two: one loses $7, the other then wins $3. The others have more to lose than $4.50.
    assert found[EXCLUSIVE].startswith("$4.00 ")
    assert {code for _, code in codes(ended)} == {"EVENT_EXPOSURE"}
    monkeypatch.setenv("KALSHI_RISK__MAX_EVENT_EXPOSURE", "50")
    assert check("positions").code == 0


def test_what_rests_is_charged_as_its_series_says_which_is_read_once(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most series charge a maker nothing. This one charges a quarter of what a taker pays."""
    read: list[str] = []
    charged = ""

    def charges(body: Any) -> Any:
        read.append(body["series"]["ticker"])
        body["series"]["fee_type"] = charged
        return body

    proxy.edits[r"/series/[^/]+$"] = charges
    monkeypatch.setenv("KALSHI_RISK__MAX_EXPOSURE", "1")
    found = []
    for charged in ("quadratic", "quadratic_with_maker_fees"):  # noqa: B007 - `charges` says it
        found += [each["value"] for each in check("positions").json["breaches"] if each["code"] == "EXPOSURE"]
    assert [value.split()[0] for value in found] == ["$36.30", "$36.32"]
    assert read == ["KXRAIN"] * 4, "once for each look at a breach, of which there are two"


@pytest.mark.usefixtures("hasty")
def test_positions_that_cannot_be_read_are_unknown(proxy: FaultProxy) -> None:
    cut(proxy, "/portfolio/positions")
    ended = check("positions")
    assert (ended.code, codes(ended)) == (3, {("unknown", "COULD_NOT_LOOK")})


def test_a_fill_between_two_reads_is_no_breach(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_POSITION", "30")
    looks = iter(["120.00"])

    def once(body: Any) -> Any:
        for item in body["market_positions"]:
            item["position_fp"] = next(looks, item["position_fp"])
        return body

    proxy.edits[r"/portfolio/positions"] = once
    assert check("positions").code == 0
    assert next(looks, "") == ""


def test_how_many_orders_rest_has_a_limit(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_LIVE_ORDERS", "3")
    assert check("positions").code == 0
    monkeypatch.setenv("KALSHI_RISK__MAX_LIVE_ORDERS", "1")
    ended = check("positions")
    (breach,) = ended.json["breaches"]
    assert (ended.code, ended.json["runbook"]) == (2, "position-limit")
    assert (breach["code"], breach["value"], breach["limit"]) == ("LIVE_ORDERS", "2 (200 %)", "1")


def held_by(store: Store, strategy: str) -> None:
    """Six YES of TWO_SIDED, which the account holds, were bought by a strategy for 50 cents each."""
    now = SystemClock().now()
    fill = _fill("t1", TWO_SIDED, 6)
    order = Order(
        client_order_id="o1", order_id=fill.order_id, ticker=fill.ticker, side=fill.side, price=fill.price,
        qty=fill.qty, filled=fill.qty, status=OrderStatus.FILLED, strategy=strategy, created=now, updated=now,
    )  # fmt: skip
    store.record(OrderChanged(order))
    store.record(FillBooked(fill))


def quoted(proxy: FaultProxy, bid: str, ask: str = "0.9000") -> None:
    edited(proxy, r"/markets\?", "markets", lambda item: item.update({"yes_bid_dollars": bid, "yes_ask_dollars": ask}))


def test_what_a_stop_loss_would_sell_is_critical_where_no_loop_runs(
    proxy: FaultProxy, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_RISK__STOP_LOSS_PCT", "80")
    held_by(store, "threshold")
    quoted(proxy, "0.4000")  # 80 % of what it cost
    assert check("positions").code == 0
    quoted(proxy, "0.3900")
    ended = check("positions")
    (breach,) = ended.json["breaches"]
    assert (ended.code, codes(ended)) == (2, {("critical", "STOP_LOSS_STUCK")})
    assert (breach["subject"], breach["limit"]) == (TWO_SIDED, "80% of the cost")
    assert (
        breach["value"]
        == "6 YES of threshold cost $3.00, current value $2.34; no trading loop is running to close it: kalshi close "
        + TWO_SIDED
    )
    with lock(tmp_path / "state" / "sim" / readings.LOCK, SystemClock()):
        assert check("positions").code == 0


@pytest.mark.parametrize("owner", ["arbitrage", ""])
def test_what_no_stop_loss_would_sell_needs_no_loop(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    monkeypatch.setenv("KALSHI_RISK__STOP_LOSS_PCT", "80")
    held_by(store, owner)
    quoted(proxy, "0.1000")
    assert check("positions").code == 0


def test_what_only_paid_the_spread_or_is_gone_is_not_sold(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_RISK__STOP_LOSS_PCT", "99")
    held_by(store, "threshold")
    quoted(proxy, "0.4800", "0.5000")
    assert check("positions").code == 0
    quoted(proxy, "0.4800", "0.4900")
    assert check("positions").code == 2
    edited(proxy, r"/portfolio/positions", "market_positions", lambda item: item.update(position_fp="0.00"))
    assert check("positions").code == 0


# -- pnl ----------------------------------------------------------------------------------------------------------


def test_a_day_within_its_limit_is_fine(proxy: FaultProxy) -> None:
    ended = check("pnl")
    assert ended.code == 0
    assert -5 < measure(ended, "day_net_usd") < 0
    assert measure(ended, "drawdown_usd") == 0


@pytest.mark.parametrize(("times", "code", "severity"), [(1.25, 1, "warning"), (0.9, 2, "critical")])
def test_a_day_that_loses_too_much_of_its_limit(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, times: float, code: int, severity: str
) -> None:
    lost = -measure(check("pnl"), "day_net_usd")
    monkeypatch.setenv("KALSHI_RISK__MAX_DAILY_LOSS", f"{lost * times:.2f}")
    ended = check("pnl")
    assert (ended.code, codes(ended)) == (code, {(severity, "DAY_LOSS")})
    assert ended.json["runbook"] == "daily-loss"
    assert ended.json["summary"].count(f"${lost:.2f}") == 1, "one amount, once"


def test_a_drawdown_is_from_the_best_that_was_ever_seen_by_anybody(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_CHECKS__DRAWDOWN_USD__CRIT", "20")
    assert check("pnl").code == 0
    store.beat(_cycle(is_running=False, gained=dollars(30)))  # a loop saw more
    store.beat(_cycle(is_running=False, gained=dollars(10)))
    ended = check("pnl")
    assert (ended.code, codes(ended)) == (2, {("critical", "DRAWDOWN")})
    assert 30 < measure(ended, "drawdown_usd") < 35
    high = store.load().best
    assert high is not None
    assert f"below the high of {format_time(high.ts, None)}" in ended.json["summary"], "a resume starts it anew"


@pytest.mark.parametrize(("limit", "code"), [("32.00", 2), ("40", 0)])
def test_a_drawdown_that_would_stop_a_loop_is_critical_also_where_none_runs(
    proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch, limit: str, code: int
) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_DRAWDOWN", limit)
    store.beat(_cycle(is_running=False, gained=dollars(32)))
    assert check("pnl").code == code


@pytest.mark.usefixtures("read")
def test_a_loop_counts_what_the_account_gained_as_the_check_does(proxy: FaultProxy, store: Store) -> None:
    cycle = store.last_cycle()
    assert cycle is not None
    assert cycle.gained is not None
    assert cycle.gained < 0
    assert check("pnl").code == 0
    assert store.update_account_high(Money(-(10**12)), SystemClock().now()).gained == cycle.gained


def amounts() -> dict[str, str]:
    """Every number of the day, without the share of the account's value, which contains its cash."""
    return {m["label"]: m["value"] for m in check("pnl").json["measures"] if m["label"] != "day_fall_pct"}


def test_money_that_comes_or_goes_is_no_profit(proxy: FaultProxy) -> None:
    before = amounts()
    edited(proxy, r"/portfolio/subaccounts/balances", "subaccount_balances", lambda item: item.update(balance="1.00"))
    proxy.edits[r"/portfolio/balance"] = lambda body: body | {"balance_dollars": "1.00"}
    assert amounts() == before


@pytest.mark.parametrize(("share", "code"), [(1.1, 0), (0.9, 1)])
def test_a_day_that_loses_too_much_of_the_account_warns(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, share: float, code: int
) -> None:
    ended = check("pnl")
    lost, fell = -measure(ended, "day_net_usd"), measure(ended, "day_fall_pct")
    held = check("balance")
    worth = measure(held, "cash_usd")
    assert 100 * lost / (worth + 100) < fell < 100 * lost / (worth - 100), "the positions are worth some dollars"
    monkeypatch.setenv("KALSHI_CHECKS__DAY_FALL_PCT__WARN", f"{fell * share}")
    ended = check("pnl")
    assert (ended.code, codes(ended)) == (code, {("warning", "DAY_FALL")} if code else set())


@pytest.mark.parametrize(("bound", "code"), [("50:", 1), ("20:", 0)])
def test_a_win_rate_is_judged_from_enough_closing_trades_on(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch, bound: str, code: int
) -> None:
    monkeypatch.setenv("KALSHI_CHECKS__WIN_RATE_PCT__WARN", bound)
    assert "win_rate_pct" not in {each["label"] for each in check("pnl").json["measures"]}, "nothing was closed"
    made = [
        msgspec.structs.replace(_fill(f"{n} {side}", f"KXOLD-{n}", 1, Ts(now + n)), side=side, price=cents(price))
        for now in [SystemClock().now() - 1_000]
        for n in range(50)
        for side, price in ((BID, 40), (ASK, 41 if n % 4 == 0 else 39))
    ]
    proxy.edits[r"/portfolio/fills\?"] = lambda body: body | {"fills": [*map(_wire, made[::-1]), *body["fills"]]}
    ended = check("pnl")
    assert 25 < measure(ended, "win_rate_pct") < 27, "13 of 50, and what the account had closed before"
    assert codes(ended) == ({("warning", "WIN_RATE")} if code else set())


def test_fills_that_do_not_add_up_to_the_positions_leave_the_day_unknown(proxy: FaultProxy) -> None:
    edited(proxy, r"/portfolio/positions", "market_positions", lambda item: item.update(position_fp="1.00"))
    ended = check("pnl")
    assert (ended.code, codes(ended)) == (3, {("unknown", "COULD_NOT_LOOK")})


@pytest.mark.usefixtures("hasty")
def test_a_day_that_cannot_be_read_is_unknown(proxy: FaultProxy) -> None:
    cut(proxy, "/portfolio/fills")
    assert check("pnl").code == 3


def test_a_broken_state_file_leaves_the_day_known_and_the_drawdown_not(proxy: FaultProxy, tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no state file " * 500)
    ended = check("pnl")
    assert (ended.code, codes(ended)) == (3, {("unknown", "STATE_UNUSABLE")})
    assert measure(ended, "day_net_usd") < 0


# -- balance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "code"), [((), 0), (("-w", "5000:"), 1), (("-c", "5000:"), 2)])
def test_cash_is_held_against_its_range(proxy: FaultProxy, words: tuple[str, ...], code: int) -> None:
    ended = check("balance", *words)
    assert (ended.code, {found for _, found in codes(ended)}) == (code, {"LOW_BALANCE"} if code else set())


def test_a_debt_anywhere_is_critical(proxy: FaultProxy) -> None:
    edited(
        proxy, r"/portfolio/subaccounts/balances", "subaccount_balances",
        lambda item: item.update(balance="-0.01" if item["exchange_index"] else "5.00"),
    )  # fmt: skip
    ended = check("balance")
    assert ended.code == 2
    assert [breach["subject"] for breach in ended.json["breaches"]] == ["subaccount 0 shard 1"]


def test_a_key_that_is_refused_is_unknown_and_says_so(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-00000000dead")
    ended = check("balance")
    assert (ended.code, codes(ended)) == (3, {("unknown", "CREDENTIALS")})
    assert ended.json["runbook"] == "credentials-refused"


def test_the_headline_of_all_names_the_critical_check_before_the_one_that_shows_why(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_PRIVATE_KEY_PATH", "moved.pem")
    ended = program("check", "all", "--json", "--no-notify")
    assert ended.code == 2
    assert ended.json["summary"].startswith("heartbeat, because of positions: CREDENTIALS "), ended.out


# -- heartbeat ----------------------------------------------------------------------------------------------------


def _cycle(age_s: float = 0.0, *, is_running: bool = True, gained: Money | None = None, mode: str = "sim") -> Heartbeat:
    now = SystemClock().now()
    return Heartbeat(
        run_id="r", pid=os.getpid(), mode=mode, strategy="spike", started=Ts(now - 3_600_000),
        completed=Ts(now - int(age_s * 1000)), cycles=10, is_running=is_running, gained=gained,
    )  # fmt: skip


@pytest.fixture
def running(tmp_path: Path) -> Iterator[None]:
    """A loop holds the account."""
    with lock(tmp_path / "state" / "sim" / "trade.lock", SystemClock()):
        yield


@pytest.mark.parametrize(("age_s", "code"), [(1.0, 0), (31.0, 1), (90.0, 2), (600.0, 2)])
@pytest.mark.usefixtures("running")
def test_the_age_of_the_last_completed_cycle_decides(proxy: FaultProxy, store: Store, age_s: float, code: int) -> None:
    store.beat(_cycle(age_s))
    ended = check("heartbeat")
    assert (ended.code, {found for _, found in codes(ended)}) == (code, {"CYCLE_LATE"} if code else set())
    assert age_s <= measure(ended, "cycle_age_s") < age_s + 60


@pytest.mark.usefixtures("running")
def test_a_loop_that_status_calls_stalled_is_not_ok(proxy: FaultProxy, store: Store) -> None:
    """By its pace of two seconds, long before a threshold that the user raised."""
    store.beat(msgspec.structs.replace(_cycle(20.0), cycles=1_800))
    wide = ("-w", "1000", "-c", "1000")
    ended = check("heartbeat", *wide)
    assert (ended.code, codes(ended)) == (1, {("warning", "CYCLE_LATE")})
    assert "the loop is stalled" in ended.json["breaches"][0]["value"]
    assert program("status", "--json").json["stalled_since"] is not None
    store.record(AlertRaised(Ts(SystemClock().now() - 30_000), "critical", "BLIND", "account", "why"))
    ended = check("heartbeat", *wide)
    assert (ended.code, codes(ended)) == (2, {("critical", "BLIND")}), "it is not stalled: it cannot read the account"


@pytest.mark.usefixtures("running")
def test_a_loop_that_starts_is_not_judged_by_the_run_before(proxy: FaultProxy, store: Store) -> None:
    store.beat(_cycle(10_000.0, is_running=False))
    ended = check("heartbeat")
    assert (ended.code, ") started " in ended.json["summary"]) == (0, True)


def test_a_loop_of_which_nobody_knows_since_when_it_starts_is_unknown(
    proxy: FaultProxy, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "state" / "sim" / "trade.lock"
    with lock(path, SystemClock()):
        path.write_bytes(b"")
        ended = check("heartbeat")
    assert (ended.code, codes(ended)) == (3, {("unknown", "COULD_NOT_LOOK")})
    assert ended.json["measures"] == []


def test_no_loop_is_critical_and_fine_only_where_that_is_allowed(proxy: FaultProxy, store: Store) -> None:
    store.beat(_cycle(is_running=False))
    ended = check("heartbeat")
    assert (ended.code, codes(ended)) == (2, {("critical", "HEARTBEAT_LOST")})
    allowed = check("heartbeat", "--allow-stopped")
    assert (allowed.code, allowed.json["summary"].partition(":")[0]) == (0, "no trading loop is running")
    assert codes(allowed) == {("note", "HEARTBEAT_LOST")}, "it ends no alert of a check that does not allow it"


def test_an_account_without_any_run_is_critical_and_says_what_a_hand_trader_can_do(proxy: FaultProxy) -> None:
    ended = check("heartbeat")
    assert (ended.code, "has no run on record (if you run none: --allow-stopped)" in ended.json["summary"]) == (2, True)
    assert check("heartbeat", "--allow-stopped").code == 0


def test_a_loop_that_was_killed_is_critical_whatever_is_allowed(proxy: FaultProxy, store: Store) -> None:
    store.beat(_cycle())
    ended = check("heartbeat", "--allow-stopped")
    assert (ended.code, codes(ended)) == (2, {("critical", "HEARTBEAT_LOST")})


def test_a_lost_loop_says_how_many_positions_nothing_manages(proxy: FaultProxy, store: Store) -> None:
    store.beat(_cycle())
    assert "open position" not in check("heartbeat").json["summary"]
    store.record(FillBooked(_fill("t1", TWO_SIDED, 90)))
    value = check("heartbeat").json["breaches"][0]["value"]
    assert value.startswith("was killed, or could not write the state file; last cycle at ")
    assert value.endswith("; 1 open position")


def test_a_loop_that_ended_with_orders_that_may_be_live_is_critical_whatever_is_allowed(
    proxy: FaultProxy, store: Store
) -> None:
    for code, expected in ((5, 0), (7, 2)):
        store.beat(msgspec.structs.replace(_cycle(is_running=False), exit_code=code))
        assert check("heartbeat", "--allow-stopped").code == expected


@pytest.mark.parametrize(
    ("state", "code", "exit_code"),
    [
        (TradingState.HALTED, "DAILY_LOSS", 2),
        (TradingState.REDUCING, "API_GUARD", 2),
        (TradingState.HALTED, "PAUSED", 1),
    ],
)
@pytest.mark.usefixtures("running")
def test_a_loop_that_may_not_trade_is_named_by_the_code_of_its_halt(
    proxy: FaultProxy, store: Store, state: TradingState, code: str, exit_code: int
) -> None:
    store.beat(_cycle())
    store.set_halt(Halt(state, code, "why", SystemClock().now()))
    ended = check("heartbeat")
    assert (ended.code, {found for _, found in codes(ended)}) == (exit_code, {code})


@pytest.mark.parametrize(
    ("reason", "found", "runbook"),
    [
        ("alert DAILY_LOSS account", ("critical", "DAILY_LOSS"), "daily-loss"),
        ("jobs report", ("warning", "PAUSED"), "halted"),
        ("alert TAKE_PROFIT account", ("critical", "PAUSED"), "halted"),
    ],
)
@pytest.mark.usefixtures("running")
def test_a_pause_by_an_alert_is_critical_with_the_code_and_the_runbook_of_the_alert(
    proxy: FaultProxy, store: Store, reason: str, found: tuple[str, str], runbook: str
) -> None:
    store.beat(_cycle())
    store.set_halt(Halt(TradingState.HALTED, "PAUSED", reason, SystemClock().now()))
    ended = check("heartbeat")
    assert (codes(ended), ended.json["runbook"]) == ({found}, runbook)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("alert DAILY_LOSS account", {("critical", "DAILY_LOSS")}),
        ("lunch", {("warning", "PAUSED"), ("critical", "DAILY_LOSS")}),
        ("alert DRIFT account", {("critical", "DRIFT"), ("critical", "DAILY_LOSS")}),
    ],
)
@pytest.mark.usefixtures("running")
def test_a_pause_does_not_hide_the_daily_loss_below_it(
    proxy: FaultProxy, store: Store, tmp_path: Path, reason: str, expected: set[tuple[str, str]]
) -> None:
    store.beat(_cycle())
    store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "lost $25", SystemClock().now()))
    pause(tmp_path / "state" / "sim", reason)
    assert codes(check("heartbeat")) == expected


@pytest.mark.usefixtures("running")
def test_the_alert_that_paused_trading_is_not_sent_again_under_its_code(proxy: FaultProxy, store: Store) -> None:
    store.beat(_cycle())
    store.set_halt(Halt(TradingState.HALTED, "PAUSED", "alert FOREIGN_ACTIVITY KXA-1", SystemClock().now()))
    assert program("check", "heartbeat").code == 2
    alerts = program("alerts", "--json").json["alerts"]
    assert [(each["code"], each["tier"]) for each in alerts if each["subject"] == "the loop"] == [("PAUSED", "warning")]


@pytest.mark.parametrize(("is_running", "runbook"), [(False, "state-file"), (True, "heartbeat-lost")])
def test_a_halt_comes_before_the_loop_that_it_keeps_stopped_but_not_before_a_killed_one(
    proxy: FaultProxy, store: Store, is_running: bool, runbook: str
) -> None:
    store.beat(_cycle(is_running=is_running))
    store.set_halt(Halt(TradingState.HALTED, "REBUILT", "why", SystemClock().now()))
    ended = check("heartbeat")
    assert (ended.code, codes(ended)) == (2, {("critical", "HEARTBEAT_LOST"), ("critical", "REBUILT")})
    assert ended.json["runbook"] == runbook


def test_a_state_file_that_cannot_be_read_leaves_the_heartbeat_unknown(proxy: FaultProxy, tmp_path: Path) -> None:
    path = tmp_path / "state" / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"no state file " * 500)
    ended = check("heartbeat", "--allow-stopped")
    assert (ended.code, codes(ended)) == (3, {("unknown", "STATE_UNUSABLE")})


def test_the_loop_on_paper_is_meant_where_only_that_ever_ran(proxy: FaultProxy, tmp_path: Path) -> None:
    home = tmp_path / "state" / "sim-paper"
    with lock(home / "trade.lock", SystemClock()):
        paper = Store.open(home / "state.db", account="paper", environment="sim")
        paper.beat(_cycle(mode="paper"))
        paper.close()
        assert (check("heartbeat").code, check("heartbeat", "--paper").code) == (0, 0)
        assert "paper" in check("heartbeat").json["summary"]
        live = Store.open(tmp_path / "state" / "sim" / "state.db", account=KEY_ID, environment="sim")
        live.beat(_cycle(is_running=False))
        live.close()
        assert (check("heartbeat").code, check("heartbeat", "--paper").code) == (2, 0)


@pytest.mark.usefixtures("running")
def test_of_a_time_that_is_still_to_come_nobody_knows_how_old_it_is(proxy: FaultProxy, store: Store) -> None:
    """The clock was set back by two hours: a loop that hangs since before that has a cycle ahead of now."""
    store.beat(_cycle(-7_200.0))
    for name in ("heartbeat", "feed"):
        ended = check(name, "-w", "7200", "-c", "7200")
        assert (ended.code, ("unknown", "CLOCK") in codes(ended)) == (3, True), ended.json
    store.beat(_cycle(-1.0))
    assert check("heartbeat").code == 0


def test_a_loop_on_paper_does_not_stand_for_one_on_the_account_that_dies_at_each_start(
    proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F68: the key is refused, and a service manager starts it again and again."""
    home = tmp_path / "state" / "sim-paper"
    with lock(home / "trade.lock", SystemClock()):
        with Store.open(home / "state.db", account="paper", environment="sim") as paper:
            paper.beat(_cycle(mode="paper"))
        assert check("heartbeat").code == 0
        monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-000000000bad")
        assert program("trade", "--strategy", "spike", "--duration", "1s").code == 5
        ended = check("heartbeat")
        assert (ended.code, codes(ended)) == (2, {("critical", "HEARTBEAT_LOST")})
        assert check("heartbeat", "--paper").code == 0


# -- drift --------------------------------------------------------------------------------------------------------


@pytest.fixture
def read(proxy: FaultProxy) -> None:
    """The state file knows the account, as after a run."""
    ended = program("trade", "--strategy", "spike", "--interval", "0.1s", "--duration", "0.1s")
    assert ended.code == 0, ended.err


@pytest.mark.usefixtures("read")
def test_an_account_that_is_known_to_the_cent_is_fine(proxy: FaultProxy) -> None:
    assert check("drift").code == 0
    ended = check("drift")
    assert (ended.code, measure(ended, "drift_usd")) == (0, 0.0)
    assert "sample too small to judge the edge" in ended.json["summary"]


@pytest.mark.parametrize(
    ("cash", "code"), [("0.02", 1), ("2.00", 2)],
)  # fmt: skip
@pytest.mark.usefixtures("read")
def test_cash_that_nothing_explains_drifts_until_somebody_accepts_it(proxy: FaultProxy, cash: str, code: int) -> None:
    assert check("drift").code == 0

    def more(item: dict[str, Any]) -> None:
        if item["exchange_index"] == 0:
            item["balance"] = f"{float(item['balance']) + float(cash):.4f}"

    edited(proxy, r"/portfolio/subaccounts/balances", "subaccount_balances", more)
    ended = check("drift")
    assert (ended.code, {found for _, found in codes(ended)}) == (code, {"CASH_DRIFT"})
    assert measure(ended, "drift_usd") == float(cash)
    assert (check("drift", "--accept").code, check("drift").code) == (0, 0)


@pytest.mark.parametrize("path", [r"/portfolio/deposits", r"/portfolio/fills"])
@pytest.mark.usefixtures("read")
def test_what_the_first_look_found_stands_where_there_can_be_no_second(
    proxy: FaultProxy, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check("drift").code == 0

    def more(item: dict[str, Any]) -> None:
        if item["exchange_index"] == 0:
            item["balance"] = f"{float(item['balance']) + 50:.4f}"

    edited(proxy, r"/portfolio/subaccounts/balances", "subaccount_balances", more)
    monkeypatch.setattr(readings, "AGAIN_S", 0.0)
    proxy.faults.append(Fault("reset", "GET", path, nth=2, times=1_000))
    ended = check("drift")
    assert (ended.code, {("critical", "CASH_DRIFT"), ("unknown", "COULD_NOT_LOOK")}) == (2, codes(ended))


@pytest.mark.usefixtures("read")
def test_a_position_of_one_contract_less_is_critical(proxy: FaultProxy) -> None:
    def less(item: dict[str, Any]) -> None:
        if item["ticker"] == TWO_SIDED:
            item["position_fp"] = "5.00"

    edited(proxy, r"/portfolio/positions", "market_positions", less)
    ended = check("drift")
    (breach,) = ended.json["breaches"]
    assert (ended.code, breach["code"], breach["subject"]) == (2, "DRIFT", TWO_SIDED)
    assert (breach["value"], breach["limit"]) == ("state file 6", "exchange 5")


@pytest.mark.usefixtures("read")
def test_a_fill_that_only_one_side_has_is_critical(proxy: FaultProxy, store: Store) -> None:
    store.record(FillBooked(_fill("only ours", TWO_SIDED, 1, ts=Ts(SystemClock().now() - 600_000))))
    ended = check("drift")
    assert (ended.code, {found for _, found in codes(ended)}) == (2, {"FILLS_NOT_THERE", "DRIFT"})


@pytest.mark.usefixtures("read")
def test_what_nobody_read_yet_is_no_drift(proxy: FaultProxy, shared: tuple[Served, FaultProxy]) -> None:
    one, _ = shared
    assert check("drift").code == 0
    one.submit("maker", TWO_SIDED, BID, "0.4500", "1")
    one.submit("alice", TWO_SIDED, ASK, "0.4500", "1", client_order_id=f"new-{random.random()}")
    ended = check("drift")
    assert (ended.code, ended.json["summary"].count("; 1 newer fill on the exchange")) == (0, 1), ended.out
    assert measure(ended, "drift_usd") == 0.0
    one.submit("maker", TWO_SIDED, ASK, "0.4500", "1")
    one.submit("alice", TWO_SIDED, BID, "0.4500", "1", client_order_id=f"back-{random.random()}")


@pytest.mark.usefixtures("read")
def test_a_run_that_ended_before_its_first_cycle_has_not_read_what_is_new(
    proxy: FaultProxy, store: Store, shared: tuple[Served, FaultProxy]
) -> None:
    one, _ = shared
    one.submit("maker", TWO_SIDED, BID, "0.4500", "1")
    one.submit("alice", TWO_SIDED, ASK, "0.4500", "1", client_order_id=f"new-{random.random()}")
    later = _cycle(-120.0, is_running=False)
    for cycles, code in ((0, 0), (10, 2)):
        store.beat(msgspec.structs.replace(later, cycles=cycles))
        assert check("drift").code == code
    one.submit("maker", TWO_SIDED, ASK, "0.4500", "1")
    one.submit("alice", TWO_SIDED, BID, "0.4500", "1", client_order_id=f"back-{random.random()}")


@pytest.mark.usefixtures("read", "running")
def test_what_trades_while_the_loop_is_late_is_drift_only_once_the_loop_is_back(
    proxy: FaultProxy, store: Store, shared: tuple[Served, FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = shared
    monkeypatch.setattr(drift, "GRACE_MS", -1_000)
    store.beat(_cycle(90.0))
    one.submit("maker", TWO_SIDED, BID, "0.4500", "1")
    one.submit("alice", TWO_SIDED, ASK, "0.4500", "1", client_order_id=f"new-{random.random()}")
    late = check("drift")
    assert (late.code, "; 1 newer fill on the exchange" in late.json["summary"]) == (0, True), late.out
    store.beat(_cycle(0.0))
    assert codes(check("drift")) >= {("critical", "FILLS_MISSING"), ("critical", "DRIFT")}
    one.submit("maker", TWO_SIDED, ASK, "0.4500", "1")
    one.submit("alice", TWO_SIDED, BID, "0.4500", "1", client_order_id=f"back-{random.random()}")


@pytest.mark.usefixtures("read", "hasty")
def test_drift_that_cannot_be_looked_for_is_unknown(proxy: FaultProxy) -> None:
    cut(proxy, "/portfolio/settlements")
    assert check("drift").code == 3


def test_an_account_that_traded_and_is_not_remembered_is_unknown(proxy: FaultProxy) -> None:
    ended = check("drift")
    assert (ended.code, codes(ended)) == (3, {("unknown", "COULD_NOT_LOOK")})
    assert "no state file" in ended.json["summary"]


def test_an_empty_state_file_has_compared_nothing_until_it_reads_the_account(proxy: FaultProxy, store: Store) -> None:
    for _ in range(2):  # the first run saves nothing that lets the second one pass
        ended = check("drift")
        assert (ended.code, codes(ended)) == (3, {("unknown", "COULD_NOT_LOOK")})
        assert "never read the account" in ended.json["summary"]
    assert program("order", "reconcile").code == 0
    assert check("drift").code == 0, ended.out


def test_a_state_file_that_begins_after_the_account_lacks_its_fills(proxy: FaultProxy, store: Store) -> None:
    late = _fill("late", TWO_SIDED, 1)
    store.record(FillBooked(late))
    proxy.edits[r"/portfolio/fills\?"] = lambda body: body | {"fills": [_wire(late), *body["fills"], *earlier]}
    earlier = [_wire(_fill("early", TWO_SIDED, 1, ts=Ts(late.ts - 600_000)))]
    ended = check("drift")
    assert (ended.code, "FILLS_MISSING" in {found for _, found in codes(ended)}) == (2, True), ended.out


@pytest.fixture
def old(proxy: FaultProxy, store: Store, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Six fills on both sides, from before the time that an earlier program compared; a check compares two of them.

    Change the list to change those of the exchange.
    """
    monkeypatch.setattr(drift, "MAX_OLDER", 2)
    now, fills = SystemClock().now(), list[dict[str, Any]]()
    store.alert_book.set_mark(drift.COMPARED, now)
    for number in range(6):
        fill = _fill(f"old{number}", TWO_SIDED, 1, Ts(now - (9 - number) * 86_400_000))
        fill = msgspec.structs.replace(fill, side=BID if number % 2 else ASK)
        store.record(FillBooked(fill))
        fills.append(_wire(fill))
    proxy.edits[r"/portfolio/fills\?"] = lambda body: body | {"fills": [*body["fills"], *fills[::-1]]}
    return fills


@pytest.mark.usefixtures("read", "old")
def test_older_fills_are_compared_in_parts_and_each_run_says_how_far() -> None:
    ended = [check("drift") for _ in range(4)]
    assert [each.code for each in ended] == [0] * 4, ended[0].out
    summaries = [each.json["summary"] for each in ended]
    assert [" fills since " in each for each in summaries] == [True, True, False, False]
    assert len(set(summaries[:3])) == 3, "each run came further"


@pytest.mark.usefixtures("read")
def test_a_missing_older_fill_is_found_and_no_run_goes_past_it(old: list[dict[str, Any]]) -> None:
    del old[1]
    found = [check("drift") for _ in range(4)]
    assert [ended.code for ended in found] == [0, 0, 2, 2]
    assert {each for _, each in codes(found[-1])} == {"FILLS_NOT_THERE"}
    assert " fills since " in found[-1].json["summary"]


@pytest.mark.parametrize(("won", "code"), [(6, 0), (1, 2)])
@pytest.mark.usefixtures("read")
def test_strategies_that_earn_far_less_than_they_expect_are_critical(
    proxy: FaultProxy, store: Store, won: int, code: int
) -> None:
    """Thirty bets in ten events at a fair 60 cents: six of ten settled YES, or one."""
    settled = SystemClock().now()
    fills: list[dict[str, Any]] = []
    for number in range(30):
        ticker = f"KXOLD{number // 3}-24JAN01-T1"
        fill = _fill(f"old{number}", ticker, 10, ts=Ts(settled - 7_200_000 + number))
        order = Order(
            client_order_id=f"old{number}", order_id=fill.order_id, ticker=ticker, side=BID, price=cents(50),
            qty=contracts(10), status=OrderStatus.FILLED, created=fill.ts, updated=fill.ts, strategy="spike",
            fair=cents(60),
        )  # fmt: skip
        store.record(OrderChanged(order))
        store.record(FillBooked(fill))
        fills.append(_wire(fill))
    for number in range(10):
        value = ONE_DOLLAR if number < won else Price(0)
        paid = Settlement(
            ticker=f"KXOLD{number}-24JAN01-T1", event_ticker=f"KXOLD{number}-24JAN01", result="yes" if value else "no",
            value=value, yes_qty=contracts(30), no_qty=contracts(0), revenue=Money(0), fee=Money(0), ts=settled,
        )  # fmt: skip
        store.record(SettlementBooked(paid))
    proxy.edits[r"/portfolio/fills\?"] = lambda body: body | {"fills": [*body["fills"], *fills]}
    ended = check("drift")
    assert (ended.code, {found for _, found in codes(ended)}) == (code, {"EDGE_DRIFT"} if code else set())


def _fill(trade_id: str, ticker: str, count: int, ts: Ts | None = None) -> Fill:
    return Fill(
        trade_id=trade_id, order_id=f"order of {trade_id}", ticker=ticker, side=BID, price=cents(50),
        qty=contracts(count), fee=Money(0), is_taker=False, ts=ts if ts is not None else SystemClock().now(),
    )  # fmt: skip


def _wire(fill: Fill) -> dict[str, Any]:
    """As the exchange would list it."""
    made = datetime.fromtimestamp(fill.ts / 1000, UTC).isoformat()
    return {
        "trade_id": fill.trade_id, "order_id": fill.order_id, "ticker": fill.ticker,
        "book_side": fill.side.value,
        "outcome_side": "yes" if fill.side is BID else "no", "count_fp": format_qty(fill.qty),
        "yes_price_dollars": format_price(fill.price),
        "is_taker": fill.is_taker, "fee_cost": format_money(fill.fee), "created_time": made, "subaccount_number": 0,
    }  # fmt: skip
