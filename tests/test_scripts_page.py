"""Each script of the page about scripts does what it says, against an exchange behind real sockets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.places import ROOT
from support.processes import write_short_cut
from support.served import EMPTY, ME, ONE_SIDED, TWO_SIDED, Served, program

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import ONE_DOLLAR, cents, contracts, parse_ts
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.exchange.rest.call import READ

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("bash", "jq", "flock")), reason="the scripts need bash, jq and flock"
)

BLOCKS = re.findall(r"```sh\n(#!.*?)```", (ROOT / "docs/scripts.md").read_text(), re.DOTALL)
SCRIPTS = {re.findall(r"^# ([\w-]+\.sh)", block, re.MULTILINE)[0]: block for block in BLOCKS}


def prepare(home: Path) -> None:
    """Write the scripts, which pause for no time, and a `kalshi` for them, unless they are there."""
    programs = home / "bin"
    if programs.exists():
        return
    programs.mkdir()
    write_short_cut(programs)
    for name, text in SCRIPTS.items():
        (home / name).write_text(text.replace('sleep "$pause"', "sleep 0"))


def script(home: Path, name: str, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of the page, without a terminal."""
    prepare(home)
    file, path = home / name, f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(file), *words], env={**os.environ, "PATH": path}, cwd=cwd or home, capture_output=True, text=True,
        timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        monkeypatch.setenv("KALSHI_REST_URL", one.moved(exchange.server.rest_url))
        yield one


def test_every_script_of_the_page_is_tested() -> None:
    tested = set(re.findall(r'script\([\w.]+, "([\w-]+\.sh)"', Path(__file__).read_text()))
    assert tested == set(SCRIPTS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("buy-retry.sh", ("KX-1", "1")),
        ("rebalance.sh", ("KX-1",)),
        ("rebalance.sh", ("KX-1", "abc")),
        ("buy-below.sh", ("KX-1", "3", "abc")),
        ("cancel-old.sh", ()),
        ("cancel-old.sh", ("1h",)),
        ("ladder.sh", ("KX-1", "2")),
        ("export-fills.sh", ()),
        ("losses.sh", ("",)),
    ],
)
def test_wrong_arguments_are_answered_with_the_usage(tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    (usage,) = re.findall(r"^# (.*?):", SCRIPTS[name], re.MULTILINE)
    ended = script(tmp_path, name, *words)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"usage: {usage}\n")


def test_it_trades_to_a_position_of_either_outcome(exchange: Served) -> None:
    def held() -> float:
        return sum(float(row["position"]) for row in program("positions", "--json").json if row["ticker"] == TWO_SIDED)

    for target, ticker in ((5, TWO_SIDED), (5, TWO_SIDED.lower()), (2, TWO_SIDED.lower()), (-3, TWO_SIDED)):
        ended = script(exchange.home, "rebalance.sh", ticker, str(target))
        assert (ended.returncode, held()) == (0, target), ended.stderr
    again = script(exchange.home, "rebalance.sh", TWO_SIDED, "-3")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "already at -3\n")
    assert exchange.resting() == []


def test_a_position_that_is_not_reached_is_an_error(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "8")
    ended = script(exchange.home, "rebalance.sh", TWO_SIDED, "10")
    assert (ended.returncode, json.loads(ended.stdout)["filled"], ended.stderr) == (
        1,
        "8.00",
        "not all filled: run this again\n",
    )


def test_two_runs_at_once_trade_to_the_position_once(exchange: Served) -> None:
    prepare(exchange.home)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(script, exchange.home, "rebalance.sh", TWO_SIDED, "10") for _ in range(2)]
    assert sorted(bool(run.result().stdout) for run in runs) == [False, True], [run.result().stderr for run in runs]
    assert [row["position"] for row in program("positions", "--json").json] == ["10.00"]


def test_it_names_the_side_that_has_no_quote(exchange: Served) -> None:
    ended = script(exchange.home, "rebalance.sh", EMPTY, "5")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{EMPTY} has no best_ask now\n")
    assert script(exchange.home, "rebalance.sh", "NOPE", "5").returncode == ExitCode.REJECTED


def test_it_stops_waiting_where_no_price_can_come(exchange: Served) -> None:
    unknown = script(exchange.home, "buy-below.sh", "NOPE", "3", "0.45")
    assert (unknown.returncode, unknown.stdout) == (ExitCode.REJECTED, "")
    assert "NOPE" in unknown.stderr
    assert "no such price" not in unknown.stderr
    wrong = script(exchange.home, "buy-below.sh", TWO_SIDED, "3", "abc")
    assert (wrong.returncode, wrong.stdout, "no such price" in wrong.stderr) == (2, "", False)
    exchange.call(lambda: exchange.exchange.settle(TWO_SIDED, ONE_DOLLAR, exchange.clock.now()))
    over = script(exchange.home, "buy-below.sh", TWO_SIDED, "3", "0.45")
    assert (over.returncode, over.stderr) == (1, "no such price until trading ended, or for 8 hours\n")


def test_an_export_of_a_bad_date_stops_at_it(exchange: Served) -> None:
    ended = script(exchange.home, "export-fills.sh", ".", "2026-13-25")
    assert (ended.returncode, ended.stderr.count("\n"), "2026-13-25" in ended.stderr) == (1, 1, True), ended.stderr


