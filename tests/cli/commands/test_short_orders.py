"""`kalshi buy`, `sell` and `cancel`: the short forms, and order ids by their first characters."""

from __future__ import annotations

import csv
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
from support.fault_proxy import Fault, fault_proxy
from support.served import ME, TWO_SIDED, Served, Terminal, program

from kalshi_cli import Kalshi
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, contracts, parse_money, show_money
from kalshi_cli.core.model.order_terms import ASK, BID


def plain(text: str) -> str:
    """The text of a terminal without its line breaks."""
    return " ".join(text.split())


def test_buy_and_sell_are_order_place_in_short(exchange: Served) -> None:
    bought = program("buy", TWO_SIDED.lower(), "10", "@0.41", "--json").json
    assert (bought["side"], bought["action"], bought["price"], bought["count"]) == ("yes", "buy", "0.4100", "10.00")
    no = program("buy", TWO_SIDED, "2", "@50c", "--no", "--json").json
    assert (no["side"], no["action"], no["price"], no["book_side"]) == ("no", "buy", "0.5000", "ask")
    sold = program("sell", TWO_SIDED, "1", "0.55", "--json").json
    assert (sold["side"], sold["action"], sold["price"]) == ("yes", "sell", "0.5500")
    assert len(exchange.resting()) == 3


def test_they_take_every_option_of_order_place(exchange: Served) -> None:
    dry = program("buy", TWO_SIDED, "10", "@0.41", "--tif", "ioc", "--reduce-only", "--dry-run", "--json")
    assert (dry.code, dry.json["status"], exchange.resting()) in ((0, "dry_run", []), (3, None, []))
    assert program("buy", TWO_SIDED, "10", "@0.47", "--post-only", "--json").code == 4


def test_a_limit_refuses_a_short_form_too(exchange: Served) -> None:
    ended = program("buy", TWO_SIDED, "101", "@0.41")
    assert (ended.code, "ORDER_SIZE" in ended.err, exchange.resting()) == (3, True, [])


def test_missing_options_are_named_at_once(exchange: Served) -> None:
    ended = program("order", "place", TWO_SIDED, "--side", "yes")
    assert ended.code == 2
    assert "Missing --action, --count, --price" in ended.err
    assert "Missing COUNT, @PRICE" in program("buy", TWO_SIDED).err
    one = program("sell", TWO_SIDED, "3")
    assert (one.code, one.err.splitlines()[0]) == (2, "error: Missing @PRICE")
    assert "for example `kalshi sell TICKER 10 @0.30`; see `kalshi sell -h`" in one.err
    assert exchange.resting() == []


def test_on_a_terminal_the_hint_about_a_missing_price_has_the_best_prices(exchange: Served) -> None:
    typed = Terminal("sell", TWO_SIDED, "3", "--env", "sim", env=dict(os.environ))
    assert typed.finish() == 2
    assert f"best bid $0.44, best ask $0.47 (YES); for example `kalshi sell {TWO_SIDED} 3 @0.44`" in plain(typed.text)
    typed = Terminal("buy", TWO_SIDED, "--no", "--env", "sim", env=dict(os.environ))
    assert typed.finish() == 2
    assert f"best ask $0.56 (NO); for example `kalshi buy {TWO_SIDED} 10 @0.56 --no`" in plain(typed.text)


def test_the_state_file_agrees_with_what_was_typed_at_once(exchange: Served) -> None:
    def on_record() -> tuple[int, int]:
        found = program("status", "--json").json
        return found["open_positions"], found["resting_orders"]

    resting = program("buy", TWO_SIDED, "10", "@0.41", "--json").json["order_id"]
    assert on_record() == (0, 1)
    program("order", "decrease", resting, "--to", "4")
    with Kalshi.open(env="sim") as kalshi:
        store = kalshi.resources.remembered()
        assert store is not None
        assert [order.remaining for order in store.live_orders()] == [contracts(4)]
    assert program("cancel", resting).code == 0
    assert on_record() == (0, 0)
    program("buy", TWO_SIDED, "2", "@0.47")
    assert on_record() == (1, 0)
    program("sell", TWO_SIDED, "2", "@0.44")
    assert on_record() == (0, 0)


def test_a_cancel_that_comes_too_late_records_the_end_of_the_order(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "10", "@0.45", "--json").json["order_id"]
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
    assert program("cancel", order_id).code == 4
    assert program("status", "--json").json["resting_orders"] == 0


def test_a_sale_of_what_is_not_held_says_what_it_buys(exchange: Served) -> None:
    told = plain(program("sell", TWO_SIDED, "4", "@0.48", "--dry-run").err)
    assert f"You hold no YES of {TWO_SIDED}: this order buys 4 NO at $0.52" in told
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    told = plain(program("sell", TWO_SIDED, "4", "@0.48", "--dry-run").err)
    assert "this order sells 3 YES at $0.48, then buys 1 NO at $0.52" in told
    told = plain(program("sell", TWO_SIDED, "4", "@0.56", "--no", "--dry-run").err)
    assert f"You hold no NO of {TWO_SIDED}: this order buys 4 YES at $0.44" in told
    assert "this order" not in program("sell", TWO_SIDED, "3", "@0.48", "--dry-run").err
    assert "this order" not in program("buy", TWO_SIDED, "4", "@0.41", "--dry-run").err


