"""Every command that prints what somebody else wrote, while somebody else writes to hurt: titles, rules, messages.

Each answer of the exchange has its texts replaced on the way. `LINES` are the command lines; a command that is in
neither list fails the last test.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from support.hostile_text import HOSTILE, LONE, check_output, endless, harmful
from support.polymarket import OTHER, TOKEN, book, market, polymarket
from support.quotes import COLLECTION, MILESTONE, answer, ask, with_collection, with_season
from support.served import FINE, KEY_ID, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Price, Ts, contracts
from kalshi_cli.cli.completion import completions
from kalshi_cli.cli.global_options import GlobalOptions
from kalshi_cli.cli.main import root
from kalshi_cli.core.model.effects import AlertRaised, OrderChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.store.records import Halt
from kalshi_cli.store.sqlite_store import Store

QUICKLY = (("prose", "table"), ("prose", "json"), ("prose", "csv"), ("ids", "plain"))
SLOWLY = (("prose", "plain"), ("ids", "json"))
"""Which texts are replaced, and the format of what is printed. Every format of every row is in test_hostile_rows."""

LINES: dict[str, tuple[str, ...]] = {
    "markets": ("markets", "markets --search rain --sort spread", "markets --offline"),
    "market": (f"market {FINE}", "market KXNOTHING-1"),
    "events": ("events",),
    "event": ("event KXRAIN-40JAN01", "event KXNOTHING"),
    "series": ("series --volume",),
    "series-info": ("series-info KXRAIN",),
    "orderbook": (f"orderbook {TWO_SIDED}", "orderbook KXNOTHING-1"),
    "scan arbitrage": ("scan arbitrage",),
    "scan spread": ("scan spread",),
    "scan movers": ("scan movers",),
    "scan cheap": ("scan cheap --below 20c",),
    "scan closing": ("scan closing",),
    "scan cross-venue": ("scan cross-venue --map pairs.csv {polymarket}",),
    "trades": (f"trades {TWO_SIDED} --limit 2",),
    "candles": (f"candles {TWO_SIDED} --interval 1d",),
    "exchange": ("exchange",),
    "watch": (f"watch {TWO_SIDED} --duration 0.1s",),
    "catalog status": ("catalog status",),
    "catalog refresh": ("catalog refresh",),
    "milestones": ("milestones --past",),
    "live": (f"live --milestone {MILESTONE}",),
    "incentives": ("incentives --status all --limit 2",),
    "targets": ("targets",),
    "tags": ("tags", "tags --sports"),
    "order list": ("order list --status all",),
    "order show": ("order show {order}", "order show 00000000-0000-0000-0000-00000000dead"),
    "order place": (f"order place {TWO_SIDED} --side yes --action buy --count 90 --price 0.01 --post-only",
                    "order place KXNOTHING-1 --side yes --action buy --count 1 --price 0.41"),
    "buy": (f"buy {TWO_SIDED} 90 @0.01 --post-only", "buy KXNOTHING-1 1 @0.41"),
    "sell": (f"sell {TWO_SIDED} 90 @0.99 --post-only", "sell KXNOTHING-1 1 @0.41"),
    "cancel": ("cancel 00000000-0000-0000-0000-00000000dead",),
    "order cancel": ("order cancel 00000000-0000-0000-0000-00000000dead",),
    "order reconcile": ("order reconcile",),
    "order amend": ("order amend {order} --price 0.39",),
    "order decrease": ("order decrease {order} --by 0.01",),
    "order queue": ("order queue",),
    "order batch": ("order batch orders.ndjson --dry-run",),
    "order group list": ("order group list",),
    "order group show": ("order group show {group}",),
    "order group limit": ("order group limit {group} --limit 90",),
    "order group reset": ("order group reset {group}",),
    "close": (f"close {TWO_SIDED} --dry-run",),
    "flatten": ("flatten --dry-run",),
    "rfq list": ("rfq list",),
    "rfq show": ("rfq show {rfq}",),
    "rfq quotes": ("rfq quotes {rfq}",),
    "rfq accept": ("rfq accept {rfq} {quote} --side yes --dry-run",),
    "rfq delete": ("rfq delete 00000000-0000-0000-0000-00000000dead",),
    "quote list": ("quote list",),
    "quote create": ("quote create 00000000-0000-0000-0000-00000000dead --yes-bid 0.03 --no-bid 95c",),
    "quote confirm": ("quote confirm 00000000-0000-0000-0000-00000000dead",),
    "combos list": ("combos list",),
    "combos show": (f"combos show {COLLECTION}",),
    "portfolio": ("portfolio",),
    "balance": ("balance",),
    "positions": ("positions",),
    "fills": ("fills",),
    "settlements": ("settlements", "settlements --upcoming"),
    "pnl": ("pnl --by event", "pnl --by strategy"),
    "execution": ("execution",),
    "export fills": ("export fills",),
    "export pnl": ("export pnl",),
    "export tax-lots": ("export tax-lots",),
    "transfer list": ("transfer list",),
    "transfer show": ("transfer show 00000000-0000-0000-0000-00000000dead",),
    "allocation show": ("allocation",),
    "subaccounts list": ("subaccounts",),
    "subaccounts netting": ("subaccounts netting",),
    "subaccounts transfers": ("subaccounts transfers",),
    "deposits": ("deposits",),
    "withdrawals": ("withdrawals",),
    "trade": (f"trade --strategy ./quoter.py --ticker {TWO_SIDED} --interval 0.1s --duration 0.2s --paper",),
    "status": ("status",),
    "why": ("why", f"why {TWO_SIDED}"),
    "health-check": ("health-check",),
    "limits show": ("limits",),
    "keys": ("keys",),
    "api": ("api GET /markets", "api GET /events/KXNOTHING"),
    "alerts list": ("alerts",),
    "check all": ("check all --no-notify",),
    "check schema": ("check schema",),
    "check disk": ("check disk",),
    **{f"check {name}": (f"check {name} --no-notify",) for name in (
        "drift", "positions", "pnl", "orders", "balance", "exchange", "feed", "api", "execution", "errors", "heartbeat",
    )},
}  # fmt: skip
"""Command -> lines of it that show what the exchange, or the state file, has to say."""

EXCUSED = {
    **dict.fromkeys(
        ("sim serve", "sim start", "sim stop", "sim reset", "sim status", "sim pause", "sim halt", "sim resume",
         "sim close", "sim settle",
         "sim dispute", "sim amend", "sim clock", "sim shuffle", "sim spot", "sim stream"),
        "speaks to our own simulated exchange only",
    ),
    **dict.fromkeys(
        ("init", "config show", "config path", "config check", "strategies show", "strategies new", "runbook",
         "schema", "catalog clear"),
        "shows what its user wrote, or we",
    ),
    **dict.fromkeys(
        ("order cancel-all", "cancel-all", "order group create", "order group trigger", "order group delete",
         "rfq create", "quote delete", "combos create", "transfer send", "allocation set", "subaccounts create",
         "subaccounts transfer", "limits upgrade", "state rebuild"),
        "changes what the others look at; shows the rows, the remarks and the errors that they show",
    ),
    **dict.fromkeys(
        ("pause", "resume", "stop", "lock", "unlock", "alerts test", "alerts silence", "alerts silences",
         "alerts unsilence", "alerts retry", "backtest", "record", "top", "serve", "data import", "data list",
         "data check", "data export", "data prune", "data download", "optimize", "alerts add", "alerts prices",
         "alerts remove", "alerts run", "watchlist add", "watchlist list", "watchlist remove"),
        "shows its user's words, numbers, and errors like all others",
    ),
}  # fmt: skip

PROSE = {
    "title", "sub_title", "subtitle", "yes_sub_title", "no_sub_title", "rules_primary", "rules_secondary", "name",
    "description", "message", "msg", "details", "category", "tags", "note", "reason", "early_close_condition", "label",
    "error", "detail", "product_metadata", "competition", "scope", "strike_period", "contract_url", "url",
}  # fmt: skip
"""What of an answer is somebody's to write."""