@pytest.mark.parametrize("to", ["> /dev/full", ">&-", "| true"])
def test_an_order_whose_output_is_lost_is_placed_and_said_to_be(exchange: Served, to: str) -> None:
    command = f"set -o pipefail; {Path(sys.executable).parent}/kalshi -q buy {TWO_SIDED} 1 @0.41 --json {to}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=exchange.home, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert ended.returncode == ExitCode.FAILED
    error = json.loads(ended.stderr.splitlines()[-1])["error"]
    assert "stays sent" in error["hint"]
    ((order_id, *_),) = exchange.resting()
    assert (error["code"], error["order_id"]) == ("output_lost", order_id)


@pytest.mark.parametrize("words", [f"buy {TWO_SIDED} 1 @0.41 --dry-run", "buy -h", "order list", "api GET /markets"])
def test_a_command_that_sent_nothing_may_lose_its_reader(exchange: Served, words: str) -> None:
    command = f"set -o pipefail; {Path(sys.executable).parent}/kalshi -q {words} | true"
    ended = subprocess.run(["bash", "-c", command], cwd=exchange.home, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_it_buys_at_the_price_that_is_there_also_far_below_the_limit(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "8")
    for limit in ("0.45", "0.99"):  # farther from the ask than the price collar allows
        ended = script(exchange.home, "buy-below.sh", TWO_SIDED, "3", limit)
        assert ended.returncode == 0, ended.stderr
        row = json.loads(ended.stdout)
        assert (row["filled"], row["price"]) == ("3.00", "0.4500")
    assert program("buy", TWO_SIDED, "3", "@0.99").code == 3, "so this limit alone is refused"


def test_it_cancels_old_orders_alone(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.4000", "5")
    assert json.loads(script(exchange.home, "cancel-old.sh", "3600").stdout) == []
    assert len(exchange.resting()) == 1
    ended = script(exchange.home, "cancel-old.sh", "-60")
    assert (ended.returncode, [row["canceled"] for row in json.loads(ended.stdout)]) == (0, [True])
    assert exchange.resting() == []


def test_it_places_an_order_at_each_price(exchange: Served) -> None:
    ended = script(exchange.home, "ladder.sh", TWO_SIDED, "2", "40c", "0.41")
    assert [json.loads(line)["status"] for line in ended.stdout.splitlines()] == ["resting", "resting"], ended.stderr
    assert {(price, count) for _, _, price, count in exchange.resting()} == {
        (cents(40), contracts(2)),
        (cents(41), contracts(2)),
    }


def test_it_exports_fills_and_reports_losses(exchange: Served) -> None:
    exchange.trade_a_little()
    zone = ZoneInfo("America/New_York")
    days = [day_of(parse_ts(row["time"]), zone) for row in program("export", "fills", "--json").json]
    ended = script(exchange.home, "export-fills.sh", str(exchange.home), days[0])
    lines = Path(ended.stdout.strip()).read_text().splitlines()
    assert lines[0] == '"time","ticker","action","side","count","side_price","closed","value","fee"'
    assert len(lines) == 1 + days.count(days[0])
    before = script(exchange.home, "export-fills.sh", str(exchange.home))
    assert (before.returncode, len(Path(before.stdout.strip()).read_text().splitlines())) == (0, 1), before.stderr
    losing = script(exchange.home, "losses.sh", "0.01")
    assert (losing.returncode, losing.stderr) == (0, "")
    assert {line.split()[0] for line in losing.stdout.splitlines()} <= {TWO_SIDED, ONE_SIDED}
    assert losing.stdout != ""
    assert script(exchange.home, "losses.sh", "500").stdout == ""
    exchange.vanish()
    assert script(exchange.home, "export-fills.sh", str(exchange.home)).returncode == ExitCode.UNREACHABLE
    assert list(exchange.home.glob("*.part")) == []


def test_a_position_without_a_price_hides_no_loss() -> None:
    (filter_text,) = re.findall(r"jq -r --argjson limit \"\$1\" '(.*?)'", SCRIPTS["losses.sh"], re.DOTALL)
    rows = [{"ticker": "A", "unrealized": None}, {"ticker": "B", "unrealized": "-5.000000"}]
    words = ["jq", "-r", "--argjson", "limit", "1", filter_text]
    ended = subprocess.run(words, input=json.dumps(rows), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "B -5.000000\n"), ended.stderr


def test_it_repeats_while_the_exchange_is_busy_and_explains_what_it_does_not_repeat(
    exchange: Served, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("status_500", "GET", r"/orderbook", times=READ.tries))  # all of the first run
    ended = script(exchange.home, "buy-retry.sh", TWO_SIDED, "1", "0.41")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert json.loads(ended.stdout)["status"] == "resting"
    assert len(exchange.resting()) == 1
    assert proxy.faults[0].hits > READ.tries
    refused = script(exchange.home, "buy-retry.sh", TWO_SIDED, "1000", "0.41")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("ORDER_SIZE: Refused: 1000 contracts")


def test_a_job_with_an_id_repeats_what_was_not_sent_and_buys_once(exchange: Served, proxy: FaultProxy) -> None:
    prepare(exchange.home)
    file = exchange.home / "buy-retry.sh"
    file.write_text(file.read_text().replace('"@$3" --json', '"@$3" --client-order-id "daily-$(date +%F)" --json'))
    busy = b'{"error": "too many requests"}'
    proxy.faults.append(Fault("status", "POST", "/portfolio/events/orders$", status=429, body=busy, times=3))
    ended = script(exchange.home, "buy-retry.sh", TWO_SIDED, "1", "0.41")
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    assert (proxy.faults[0].hits, len(exchange.resting())) == (4, 1)
    again = script(exchange.home, "buy-retry.sh", TWO_SIDED, "1", "0.41")
    assert (again.returncode, again.stderr[:12]) == (3, "DUPLICATE_ID")
    assert len(exchange.resting()) == 1
