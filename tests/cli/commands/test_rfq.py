"""`kalshi rfq`, `quote` and `combos` over real sockets: the whole story, and everything that must stop it."""

from __future__ import annotations

import pytest
from support.fault_proxy import Fault, fault_proxy
from support.quotes import COLLECTION, accept, answer, ask, status, with_collection
from support.served import FINE, KEY_ID, ME, TWO_SIDED, Served, program

from kalshi_cli.base.units import dollars
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

ACCEPT = r"/accept"


def halt(one: Served) -> None:
    store = Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", one.clock.now()))
    store.close()


def held(one: Served, ticker: str, who: str = ME) -> int:
    found: int = one.call(lambda: one.exchange.position(who, ticker))
    return found


# -- the story ----------------------------------------------------------------------------------------------------


def test_a_combo_is_made_asked_for_and_bought(exchange: Served) -> None:
    with_collection(exchange)
    made = program(
        "combos", "create", COLLECTION, "--leg", f"{TWO_SIDED}:yes", "--leg", f"KXWIND-40JAN01:{FINE}:no", "--json"
    )
    assert made.code == 0, made.err
    ticker = made.json["ticker"]
    assert [leg["side"] for leg in made.json["legs"]] == ["yes", "no"]
    asked = program("rfq", "create", ticker, "--cost", "10", "--json")
    assert asked.code == 0, asked.err
    rfq = asked.json["rfq_id"]
    assert program("rfq", "show", rfq, "--json").json["legs"][0]["market_ticker"] == TWO_SIDED
    exchange.call(lambda: exchange.exchange.deposit("maker", dollars(100), exchange_index=1))
    quote = answer(exchange, rfq)
    listed = program("rfq", "quotes", rfq, "--json").json
    assert [(one["quote_id"], one["buy_yes"], one["buy_no"]) for one in listed] == [(quote, "0.4800", "0.5700")]
    poor = program("rfq", "accept", rfq, quote, "--side", "no", "--json")
    assert (poor.code, poor.error["code"]) == (4, "insufficient_balance"), "combos trade on another shard"
    assert "kalshi transfer --from 0 --to 1" in poor.error["hint"]
    assert program("transfer", "--from", "0", "--to", "1", "--amount", "50.00").code == 0
    bought = program("rfq", "accept", rfq, quote, "--side", "no", "--wait", "30s", "--json")
    assert bought.code == 0, bought.err
    assert (bought.json["status"], bought.json["accepted_side"]) == ("executed", "no")
    assert "you buy" in bought.err
    positions = program("positions", "--json").json
    assert [(one["ticker"], one["count"]) for one in positions] == [(ticker, listed[0]["no_count"])]
    assert program("order", "show", bought.json["order_id"], "--json").json["status"] == "filled"
    shown = program("markets", "--combos", "--json").json
    assert ticker in [market["ticker"] for market in shown]
    assert ticker not in [market["ticker"] for market in program("markets", "--json").json]


def test_the_yes_bid_sells_yes_to_the_maker(exchange: Served) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    shown = program("rfq", "accept", rfq, quote, "--side", "yes")
    assert shown.code == 0, shown.err
    assert f"you buy 100 NO of {TWO_SIDED} at $0.57" in shown.err
    assert status(exchange, quote) in ("accepted", "confirmed")


@pytest.mark.parametrize("is_here", [True, False], ids=["here", "on the web site"])
def test_cancel_all_is_not_done_while_an_accepted_quote_may_trade(exchange: Served, is_here: bool) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq, confirms_ms=None)
    if is_here:
        assert program("rfq", "accept", rfq, quote, "--side", "no").code == 0
    else:
        record, quotes = exchange.exchange._state.talks.quotes[quote], exchange.exchange._quotes
        assert exchange.call(lambda: quotes.accept(ME, record, "no", exchange.clock.now())) is None
    ended = program("cancel-all", "--within", "1s", "--json")
    assert (ended.code, exchange.resting()) == (7, [])
    assert f"may still trade and cannot be canceled: {quote} on {TWO_SIDED}" in ended.error["message"]
    assert ("order reconcile" if is_here else "or not at all") in ended.error["hint"]


def test_cancel_all_does_not_mind_quotes_that_traded_or_are_open(exchange: Served) -> None:
    quote = answer(exchange, ask(exchange))
    record, quotes = exchange.exchange._state.talks.quotes[quote], exchange.exchange._quotes
    assert exchange.call(lambda: quotes.accept(ME, record, "no", exchange.clock.now())) is None
    for exchange.clock.shift_s in (1, 17, 0):
        exchange.call(lambda: exchange.exchange.advance(exchange.clock.now()))
    assert status(exchange, quote) == "executed"
    assert status(exchange, answer(exchange, ask(exchange), confirms_ms=None)) == "open"
    done = program("cancel-all", "--json")
    assert done.code == 0, done.err