CODES = re.compile(r"-?[\d.]*|\d{4}-\d\d-\d\dT.*|[a-z_]{2,}|https?://.*")
"""Numbers, times, words of a fixed list: what is neither shown as it came nor somebody's to write."""


class Hostile:
    """The exchange's answers, with other texts in them. `mode`: none, `prose`, or `ids` for whatever is no code."""

    def __init__(self, one: Served) -> None:
        self.mode = ""
        self.texts = endless()
        self.put: set[str] = set()
        self._real: Callable[[Request, Ts], Response] = one.exchange.handle
        one.exchange.handle = self.handle  # type: ignore[method-assign]

    def handle(self, request: Request, now: Ts) -> Response:
        response = self._real(request, now)
        if not self.mode or not response.body:
            return response
        found = self._rewritten(json.loads(response.body), "")
        return msgspec.structs.replace(response, body=json.dumps(found, ensure_ascii=False).encode())

    def _rewritten(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: self._rewritten(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._rewritten(inner, key) for inner in value]
        if isinstance(value, str) and self._is_theirs(key, value):
            text = next(self.texts)
            self.put.add(text)
            return text
        return value

    def _is_theirs(self, key: str, value: str) -> bool:
        return key in PROSE if self.mode == "prose" else key != "cursor" and CODES.fullmatch(value) is None


STRATEGY = """
from kalshi_cli.strategies.base import Strategy

class Quoter(Strategy):
    name = "quoter"

    def on_tick(self, view):
        raise ValueError({text!r})
"""


def remember(one: Served) -> None:
    """Hostile texts in the state file, wherever it takes a text."""
    texts = endless()
    now = one.clock.now()
    with Store.open(one.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        for number in range(40):
            text = next(texts)
            store.record(
                AlertRaised(Ts(now - number), "critical" if number % 2 else "warning", "FEED_DOWN", text, next(texts))
            )
            order = Order(
                client_order_id=f"{number} {text}", order_id=f"order {number} {text}", ticker=TWO_SIDED, side=BID,
                price=Price(4_100), qty=contracts(10), status=OrderStatus.CANCELED, created=Ts(now - 60_000),
                updated=Ts(now - 60_000), strategy=text, fair=Price(4_400),
            )  # fmt: skip
            store.record(OrderChanged(order))
        store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "".join(HOSTILE[:60]), now))
    for word in ("'; DROP TABLE alerts; --\x1b[2J", "%", "A:*\u202e[/]"):
        assert program("alerts", "silence", f"DRIFT:{word}", "--for", "2h", "--reason", word).code == 0


