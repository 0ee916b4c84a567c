"""What every command prints, to the letter, in every format: one file a command in `golden/`, for a reviewer to read.

`KALSHI_UPDATE_GOLDEN=1` writes the files anew. What differs from run to run by its nature is replaced first; see
`steady`.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from support.examples import with_fade
from support.quotes import COLLECTION, MILESTONE, accept, answer, ask, with_collection, with_season
from support.served import EMPTY, FINE, KEY_ID, ME, ONE_SIDED, TWO_SIDED, Served, program, served, set_variables

from kalshi_cli.base.units import Money, Price, Ts, contracts
from kalshi_cli.base.version import __version__
from kalshi_cli.core.model.effects import AlertRaised, FillBooked, OrderChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

pytestmark = pytest.mark.usefixtures("same_clock")

GOLDEN = Path(__file__).parent / "golden"
IS_UPDATING = bool(os.environ.get("KALSHI_UPDATE_GOLDEN"))
FORMATS = ("table", "plain", "json", "ndjson", "csv")
RFQ, QUOTE, THEIR_RFQ, MY_QUOTE = (f"00000000-0000-0000-0000-0000000000{number:02x}" for number in (15, 16, 17, 18))
"""Ids of what `with_quotes` makes."""
GROUP = "00000000-0000-0000-0000-00000000000f"
LOW = "00000000-0000-0000-0000-000000000016"
"""Order id of the resting bid that `Served.trade_a_little` makes."""


def nothing(one: Served) -> None: ...


def with_history(one: Served) -> None:
    one.trade_a_little()


def with_ladder(one: Served) -> None:
    """More is bid for two inches of rain than is asked for one."""
    one.submit("maker", ONE_SIDED, BID, "0.6000", "50")


def with_position(one: Served) -> None:
    """Thirty YES, of which a hundred more could be sold at 44 cents."""
    one.submit("maker", TWO_SIDED, ASK, "0.4500", "30")
    one.submit(ME, TWO_SIDED, BID, "0.4500", "30")


def with_subaccount(one: Served) -> None:
    one.call(lambda: one.exchange.add_subaccount(ME))


def advanced(one: Served) -> None:
    """Subaccounts need the Advanced tier, and that an order by API."""
    one.trade_a_little()
    assert program("limits", "upgrade").code == 0


def settled(one: Served) -> None:
    one.trade_a_little()
    one.call(lambda: one.exchange.settle(TWO_SIDED, Price(10_000), one.clock.now()))
    one.clock.shift_s = 61.0  # past the settlement timer
    one.call(lambda: one.exchange.advance(one.clock.now()))
    one.clock.shift_s = 0.0


def halted(one: Served) -> None:
    store = Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", one.clock.now()))
    store.close()


def locked(_one: Served) -> None:
    assert program("lock", TWO_SIDED, "--for", "3h").code == 0


def with_group(_one: Served) -> None:
    """One order group, and an order in it; its id is the first that is free."""
    made = program("order", "group", "create", "--limit", "100", "--json").json
    assert made["order_group_id"] == GROUP
    assert program(*BUY.split(), "--count", "10", "--price", "0.41", "--group", GROUP).code == 0


def with_batch(one: Served) -> None:
    order = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 10, "price": "0.41"}
    lines = (
        {"client_order_id": "golden-1"},
        {"client_order_id": "golden-2", "price": "47c", "tif": "ioc"},
        {"client_order_id": "golden-3", "price": "47c", "post-only": True},
        {"client_order_id": "golden-4", "count": "500"},
    )
    (one.home / "orders.ndjson").write_text("".join(f"{json.dumps(order | line)}\n" for line in lines))


def with_config(one: Served) -> None:
    (one.home / "config.yaml").write_text("risk:\n  max_position: 25\ntrade:\n  interval_s: 1.5\n")


def with_alerts(one: Served) -> None:
    """A halt and an event that somebody should know, a silence, and two sinks that were never tried."""
    halted(one)
    with Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.record(AlertRaised(one.clock.now(), "warning", "FEED_DOWN", "stream", "the server went away"))
    assert program("alerts", "silence", "FEED_DOWN", "--for", "2h", "--reason", "new router").code == 0
    assert program("alerts", "retry").code == 0
    sinks = (
        "    phone:\n      url: https://ntfy.example/T0PSECRET-topic-1234\n"
        "    chat:\n      url: slack://TokenA/TokenB/TokenC-98765\n      tiers: []\n      events: [trade_executed]\n"
    )
    (one.home / "config.yaml").write_text(f"alerts:\n  channels:\n{sinks}")
    (one.home / "config.yaml").chmod(0o600)


def with_orders_carried_out(one: Served) -> None:
    """Two orders of a strategy, of which one traded, and one by hand."""
    now = one.clock.now()
    store = Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim")
    for name, strategy, latency_ms in (("a", "spike", 85), ("b", "spike", 240), ("c", "", 120)):
        order = Order(
            client_order_id=name, order_id=f"order-{name}", ticker=TWO_SIDED, side=BID, price=Price(4_100),
            qty=contracts(10), status=OrderStatus.CANCELED, created=Ts(now - 60_000), updated=Ts(now - 60_000),
            strategy=strategy, fair=Price(4_400) if strategy else None,
        )  # fmt: skip
        store.record(OrderChanged(order))
        store.record_placement(name, latency_ms)
    fill = Fill(
        trade_id="t", order_id="order-a", ticker=TWO_SIDED, side=BID, price=Price(4_000), qty=contracts(10),
        fee=Money(17_500), is_taker=True, ts=Ts(now - 59_000),
    )  # fmt: skip
    store.record(FillBooked(fill))
    store.close()


def with_catalogue(one: Served) -> None:
    assert program("catalog", "refresh").code == 0


def with_quotes(one: Served) -> None:
    """Your request with a quote of the maker's, and the maker's with one of yours."""
    assert (ask(one), answer(one, RFQ, confirms_ms=None)) == (RFQ, QUOTE)
    assert ask(one, "maker", FINE) == THEIR_RFQ
    one.call(lambda: one.exchange.quote(ME, THEIR_RFQ, Price(300), Price(9_600), one.clock.now()))


def with_accepted_quote(one: Served) -> None:
    with_quotes(one)
    accept(one, MY_QUOTE, "no")


class Case(NamedTuple):
    """A command line, and what must be there before it. Every format of its output is looked at."""

    name: str
    line: str
    prepare: Callable[[Served], None] = nothing


BUY = f"order place {TWO_SIDED} --side yes --action buy"

READS = [
    Case("markets", "markets --status open"),
    Case("markets_none", "markets --search nothing-like-it"),
    Case("markets_sorted", "markets --sort spread --limit 2 --search rain"),
    Case("catalogue_status_none", "catalog status"),
    Case("market", f"market {FINE}"),
    Case("orderbook", f"orderbook {TWO_SIDED} --depth 2"),
    Case("orderbook_size", f"orderbook {TWO_SIDED} --size 150"),
    Case("orderbook_one_sided", f"orderbook {ONE_SIDED}"),
    Case("orderbook_empty", f"orderbook {EMPTY}"),
    Case("orderbook_several", f"orderbook {TWO_SIDED} {ONE_SIDED} --depth 1"),
    Case("scan_arbitrage_none", "scan arbitrage"),
    Case("scan_spread", "scan spread --sort percent"),
    Case("scan_movers_none", "scan movers"),
    Case("scan_cheap", "scan cheap --below 10c"),
    Case("scan_closing_none", "scan closing"),
    Case("exchange", "exchange"),
    Case("events", "events"),
    Case("event", "event KXRAIN-40JAN01"),
    Case("series", "series --search wind --volume"),
    Case("series_info", "series-info KXRAIN"),
    Case("trades", f"trades {TWO_SIDED} --limit 2"),
    Case("candles", f"candles {TWO_SIDED} --interval 1d"),
    Case("portfolio", "portfolio"),
    Case("order_list", "order list"),
    Case("order_list_all", "order list --status all --ticker KXRAIN*"),
    Case("order_show", f"order show {LOW}"),
    Case("balance", "balance"),
    Case("balance_of_subaccount", "balance --subaccount 1"),
    Case("subaccounts", "subaccounts"),
    Case("subaccounts_netting", "subaccounts netting"),
    Case("subaccounts_transfers", "subaccounts transfers"),
    Case("transfer_list_none", "transfer list"),
    Case("transfer_dry_run", "transfer --from 0 --to 1 --amount 25.00 --dry-run"),
    Case("allocation_none", "allocation"),
    Case("deposits", "deposits"),
    Case("withdrawals", "withdrawals"),
    Case("limits", "limits"),
    Case("keys", "keys"),
    Case("settlements_none", "settlements"),
    Case("settlements_upcoming", "settlements --upcoming"),
    *(Case(f"export_{what.replace('-', '_')}", f"export {what}") for what in ("fills", "pnl", "tax-lots")),
    Case("api_get", "api GET /portfolio/subaccounts/netting"),
    Case("positions", "positions"),
    Case("fills", "fills"),
    *(Case(f"pnl_by_{key}", f"pnl --by {key}") for key in ("market", "event", "series", "strategy", "day")),
    Case("status", "status"),
    Case("strategies", "strategies"),
    Case("strategies_crypto_ta", "strategies crypto-ta"),
    Case("strategies_market_maker", "strategies market-maker"),
    Case("strategies_model_edge", "strategies model-edge"),
    Case("strategies_news", "strategies news"),
    Case("strategies_spike", "strategies spike"),
    Case("strategies_mean_reversion", "strategies mean-reversion"),
    Case("strategies_threshold", "strategies threshold"),
    Case("health_check", "health-check"),
    *(
        Case(f"check_{name}", f"check {name} --no-notify")
        for name in ("positions", "pnl", "balance", "heartbeat", "execution")
    ),
    Case("config_path", "config path"),
    Case("config_check", "config check"),
    Case("order_dry_run", f"{BUY} --count 10 --price 0.41 --client-order-id dry --dry-run"),
    Case("order_reconcile_none", "order reconcile"),
]
WRITES = [
    Case("rfq_list_none", "rfq list"),
    Case("rfq_create", f"rfq create {TWO_SIDED} --count 100", nothing),
    Case("rfq_dry_run", f"rfq create {TWO_SIDED} --cost 25.00 --excludes-fees --dry-run"),
    Case("rfq_list", "rfq list", with_quotes),
    Case("rfq_show", f"rfq show {RFQ}", with_quotes),
    Case("rfq_quotes", f"rfq quotes {RFQ}", with_quotes),
    Case("rfq_accept", f"rfq accept {RFQ} {QUOTE} --side no", with_quotes),
    Case("rfq_accept_dry_run", f"rfq accept {RFQ} {QUOTE} --side yes --dry-run", with_quotes),
    Case("rfq_delete", f"rfq delete {RFQ}", with_quotes),
    Case("quote_list", "quote list", with_quotes),
    Case("quote_create", f"quote create {THEIR_RFQ} --yes-bid 0.03 --no-bid 95c", with_quotes),
    Case("quote_create_dry_run", f"quote create {THEIR_RFQ} --yes-bid 0.03 --no-bid 95c --dry-run", with_quotes),
    Case("quote_confirm", f"quote confirm {MY_QUOTE}", with_accepted_quote),
    Case("quote_delete", f"quote delete {MY_QUOTE}", with_quotes),
    Case("combos", "combos", with_collection),
    Case("combos_show", f"combos show {COLLECTION}", with_collection),
    Case("combos_create", f"combos create {COLLECTION} --leg {TWO_SIDED}:yes --leg {FINE}:no", with_collection),
    Case("milestones", "milestones --past", with_season),
    Case("live_game", f"live --milestone {MILESTONE}", with_season),
    Case("incentives_none", "incentives"),
    Case("incentives", "incentives --status all --limit 2", with_season),
    Case("targets", "targets", with_season),
    Case("tags", "tags", with_season),
    Case("tags_sports", "tags --sports", with_season),
    Case("order_place", f"{BUY} --count 10 --price 0.41 --client-order-id golden-1"),
    Case("order_place_fills", f"{BUY} --count 10 --price 47c --client-order-id golden-2"),
    Case(
        "order_place_no",
        f"order place {TWO_SIDED} --side no --action buy --count 2.5 --price 0.5 --post-only --client-order-id golden3",
    ),
    Case("subaccounts_create", "subaccounts create", advanced),
    Case("subaccounts_transfer", "subaccounts transfer --from 0 --to 1 --amount 5.00", with_subaccount),
    Case("subaccounts_netting_set", "subaccounts netting --set 1 off", with_subaccount),
    Case("transfer", "transfer --from 0 --to 1 --amount 25.00"),
    Case("allocation_set", "allocation set 0=60 1=40 --reserve max"),
    Case("limits_upgrade", "limits upgrade", with_history),
    Case("settlements", "settlements", settled),
    Case("order_amend", f"order amend {LOW} --price 0.41 --count 2.5", with_history),
    Case("order_amend_dry_run", f"order amend {LOW} --side no --price 59c --dry-run", with_history),
    Case("order_decrease", f"order decrease {LOW} --to 3", with_history),
    Case("order_queue", "order queue", with_history),
    Case("order_group_create", "order group create --limit 100"),
    Case("order_group_list", "order group list", with_group),
    Case("order_group_show", f"order group show {GROUP}", with_group),
    Case("order_group_trigger", f"order group trigger {GROUP}", with_group),
    Case("order_batch", "order batch orders.ndjson", with_batch),
    Case("order_batch_dry_run", "order batch orders.ndjson --dry-run", with_batch),
    Case("order_cancel", f"order cancel {LOW}", with_history),
    Case("order_cancel_all", f"order cancel-all --ticker {TWO_SIDED}", with_history),
    Case("cancel_all", "cancel-all", with_history),
    Case("cancel_all_flatten", "cancel-all --flatten", with_history),
    Case("close", f"close {TWO_SIDED}", with_position),
    Case("close_dry_run", f"close {TWO_SIDED} --max-slippage 2c --dry-run", with_position),
    Case("close_refused", f"close {TWO_SIDED}", with_history),
    Case("flatten", "flatten", with_history),
    Case("flatten_dry_run", "flatten --dry-run", with_history),
    Case("status_halted", "status", halted),
    Case("resume", "resume --reason checked", halted),
    Case("pause", "pause --reason lunch"),
    Case("lock", f"lock {TWO_SIDED} --for 3h --reason lunch"),
    Case("lock_none", "lock"),
    Case("unlock_nothing", f"unlock {TWO_SIDED}"),
    Case("unlock", f"unlock {TWO_SIDED}", locked),
    Case("alerts_unsilence", "alerts unsilence FEED_DOWN", with_alerts),
    Case("alerts_retry", "alerts retry"),
    Case("catalogue_clear", "catalog clear", with_catalogue),
    Case("stop_nothing", "stop"),
    Case("trade", "trade --strategy spike --interval 0.1s --duration 0.3s"),
    Case("scan_arbitrage", "scan arbitrage", with_ladder),
    Case("execution", "execution", with_orders_carried_out),
    Case("why", "why", with_orders_carried_out),
    Case("backtest", "backtest --strategy ./fade.py:Fade --data tape.jsonl --param limit=30c", with_fade),
    Case("backtest_plot", "backtest --strategy ./fade.py:Fade --data tape.jsonl --param limit=30c --plot", with_fade),
    Case("catalogue_refresh", "catalog refresh"),
    Case("markets_search", "markets --search york-inch", with_catalogue),
    Case("markets_offline", "markets --offline --sort ticker --limit 2", with_catalogue),
    Case("check_schema", "check schema", with_history),
    Case("watch", f"watch {TWO_SIDED} {ONE_SIDED} --duration 1s"),
    Case("record", f"record {TWO_SIDED} --out tape.jsonl --duration 0.1s"),
    Case("sim_reset", "sim reset"),
    Case("config_show", "config show", with_config),
    Case("alerts", "alerts", with_alerts),
]


@contextmanager
def a_place() -> Iterator[Path]:
    """A directory whose path is always of the same length, wherever it is: tables are as wide as it."""
    prefix = "golden".ljust(18 - len(tempfile.gettempdir()), "-")
    with tempfile.TemporaryDirectory(prefix=prefix) as place:
        yield Path(place)


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch) -> Callable[[], object]:
    """An exchange with the program's variables set."""

    @contextmanager
    def home() -> Iterator[Served]:
        with a_place() as place, served(place) as one:
            set_variables(monkeypatch, one.home, one.variables())
            yield one

    return home


