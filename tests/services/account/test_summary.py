"""The portfolio summary: totals, exposure against limits, and today's profit and loss."""

from __future__ import annotations

from support.served import FINE, ME, ONE_SIDED, TWO_SIDED, Served, program
from support.values import make_market

from kalshi_cli import Kalshi
from kalshi_cli.base.units import cents, contracts, dollars, parse_money
from kalshi_cli.cli.screen.portfolio import used_percent
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.monitoring.limits_check import LimitUsage
from kalshi_cli.services.account.summary import holding_row, usage_row
from kalshi_cli.views.cash import upcoming_row


def test_the_totals_add_up_and_the_titles_are_there(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "10")
    exchange.submit(ME, ONE_SIDED, ASK, "0.1200", "20")
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "5")
    found = program("portfolio", "--json").json
    rows = found["positions"]
    assert [(row["side"], row["count"]) for row in rows] == [("yes", "10.00"), ("no", "20.00")]
    assert all("Will" in row["title"] or "more than" in row["title"] or "above" in row["title"] for row in rows)
    value = sum(parse_money(row["value"] or row["cost"]) for row in rows)
    assert parse_money(found["positions_value"]) == value
    assert parse_money(found["total"]) == parse_money(found["cash"]) + value
    assert found["resting_orders"] == 1
    assert [(row["ticker"], row["closing"]) for row in found["orders"]] == [(TWO_SIDED, "0.00")]
    assert parse_money(found["exposure"]) == parse_money("23.100000"), "positions at cost, and the resting order"
    day = program("pnl", "--by", "day", "--json").json
    assert found["pnl_today"] == day["net"], "the account began today"
    limits = {row["limit_code"]: row for row in reversed(found["limits"])}
    assert {"EXPOSURE", "POSITION_LIMIT", "DAILY_LOSS"} <= set(limits)
    exact = {code: (row["used_value"], row["limit_value"], row["unit"]) for code, row in limits.items()}
    assert exact["EXPOSURE"] == ("23.100000", "500.000000", "dollars")
    assert exact["POSITION_LIMIT"] == ("20.00", "100.00", "contracts")
    assert exact["LIVE_ORDERS"] == ("1", "200", "orders")


def test_balance_positions_and_portfolio_value_the_account_alike(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "10")
    exchange.submit(ME, ONE_SIDED, ASK, "0.1200", "20")
    portfolio, balance = program("portfolio", "--json").json, program("balance", "--json").json
    rows = program("positions", "--json").json
    assert balance["portfolio_value"] == portfolio["positions_value"]
    assert parse_money(balance["portfolio_value"]) == sum(parse_money(row["value"] or row["cost"]) for row in rows)
    assert balance["total"] == portfolio["total"]
    assert balance["reported_value"] != balance["portfolio_value"], "the exchange values at last prices"


def test_an_empty_account_has_a_portfolio_too(exchange: Served) -> None:
    found = program("portfolio", "--json").json
    assert (found["positions"], found["exposure"], found["total"]) == ([], "0.000000", found["cash"])


def test_a_fill_is_named_by_what_it_did_to_the_position(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "10")
    exchange.submit(ME, TWO_SIDED, ASK, "0.4400", "10")
    exchange.submit(ME, TWO_SIDED, ASK, "0.4400", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "3")
    rows = program("fills", "--json").json
    told = [(row["action"], row["side"], row["side_price"], row["price"]) for row in rows]
    assert told == [
        ("sell", "no", "0.5300", "0.4700"),
        ("buy", "no", "0.5600", "0.4400"),
        ("sell", "yes", "0.4400", "0.4400"),
        ("buy", "yes", "0.4500", "0.4500"),
    ]
    assert program("fills", "--limit", "1", "--json").json == rows[:1], "the history before it counts"


def test_an_own_resting_order_raises_no_value(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "10")
    before = program("portfolio", "--json").json
    assert program("buy", TWO_SIDED, "1", "@0.45", "--post-only").code == 0
    after, balance = program("portfolio", "--json").json, program("balance", "--json").json
    assert after["total"] == before["total"] == balance["total"]
    assert after["pnl_today"] == before["pnl_today"]
    assert program("positions", "--json").json[0]["mark"] == before["positions"][0]["mark"]
    assert exchange.submit("maker", TWO_SIDED, BID, "0.4500", "1")
    assert program("positions", "--json").json[0]["mark"] == "0.4500", "a contract of someone else counts"


def test_the_exposure_has_the_maker_fees_of_resting_orders_and_so_have_the_limits(exchange: Served) -> None:
    event = TWO_SIDED.rpartition("-")[0]
    exchange.submit(ME, TWO_SIDED, BID, "0.4000", "10")
    assert program("portfolio", "--json").json["exposure"] == "4.000000", "this series charges a maker nothing"
    charging = FeeSchedule(FeeType.WITH_MAKER)
    exchange.call(lambda: exchange.exchange.set_event_fees(event, charging, exchange.clock.now()))
    found = program("portfolio", "--json").json
    fee = estimate(charging, cents(40), contracts(10), is_taker=False)
    assert parse_money(found["exposure"]) == dollars(4) + fee
    assert [row["used_value"] for row in found["limits"] if row["limit_code"] == "EXPOSURE"] == [found["exposure"]]
    with Kalshi.open() as kalshi:
        event_now = next(iter(kalshi.trading.events(())))
    assert event_now.run is not None
    assert event_now.run.exposure == dollars(4) + fee, "the screen and the page show the same"


def test_pnl_says_where_its_rounded_amounts_do_not_add_up(exchange: Served) -> None:
    note = "Amounts are rounded to the cent"
    assert note not in program("pnl").err
    for _ in range(32):  # fees of $0.0035 and a loss of $0.0019: shown as two times $0.00, and together -$0.01
        exchange.submit("maker", FINE, ASK, "0.0330", "0.03")
    exchange.submit(ME, FINE, BID, "0.0330", "0.96")
    shown = program("pnl")
    assert note in shown.err, shown.out
    assert note not in program("pnl", "--json").err


def test_a_position_whose_market_has_a_result_pays_what_the_result_says() -> None:
    lost, won = (Position("KXA-1", qty=contracts(count), cost=dollars(4)) for count in (10, -10))
    market = make_market(status=MarketStatus.DETERMINED, settlement_value=cents(0))
    for held, paid in ((lost, dollars(0)), (won, dollars(10))):
        assert upcoming_row(held, market).pays == holding_row(held, cents(0), market, "settlement").max_payout == paid
        assert upcoming_row(held, make_market()).pays == dollars(10), "as long as the result is open"


def test_the_use_of_a_limit_is_rounded_once() -> None:
    use = LimitUsage(
        code="DAILY_LOSS", subject="account", used=dollars("3.2546"), limit=dollars(100), shown="", shown_limit=""
    )
    assert used_percent(usage_row(use)) == "3.3%"