pytestmark = pytest.mark.usefixtures("same_clock")

Stage = tuple[Hostile, dict[str, str]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Hostile, dict[str, str]]]:
    home = tmp_path_factory.mktemp("exchange")
    with served(home) as one, polymarket() as theirs, pytest.MonkeyPatch.context() as patch:
        set_variables(patch, one.home, one.variables())
        ids = {"rfq": ask(one)}
        ids["quote"] = answer(one, ids["rfq"], confirms_ms=None)
        one.trade_a_little()
        with_season(one)
        with_collection(one)
        ids["group"] = program("order", "group", "create", "--limit", "100", "--json").json["order_group_id"]
        ids["order"] = one.resting()[0][0]
        ids["polymarket"] = " ".join(theirs.options)
        theirs.books[TOKEN] = book(TOKEN, [("0.55", "30")], [("0.58", "80")])
        theirs.markets["rain"] = [market("rain", (TOKEN, OTHER), ("[/]\x1b[2J\u202e|" * 20, "No"))]
        (one.home / "pairs.csv").write_text(f"ticker,polymarket,side\n{TWO_SIDED},{TOKEN},yes\n{FINE},rain,no\n")
        assert program("order", "reconcile").code == 0
        assert program("catalog", "refresh").code == 0
        remember(one)
        (one.home / "quoter.py").write_text(STRATEGY.format(text="[/]\x1b[2J\u202e|" * 20))
        (one.home / "orders.ndjson").write_text(
            json.dumps({"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.41"}) + "\n"
        )
        yield one, Hostile(one), ids
        one.exchange.problems.clear()  # of a few writes the answers are held against the specification elsewhere