@pytest.mark.parametrize("case", READS, ids=lambda case: case.name)
def test_a_command_that_reads_prints_the_golden_file(case: Case, past: Served) -> None:
    compare(case.name, [transcript(case, past, form) for form in FORMATS])


@pytest.mark.parametrize("case", WRITES, ids=lambda case: case.name)
def test_a_command_that_writes_prints_the_golden_file(case: Case, at_home) -> None:
    """A person's form and a program's; the other three are made from the same rows, as the commands that read show."""
    shown = []
    for form in ("table", "json"):
        with at_home() as one:
            case.prepare(one)
            shown.append(transcript(case, one, form))
    compare(case.name, shown)


@pytest.fixture(scope="module")
def shared_past() -> Iterator[Served]:
    with a_place() as place, served(place) as one:
        one.trade_a_little()
        with pytest.MonkeyPatch.context() as variables:
            set_variables(variables, one.home, one.variables())
            assert program("order", "reconcile").code == 0  # from here on the state file knows the account
        yield one


@pytest.fixture
def past(shared_past: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """An account with a past, which nobody changes."""
    set_variables(monkeypatch, shared_past.home, shared_past.variables())
    monkeypatch.setenv("KALSHI_ALERTS__ON_CRITICAL", "none")  # a check that finds something must not pause it
    return shared_past


def transcript(case: Case, one: Served, form: str) -> str:
    line = f"{case.line} --format {form}"
    ended = program(*line.split())
    assert "Traceback" not in ended.err
    end = f"[exit {ended.code}]\n" if ended.code else ""
    return f"$ kalshi {line}\n{steady(ended.out, one.home)}{end}"


def compare(name: str, shown: list[str]) -> None:
    path = GOLDEN / f"{name}.txt"
    text = "\n".join(shown)
    if IS_UPDATING:
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; KALSHI_UPDATE_GOLDEN=1 rewrites it, then read the change"


def test_every_golden_file_belongs_to_a_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {case.name for case in (*READS, *WRITES)}


# -- what differs from run to run ---------------------------------------------------------------------------------

_STEADY = (
    # Times that are not those of the listing (2024, 2040): the exchange's in whole seconds, ours in milliseconds.
    (r"\b20(?!24|40)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z", "<a time of the run>"),
    (r"\b[A-Z][a-z]{2} \d+ \d\d:\d\d [A-Z]{2,5} \((?:now|in \d+[smhd]|\d+[smhd] ago)\)", "<a time of the run>"),
    (
        r"(?m)(?:^|(?<=  ))(?:now|\d+[sm] ago)(?= *$|  )",
        "<a time of the run>",
    ),  # a table without room for the clock time
    (r"(?<=  )[A-Z][a-z]{2} \d{1,2}(?=  )", "<a time of the run>"),  # the days of a tax lot
    (r"(?<=  )in \d{3,}d\b", "in <some> d"),  # until a market of 2040 closes
    (r"\b20(?!24|40)\d\d-\d\d-\d\d \d\d:\d\d(?: [A-Z]{2,5})?\b", "<a time of the run>"),
    (r"\b20(?!24|40)\d\d-\d\d-\d\d\b", "<a day of>"),
    (r"(?m)^\d\d:\d\d:\d\d (?=\S)", "<a time of the run> "),
    # How far away the listing's times are, in days.
    (r"\((in )?\d+d( ago)?\)", r"(\1…\2)"),
    # Ids that the program made, not the exchange (whose ids count from zero).
    (
        r"\b(?!00000000)[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b",
        "<an id made by the program>",
    ),
    # How long things took, and how much room is on the disk.
    (r'("latency_ms":|"uptime_s": ?|"seconds": ?)\d+(\.\d+)?', r"\1…"),
    (r"((?:uptime(?:_s| \(s\))|seconds) +)\d+(\.\d+)?", r"\1…"),
    (r'("cycles": ?"?|cycles +)\d+', r"\1…"),
    (r'(?m)("lines": |^lines +)\d+', r"\1…"),
    (r"((?:OK|WARNING|CRITICAL|UNKNOWN) +)\d+(\.\d+)?", r"\1…"),
    (r"\d+\.\d GB free", "… GB free"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
    (rf"\b{re.escape(__version__)}(?!\S*\d)", "<version>"),
)
_VARYING_COLUMNS = ("seconds", "uptime_s", "cycles", "latency_ms")
_TIMED_TABLE = re.compile(r"<a time of the run>|latency")


def steady(text: str, home: Path) -> str:
    """The text without what differs from run to run by its nature, each thing replaced by what it is.

    Where such a thing stands in a table, the width of its column differs too: the gaps are set to two spaces. Spaces at
    the end of a line, with which a terminal table is filled, are left out.
    """
    text = _steady_csv(text.replace(str(home), "<home>"))
    for pattern, put in _STEADY:
        text = re.sub(pattern, put, text)
    if _TIMED_TABLE.search(text) and not text.startswith(("{", "[")):
        text = re.sub(r"(?<=\S) {2,}", "  ", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _steady_csv(text: str) -> str:
    """What varies in a CSV has only its column's name to be known by."""
    rows = list(csv.reader(io.StringIO(text))) if text.startswith('"') else []
    varying = [at for at, name in enumerate(rows[0]) if name in _VARYING_COLUMNS] if rows else []
    if not varying:
        return text
    for row, at in itertools.product(rows[1:], varying):
        row[at] = row[at] and "…"
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return out.getvalue()


# -- the contract's JSON, field by field --------------------------------------------------------------------------

FIELDS: dict[str, str] = {
    "markets": "ticker event_ticker title status yes_bid yes_ask last volume volume_24h open_interest close_time",
    f"orderbook {TWO_SIDED}": "ticker yes_bids yes_asks best_bid best_ask spread mid",
    f"{BUY} --count 1 --price 0.41 --dry-run": "order_id client_order_id ticker side action book_side price count "
    "filled remaining status average_fill_price fees",
    "order list": "order_id client_order_id ticker side action book_side price count filled remaining status "
    "average_fill_price fees",
    "cancel-all --ticker NONE*": "canceled remaining halted seconds",
    "flatten --dry-run": "ticker side count price worst_price fillable expected least fees detail",
    "positions": "ticker position side count average_price cost mark value unrealized realized fees",
    "pnl": "realized unrealized fees net rows",
    "execution": "since within_s orders fill_rate judged placement_median_ms placement_p99_ms timed maker_share "
    "edge_at_order edge_kept slippage valued_fills rows trend worse",
    "trade --strategy spike --interval 0.1s --duration 0.1s": "strategy env mode cycles intents orders fills denied "
    "realized unrealized fees net balance maker_fills taker_fills stopped_by",
}
"""What CLI.md promises, command by command. More may be there."""


@pytest.mark.parametrize("line", FIELDS)
def test_json_has_the_fields_of_the_contract(line: str, at_home) -> None:
    with at_home() as one:
        one.trade_a_little()
        ended = program(*line.split(), "--json")
    assert ended.code == 0, ended.err
    row = ended.json[0] if isinstance(ended.json, list) else ended.json
    missing = set(FIELDS[line].split()) - set(row)
    assert not missing
    assert all(isinstance(row[name], str | None) for name in row if name in _STRINGS), row


_STRINGS = {"price", "count", "filled", "remaining", "fees", "net", "realized", "unrealized", "balance", "yes_bid"} - {
    "remaining"
}


def test_the_parts_of_pnl_add_up_to_the_change_of_the_account(past: Served) -> None:
    pnl, cash = program("pnl", "--json").json, program("balance", "--json").json["cash"]
    held = sum(money(row["value"]) for row in program("positions", "--json").json)
    assert money(pnl["net"]) == money(cash) + held - money("1000")
    for name in ("realized", "unrealized", "fees", "net"):
        assert sum(money(row[name]) for row in pnl["rows"]) == money(pnl[name])


def money(text: str) -> int:
    return round(float(text) * 1_000_000)