def test_the_makers_side_quotes_confirms_and_trades(exchange: Served) -> None:
    rfq = ask(exchange, "maker")
    seen = program("rfq", "list", "--everyone", "--json").json
    assert [(one["rfq_id"], one["mine"]) for one in seen] == [(rfq, False)]
    assert program("rfq", "list", "--json").json == []
    made = program("quote", "create", rfq, "--yes-bid", "43c", "--no-bid", "0.52", "--json")
    assert made.code == 0, made.err
    quote = made.json["quote_id"]
    early = program("quote", "confirm", quote, "--json")
    assert (early.code, early.error["code"]) == (3, "QUOTE_NOT_ACCEPTED")
    accept(exchange, quote, "yes")
    assert [one["quote_id"] for one in program("quote", "list", "--status", "accepted", "--json").json] == [quote]
    done = program("quote", "confirm", quote, "--rfq", rfq, "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "confirmed"
    exchange.clock.shift_s = 16
    exchange.call(lambda: exchange.exchange.advance(exchange.clock.now()))
    exchange.clock.shift_s = 0
    assert held(exchange, TWO_SIDED) == 0, "better bids rested on the book, and were met first"
    assert program("quote", "list", "--json").json[0]["status"] == "executed"


def test_what_was_asked_and_quoted_can_be_taken_back(exchange: Served) -> None:
    mine, theirs = ask(exchange), ask(exchange, "maker", FINE)
    assert program("rfq", "delete", mine).code == 0
    assert program("rfq", "delete", mine, "--json").error["code"] == "not_found"
    quote = program("quote", "create", theirs, "--no-bid", "0.9", "--json").json["quote_id"]
    assert program("quote", "delete", quote).code == 0
    assert status(exchange, quote) == "cancelled"


# -- what must stop it --------------------------------------------------------------------------------------------


def test_3_a_halt_refuses_to_accept_to_quote_and_to_confirm_and_nothing_is_sent(exchange: Served) -> None:
    rfq, theirs = ask(exchange), ask(exchange, "maker", FINE)
    quote = answer(exchange, rfq)
    mine = program("quote", "create", theirs, "--no-bid", "0.9", "--json").json["quote_id"]
    accept(exchange, mine, "no")
    halt(exchange)
    for words in (
        ("rfq", "accept", rfq, quote, "--side", "no"),
        ("quote", "create", theirs, "--no-bid", "0.91"),
        ("quote", "confirm", mine),
    ):
        ended = program(*words, "--json")
        assert (ended.code, ended.error["code"]) == (3, "HALTED"), ended
    assert status(exchange, quote) == "open"
    assert status(exchange, mine) == "accepted"


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("KALSHI_RISK__MAX_ORDER_COUNT", "99", "ORDER_SIZE"),
        ("KALSHI_RISK__MAX_ORDER_COST", "47.99", "ORDER_COST"),
        ("KALSHI_RISK__MAX_POSITION", "99", "POSITION_LIMIT"),
        ("KALSHI_READ_ONLY", "1", "READ_ONLY"),
    ],
)
def test_3_every_limit_applies_to_an_acceptance(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, code: str
) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    monkeypatch.setenv(variable, value)
    ended = program("rfq", "accept", rfq, quote, "--side", "no", "--yes", "--json")
    assert (ended.code, ended.error["code"]) == (3, code)
    assert status(exchange, quote) == "open"
    monkeypatch.delenv(variable)
    assert program("rfq", "accept", rfq, quote, "--side", "no").code == 0, "nothing else stood in the way"


