"""The commands about money, typed as a person would: what is asked, what is refused, what happens once."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import KEY_ID, ME, TWO_SIDED, Served, program, set_variables

from kalshi_cli.base.units import dollars
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

ORDERS = "/portfolio/events/orders"
TRANSFERS = "/portfolio/intra_exchange_instance_transfer$"
OURS = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        set_variables(monkeypatch, exchange.home, exchange.variables(rest_url=one.moved(exchange.server.rest_url)))
        yield one


@pytest.fixture
def on_prod(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The same exchange, taken for the real one."""
    exchange.is_real(monkeypatch)
    return exchange


def halt(exchange: Served) -> None:
    store = Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", exchange.clock.now()))
    store.close()


def cash(exchange: Served, subaccount: int = 0, shard: int = 0) -> int:
    found: int = exchange.call(lambda: exchange.exchange.cash(ME, subaccount, shard))
    return found


def transfer(*more: str) -> tuple[str, ...]:
    return ("transfer", "--from", "0", "--to", "1", "--amount", "25.00", *more)


# -- transfers ----------------------------------------------------------------------------------------------------


def test_cash_is_moved_listed_and_shown(exchange: Served) -> None:
    moved = program(*transfer("--json")).json
    assert (moved["status"], moved["amount"], moved["to_shard"]) == ("complete", "25.000000", 1)
    assert cash(exchange, shard=1) == dollars(25)
    assert program("transfer", "list", "--json").json == [moved]
    assert program("transfer", "show", moved["transfer_id"], "--json").json == moved
    shards = program("balance", "--json").json["shards"]
    assert [(one["exchange_index"], one["cash"]) for one in shards] == [(0, "975.000000"), (1, "25.000000")]


def test_the_short_form_is_the_long_one(exchange: Served) -> None:
    short, long = program(*transfer("--dry-run")), program("transfer", "send", *transfer("--dry-run")[1:])
    assert short == long
    assert program("--json", *transfer("--dry-run")).json["status"] == "dry_run"


