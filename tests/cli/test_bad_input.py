"""What goes wrong at the hands of people: each time one clear line, what to do next, the right exit code, and no trace.

"No trace" is meant literally: what refuses before the exchange was reached writes nothing, and nothing refused changes
an order, the account, or a file that was there before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from support.served import (
    CLOSED,
    EMPTY,
    FINE,
    ME,
    ONE_SIDED,
    TWO_SIDED,
    Ended,
    Served,
    bare_variables,
    program,
    served,
    set_variables,
)

from kalshi_cli.cli.main import root
from kalshi_cli.core.model.order_terms import ASK, BID


def buy(ticker: str = TWO_SIDED, *more: str, count: str = "1", price: str = "0.41") -> Ended:
    words = ("order", "place", ticker, "--side", "yes", "--action", "buy", "--count", count, "--price", price)
    return program(*words, *more)


def assert_refused(ended: Ended, code: int, *says: str) -> None:
    """One `error:` line and one `hint:` line, with these words in them; nothing on stdout; no traceback."""
    lines = [
        line for line in ended.err.splitlines() if not line.startswith(("Started the simulated", "Simulated", "  "))
    ]
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert [line.split(":")[0] for line in lines] == ["error", "hint"], ended.err
    for words in says:
        assert words in ended.err, ended.err


def files(home: Path) -> dict[str, bytes]:
    """Every file below, with what is in it."""
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


# -- what is typed ------------------------------------------------------------------------------------------------


class Typed(NamedTuple):
    """An order as somebody typed it, and what must be said about it."""

    name: str
    count: str  # type: ignore[assignment]
    price: str
    ticker: str
    code: int
    says: tuple[str, ...]


TYPED = (
    Typed("a bare 47", "1", "47", TWO_SIDED, 2, ("dollars", "did you mean 0.47?")),
    Typed("words for a price", "1", "cheap", TWO_SIDED, 2, ("invalid price: 'cheap'", "0.47", "47c")),
    Typed("a price above a dollar", "1", "1.20", TWO_SIDED, 2, ("out of range",)),
    Typed("a price of nothing", "1", "0.00", TWO_SIDED, 2, ("out of range",)),
    Typed("NaN", "1", "nan", TWO_SIDED, 2, ("price",)),
    Typed("no contracts", "0", "0.41", TWO_SIDED, 2, ("the count must be greater than zero",)),
    Typed("fewer than none", "-5", "0.41", TWO_SIDED, 2, ("the count must be greater than zero, not -5",)),
    Typed("a thousandth of a contract", "0.001", "0.41", TWO_SIDED, 2, ("smallest step is 0.01",)),
    Typed("a million and more", "99999999", "0.41", TWO_SIDED, 2, ("one million",)),
    Typed("off the grid", "1", "0.415", TWO_SIDED, 2, ("$0.415 is off the price grid of", "$0.41 and $0.42")),
    Typed("off the coarse part of a fine grid", "1", "0.415", FINE, 2, ("$0.41 and $0.42",)),
    Typed("an unknown market", "1", "0.41", "KXNOWHERE-1", 4, ("market KXNOWHERE-1", "markets --search")),
    Typed("a closed market", "1", "0.41", CLOSED, 3, ("MARKET_NOT_OPEN", f"kalshi market {CLOSED}")),
    Typed("far through the book", "1", "0.99", TWO_SIDED, 3, ("PRICE_COLLAR", "risk.price_collar")),
)


@pytest.mark.parametrize("typed", TYPED, ids=lambda typed: typed.name)
def test_an_order_that_cannot_be_meant_is_refused_and_explained(exchange: Served, typed: Typed) -> None:
    ended = buy(typed.ticker, count=typed.count, price=typed.price)
    assert_refused(ended, typed.code, *typed.says)
    assert exchange.resting() == []


@pytest.mark.parametrize("typed", [typed for typed in TYPED if typed.code == 2 and "grid" not in typed.name], ids=str)
def test_what_cannot_be_read_is_refused_before_anything_is_written(exchange: Served, typed: Typed) -> None:
    before = files(exchange.home)
    buy(typed.ticker, count=typed.count, price=typed.price)
    assert files(exchange.home) == before


def test_an_id_that_the_exchange_rejects_is_refused_and_stays_free(exchange: Served) -> None:
    before = files(exchange.home)
    for more in ((), ("--dry-run",)):
        ended = program("buy", TWO_SIDED, "1", "@0.2", "--client-order-id", "v1.0-a", *more)
        assert_refused(ended, 2, "client_order_id must have only letters, digits, - and _", "letters, digits")
    assert files(exchange.home) == before


def test_a_price_on_the_fine_part_of_a_grid_is_taken(exchange: Served) -> None:
    assert buy(FINE, price="3.1c").code == 0
    assert [price for _, _, price, _ in exchange.resting()] == [310]


def test_a_missing_flag_is_named(exchange: Served) -> None:
    ended = program("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "1")
    assert_refused(ended, 2, "--price", "kalshi order place -h")


@pytest.mark.parametrize("typed", ["cancelall", "kill", "halt"])
def test_a_name_that_is_tried_for_the_kill_switch_names_it_and_sends_nothing(exchange: Served, typed: str) -> None:
    assert_refused(program(typed), 2, f"kalshi {typed}", "cancel all orders: `kalshi cancel-all`")


def test_all_and_a_short_id_say_what_to_type(exchange: Served) -> None:
    ended = program("cancel", "all")
    assert ended.code == 4
    assert "cancel all orders: `kalshi cancel-all`" in ended.err
    assert_refused(program("order", "group", "reset", "62f5"), 4, "type at least 6 characters of its id")


def test_an_unknown_command_suggests_the_nearest(exchange: Served) -> None:
    assert_refused(program("orderbok", TWO_SIDED), 2, "orderbok", "did you mean `kalshi orderbook`?")
    assert_refused(program("trade", "--stratgy", "spike"), 2, "--stratgy", "did you mean --strategy?")
    assert_refused(program("trade", "--strategy", "spyke"), 2, "spyke", "spike")
    assert_refused(program("trade", "--strategy", "spike", "--param", "mvoe=3c"), 2, "mvoe", "move")


def test_a_client_order_id_is_never_used_twice(exchange: Served) -> None:
    assert buy(TWO_SIDED, "--client-order-id", "once").code == 0
    assert_refused(buy(TWO_SIDED, "--client-order-id", "once", price="0.40"), 3, "once", "kalshi order show once")
    assert len(exchange.resting()) == 1


# -- keys ---------------------------------------------------------------------------------------------------------


def test_no_key_at_all(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    exchange.leave_no_trace()
    assert program("markets").code == 0
    before = files(exchange.home)
    for words in (("balance",), ("positions",), ("order", "list"), ("cancel-all",)):
        ended = program(*words)
        assert ended.code == 5, words
        assert "KALSHI_API_KEY_ID" in ended.err
    assert_refused(buy(), 5, "key", "KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH")
    assert files(exchange.home) == before


def test_a_key_id_without_a_key(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    assert_refused(program("balance"), 5, "credentials.sim.private_key_path is missing", "KALSHI_PRIVATE_KEY_PATH")


def test_a_key_file_that_is_not_there(exchange: Served) -> None:
    exchange.key_path.unlink()
    assert_refused(program("balance"), 5, str(exchange.key_path), "file not found", "correct the path")


def test_a_key_file_that_is_no_key(exchange: Served) -> None:
    exchange.key_path.write_text("-----BEGIN PRIVATE KEY-----\nbm9wZQ==\n-----END PRIVATE KEY-----\n")
    assert_refused(program("balance"), 5, "not a PEM private key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_can_read_is_refused_with_the_command_that_helps(exchange: Served, mode: int) -> None:
    exchange.key_path.chmod(mode)
    assert_refused(program("balance"), 5, f"mode {mode:04o}", f"chmod 600 {exchange.key_path}")
    exchange.key_path.chmod(0o600)
    assert program("balance").code == 0


def test_a_key_that_belongs_to_another_id(exchange: Served) -> None:
    key = Ed25519PrivateKey.generate()
    exchange.key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert_refused(program("balance"), 5, "does not match this key id", "KALSHI_PRIVATE_KEY_PATH")


def test_a_key_id_that_the_exchange_does_not_know(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_API_KEY_ID", "00000000-0000-4000-8000-00000000dead")
    ended = program("balance")
    assert_refused(ended, 5, "does not know this key id", "demo and prod use separate keys")
    assert "00000000dead" not in ended.err


@pytest.mark.parametrize(("shift_s", "way"), [(60, "behind"), (-60, "ahead")])
def test_a_wrong_clock_is_told_how_far_and_which_way(exchange: Served, shift_s: int, way: str) -> None:
    exchange.clock.shift_s = shift_s
    ended = program("balance")
    assert_refused(ended, 5, f"s {way}", "clock")
    seconds = int(ended.err.split("Your clock is ")[1].split(" s ")[0])
    assert 58 <= seconds <= 62
    health = program("health-check", "--json")
    assert health.code == 2
    (clock,) = [row for row in health.json if row["check"] == "clock"]
    assert clock["status"] == "CRITICAL"
    assert way in clock["detail"]


# -- configuration ------------------------------------------------------------------------------------------------


def test_a_file_that_is_no_yaml(exchange: Served) -> None:
    Path("config.yaml").write_text("risk:\n  max_position: [25\n")
    assert_refused(program("markets"), 2, "config.yaml (line 3)", "config.example.yaml")


def test_an_unknown_key_suggests_the_nearest(exchange: Served) -> None:
    Path("config.yaml").write_text("risk:\n  max_positon: 25\n")
    assert_refused(program("markets"), 2, "risk.max_positon", "did you mean max_position?", "config.yaml")


def test_all_problems_are_told_at_once(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("config.yaml").write_text("risk:\n  max_position: lots\ntrade:\n  interval_s: 0\n")
    monkeypatch.setenv("KALSHI_RISK__MIN_EDGE", "yes please")
    assert_refused(program("config", "check"), 2, "3 problems", "max_position", "interval_s", "KALSHI_RISK__MIN_EDGE")


def test_an_interval_that_reads_of_the_account_and_halts_would_wait_for_too_long_is_refused(exchange: Served) -> None:
    assert_refused(
        program("trade", "--strategy", "spike", "--interval", "11s"), 2, "--interval is at most 10s", "halts"
    )


def durations(path: tuple[str, ...], command: Any) -> Iterator[tuple[str, ...]]:
    """Every option of every command below that takes a duration, with the words before it."""
    for name in command.list_commands(None) if hasattr(command, "list_commands") else ():
        yield from durations((*path, name), command.get_command(None, name))
    for param in command.params:
        if param.metavar == "DURATION":
            yield (*path, param.opts[0])


EVERY_DURATION = list(durations((), root()))


@pytest.mark.parametrize("words", EVERY_DURATION, ids=" ".join)
def test_the_unit_of_a_duration_is_never_guessed(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    if words[0] == "check":
        assert "add a unit: 3s, 3m, 3h or 3d" in program(*words, "3").out
    else:
        assert_refused(program(*words, "3"), 2, f"'{words[-1]}': add a unit: 3s, 3m, 3h or 3d")


def test_those_that_cost_money_are_among_the_durations() -> None:
    assert {("lock", "--for"), ("trade", "--duration"), ("order", "place", "--expires-in")} <= set(EVERY_DURATION)


def test_a_configuration_file_that_was_named_must_be_there(exchange: Served) -> None:
    assert_refused(program("markets", "--config", "nowhere.yaml"), 2, "nowhere.yaml", "--config")


def test_an_address_without_tls_is_refused_beyond_this_machine(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_REST_URL", "http://example.com/trade-api/v2")
    assert_refused(program("markets"), 2, "https")


def test_a_broken_strategy_section_does_not_stop_the_kill_switch(exchange: Served) -> None:
    assert buy().code == 0
    Path("config.yaml").write_text("strategies: 17\nrisk:\n  max_positon: 3\n")
    assert program("balance").code == 2
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["remaining"], ended.json["halted"]) == (0, 0, True)
    assert "Ignored configuration problem" in ended.err
    assert exchange.resting() == []


# -- the exchange -------------------------------------------------------------------------------------------------


def test_more_than_there_is_cash_for(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ORDER_COUNT", "5000"),
        ("ORDER_COST", "5000"),
        ("POSITION", "5000"),
        ("EXPOSURE", "5000"),
        ("EVENT_EXPOSURE", "5000"),
        ("CHURN", "5000"),
    ):
        monkeypatch.setenv(f"KALSHI_RISK__MAX_{name}", value)
    assert_refused(buy(count="4000"), 4, "insufficient", "kalshi balance")
    assert exchange.resting() == []


def test_an_order_on_an_empty_book_rests(exchange: Served) -> None:
    assert buy(EMPTY, price="0.05").code == 0
    assert program("orderbook", EMPTY, "--json").json["best_ask"] is None


def test_a_price_that_could_be_compared_with_nothing_is_told_of_before_it_is_sent(exchange: Served) -> None:
    first = "the price could not be compared"
    assert first in buy(EMPTY, "--dry-run", price="0.95").err
    assert first not in buy(ONE_SIDED, "--dry-run", price="0.13").err


def test_an_order_that_must_fill_now_on_a_side_that_is_empty_fills_nothing(exchange: Served) -> None:
    ended = buy(ONE_SIDED, "--tif", "ioc", "--json", price="0.13")
    assert (ended.code, ended.json["filled"], ended.json["status"]) == (0, "0.00", "canceled")
    assert_refused(buy(ONE_SIDED, "--tif", "fok", "-q", price="0.13"), 4, "fill or kill", "nothing traded")
    assert program("positions", "--json").json == []
    assert exchange.resting() == []


def test_a_position_that_nobody_would_take_is_marked_at_the_last_price(exchange: Served) -> None:
    exchange.submit("maker", EMPTY, BID, "0.20", "3")
    exchange.submit(ME, EMPTY, ASK, "0.20", "3")
    assert program("orderbook", EMPTY, "--json").json["yes_asks"] == []
    (row,) = program("positions", "--json").json
    assert (row["side"], row["count"], row["mark"], row["unrealized"]) == ("no", "3.00", "0.8000", "0.000000")
    assert program("pnl").code == 0


def test_an_order_that_is_gone_cannot_be_canceled_and_the_others_are(exchange: Served) -> None:
    here = buy(TWO_SIDED, "--json").json["order_id"]
    ended = program("order", "cancel", "00000000-0000-0000-0000-00000000ffff", here, "--json")
    assert ended.code == 4
    assert [row["canceled"] for row in ended.json] == [False, True]
    assert exchange.resting() == []


@pytest.mark.parametrize(
    "words",
    [
        ("markets",), ("market", TWO_SIDED), ("orderbook", TWO_SIDED), ("exchange",), ("balance",), ("positions",),
        ("fills",), ("pnl",), ("order", "list"), ("order", "show", "x"), ("order", "cancel", "x"),
        ("trade", "--strategy", "spike", "--duration", "1s"), ("record", TWO_SIDED, "--out", "x.jsonl"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_exchange_that_is_down_is_unreachable_for_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with served(tmp_path) as one:
        one.vanish()
        set_variables(monkeypatch, tmp_path, one.variables())
        ended = program(*words, "--json")
    assert ended.code == 6, ended.err
    assert ended.error["exit_code"] == 6
    assert not ended.out or ended.json == [ended.json[0] | {"canceled": False}]
    assert not Path("x.jsonl").exists()


def test_the_kill_switch_against_an_exchange_that_is_down_says_that_orders_may_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(tmp_path) as one:
        one.vanish()
        set_variables(monkeypatch, tmp_path, one.variables())
        ended = program("cancel-all", "--within", "0.5s", "--json")
    assert (ended.code, ended.json["halted"]) == (7, True)
    assert "not verified" in ended.error["message"]


# -- nothing is created -------------------------------------------------------------------------------------------

WITHOUT_AN_EXCHANGE = (
    "--help", "-h", "--version", "markets -h", "order -h", "order place -h", "trade -h", "sim serve -h", "strategies",
    "strategies spike", "config show", "config path", "config check", "status", "nonsense", "markets --nonsense",
    "order place X --side yes --action buy --count 1 --price 47", "trade --strategy nonsense", "trade",
    "backtest --strategy spike --data nowhere.jsonl", "resume", "markets --config nowhere.yaml", "markets --env mars",
    "record X --out tape.jsonl --param move=4c", "record X --out tape.jsonl --strategy nonsense",
)  # fmt: skip


@pytest.mark.parametrize("line", WITHOUT_AN_EXCHANGE)
def test_help_and_what_fails_at_once_create_nothing(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    ended = program(*line.split())
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_strategy_file_with_a_mistake_is_the_users_mistake_not_a_bug(exchange: Served) -> None:
    Path("mine.py").write_text("class Mine(:\n")
    assert_refused(program("trade", "--strategy", "./mine.py:Mine", "--duration", "1s"), 2, "mine.py")
    Path("mine.py").write_text("1 / 0\n")
    assert_refused(program("trade", "--strategy", "./mine.py:Mine", "--duration", "1s"), 2, "mine.py", "division")
    Path("mine.py").write_text("import sys\nsys.exit()\n")  # it would have ended this program, as one that did all
    assert_refused(program("trade", "--strategy", "./mine.py:Mine", "--duration", "1s"), 2, "mine.py", "SystemExit")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--param", "move=4c"), "--param needs the --strategy it belongs to"),
        (("--strategy", "nonsense"), "Unknown strategy: 'nonsense'"),
        (("--strategy", "model-edge"), "source: required"),
        (("--strategy", "spike", "--param", "mvoe=4c"), "did you mean move"),
    ],
)
def test_what_a_recording_should_hear_is_refused_before_a_file_is_there(
    exchange: Served, more: tuple[str, ...], words: str
) -> None:
    ended = program("record", TWO_SIDED, "--out", "tape.jsonl", *more)
    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert not (exchange.home / "tape.jsonl").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("news", "--param", "source=webhook:here"), "Invalid port"),
        (("model-edge,market-maker", "--param", "model-edge.source=a.csv", "--param", "market-maker.source=b.csv"),
         "share one source of fair values"),
    ],
)  # fmt: skip
def test_a_recording_that_is_refused_once_its_file_is_there_leaves_none(
    exchange: Served, more: tuple[str, ...], words: str
) -> None:
    ended = program("record", TWO_SIDED, "--out", "tape.jsonl", "--strategy", *more)
    assert (ended.code, words in ended.err) == (2, True), ended.err
    assert not Path("tape.jsonl").exists(), "it would be in the way of the next"


@pytest.mark.parametrize(("source", "is_told"), [("nowhere.jsonl", True), ("news.jsonl", False)])
def test_news_of_a_file_that_is_not_there_are_waited_for_aloud(exchange: Served, source: str, is_told: bool) -> None:
    Path("news.jsonl").touch()
    news = ("--strategy", "news", "--param", f"source={source}")
    ended = program("record", TWO_SIDED, "--out", "tape.jsonl", *news, "--duration", "0.2s")
    assert ended.code == 0, ended.err
    assert (f"{source} does not exist yet" in ended.err) is is_told, ended.err


def test_a_recording_is_never_written_over(exchange: Served) -> None:
    Path("tape.jsonl").write_text("precious\n")
    assert_refused(
        program("record", TWO_SIDED, "--out", "tape.jsonl", "--duration", "1s"), 2, "tape.jsonl already exists"
    )
    assert Path("tape.jsonl").read_text() == "precious\n"


def test_a_recording_that_is_none_is_named_with_the_line(exchange: Served) -> None:
    Path("tape.jsonl").write_text('{"recv_ns": 1}\nnot json\n')
    assert_refused(program("backtest", "--strategy", "spike", "--data", "tape.jsonl"), 2, "tape.jsonl:", "recording")


def test_lines_that_hold_no_market_are_no_recording(exchange: Served) -> None:
    Path("tape.jsonl").write_text('{"recv_ns": 1, "frame": {}}\n')
    ended = program("backtest", "--strategy", "spike", "--data", "tape.jsonl")
    assert_refused(ended, 2, "No market found in tape.jsonl", "kalshi record")


def test_a_recording_without_a_line_is_refused_as_empty(exchange: Served) -> None:
    Path("tape.jsonl").write_text("")
    ended = program("backtest", "tape.jsonl", "--strategy", "spike")
    assert_refused(
        ended, 2, "No market found in tape.jsonl: there is no recorded message", "that `kalshi record` wrote"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("results.json", '{"KXA-1": "yes"}'),
        ("results.json", '{\n"KXA-1": "yes"\n}\n'),
        ("results.json", '[\n{\n"ticker": "KXA-1",\n"result": "no"\n}\n]\n'),
        ("settled.jsonl", '{"ticker": "KXA-1", "result": "no"}\n'),
    ],
)
def test_results_that_are_given_as_a_recording_are_refused_with_the_option_for_them(
    exchange: Served, name: str, text: str
) -> None:
    Path(name).write_text(text)
    Path("tape.jsonl").write_text('{"recv_ns": 1, "frame": {}}\n')
    search = ("optimize", "threshold", "tape.jsonl", name, "--param", "buy_below=20c,30c", "--sampler", "grid")
    for words in (("backtest", "tape.jsonl", name, "--strategy", "spike"), search):
        assert_refused(program(*words), 2, f"{name} has results of markets, not a recording", "hint: use --results ")


def test_settings_of_a_strategy_that_is_nearly_the_one_of_the_run_are_told(exchange: Served) -> None:
    Path("config.yaml").write_text("strategies: {spkie: {move: 0.04}}\n")
    Path("tape.jsonl").write_text('{"recv_ns": 1, "frame": {}}\n')
    ended = program("--config", "config.yaml", "backtest", "--strategy", "spike", "--data", "tape.jsonl")
    assert "strategies.spkie in the configuration matches no strategy; did you mean spike?" in ended.err
