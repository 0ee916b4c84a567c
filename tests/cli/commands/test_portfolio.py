"""`kalshi pnl`, however it is cut, adds up to the change of the account at the exchange, to the micro-dollar."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import FINE, KEY_ID, ME, ONE_SIDED, TWO_SIDED, Served, program, served, set_variables

from kalshi_cli.base.units import Money, Price, Ts, contracts, dollars, notional, parse_money, parse_price, parse_qty
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.positions import PnlRow, PnlView

DAY_S = 86_400.0
PAID_IN = Money(dollars(500) + dollars(20) - dollars("33.33"))
PARTS = {
    "market": {TWO_SIDED, ONE_SIDED, FINE},
    "event": {"KXRAIN-40JAN01", "KXWIND-40JAN01"},
    "series": {"KXRAIN", "KXWIND"},
    "strategy": {"(none)", "fade", "spike"},
}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Money]]:
    """An account that traded by two strategies and by hand, was settled, paid in, paid out and moved money, over three
    days; and what it had in the beginning."""
    home, window_ms = tmp_path_factory.mktemp("lived"), int(9 * DAY_S * 1000)
    with served(home, clock_window_ms=window_ms, balance_precision=10_000) as one:  # a member whose cents are whole
        before = one.exchange.cash(ME)
        store = Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim")

        def buy(strategy: str, ticker: str, side: Side, price: str, count: str) -> None:
            """It was sent from here, if by a strategy."""
            receipt = one.submit(ME, ticker, side, price, count)
            if strategy:
                store.record(OrderChanged(_order(receipt.order_id, strategy, ticker, side, price, count)))

        one.clock.shift_s = -60.0
        # Bought and sold again with a loss, and some of it kept.
        one.submit("maker", TWO_SIDED, ASK, "0.4500", "10")  # better than what it bids and asks in this listing
        buy("spike", TWO_SIDED, BID, "0.4500", "10")
        buy("fade", TWO_SIDED, ASK, "0.4400", "4")
        # Short, of which a part is bought back and the rest settles.
        buy("", ONE_SIDED, ASK, "0.1200", "20")
        one.submit("maker", ONE_SIDED, ASK, "0.1500", "5")
        buy("", ONE_SIDED, BID, "0.1500", "5")
        one.clock.shift_s = -30.0
        # Parts of a contract at parts of a cent, in several fills of one order: roundings, and a rebate of them.
        for _ in range(8):
            one.submit("maker", FINE, ASK, "0.0330", "0.03")
        buy("fade", FINE, BID, "0.0330", "0.24")
        one.call(lambda: one.exchange.deposit(ME, dollars(500)))
        assert one.call(lambda: one.exchange.withdraw(ME, dollars("33.33"))) is None
        one.call(lambda: one.exchange.deposit(ME, dollars(20), exchange_index=1))
        one.clock.shift_s = 2 * DAY_S  # two days of the year have 23 or 25 hours
        one.call(lambda: one.exchange.settle(ONE_SIDED, Price(0), one.clock.now()))
        one.clock.shift_s += 61.0  # past the settlement timer
        one.call(lambda: one.exchange.advance(one.clock.now()))
        buy("spike", TWO_SIDED, ASK, "0.4400", "1")
        store.close()
        yield one, before


def _order(order_id: str, strategy: str, ticker: str, side: Side, price: str, count: str) -> Order:
    return Order(
        client_order_id=f"ours {order_id}", order_id=order_id, ticker=ticker, side=side, price=parse_price(price),
        qty=parse_qty(count), status=OrderStatus.FILLED, created=Ts(0), updated=Ts(0), strategy=strategy,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def variables(lived: tuple[Served, Money], monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = lived
    set_variables(monkeypatch, one.home, one.variables())


def change(lived: tuple[Served, Money]) -> Money:
    """Cash now and what is held at its bid, less what was there and what was paid in and out."""
    one, before = lived
    worth = sum(parse_money(row["value"]) for row in program("positions", "--json").json)
    return Money(one.exchange.cash(ME) + worth - before - PAID_IN)


@pytest.mark.parametrize("by", ["market", "event", "series", "strategy", "day"])
def test_the_parts_add_up_to_the_change_of_the_account(lived: tuple[Served, Money], by: str) -> None:
    shown = program("pnl", "--by", by, "--json").json
    wanted = change(lived)
    assert parse_money(shown["net"]) == wanted
    for name in ("realized", "unrealized", "fees", "net"):
        assert sum(parse_money(row[name]) for row in shown["rows"]) == parse_money(shown[name]), name
    keys = {row["key"] for row in shown["rows"]}
    assert keys == PARTS[by] if by in PARTS else len(keys) >= 2


def test_pnl_by_strategy_says_why_its_realized_differs_from_that_of_the_account(lived: tuple[Served, Money]) -> None:
    note = "realized and unrealized P&L and closes won can differ"
    assert note in program("pnl", "--by", "strategy").err
    for words in (("--by", "strategy", "--json"), ("--by", "strategy", "--fields", "key,net"), ("--by", "market")):
        assert note not in program("pnl", *words).err, words


def test_a_view_knows_whether_its_rounded_amounts_add_up() -> None:
    third = PnlRow(key="K", realized=SignedMoney(Money(0)), unrealized=SignedMoney(Money(3_333)), fees=Money(0),
                   net=SignedMoney(Money(3_333)), wins=0, losses=0)  # fmt: skip
    assert PnlView.of(third, rows=(third,)).adds_up
    assert not PnlView.of(third, unrealized=9_999, net=9_999, rows=(third,) * 3).adds_up, "$0.00 three times is $0.01"


def _midway() -> str:
    """After two trades with a loss, before the settlement and a third."""
    return str(program("fills", "--ticker", FINE, "--json").json[-1]["time"])


@pytest.mark.parametrize("by", ["market", "event", "series", "strategy", "day", "month"])
def test_what_was_realized_before_and_since_a_time_adds_up(lived: tuple[Served, Money], by: str) -> None:
    time = _midway()
    whole, before, since = (
        program("pnl", "--by", by, *words, "--json").json for words in ((), ("--until", time), ("--since", time))
    )
    for name in ("realized", "fees", "wins", "losses"):
        found = [part[name] if isinstance(part[name], int) else parse_money(part[name]) for part in (before, since)]
        assert sum(found) == (whole[name] if isinstance(whole[name], int) else parse_money(whole[name])), name
        assert before[name] != whole[name], f"{name} of later is left out"
    assert {row["unrealized"] for row in (before, *before["rows"])} == {"0.000000"}
    assert parse_money(before["net"]) == parse_money(before["realized"]) - parse_money(before["fees"]) != 0


def test_pnl_until_a_past_time_says_that_unrealized_is_left_out(lived: tuple[Served, Money]) -> None:
    time, note = _midway(), "Realized P&L and fees only"
    by_strategy = program("pnl", "--by", "strategy", "--until", time)
    assert "Fees add up to those of the account; realized and unrealized P&L, net and closes won" in by_strategy.err
    exported = program("export", "pnl", "--until", time, "--by", "market", "--json")
    plotted = program("pnl", "--until", time, "--plot")
    assert [note in shown.err for shown in (by_strategy, exported, plotted)] == [True] * 3
    listed = program("pnl", "--until", time, "--json").json
    assert exported.json == sorted(listed["rows"], key=lambda row: row["key"])
    assert f"{parse_money(listed['net']) / 1e6:.2f}".lstrip("-") in plotted.out.splitlines()[0]
    assert program("pnl", "--since", time, "--until", "48h").code == 2, "an empty period"


def test_pnl_until_a_time_to_come_is_that_of_now(lived: tuple[Served, Money]) -> None:
    now = program("pnl", "--until", "2099-01-01", "--json")
    assert (now.json, "only" in now.err) == (program("pnl", "--json").json, False)


def test_something_of_everything_that_could_be_counted_wrong_happened(lived: tuple[Served, Money]) -> None:
    fills = program("fills", "--ticker", FINE, "--json").json
    fees = [parse_money(fill["fee"]) for fill in fills]
    assert len({(fill["price"], fill["count"]) for fill in fills}) == 1
    assert (len(fees), max(fees) - min(fees)) == (8, dollars("0.01")), "a rebate is a cent that a fee is less"
    (paid,) = program("settlements", "--json").json
    assert (paid["ticker"], parse_money(paid["revenue"])) == (ONE_SIDED, dollars(15))
    shown = program("pnl", "--json").json
    assert all(parse_money(shown[name]) for name in ("realized", "unrealized", "fees"))
    assert parse_money(shown["net"]) != change(lived) + PAID_IN
    assert len(program("deposits", "--json").json) == 1 + 2, "the account began with one"
    assert len(program("withdrawals", "--json").json) == 1


@pytest.mark.parametrize("command", ["fills", "settlements"])
@pytest.mark.parametrize("end", ["*", "?", "[0-9]"])
def test_a_pattern_of_tickers_is_not_an_empty_list(lived: tuple[Served, Money], command: str, end: str) -> None:
    ended = program(command, "--ticker", FINE[:4] + end, "--json")
    assert (ended.code, ended.error["message"]) == (
        2,
        f"--ticker takes one market here, not a pattern: {FINE[:4]}{end}",
    )
    assert program(command, "--ticker", FINE.lower(), "--json").code == 0


def test_the_net_of_a_settlement_is_that_of_its_market_in_pnl(lived: tuple[Served, Money]) -> None:
    (paid,) = program("settlements", "--json").json
    (row,) = (row for row in program("pnl", "--json").json["rows"] if row["key"] == ONE_SIDED)
    assert paid["net"] == row["net"]
    assert parse_money(paid["cost"]) == notional(Price(8_800), contracts(15))
    assert parse_money(paid["sold_before"]) == notional(Price(8_500 - 8_800), contracts(5))
    parts = {name: parse_money(paid[name]) for name in ("revenue", "cost", "fee", "sold_before")}
    assert parse_money(paid["net"]) == parts["revenue"] - parts["cost"] - parts["fee"] + parts["sold_before"]
    fills = program("fills", "--ticker", ONE_SIDED, "--json").json
    fees = sum(parse_money(fill["fee"]) for fill in fills)
    assert parse_money(paid["net"]) == dollars(20) - notional(Price(8_800), contracts(20)) - dollars("0.75") - fees


@pytest.mark.parametrize(
    ("fields", "heads", "bought", "sold"),
    [
        ("side,action,price,count", "side action price quantity", "NO buy $0.88", "NO sell $0.85"),
        ("side,price,side_price", "side price side price", "buy NO $0.88 $0.88", "sell NO $0.85 $0.85"),
        ("price,count", "price quantity", "$0.88 20", "$0.85 5"),
        ("book_side,price", "book side price", "ask $0.12", "bid $0.15"),
    ],
)
def test_a_table_of_fills_has_the_price_of_the_side_beside_it(
    lived: tuple[Served, Money], fields: str, heads: str, bought: str, sold: str
) -> None:
    for form in ("table", "plain"):
        head, *lines = program("fills", "--ticker", ONE_SIDED, "--fields", fields, "--format", form).out.splitlines()
        assert " ".join(head.split()) == heads
        words = [" ".join(line.split()).lower() for line in lines]
        if form == "plain":
            sold, bought = (text.removeprefix("sell ").removeprefix("buy ") for text in (sold, bought))
        assert words[0].startswith(sold.lower())
        assert words[-1].startswith(bought.lower())
    rows = program("fills", "--ticker", ONE_SIDED, "--fields", "side,price", "--json").json
    assert (rows[0], rows[-1]) == ({"side": "no", "price": "0.1500"}, {"side": "no", "price": "0.1200"})


def test_the_side_of_a_fill_on_a_terminal_is_that_of_the_table(lived: tuple[Served, Money]) -> None:
    rows = program("fills", "--all", "--fields", "side,action,price", "--json").json
    table = program("fills", "--all", "--fields", "side", "--format", "table").out.splitlines()[1:]
    assert [line.strip() for line in table] == [f"{row['action']} {row['side'].upper()}" for row in rows]
    both = program("fills", "--all", "--fields", "side,action", "--format", "table").out.splitlines()[1:]
    assert {tuple(line.split()) for line in both} <= {(side, act) for side in ("YES", "NO") for act in ("buy", "sell")}


def test_all_fills_and_all_settlements_have_no_limit(lived: tuple[Served, Money]) -> None:
    some = program("fills", "--limit", "3", "--json")
    every = program("fills", "--all", "--json")
    assert "Showing" not in some.err, "a limit of the user's own"
    assert len(every.json) > len(some.json) == 3
    assert "Showing" not in every.err
    assert program("settlements", "--all", "--json").json == program("settlements", "--json").json != []


def test_coming_settlements_have_no_past(lived: tuple[Served, Money]) -> None:
    ended = program("settlements", "--upcoming", "--since", "7d")
    assert (ended.code, "--since is for past settlements" in ended.err) == (2, True)


def test_money_that_is_moved_between_shards_is_neither_gained_nor_lost(lived: tuple[Served, Money]) -> None:
    before = program("pnl", "--json").json
    moved = program("transfer", "--from", "0", "--to", "1", "--amount", "25.00", "--json")
    assert (moved.code, program("pnl", "--json").json) == (0, before), moved.err
    assert parse_money(before["net"]) == change(lived)


def test_a_position_in_a_subaccount_is_shown_with_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(tmp_path) as one:
        set_variables(monkeypatch, one.home, one.variables())
        assert one.call(lambda: one.exchange.add_subaccount(ME)) == 1
        words = ("--from", "0", "--to", "1", "--amount", "100.00", "--yes")
        assert program("subaccounts", "transfer", *words).code == 0
        one.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
        one.submit(ME, TWO_SIDED, BID, "0.4500", "10", subaccount=1)
        found = program("positions", "--json")
        assert [(row["ticker"], row["subaccount"], row["position"]) for row in found.json] == [(TWO_SIDED, 1, "10.00")]


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (("order", "list", "--ticker", "nope"), "No market NOPE; check the spelling"),
        (("order", "list", "--event", "nope"), "No event NOPE; check the spelling"),
        (("fills", "--ticker", "nope"), "No market NOPE; check the spelling"),
        (("settlements", "--ticker", "nope"), "No market NOPE; check the spelling"),
        (("settlements", "--event", "nope"), "No event NOPE; check the spelling"),
    ],
)
@pytest.mark.usefixtures("exchange")
def test_an_empty_history_of_a_name_that_does_not_exist_has_a_notice(words: tuple[str, ...], note: str) -> None:
    ended = program(*words, "--json")
    assert (ended.code, ended.json, ended.err) == (0, [], note + "\n")
    assert program("-q", *words, "--json").err == ""
    for known in ("KXRAIN*", ONE_SIDED):
        assert "check the spelling" not in program("order", "list", "--ticker", known).err