def test_a_dry_run_says_what_lies_where_and_moves_nothing(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    ended = program(*transfer("--dry-run"))
    assert ended.code == 0
    assert "move $25.00 from shard 0 to shard 1" in ended.err
    assert "shard 0 $1,000.00, shard 1 $0.00" in ended.err
    assert cash(exchange, shard=1) == 0


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("transfer --from 0 --to 1 --amount 5c", 2, "did you mean 0.05?"),
        ("transfer --from 0 --to 1 --amount 1,000", 2, "did you mean 1000?"),
        ("transfer --from 0 --to 1 --amount 0", 2, "greater than zero"),
        ("transfer --from 0 --to 1 --amount much", 2, "use dollars"),
        ("transfer --from 0 --to 0 --amount 5", 2, "source and the destination are the same"),
        ("transfer --from 0 --to 1", 2, "--amount"),
        ("transfer --from 0 --to 7 --amount 5", 4, "exchange index 7"),
        ("transfer --from 0 --to 999 --amount 5", 2, "No shard 999"),
        ("transfer --from 0 --to 1 --amount 1000.01", 4, "kalshi balance"),
        ("transfer shwo x", 2, "did you mean `kalshi transfer show`?"),
        ("transfer show nothing-like-it", 4, "not found"),
        ("subaccounts transfer --from 0 --to 1 --amount 0.001", 2, "steps of a cent"),
        ("subaccounts transfer --from 0 --to 1 --amount 5", 4, "subaccount 1 does not exist"),
        ("subaccounts transfer --from 0 --to 64 --amount 5", 2, "--to"),
        ("subaccounts netting --set 0 perhaps", 2, "use on or off"),
        ("subaccounts netting --set 5 on", 4, "subaccount 5 does not exist"),
        ("subaccounts create", 5, "kalshi limits upgrade"),
        ("allocation set", 2, "either percentages or --off"),
        ("allocation set 0=60 1=30", 2, "add up to 90, not 100"),
        ("allocation set 0=100 --off", 2, "either percentages or --off"),
        ("allocation set 5=100", 4, "exchange index 5"),
        ("allocation set 0=100 --reserve nun", 2, "max, sum, none"),
        ("limits upgrade", 5, "kalshi order place"),
        ("balance --subaccount 64", 2, "--subaccount"),
        ("settlements --since soon", 2, "is not a time"),
        ("deposits --limit 0", 2, "--limit"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line_with_a_next_step(
    exchange: Served, line: str, code: int, says: str
) -> None:
    ended = program(*line.split())
    lines = [line for line in ended.err.splitlines() if not line.startswith("this is the simulated")]
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], ended.err
    assert says in ended.err
    assert cash(exchange) == dollars(1000)


@pytest.mark.parametrize(
    "line",
    [
        "transfer --from 0 --to 1 --amount 25",
        "subaccounts create",
        "subaccounts netting --set 0 off",
        "subaccounts transfer --from 0 --to 1 --amount 5",
        "allocation set 0=60 1=40",
        "limits upgrade",
        f"api DELETE {ORDERS}",
    ],
)
def test_on_prod_a_write_asks_and_nobody_is_there_to_say_yes(
    on_prod: Served, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    ended = program(*line.split())
    assert ended.code == 3
    assert "prod: " in ended.err, "the facts come first"
    assert "add --yes" in ended.err
    assert cash(on_prod) == dollars(1000)


def test_on_prod_yes_is_an_answer(on_prod: Served) -> None:
    assert program(*transfer("--yes")).code == 0
    assert cash(on_prod, shard=1) == dollars(25)
    assert program("transfer", "list", "--json").code == 0, "reading asks nothing"


@pytest.mark.parametrize(
    "line",
    [
        "transfer --from 0 --to 1 --amount 25",
        "subaccounts netting --set 0 off",
        "allocation set 0=60 1=40",
        "limits upgrade",
        f"api POST {ORDERS} -f ticker=X --no-limits",
        f"api DELETE {ORDERS}",
    ],
)
def test_read_only_refuses_every_write(exchange: Served, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    ended = program(*line.split(), "--json")
    assert ended.code == 3
    assert ended.error["code"] == "READ_ONLY"


def test_a_transfer_whose_answer_was_lost_is_found_and_not_sent_again(exchange: Served, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("drop_reply", "POST", TRANSFERS))
    ended = program(*transfer("--json"))
    assert (ended.code, ended.json["status"]) == (0, "complete")
    assert cash(exchange, shard=1) == dollars(25)


def test_a_transfer_between_subaccounts_that_was_done_before_says_so(exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.add_subaccount(ME))
    line = ("subaccounts", "transfer", "--from", "0", "--to", "1", "--amount", "5", "--client-transfer-id", OURS)
    assert [program(*line, "--json").json["status"] for _ in range(2)] == ["applied", "applied_before"]
    assert cash(exchange, 1) == dollars(5)
    assert len(program("subaccounts", "transfers", "--json").json) == 1


def test_a_list_has_at_most_the_limit_that_was_given(exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.deposit(ME, dollars(1)))
    ended = program("deposits", "--limit", "1", "--json")
    assert [one["amount"] for one in ended.json] == ["1.000000"]
    assert ended.err == "", "a limit of the user's own"


def test_a_list_cut_by_the_usual_limit_says_so_also_with_q(exchange: Served) -> None:
    exchange.call(lambda: [exchange.exchange.deposit(ME, dollars(1)) for _ in range(51)] and None)
    assert program("-q", "deposits", "--json").err == "Showing the first 50; use --limit N\n"


# -- raw calls ----------------------------------------------------------------------------------------------------


def test_a_raw_read_prints_the_answer_as_it_came_and_indented_when_asked(exchange: Served) -> None:
    raw, nice = program("api", "GET", "/portfolio/balance"), program("api", "get", "portfolio/balance", "--json")
    assert raw.out.count("\n") == 1
    assert nice.out.count("\n") > 5
    assert json.loads(raw.out) == nice.json
    assert program("api", "GET", "/trade-api/v2/portfolio/balance").out == raw.out


def test_fields_of_a_read_go_into_the_query(exchange: Served) -> None:
    exchange.trade_a_little()
    ended = program("api", "GET", "/portfolio/orders", "-f", "status=resting", "-F", "limit=1")
    assert len(ended.json["orders"]) == 1
    assert ended.json == program("api", "GET", "/portfolio/orders?status=resting", "-f", "limit=1").json
    both = program(
        "api", "GET", "/markets/orderbooks", "-f", f"tickers={TWO_SIDED}", "-f", "tickers=KXRAIN-40JAN01-T2.0"
    )
    assert len(both.json["orderbooks"]) == 2


def test_fields_of_a_write_go_into_the_body_as_text_or_typed(exchange: Served) -> None:
    words = ("time_in_force=good_till_canceled", "self_trade_prevention_type=taker_at_cross", "side=bid")
    fields = [part for word in (f"ticker={TWO_SIDED}", "price=0.4000", "count=2", *words) for part in ("-f", word)]
    placed = program("api", "POST", ORDERS, *fields, "-F", "post_only=true", "--no-limits")
    assert placed.json["remaining_count"] == "2.00"
    wrong = program("api", "POST", ORDERS, *fields, "-F", "count=2")
    assert (wrong.code, "given 2 times" in wrong.err) == (2, True)
    typed = program("api", "PUT", "/portfolio/subaccounts/netting", "-F", "subaccount_number=0", "-F", "enabled=false")
    assert (typed.code, typed.out) == (0, "")
    text = program("api", "PUT", "/portfolio/subaccounts/netting", "-f", "subaccount_number=0", "-F", "enabled=false")
    assert text.code == 4, "a number as text is refused by the exchange"


def test_a_body_comes_from_a_file_or_from_stdin(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    body = '{"allocations": [{"exchange_index": 0, "percent": 100}]}'
    (exchange.home / "body.json").write_text(body)
    path = "/portfolio/target_balance_allocation"
    assert program("api", "POST", path, "--input", "body.json").out == "{}\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body.replace("100", "50").encode())))
    assert program("api", "POST", path, "--input", "-").code == 4


def test_an_empty_value_in_the_path_is_sent(exchange: Served) -> None:
    assert program("api", "GET", "/portfolio/orders?status=").code == 0


def test_all_pages_become_one_list(exchange: Served) -> None:
    exchange.trade_a_little()
    whole = program("api", "GET", "/portfolio/orders").json
    paged = program("api", "GET", "/portfolio/orders", "-F", "limit=2", "--paginate")
    assert len(whole["orders"]) > 4
    assert paged.json == whole
    alone = program("api", "GET", f"/markets/{TWO_SIDED}", "--paginate")
    assert alone.json["market"]["ticker"] == TWO_SIDED, "what is no list is one page"


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("api FETCH /portfolio/balance", 2, "GET, POST, PUT, DELETE"),
        ("api GET /portfolio/../balance", 2, "Invalid path"),
        ("api GET /portfolio/balance#x", 2, "Invalid path"),
        ("api GET //balance", 2, "Invalid path"),
        ("api GET /portfolio/balance -f nothing", 2, "Invalid field"),
        ("api GET /portfolio/orders -f status=", 2, "Field status needs a value; it is empty"),
        (f"api POST {ORDERS} -F count=", 2, "write it in the path (`PATH?name=`)"),
        ("api GET /no/such/route", 4, "404"),
        ("api GET /portfolio/orders -f limit=5000", 4, "Limit"),
        ("api POST /portfolio/orders -f x=1 --no-limits", 4, "use /portfolio/events/orders"),
        ("api DELETE /portfolio/orders/x", 4, "use /portfolio/events/orders/x"),
        ("api POST", 2, "for example `kalshi api /portfolio/balance`"),
        (f"api POST {ORDERS} --paginate", 2, "--paginate works with GET only"),
        (f"api POST {ORDERS} --input missing.json", 2, "missing.json"),
        (f"api POST {ORDERS} --input body.txt", 2, "not valid JSON"),
        (f"api POST {ORDERS} --input body.txt -f a=b", 2, "not both"),
    ],
)
def test_a_raw_call_that_cannot_be_meant(exchange: Served, line: str, code: int, says: str) -> None:
    (exchange.home / "body.txt").write_text("not json at all")
    ended = program(*line.split())
    assert ended.code == code, ended.err
    assert says in ended.err
    assert "hint:" in ended.err
    assert "Traceback" not in ended.err
    assert "ROUTE_ENDS" not in ended.err, "kalshi itself calls none of these paths"


@pytest.mark.parametrize(
    "line",
    [
        f"POST {ORDERS}",
        f"post trade-api/v2{ORDERS}/batched",
        f"POST {ORDERS}/x/amend",
        f"POST {ORDERS}/x/decrease --dry-run",
        "POST /portfolio/%6Frders",
        "PUT /communications/quotes/x/confirm",
    ],
)
def test_a_raw_order_is_refused_unless_no_limits_is_given(exchange: Served, line: str) -> None:
    before = exchange.resting()
    ended = program("api", *line.split(), "-f", f"ticker={TWO_SIDED}", "--json")
    assert (ended.code, ended.out, ended.error["code"]) == (3, "", "NO_LIMITS")
    assert "`kalshi buy`" in ended.error["hint"]
    assert program("api", *line.split(), "-f", "x=1", "--no-limits").code != 3
    assert exchange.resting() == before


def test_a_path_alone_is_read(exchange: Served) -> None:
    assert program("api", "/exchange/status").json == program("api", "GET", "/exchange/status").json


def test_while_halted_a_raw_cancel_works_and_a_raw_order_does_not(exchange: Served) -> None:
    exchange.trade_a_little()
    order_id = exchange.resting()[0][0]
    halt(exchange)
    ended = program("api", "POST", ORDERS, "-f", f"ticker={TWO_SIDED}", "--json", "--no-limits")
    assert (ended.code, ended.error["code"]) == (3, "HALTED")
    ended = program("api", "POST", f"{ORDERS}/{order_id}/amend", "-f", "price=0.1", "--json", "--no-limits")
    assert (ended.code, ended.error["code"]) == (3, "HALTED")
    assert program("api", "DELETE", f"{ORDERS}/{order_id}").json["order_id"] == order_id
    assert order_id not in {resting[0] for resting in exchange.resting()}
    assert program(*transfer()).code == 0, "money may be moved"
    assert program("api", "DELETE", ORDERS).code == 0
    assert exchange.resting() == []


def test_a_raw_write_without_an_answer_is_sent_once_and_ends_in_doubt(exchange: Served, proxy: FaultProxy) -> None:
    proxy.faults.append(Fault("drop_reply", "POST", "netting|allocation|transfer", times=9))
    body = ("-f", "source=event_contract", "-f", "destination=event_contract", "-F", "amount=10000")
    ended = program("api", "POST", TRANSFERS[:-1], *body, "-F", "destination_exchange_shard=1")
    assert ended.code == 7
    assert "before you repeat it" in ended.err
    assert cash(exchange, shard=1) == dollars(1), "it did happen, once"


def test_a_field_of_several_values_is_a_list(exchange: Served) -> None:
    ended = program("api", "POST", "/any/where", "-f", "a[]=1", "-F", "a[]=2", "-F", "b=null", "--dry-run")
    assert 'body {"a":["1",2],"b":null}' in ended.err


def test_a_dry_run_of_a_raw_call_sends_nothing(exchange: Served) -> None:
    ended = program("api", "DELETE", ORDERS, "--dry-run")
    assert (ended.code, ended.out) == (0, "")
    assert "DELETE /portfolio/events/orders" in ended.err