@pytest.fixture
def stage(shared: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Hostile, dict[str, str]]]:
    one, hostile, ids = shared
    set_variables(monkeypatch, one.home, {**one.variables(), "KALSHI_LOGS__ENABLED": "true"})
    for module in ("readings", "pnl"):  # a finding is read again after a pause
        monkeypatch.setattr(f"kalshi_cli.services.monitoring.checks.{module}.AGAIN_S", 0.01)
    yield hostile, ids
    hostile.mode = ""


@contextmanager
def lying(hostile: Hostile, mode: str) -> Iterator[None]:
    hostile.mode = mode
    try:
        yield
    finally:
        hostile.mode = ""


def assert_harmless(line: str, form: str, ended: Ended) -> None:
    assert ended.code in set(ExitCode) - {ExitCode.BUG}, ended.err
    assert "Traceback" not in ended.err
    assert harmful(ended.err) == ""
    is_raw = line.startswith("api ") and form not in ("table", "json")  # as it came is what it is for
    assert harmful(ended.out) == ""
    if not is_raw:
        check_output(ended.out, form)
    if line.startswith("check "):
        assert ended.code in range(4)
        assert form not in ("table", "plain") or len((ended.out + ended.err).splitlines()) <= 20


TAKES_LONG = ("watch", "trade", "close", "flatten", "status")


@pytest.mark.parametrize("command", LINES)
def test_a_command_is_harmless_whatever_the_exchange_says(command: str, stage: Stage) -> None:
    hostile, ids = stage
    is_slow = command.startswith("check ") or command in TAKES_LONG
    for line in LINES[command]:
        words = shlex.split(line.format(**ids))
        for mode, form in SLOWLY if is_slow else QUICKLY:
            with lying(hostile, mode):
                assert_harmless(line, form, program(*words, "--format", form))


def test_what_was_put_in_comes_out(stage: Stage) -> None:
    """The tests above look at something: the texts are read, and what is harmless of them is shown."""
    hostile, _ = stage
    seen = ""
    with lying(hostile, "prose"):
        for line in 4 * ("markets", "events", "series-info KXRAIN", "milestones --past"):
            seen += program(*line.split(), "--json").out
    assert sum(1 for text in hostile.put if len(safe_text(text)) > 5 and json.dumps(safe_text(text))[1:-1] in seen) > 5
    assert any(harmful(text) for text in hostile.put)


def test_titles_kept_for_later_are_harmless(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile, _ = stage
    with lying(hostile, "prose"):
        assert program("catalog", "refresh").code == 0
        assert program("catalog", "clear").code == 0
        assert program("catalog", "refresh").code == 0
    for form in ("table", "plain", "csv"):
        assert_harmless("markets", form, program("markets", "--offline", "--limit", "100", "--format", form))
    shown = [words for kind in ("market", "event", "series") for words in completions(kind, GlobalOptions(), "KX")]
    assert shown
    for word in shown:
        assert harmful(" ".join(word)) == ""
        assert not set("'\"`$\\;|<>&()[]{}\n") & set(" ".join(word))


WORDS = [text for text in (*HOSTILE[:200:10], *LONE) if text and "\x00" not in text]


@pytest.mark.parametrize(
    "words", [("market",), ("markets", "--search"), ("--env",), ("order", "show"), ("why",), ("",)]
)
def test_what_is_typed_is_shown_harmlessly(words: tuple[str, ...], stage: Stage) -> None:
    before = [word for word in words if word]
    for text in WORDS:
        ended = program(*before, text)
        assert ended.code in set(ExitCode) - {ExitCode.BUG}, ended.err
        assert harmful(ended.err + ended.out) == ""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    for name in names:
        yield from commands(command.get_command(None, name), (*path, name))
    if not names:
        yield " ".join(path)


def test_no_command_is_forgotten() -> None:
    assert set(LINES) & set(EXCUSED) == set()
    assert set(commands(root())) == set(LINES) | set(EXCUSED)