def test_an_order_beside_others_that_sell_the_position_says_what_is_left_to_sell(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    assert program("sell", TWO_SIDED, "2", "@0.49").err.count("You hold") == 0
    told = plain(program("buy", TWO_SIDED, "2", "@0.52", "--no").err)
    assert f"You hold 3 YES of {TWO_SIDED}, and your open orders sell 2 of them" in told
    assert "this order sells 1 YES at $0.48, then buys 1 NO at $0.52" in told
    told = plain(program("sell", TWO_SIDED, "1", "@0.50", "--dry-run").err)
    assert f"Your open orders already sell your 3 YES of {TWO_SIDED}" in told
    assert "if they fill first, this order buys 1 NO at $0.50" in told
    reducing = ("--reduce-only", "--tif", "ioc", "--dry-run")
    told = plain(program("sell", TWO_SIDED, "1", "@0.44", *reducing).err)
    assert "already sell" not in told
    assert "Once it fills, your open orders to sell 1 YES would buy 1 NO instead" in told
    told = plain(program("buy", TWO_SIDED, "4", "@0.56", "--no", *reducing).err)
    assert "this order sells 3 YES at $0.44" in told


def test_all_that_open_orders_sell_is_counted_although_this_order_fills_first(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    assert program("sell", TWO_SIDED, "3", "@0.49").code == 0
    told = plain(program("buy", TWO_SIDED, "1", "@0.58", "--no", "--tif", "ioc", "--dry-run").err)
    assert "your open orders sell 3 of them: this order sells 1 YES" in told
    assert "Once it fills, your open orders to sell 1 YES would buy 1 NO instead" in told


def test_a_post_only_order_that_an_amend_would_cancel_is_warned_of(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "2", "@0.41", "--post-only", "--json").json["order_id"]
    gone = "This order is post-only and would fill now, so the exchange cancels it"
    assert gone in plain(program("order", "amend", order_id, "--price", "0.50", "--dry-run").err)
    assert gone not in plain(program("order", "amend", order_id, "--price", "0.42", "--dry-run").err)


def test_an_order_that_fills_now_sells_the_position_before_those_that_rest(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    order_id = program("sell", TWO_SIDED, "2", "@0.49", "--json").json["order_id"]
    told = plain(program("buy", TWO_SIDED, "5", "@0.58", "--no", "--dry-run").err)
    assert "Closes 3 of your 3 YES" in told
    assert "this order sells 3 YES at $0.42, then buys 2 NO at $0.58" in told
    assert "Once it fills, your open orders to sell 2 YES would buy 2 NO instead" in told
    changed = plain(program("order", "amend", order_id, "--price", "0.44", "--dry-run").err)
    assert "Fills now: all 2 at $0.44 on average" in changed
    assert program("close", TWO_SIDED, "--cancel-orders").code == 0
    order_id = program("sell", TWO_SIDED, "2", "@0.49", "--json").json["order_id"]
    changed = plain(program("order", "amend", order_id, "--price", "0.42", "--dry-run").err)
    assert f"You hold no YES of {TWO_SIDED}: this order buys 2 NO at $0.58" in changed


def test_a_reduce_only_order_without_a_position_says_that_it_does_nothing(exchange: Served) -> None:
    told = plain(program("sell", TWO_SIDED, "2", "@0.44", "--reduce-only", "--tif", "ioc", "--dry-run").err)
    assert f"You hold no YES of {TWO_SIDED}, so this reduce-only order does nothing" in told


def test_an_order_from_elsewhere_that_ended_has_the_words_of_the_time_when_it_was_placed(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")  # holds 3 YES
    exchange.submit(ME, TWO_SIDED, ASK, "0.4800", "3")  # would sell the 3 YES
    program("cancel", program("order", "list", "--json").json[0]["order_id"])
    exchange.submit(ME, TWO_SIDED, ASK, "0.4400", "3")  # sells them
    exchange.submit(ME, TWO_SIDED, ASK, "0.4900", "3")
    flat = program("order", "list", "--json").json[0]["order_id"]
    program("cancel", flat)
    said = on_terminal("order", "list", "--status", "all", keeps_lines=True)
    words = [" ".join(each.split()) for each in re.findall(r"(?:buy|sell) \w+ +\$\S+", said)]
    assert words == ["buy NO $0.51", "sell YES $0.44", "sell YES $0.48", "buy YES $0.45"]
    shown = on_terminal("order", "show", flat)
    assert re.search(r"side +NO", shown)
    assert re.search(r"price +\$0.51 \(= sell YES \$0.49\)", shown), "its place in the book"


def test_a_purchase_of_the_other_outcome_says_that_it_sells_what_is_held(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    told = plain(program("buy", TWO_SIDED, "3", "@0.52", "--no", "--dry-run").err)
    assert f"You hold 3 YES of {TWO_SIDED}: this order sells 3 YES at $0.48" in told
    told = plain(program("buy", TWO_SIDED, "4", "@0.52", "--no", "--dry-run").err)
    assert "this order sells 3 YES at $0.48, then buys 1 NO at $0.52" in told
    assert "You hold" not in program("buy", TWO_SIDED, "4", "@0.41", "--dry-run").err
    assert "You hold" not in program("sell", TWO_SIDED, "3", "@0.48", "--dry-run").err


def test_the_confirmation_shows_the_market_its_best_prices_and_what_can_be_lost_and_won(exchange: Served) -> None:
    told = program("buy", TWO_SIDED, "10", "@0.41", "--dry-run").err
    assert "YES: best bid $0.44, best ask $0.47" in told
    assert "Cost $4.10, fee up to $0.17 (none if it rests), maximum loss $4.27, maximum payout $10.00" in told
    assert "NO: best bid $0.53, best ask $0.56" in program("buy", TWO_SIDED, "10", "@0.51", "--no", "--dry-run").err


def test_the_cost_of_an_order_that_fills_at_a_better_price_is_a_bound(exchange: Served) -> None:
    told = program("buy", TWO_SIDED, "5", "@0.50", "--dry-run").err
    assert "Fills now: all 5 at $0.47 on average" in told
    assert "Cost up to $2.50" in told
    assert "Cost $2.35" in program("buy", TWO_SIDED, "5", "@0.47", "--dry-run").err


def test_the_fee_shown_is_never_below_the_fee_charged_where_the_order_fills_at_a_better_price(exchange: Served) -> None:
    for words in (("buy", TWO_SIDED, "20", "@0.63", "--no"), ("buy", TWO_SIDED, "30", "@0.57")):
        told = plain(program(*words, "--dry-run").err)
        shown = sum(Decimal(each) for each in re.findall(r"fee up to \$([0-9.]+)", told))
        order = program(*words, "--json").json
        assert Decimal(order["filled"]) > 0
        assert Decimal(order["fees"]) <= shown


def test_a_price_far_from_the_market_is_refused_with_the_typed_outcome_first(exchange: Served) -> None:
    ended = program("buy", TWO_SIDED, "1", "@0.80", "--no")
    assert (ended.code, exchange.resting()) == (3, [])
    words = "NO $0.80 (YES $0.20) is more than $0.10 from the market, NO $0.56 (YES $0.44) (PRICE_COLLAR)"
    assert words in ended.err
    words = "YES $0.80 (NO $0.20) is more than $0.10 from the market, YES $0.47 (NO $0.53) (PRICE_COLLAR)"
    assert words in program("buy", TWO_SIDED, "1", "@0.80").err
    words = "YES $0.20 (NO $0.80) is more than $0.10 from the market, YES $0.44 (NO $0.56) (PRICE_COLLAR)"
    assert words in program("sell", TWO_SIDED, "1", "@0.20").err
    words = "NO $0.20 (YES $0.80) is more than $0.10 from the market, NO $0.53 (YES $0.47) (PRICE_COLLAR)"
    assert words in program("sell", TWO_SIDED, "1", "@0.20", "--no").err
    assert "`kalshi config path` names the file" in plain(ended.err)


def test_an_order_is_confirmed_on_sim_too_where_the_configuration_asks_for_it(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_DISPLAY__CONFIRM", "true")
    piped = program("buy", TWO_SIDED, "3", "@0.40", "--json")
    assert (piped.code, "no terminal to ask on" in piped.err, exchange.resting()) == (3, True, [])
    asked = Terminal("buy", TWO_SIDED, "3", "@0.40", env={**exchange.variables(), "KALSHI_DISPLAY__CONFIRM": "true"})
    asked.answer("Place this order? [y/N]", "n")
    assert (asked.finish(), exchange.resting()) == (3, [])
    assert program("buy", TWO_SIDED, "3", "@0.40", "--yes").code == 0


def test_a_cancel_of_an_order_that_has_ended_asks_nothing(exchange: Served) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1").order_id
    asking = {**exchange.variables(), "KALSHI_DISPLAY__CONFIRM": "true"}
    first = Terminal("cancel", order_id, env=asking)
    first.answer("Cancel these orders? [y/N]", "y")
    assert (first.finish(), exchange.resting()) == (0, [])
    again = Terminal("cancel", order_id, env=asking)
    assert again.finish() == 0
    assert "The order was already canceled" in again.text
    assert "[y/N]" not in again.text


def test_the_rows_of_an_order_are_rounded_as_its_review(exchange: Served) -> None:
    for price in ("@0.41", "@0.43", "@0.38"):
        dry = program("buy", TWO_SIDED, "7", price, "--dry-run")
        fee, loss = re.search(r"fee up to (\S+) \(none if it rests\), maximum loss (\S+),", plain(dry.err)).groups()  # type: ignore[union-attr]
        rows = dict(re.split(r"\s{2,}", line) for line in dry.out.splitlines())
        assert (rows["max fees"], rows["max loss"]) == (fee, loss)
    exact = program("buy", TWO_SIDED, "7", "@0.41", "--dry-run", "--json").json["max_fees"]
    assert Decimal(exact) != round(Decimal(exact), 2), "not vacuous: there is something to round"


def test_a_repeated_order_is_named_on_a_terminal_and_sent(exchange: Served) -> None:
    first = Terminal("buy", TWO_SIDED, "3", "@0.40", env=exchange.variables())
    assert (first.finish(), "the same side" in first.text) == (0, False)
    order_id = program("order", "list", "--json").json[0]["order_id"]
    again = Terminal("buy", TWO_SIDED, "3", "@0.40", env=exchange.variables())
    assert again.finish() == 0
    told = rf"Your order {order_id[:8]} has the same side, count and price \(placed (now|\d+s ago), 0 of 3 filled\)"
    assert re.search(told, plain(again.text))
    other = Terminal("buy", TWO_SIDED, "4", "@0.40", env=exchange.variables())
    assert (other.finish(), "the same side" in other.text) == (0, False)
    piped = program("buy", TWO_SIDED, "4", "@0.40", "--json")
    assert re.search(
        r"Your order \w{8} has the same side, count and price \(placed (now|\d+s ago), 0 of 4 filled\)",
        plain(piped.err),
    )
    rehearsed = program("buy", TWO_SIDED, "4", "@0.40", "--dry-run")
    assert "has the same side, count and price" in plain(rehearsed.err), (
        "a warning of the plan, which every screen shows"
    )
    assert len(exchange.resting()) == 4


def test_an_order_that_could_not_be_sent_says_so(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = program("buy", TWO_SIDED, "3", "@0.40", "--json").json["order_id"]
    with fault_proxy(exchange.server.rest_url) as proxy:
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(exchange.server.rest_url))
        proxy.faults.append(Fault("status_500", "GET", f"/markets/{TWO_SIDED}", times=1_000))
        for words, told in (
            (("buy", TWO_SIDED, "5", "@0.40"), "Your order was not sent"),
            (("order", "amend", order_id, "--price", "0.39", "--side", "yes"), "Your order was not changed"),
            (("close", TWO_SIDED), "No order was sent"),
        ):
            ended = program(*words, "--yes")
            assert (ended.code, told in plain(ended.err)) == (6, True), ended.err
    assert len(exchange.resting()) == 1


def test_an_own_order_in_the_way_is_named_in_its_own_terms(exchange: Served) -> None:
    program("buy", TWO_SIDED, "10", "@0.54", "--no")
    ended = program("buy", TWO_SIDED, "1", "@0.46")
    assert (ended.code, "SELF_CROSS" in ended.err) == (3, True)
    order_id = program("order", "list", "--json").json[0]["order_id"]
    assert f"order {order_id[:8]} (" in plain(ended.err), "short, as `order list` shows it"
    assert f"(buy 10 NO {TWO_SIDED} at $0.54)" in plain(ended.err)
    assert f"cancel that order first: `kalshi cancel {order_id[:8]}`" in plain(ended.err)


def test_reduce_only_without_its_time_in_force_says_which_one_it_needs(exchange: Served) -> None:
    ended = program("sell", TWO_SIDED, "5", "@0.41", "--reduce-only")
    assert (ended.code, "--reduce-only goes with --tif ioc" in plain(ended.err)) == (3, True), ended.err


def test_a_closing_sale_is_limited_in_count_only_and_the_refusal_says_how_to_close(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_ORDER_COST", "2")
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "110")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "110")
    ended = program("sell", TWO_SIDED, "101", "@0.48", "--dry-run")
    assert (ended.code, "(ORDER_SIZE)" in ended.err) == (3, True)
    assert f"to close a position: `kalshi close {TWO_SIDED}`" in plain(ended.err)
    assert program("sell", TWO_SIDED, "100", "@0.48", "--dry-run").code == 0
    monkeypatch.setenv("KALSHI_RISK__MAX_ORDER_COUNT", "200")
    monkeypatch.setenv("KALSHI_RISK__MAX_POSITION", "200")
    assert program("sell", TWO_SIDED, "113", "@0.48", "--dry-run").code == 0
    ended = program("sell", TWO_SIDED, "114", "@0.48", "--dry-run")
    assert "Refused: cost $2.08 exceeds your limit of $2.00 (ORDER_COST)" in ended.err


def test_too_few_characters_of_an_order_id_are_named_as_the_cause(exchange: Served) -> None:
    for words in (("cancel", "00000"), ("order", "show", "00000")):
        ended = program(*words)
        assert (ended.code, "of an order id, type at least 6 characters" in ended.err) == (4, True), ended.err
        assert "No live or recent order has the client order id 00000" in ended.err
    assert "characters" not in program("cancel", "abcdef").err
    assert "client order id" not in program("cancel", "all").err


def test_an_amend_far_behind_the_market_is_named_without_a_question(exchange: Served) -> None:
    bought = program("buy", TWO_SIDED, "5", "@0.52", "--no", "--json").json["order_id"]
    near = program("order", "amend", bought, "--side", "no", "--price", "0.44", "--yes")
    assert (near.code, "best bid" in near.err) == (0, False)
    far = program("order", "amend", bought, "--side", "no", "--price", "0.32", "--yes")
    assert (far.code, "NO $0.32 is $0.21 below the best bid ($0.53)" in plain(far.err)) == (0, True), far.err
    sold = program("sell", TWO_SIDED, "5", "@0.60", "--json").json["order_id"]
    asked = program("order", "amend", sold, "--side", "yes", "--price", "0.90", "--yes")
    assert "YES $0.90 is $0.43 above the best ask ($0.47)" in plain(asked.err)


def test_a_new_order_far_behind_the_market_is_named(exchange: Served) -> None:
    told = plain(program("buy", TWO_SIDED, "5", "@0.33", "--dry-run").err)
    assert "YES $0.33 is $0.11 below the best bid ($0.44)" in told
    assert "below the best bid" not in program("buy", TWO_SIDED, "5", "@0.34", "--dry-run").err
    assert "NO $0.32 is $0.21 below the best bid ($0.53)" in plain(program("buy", TWO_SIDED, "5", "@0.32", "--no").err)
    assert "YES $0.90 is $0.43 above the best ask ($0.47)" in plain(program("sell", TWO_SIDED, "5", "@0.90").err)


def test_an_order_says_what_fills_now_and_what_rests(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit("maker", TWO_SIDED, ASK, "0.4600", "1")

    def told(*words: str) -> str:
        return plain(program("buy", TWO_SIDED, *words, "--dry-run").err)

    assert "Fills nothing now, and rests" in told("5", "@0.44")
    assert "Fills now: all 2 at $0.45 on average" in told("2", "@0.47")
    assert "Fills now: 4 of 5 at $0.4525 on average; the rest of it rests" in told("5", "@0.46")
    assert "Fills now: 3 of 5 at $0.45 on average; the rest of it is canceled" in told("5", "@0.45", "--tif", "ioc")
    assert "Nothing can fill now, and an immediate or cancel order does not rest" in told("5", "@0.44", "--tif", "ioc")
    assert "Only 3 of 5 can fill now, and a fill or kill order" in told("5", "@0.45", "--tif", "fok")
    assert "post-only and would fill now, so the exchange rejects it" in told("5", "@0.45", "--post-only")
    sold = plain(program("buy", TWO_SIDED, "2", "@0.57", "--no", "--dry-run").err)
    assert "Fills now: all 2 at $0.56 on average" in sold


def test_an_order_says_its_kind_and_its_end(exchange: Served) -> None:
    told = plain(program("buy", TWO_SIDED, "5", "@0.41", "--post-only", "--expires-in", "1h", "--dry-run").err)
    assert re.search(rf"buy 5 YES at \$0.41 on {TWO_SIDED}, post-only, expires \d{{4}}-\d\d-\d\d \d\d:\d\d", told), told
    reducing = ("buy", TWO_SIDED, "5", "@0.41", "--tif", "ioc", "--dry-run")
    assert f"on {TWO_SIDED}, immediate or cancel" in plain(program(*reducing).err)
    assert re.search(
        r"is resting: 0 of 5 filled, expires \d{4}-", on_terminal("buy", TWO_SIDED, "5", "@0.41", "--expires-in", "1h")
    )
    assert "expires" not in on_terminal("buy", TWO_SIDED, "5", "@0.40")


def test_cancel_takes_ids(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "10", "@0.41", "--json").json["order_id"]
    assert program("cancel", order_id).code == 0
    assert exchange.resting() == []


def test_an_ambiguous_prefix_names_its_candidates_and_sends_nothing(exchange: Served) -> None:
    first, second = (program("buy", TWO_SIDED, "1", price, "--json").json["order_id"] for price in ("@0.41", "@0.40"))
    for words in (("cancel", first[:8]), ("order", "show", first[:8]), ("order", "decrease", first[:8], "--to", "0.5")):
        ended = program(*words)
        assert ended.code == 2, ended.err
        assert first in ended.err
        assert second in ended.err
    assert len(exchange.resting()) == 2


def test_a_unique_prefix_of_six_characters_names_an_order(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "2", "@0.41", "--client-order-id", "rainy-day-1", "--json").json["order_id"]
    assert program("order", "show", order_id[:30], "--json").json["order_id"] == order_id
    assert program("order", "show", "rainy-", "--json").json["order_id"] == order_id
    assert program("order", "show", "rainy").code == 4, "five characters name nothing"
    assert program("order", "amend", "rainy-", "--count", "1").code == 0
    assert program("order", "queue", "rainy-", "--json").json[0]["order_id"] == order_id
    assert program("cancel", "rainy-d").code == 0
    assert exchange.resting() == []


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (("-5", "@0.41"), "must be greater than zero, not -5", "kalshi buy -h"),
        (("5", "@0.41", "--expires-in", "-1h"), "prices and durations must be greater than zero", "kalshi buy -h"),
        (("5", "@0.41", "--side", "no"), "No such option: --side", "for NO, add --no"),
        (("5", "@0.41", "--side=no"), "No such option: --side", "for NO, add --no"),
        (("5", "market"), "there are no market orders", "kalshi buy -h"),
    ],
)
def test_a_mistyped_order_is_refused_with_the_way_to_type_it(
    exchange: Served, words: tuple[str, ...], says: str, hint: str
) -> None:
    ended = program("buy", TWO_SIDED, *words)
    assert (ended.code, says in ended.err, hint in ended.err) == (2, True, True), ended.err
    assert exchange.resting() == []


def test_a_series_or_an_event_in_place_of_a_market_leads_to_its_markets(exchange: Served) -> None:
    assert "kalshi markets --series KXRAIN" in program("buy", "KXRAIN", "5", "@0.41").err
    assert "kalshi markets --event KXRAIN-40JAN01" in program("market", "KXRAIN-40JAN01").err
    mistyped = program("market", "KXRAIN-40JAN01-T9.0").err
    assert "--event" not in mistyped
    assert "`kalshi event KXRAIN-40JAN01` lists the markets of its event" in mistyped
    assert program("event", "KXRAIN-40JAN01").code == 0
    assert "kalshi event" not in program("market", "KXRAIN-40JAN01-T9;0").err, "no ticker"


def test_an_order_for_no_keeps_its_words_on_a_terminal_and_json_has_those_of_the_exchange(exchange: Served) -> None:
    assert "(buy 2 NO at $0.52) is resting: 0 of 2 filled" in on_terminal("buy", TWO_SIDED, "2", "@52c", "--no")
    (row,) = program("order", "list", "--json").json
    assert (row["action"], row["side"], row["price"]) == ("sell", "yes", "0.4800")
    (cells,) = csv.DictReader(program("order", "list", "--format", "csv").out.splitlines())
    assert (cells["action"], cells["side"], cells["price"]) == ("sell", "yes", "0.4800")
    heads, cells_of = (re.split(r" {2,}", line.strip()) for line in program("order", "list").out.splitlines())
    assert [cells_of[heads.index(name)] for name in ("side", "action", "price")] == [
        "no", "buy", "$0.52",
    ]  # fmt: skip
    assert "side                   no" in program("order", "show", row["order_id"]).out
    assert program("order", "show", row["order_id"], "--json").json["side"] == "yes"
    short = row["order_id"][:8]
    for words in (("order", "list"), ("order", "queue")):
        (line,) = [line for line in on_terminal(*words, keeps_lines=True).splitlines() if short in line]
        assert "buy NO" in line
        assert "$0.52" in line
    assert re.search(r"side +NO", on_terminal("order", "show", short))
    assert "(buy 1 NO at $0.52) is resting: 0 of 1 filled. Changed: quantity left 2 to 1" in on_terminal(
        "order", "decrease", short, "--to", "1"
    )
    assert "(buy 1 NO at $0.52) is canceled" in on_terminal("cancel", short)


def test_an_order_keeps_its_typed_words_whatever_is_held_and_when_it_has_ended(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "3", "@0.52", "--no", "--json").json["order_id"]
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")  # holds 3 YES: the order would sell them

    def words(*options: str) -> list[str]:
        said = on_terminal("order", "list", *options, keeps_lines=True)
        return [" ".join(each.split()) for each in re.findall(r"(?:buy|sell) \w+ +\$\S+", said)]

    assert words() == ["buy NO $0.52"]
    assert "buy NO" in on_terminal("order", "queue")
    assert re.search(r"side +NO", on_terminal("order", "show", order_id))
    (row,) = program("order", "list", "--json").json
    assert [row[name] for name in ("side", "action", "price", "typed_side")] == ["yes", "sell", "0.4800", "no"]
    assert "(buy 3 NO at $0.52) is canceled" in on_terminal("cancel", order_id)
    assert "buy NO $0.52" in words("--status", "all")
    sale = program("sell", TWO_SIDED, "3", "@0.60", "--json").json["order_id"]
    exchange.submit("maker", TWO_SIDED, BID, "0.4300", "3")
    exchange.submit(ME, TWO_SIDED, ASK, "0.4300", "3")  # holds nothing
    assert words() == ["sell YES $0.60"]
    assert "(sell 3 YES at $0.60) is canceled" in on_terminal("cancel", sale)


def test_an_amend_that_fills_has_the_total_of_a_purchase(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "2", "@0.41", "--json").json["order_id"]
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    said = on_terminal("order", "amend", order_id, "--price", "0.45")
    assert re.search(r"2 of 2 filled at \$0.45 for \$0.90, fees \$0.0\d+, total \$0.9\d+\. Changed: price", said), said


def test_a_new_price_is_that_of_the_typed_outcome(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "2", "@0.52", "--no", "--json").json["order_id"]
    assert "(buy 2 NO at $0.50) is resting" in on_terminal("order", "amend", order_id, "--price", "0.50")
    row = program("order", "amend", order_id, "--price", "0.49", "--json").json
    assert [row[name] for name in ("side", "price", "price_before")] == ["no", "0.4900", "0.5000"]
    assert program("order", "show", order_id, "--json").json["price"] == "0.5100", "the price of YES"
    assert program("order", "amend", order_id, "--price", "0.52", "--side", "yes").code == 0
    assert "(buy 1 NO at $0.47) is resting" in on_terminal(
        "order", "amend", order_id, "--price", "0.47", "--count", "1"
    )
    sale = program("sell", TWO_SIDED, "2", "@0.70", "--json").json["order_id"]
    assert program("order", "amend", sale, "--price", "0.71", "--json").json["price"] == "0.7100"
    short = program("sell", TWO_SIDED, "2", "@0.80", "--no", "--json").json["order_id"]  # of YES, a bid at $0.20
    assert program("order", "amend", short, "--price", "0.81", "--json").json["price"] == "0.8100"
    assert program("order", "show", short, "--json").json["price"] == "0.1900"


def test_without_the_state_file_the_words_follow_the_position(exchange: Served) -> None:
    order_id = program("sell", TWO_SIDED, "2", "@0.60", "--json").json["order_id"]
    assert "sell YES" in on_terminal("order", "list")
    (file,) = Path(os.environ["KALSHI_STATE"]).rglob("state.db")
    for part in file.parent.glob("state.db*"):
        part.unlink()
    assert "buy NO" in on_terminal("order", "list")
    assert program("order", "show", order_id, "--json").json["typed_side"] is None
    file.write_bytes(b"damaged" * 1000)
    assert "buy NO" in on_terminal("order", "list", code=8), "listed, and then the damage is an error"


def test_a_new_price_of_an_order_for_no_from_elsewhere_says_of_which_outcome_it_is(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, ASK, "0.4800", "2")
    order_id = program("order", "list", "--json").json[0]["order_id"]
    question = "This order is to buy NO at $0.52: say whether $0.50 is the new price of NO or of YES"
    assert question in on_terminal("order", "amend", order_id, "--price", "0.50", code=2)
    in_a_script = program("order", "amend", order_id, "--price", "0.50", "--json")
    assert (in_a_script.code, in_a_script.error["message"]) == (2, question)
    assert program("order", "show", order_id, "--json").json["price"] == "0.4800", "nothing was sent"
    said = on_terminal("order", "amend", order_id, "--price", "0.50", "--side", "no")
    assert "(buy 2 NO at $0.50) is resting" in said
    assert "Changed: price $0.52 to $0.50" in said
    assert "(buy 1 NO at $0.50) is resting" in on_terminal("order", "amend", order_id, "--count", "1")
    assert program("order", "amend", order_id, "--price", "0.49", "--side", "yes", "--json").json["price"] == "0.4900"
    assert program("order", "amend", order_id, "--count", "2", "--json").json["side"] == "yes", "a script says YES"


def test_a_new_price_of_a_sale_of_yes_from_elsewhere_says_of_which_outcome_it_is(exchange: Served) -> None:
    """It may have been meant as a purchase of NO, which closes the YES that are held."""
    assert program("buy", TWO_SIDED, "2", "@0.48", "--json").json["status"] == "filled"
    exchange.submit(ME, TWO_SIDED, ASK, "0.7000", "2")
    order_id = program("order", "list", "--json").json[0]["order_id"]
    refused = program("order", "amend", order_id, "--price", "0.31", "--json")
    assert (refused.code, refused.error["message"]) == (
        2,
        "This order is to sell YES at $0.70 (= buy NO at $0.30): say whether $0.31 is the new price of NO or of YES",
    )
    assert program("order", "show", order_id, "--json").json["price"] == "0.7000", "nothing was sent"
    assert program("order", "amend", order_id, "--price", "0.31", "--side", "no", "--json").json["price"] == "0.3100"
    assert program("order", "show", order_id, "--json").json["price"] == "0.6900"


def test_filled_orders_are_found_under_the_status_that_is_printed(exchange: Served) -> None:
    assert program("buy", TWO_SIDED, "2", "@0.48", "--json").json["status"] == "filled"
    assert program("buy", TWO_SIDED, "1", "@0.02").code == 0
    filled = program("order", "list", "--status", "filled", "--json").json
    assert [row["status"] for row in filled] == ["filled"]
    assert program("order", "list", "--status", "executed", "--json").json == filled


def test_the_reply_to_a_sale_has_its_cash_and_its_profit_or_loss(exchange: Served) -> None:
    program("buy", TWO_SIDED, "2", "@0.48")
    (held,) = program("positions", "--json", "--fields", "cost").json
    sold = on_terminal("buy", TWO_SIDED, "2", "@0.60", "--no")
    reply = program("fills", "--json").json[0]
    gain = parse_money(reply["value"]) - parse_money(reply["fee"]) - parse_money(held["cost"])
    assert f"sold 2 YES for {show_money(parse_money(reply['value']))}, fees " in sold
    assert f", P&L {show_money(Money(gain), signed=True)}" in sold


def test_the_json_of_an_order_that_reverses_a_position_has_the_profit_or_loss_of_the_closed_part(
    exchange: Served,
) -> None:
    program("buy", TWO_SIDED, "2", "@0.48")
    (held,) = program("positions", "--json", "--fields", "cost").json
    reply = program("sell", TWO_SIDED, "5", "@0.40", "--json").json
    assert (reply["closing"], reply["filled"]) == ("2.00", "5.00")
    closed = (parse_money(reply["fill_amount"]) - parse_money(reply["fees"])) * 2 // 5 - parse_money(held["cost"])
    assert parse_money(reply["pnl"]) == closed
    assert program("buy", TWO_SIDED, "1", "@0.02", "--json").json["pnl"] is None


def test_a_list_of_orders_that_ended_has_their_prices_or_status_and_no_effect(exchange: Served) -> None:
    program("buy", TWO_SIDED, "2", "@0.48")
    order_id = program("buy", TWO_SIDED, "1", "@0.02", "--json").json["order_id"]
    program("cancel", order_id)
    filled = on_terminal("order", "list", "--status", "filled")
    assert "avg fill price" in filled
    assert "effect" not in filled
    assert "canceled" in on_terminal("order", "list", "--status", "canceled")


def test_a_new_price_of_an_order_for_yes_needs_no_side(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "2", "@0.02", "--json").json["order_id"]
    assert program("order", "amend", order_id, "--price", "0.03", "--json").json["price"] == "0.0300"


def on_terminal(*words: str, code: int = 0, keeps_lines: bool = False) -> str:
    typed = Terminal(*words, "--env", "sim", env=dict(os.environ))
    assert typed.finish() == code, typed.text
    return re.sub(r"\x1b\[[0-9;]*m", "", typed.text if keeps_lines else plain(typed.text))


def test_an_order_whose_fills_cannot_be_read_has_no_price_and_names_the_command_that_reads_them(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = exchange.server.rest_url
    unread = Fault("status_500", "GET", r"/portfolio/fills\?.*ticker=", times=99)
    with fault_proxy(url, unread) as proxy:
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(url))
        text = on_terminal("buy", TWO_SIDED, "2", "@0.47")
    assert unread.hits > 1
    told = re.search(r"is filled: 2 of 2 filled; price and fees not read yet: `kalshi (order show \w+)`", text)
    assert told, text
    assert "$0.00" not in text
    monkeypatch.setenv("KALSHI_REST_URL", url)
    assert program(*told[1].split(), "--json").json["fill_amount"] == "0.940000"


def test_a_change_and_a_cancel_are_one_sentence_on_a_terminal(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "10", "@0.41", "--json").json["order_id"]
    short, env = order_id[:8], dict(os.environ)
    named = f"Order {order_id[:8]} on {TWO_SIDED}"
    for words, says in (
        (("order", "amend", short, "--price", "0.40", "--env", "sim"), "(buy 10 YES at $0.40) is resting"),
        (("order", "decrease", short, "--to", "4", "--env", "sim"), "0 of 4 filled. Changed: quantity left 10 to 4"),
        (("cancel", short, "--env", "sim"), "is canceled: 0 of "),
    ):
        typed = Terminal(*words, env=env)
        assert typed.finish() == 0, typed.text
        assert named in plain(typed.text)
        assert says in plain(typed.text)
    assert exchange.resting() == []


def test_a_dry_run_on_a_terminal_shows_the_plan_without_a_table(exchange: Served) -> None:
    typed = Terminal("buy", TWO_SIDED, "10", "@0.41", "--dry-run", "--env", "sim", env=dict(os.environ))
    assert typed.finish() == 0
    assert "Cost $4.10" in typed.text
    assert "self trade prevention" not in typed.text
    assert exchange.resting() == []


def test_a_reason_without_quotes_is_kept_whole(exchange: Served) -> None:
    assert program("cancel-all").code == 0
    assert program("resume", "--reason", "checked", "the", "account").code == 0
    assert program("status", "--json").json["state_reason"] == "checked the account"


def test_a_sale_of_what_is_held_shows_what_it_closes_and_brings(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "42")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "42")
    for words in (("sell", "10", "@0.50"), ("buy", "10", "@0.50", "--no")):
        told = plain(program(words[0], TWO_SIDED, *words[1:], "--dry-run").err)
        assert (
            "Closes 10 of your 42 YES: proceeds $5.00 or more, fee up to $0.18 (none if it rests), no new risk" in told
        )
        assert "P&L +$0.32 or better against their cost of $4.50, after this fee" in told
        assert ("maximum loss" in told, "Cost $" in told) == (False, False)
    told = plain(program("sell", TWO_SIDED, "50", "@0.50", "--dry-run").err)
    assert "Closes 42 of your 42 YES: proceeds $21.00 or more" in told
    assert "proceeds $21.00 or more, fee up to $0.74 (none if it rests)" in told
    assert "P&L +$1.36 or better against their cost of $18.90, after this fee" in told
    assert (
        "Opens 8 NO: cost $4.00, fee up to $0.14 (none if it rests), maximum loss $4.14, maximum payout $8.00" in told
    )
    order_id = program("sell", TWO_SIDED, "10", "@0.60", "--json").json["order_id"]
    told = plain(program("order", "amend", order_id, "--price", "0.58", "--side", "yes", "--dry-run").err)
    assert "YES: best bid $0.44, best ask $0.47 Fills nothing now" in told, "it is not the best price"
    assert "from sell 10 YES at $0.60 to sell 10 YES at $0.58 Rain above 1.0 inch?" in told
    assert "Closes 10 of your 42 YES: proceeds $5.80 or more, fee up to $0.18 (none if it rests), no new risk" in told


def test_the_review_of_a_change_says_that_the_best_price_is_of_this_order(exchange: Served) -> None:
    order_id = program("buy", TWO_SIDED, "5", "@0.45", "--json").json["order_id"]
    told = plain(program("order", "amend", order_id, "--price", "0.46", "--dry-run").err)
    assert "YES: best bid $0.45 (with this order), best ask $0.47 Fills" in told
    told = plain(program("order", "amend", order_id, "--price", "0.54", "--side", "no", "--dry-run").err)
    assert "NO: best bid $0.53, best ask $0.55 (with this order) Fills" in told


def test_an_order_that_can_only_rest_for_free_has_no_fee(exchange: Served) -> None:
    told = plain(program("buy", TWO_SIDED, "5", "@0.42", "--post-only", "--dry-run").err)
    assert "Cost $2.10, no fee, maximum loss $2.10" in told


def test_a_sale_of_no_that_is_held_shows_what_it_closes(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, BID, "0.4600", "5")
    exchange.submit(ME, TWO_SIDED, ASK, "0.4600", "5")  # holds 5 NO
    told = plain(program("sell", TWO_SIDED, "5", "@0.60", "--no", "--dry-run").err)
    assert "Closes 5 of your 5 NO: proceeds $3.00 or more, fee up to $0.09 (none if it rests), no new risk" in told
    assert "P&L +$0.21 or better against their cost of $2.70" in told


def test_a_market_whose_result_is_known_shows_no_quotes_and_the_payout_that_is_due(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "42")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "42")
    assert re.search(r"YES +bid \$0\.44", on_terminal("market", TWO_SIDED, keeps_lines=True))
    exchange.call(lambda: exchange.exchange.settle(TWO_SIDED, ONE_DOLLAR, exchange.clock.now()))
    shown = on_terminal("market", TWO_SIDED)
    assert ("determined" in shown, "bid" in shown, "as taker" in shown) == (True, False, False)
    refused = program("buy", TWO_SIDED, "1", "@0.44")
    assert "Refused: the market is determined; trading has ended (MARKET_NOT_OPEN)" in refused.err
    assert f"`kalshi market {TWO_SIDED}` shows its status, times and result" in plain(refused.err)
    assert f"{TWO_SIDED}: result known: payout of $42.00 is due" in plain(on_terminal("positions"))
    assert "result known: payout of $42.00 is due" in on_terminal("portfolio")
    assert program("portfolio", "--json").json["positions"][0]["max_payout"] == "42.000000"


def test_a_position_that_lost_has_no_payout(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "42")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "42")
    assert program("portfolio", "--json").json["positions"][0]["max_payout"] == "42.000000"
    exchange.call(lambda: exchange.exchange.settle(TWO_SIDED, Price(0), exchange.clock.now()))
    (held,) = program("portfolio", "--json").json["positions"]
    assert (held["mark_source"], held["value"], held["max_payout"]) == ("settlement", "0.000000", "0.000000")


@pytest.mark.parametrize("command", [("cancel",), ("order", "cancel")])
def test_cancel_all_as_an_option_is_explained_and_cancels_nothing(exchange: Served, command: tuple[str, ...]) -> None:
    exchange.trade_a_little()
    ended = program(*command, "--all")
    assert (ended.code, len(exchange.resting())) == (2, 2)
    assert "No such option: --all" in ended.err
    assert "`kalshi order list`" in ended.err
    assert "did you mean" not in ended.err
    assert "`cancel-all` is the command that cancels every order" in plain(ended.err)


def test_the_portfolio_on_a_terminal_says_that_the_exchange_is_paused(exchange: Served) -> None:
    assert "paused" not in on_terminal("portfolio")
    exchange.call(lambda: exchange.exchange.pause("exchange", exchange.clock.now()))
    assert "The exchange is paused" in on_terminal("portfolio")


def test_a_list_of_orders_has_the_expiration_where_one_expires(exchange: Served) -> None:
    program("buy", TWO_SIDED, "5", "@0.40", "--expires-in", "1h")
    shown = on_terminal("order", "list")
    assert "expires" in shown
    assert re.search(r"in (1h|59m)", shown)


def test_the_fees_of_fills_have_the_decimals_that_add_up(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    fee = program("fills", "--json").json[0]["fee"]
    assert Decimal(fee) != round(Decimal(fee), 2), "not vacuous"
    assert f"${Decimal(fee).normalize()}" in program("fills").out


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("buy KXA-1 5@45c", "`kalshi buy KXA-1 5 @45c`"),
        ("lock KXA-1 3h", "write a time as `kalshi lock TICKER --for 3h`"),
        ("fills KXA-1", "for one market, write `kalshi fills --ticker KXA-1`"),
    ],
)
def test_a_word_in_the_wrong_form_is_answered_with_the_right_one(line: str, hint: str) -> None:
    refused = program(*line.split())
    assert refused.code == 2
    assert f"hint: {hint}\n" in refused.err