def test_3_a_quote_is_held_against_the_limits_on_both_sides(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rfq = ask(exchange, "maker")
    monkeypatch.setenv("KALSHI_RISK__MAX_ORDER_COST", "45")
    ended = program("quote", "create", rfq, "--yes-bid", "0.43", "--no-bid", "0.52", "--json")
    assert (ended.code, ended.error["code"]) == (3, "ORDER_COST")
    assert program("quote", "create", rfq, "--yes-bid", "0.43").code == 0


def test_3_prod_asks_and_without_a_terminal_nothing_is_sent(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    exchange.is_real(monkeypatch)
    for words in (
        ("rfq", "accept", rfq, quote, "--side", "no"),
        ("rfq", "create", FINE, "--count", "5"),
        ("rfq", "delete", rfq),
    ):
        ended = program(*words, "--json")
        assert (ended.code, ended.error["code"]) == (3, "not_confirmed"), ended
    assert status(exchange, quote) == "open"
    asked = program("rfq", "accept", rfq, quote, "--side", "no")
    assert "prod: you buy 100 YES" in asked.err
    assert "cost $48.00, fee up to $1.75, maximum loss $49.75, maximum payout $100.00" in asked.err
    assert program("rfq", "accept", rfq, quote, "--side", "no", "--yes").code == 0


def test_a_dry_run_shows_the_order_and_sends_nothing(exchange: Served) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    shown = program("rfq", "accept", rfq, quote, "--side", "no", "--dry-run", "--json")
    assert shown.json == [
        {
            "ticker": TWO_SIDED,
            "outcome": "yes",
            "count": "100.00",
            "price": "0.4800",
            "cost": "48.000000",
            "fee": "1.750000",
            "worst_loss": "49.750000",
            "status": "dry_run",
        }
    ]
    assert status(exchange, quote) == "open"
    assert not (exchange.state / "sim" / "state.db").exists()


def test_0_an_acceptance_whose_answer_was_lost_is_found(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rfq = ask(exchange)
    quote = answer(exchange, rfq, confirms_ms=None)
    with fault_proxy(exchange.server.rest_url, Fault("drop_reply", "PUT", ACCEPT)) as proxy:
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(exchange.server.rest_url))
        ended = program("rfq", "accept", rfq, quote, "--side", "no", "--json")
        assert proxy.faults[0].hits == 1, "an acceptance is never sent twice"
    assert (ended.code, ended.json["status"]) == (0, "accepted")


def test_7_an_acceptance_that_nobody_answers_names_how_to_find_out(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.services.orders.quotes.LOOK_S", 0.5)
    rfq = ask(exchange)
    quote = answer(exchange, rfq)
    with fault_proxy(exchange.server.rest_url, Fault("drop_request", "PUT", ACCEPT, times=99)) as proxy:
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(exchange.server.rest_url))
        ended = program("rfq", "accept", rfq, quote, "--side", "no", "--json")
        assert proxy.faults[0].hits == 1
    assert ended.code == 7
    assert ended.error["hint"] == f"check with `kalshi rfq quotes {rfq}`"
    assert quote in ended.error["message"]


# -- wrong input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("rfq", "create", TWO_SIDED), 2, "Give either --count or --cost"),
        (("rfq", "create", TWO_SIDED, "--count", "5", "--cost", "5"), 2, "Give either --count or --cost"),
        (("rfq", "create", TWO_SIDED, "--count", "5", "--excludes-fees"), 2, "--excludes-fees requires --cost"),
        (("rfq", "create", "KXNOT", "--count", "5"), 4, "KXNOT"),
        (("rfq", "show", "nobody"), 4, "No request nobody"),
        (("rfq", "accept", "nobody", "nothing", "--side", "no"), 4, "No request nobody"),
        (("rfq", "accept", "a", "b", "--side", "maybe"), 2, "maybe"),
        (("rfq", "quotes", "x", "--limit", "0"), 2, "limit"),
        (("quote", "create", "nobody"), 2, "a YES bid, a NO bid, or both"),
        (("quote", "create", "nobody", "--yes-bid", "0.60", "--no-bid", "0.41"), 2, "add up to more than $1.00"),
        (("quote", "create", "nobody", "--yes-bid", "60"), 2, "0.60"),
        (("quote", "confirm", "nothing"), 4, "No quote nothing"),
        (("combos", "show", "nothing"), 4, "No collection NOTHING"),
        (("combos", "create", "X", "--leg", "what"), 2, "Invalid leg"),
        (("combos", "create", "X", "--leg", "KXNOT:yes"), 4, "KXNOT"),
        (("live",), 2, "Choose one"),
        (("live", "KXNOT"), 4, "KXNOT"),
        (("incentives", "--status", "soon"), 2, "soon"),
    ],
)
def test_wrong_input_ends_in_one_line_and_a_next_step(
    exchange: Served, words: tuple[str, ...], code: int, says: str
) -> None:
    del exchange
    ended = program(*words)
    lines = [line for line in ended.err.splitlines() if not line.startswith("this is the simulated")]
    assert (ended.code, ended.out) == (code, ""), ended
    assert says in lines[0]
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2


def test_what_cannot_be_accepted_says_why(exchange: Served) -> None:
    rfq = ask(exchange)
    one_sided = answer(exchange, rfq, yes=0)  # type: ignore[arg-type]
    refused = program("rfq", "accept", rfq, one_sided, "--side", "yes", "--json")
    assert (refused.code, refused.error["hint"]) == (2, "--side no")
    assert program("rfq", "create", TWO_SIDED, "--count", "5", "--json").error["code"] == "rfq_already_exists"
    assert program("rfq", "create", TWO_SIDED, "--count", "5", "--replace").code == 0
    again = program("rfq", "accept", rfq, one_sided, "--side", "no", "--json")
    assert (again.code, again.error["code"]) == (3, "QUOTE_NOT_OPEN")
