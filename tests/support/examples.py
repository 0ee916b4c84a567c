"""The examples of the help texts and of the README, and a place in which each of them can be typed.

What an example names is replaced by what there is: markets, events, ids, files.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kalshi_cli.base.units import contracts
from kalshi_cli.cli.main import ENTRIES, Root, root
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.services.research.strategies import TEMPLATE
from kalshi_cli.simulator.model.quote_records import QuoteRecord
from kalshi_cli.simulator.protocol.replies import RejectionError
from kalshi_cli.store.sqlite_store import Store
from support.notice_receiver import Receiver
from support.places import ROOT
from support.polymarket import TOKEN, Polymarket, book
from support.quotes import COLLECTION, MILESTONE, NO, YES, accept, answer, ask, with_collection, with_season
from support.served import FINE, KEY_ID, ME, TWO_SIDED, Ended, Served, program
from support.tapes import scheduler_here

README = ROOT / "README.md"
STRATEGIES = ROOT / "docs/write-a-strategy.md"
"""The page that shows the strategy that `kalshi strategies new fade` writes."""
ID = "2597b999-f887-4195-8bac-c3f97a1f2021"
PREFIX = ID[:8]
TEN = contracts(10)
NOT_OURS = r"KX(?!NBA|MVE|RAIN|WIND)\w+"
"""Series that the exchange of `served` does not have."""


def of_help(name: str, command: Any) -> Iterator[str]:
    """The examples of a command, or of every command of a group."""
    if hasattr(command, "commands"):
        for sub, inner in command.commands.items():
            yield from of_help(f"{name} {sub}", inner)
        return
    for line in (command.help or "").partition("\b\n")[2].splitlines():
        if "kalshi " in line:
            yield line.strip()


def of_readme() -> Iterator[str]:
    """The lines of its shell blocks that start this program."""
    for block in re.findall(r"```sh\n(.*?)```", README.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("kalshi "):
                yield line.partition("  #")[0].strip()


def by_command() -> dict[str, list[str]]:
    """Every example once, under the first word of its command, or README; those of the simulated exchange apart."""
    found = {name: list(of_help(name, root().get_command(None, name))) for name in ENTRIES}
    found["README"] = list(of_readme())
    seen: set[str] = set()
    apart: list[str] = []
    for name, lines in found.items():
        new = [line for line in dict.fromkeys(lines) if line not in seen]
        seen.update(new)
        apart += [line for line in new if is_simulated(line)]
        found[name] = [line for line in new if not is_simulated(line)]
    return {name: lines for name, lines in found.items() if lines} | {"sim": apart}


def is_simulated(line: str) -> bool:
    """Whether it is of what only the whole simulated exchange has."""
    return line.startswith(("kalshi sim ", "kalshi live KXBTC15M"))


def typed(line: str, monkeypatch: pytest.MonkeyPatch) -> list[Ended]:
    """What each part of a line ended with that starts this program; the parts of a pipe hear each other.

    Another program at the end of a pipe is left out: it may not be installed, and nobody hears it.
    """
    endings = []
    for command in line.split(" && "):
        heard = ""
        parts = command.split(" | ")
        while not parts[-1].startswith("kalshi "):
            parts.pop()
        for part in parts:
            if part.startswith("kalshi "):
                words, _, file = part.partition(" < ")
                monkeypatch.setattr("sys.stdin", io.StringIO(Path(file).read_text() if file else heard))
                endings.append(program(*shlex.split(words)[1:]))
                heard = endings[-1].out
            else:
                heard = subprocess.run(part, shell=True, input=heard, capture_output=True, text=True, check=True).stdout
    return endings


class Simulated:
    """The simulated exchange of a home of its own. Markets that last are named, whatever hour it is."""

    def __init__(self) -> None:
        hourly = program("markets", "--series", "KXBTCD", "--json").json
        lasting = program("markets", "--series", "KXFEDDECISION", "--json").json
        self.event = max(hourly, key=lambda row: row["close_time"])["event_ticker"]
        self.one, self.other = lasting[0]["ticker"], lasting[1]["ticker"]

    def prepare(self, line: str) -> None:
        """Nothing has to be undone: what is paused is resumed by the example after it."""

    def named(self, line: str) -> str:
        """The line with what there is; the market of the help texts goes through a whole life."""
        line = re.sub(r"KXBTCD-\S+", self.one, line).replace("TICKER", self.other)
        return re.sub(r"KXBTC15M-\S+", self.event, line)


NEEDED_BEFORE = {
    "kalshi unlock": f"lock {TWO_SIDED} --for 1h",
    "--until-over": "check heartbeat",  # no loop runs, and that is the alert
}
"""Parts of examples, and the command that makes them possible."""


class Desk:
    """An account with something of everything on the exchange of `served`, and the words that name it."""

    def __init__(self, one: Served, receiver: Receiver, theirs: Polymarket, stack: ExitStack) -> None:
        self.one = one
        self.theirs = theirs
        self._stack = stack
        with_season(one)
        with_collection(one)
        theirs.books[TOKEN] = book(TOKEN, [("0.55", "30")], [("0.58", "80")])
        files = {
            "fade.py": (TEMPLATE / "fade.py").read_text(),
            "kalshi-demo.key": one.key_path.read_text(),
            "pairs.csv": f"ticker,polymarket,side\n{TWO_SIDED},{TOKEN},yes\n",
            "results.json": json.dumps({TWO_SIDED: "yes"}),
            "config.yaml": f"alerts:\n  channels:\n    phone: {{url: '{receiver.url}', allow_private: true}}\n",
            "orders.ndjson": json.dumps(
                {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.40"}
            ),
            "o.ndjson": json.dumps({"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.41"}),
        }
        for name, text in files.items():
            (one.home / name).write_text(text)
            (one.home / name).chmod(0o600)
        one.submit("maker", TWO_SIDED, ASK, "0.4500", "6")
        self.order("6", "0.45")

    def prepare(self, line: str) -> None:
        """Undo what the examples before it did to this one, and do what it takes for granted."""
        self._resume()
        for before in (command for part, command in NEEDED_BEFORE.items() if part in line):
            program(*before.split())
        if line.startswith("kalshi subaccounts"):
            program("limits", "upgrade")
            program("subaccounts", "create")
        if line.startswith("kalshi strategies new fade"):
            for name in ("fade.py", "test_fade.py"):
                (self.one.home / name).unlink(missing_ok=True)
        if line.startswith("kalshi init"):
            (self.one.home / "config.yaml").unlink(missing_ok=True)
            shutil.rmtree(self.one.home / "config", ignore_errors=True)
        if line.startswith(("kalshi rfq", "kalshi quote")):
            self.one.call(self._close_requests)
        if line.startswith("kalshi state rebuild"):
            (self.one.state / "sim" / "state.db").write_bytes(b"no state")
        if "nfl" in line and " add " not in line:
            program("watchlist", "add", "nfl", TWO_SIDED)
        if "--offline" in line:
            program("catalog", "refresh")
        for file in (*self.one.home.glob("*.jsonl.gz"), *self.one.home.glob("trades.csv")):
            file.unlink()
        if line.startswith(("kalshi backtest", "kalshi data", "kalshi optimize")):
            self._record(line)

    def _resume(self) -> None:
        """End a halt. Most examples leave none, and looking is cheaper than a command."""
        file = self.one.state / "sim" / "state.db"
        if not file.exists():
            return
        with Store.open(file, account=KEY_ID, environment="sim") as store:
            is_halted = store.halt().state is not TradingState.ACTIVE
        if is_halted:
            program("resume", "--reason", "the example before")

    def _record(self, line: str) -> None:
        """A recording, below `tapes` or in the lake if the line has it there."""
        (self.one.home / "tape.jsonl.gz").write_bytes(self._taped())
        if "tapes/" in line:
            (self.one.home / "tapes").mkdir(exist_ok=True)
            (self.one.home / "tape.jsonl.gz").rename(self.one.home / "tapes" / "tape.jsonl.gz")
            text = "exchange_ts,recv_ns,price\n2026-05-13T12:00:00Z,1,80000\n"
            (self.one.home / "btcusd.csv.gz").write_bytes(gzip.compress(text.encode()))
        elif "import" not in line:
            program("data", "import", "tape.jsonl.gz")
        if "compare" in line:
            report = program("backtest", "tape.jsonl.gz", "--strategy", "spike", "--json")
            for name in ("monday.json", "tuesday.json"):
                (self.one.home / name).write_text(report.out)

    tape = b""
    """A recording of a second, which the first desk makes that needs one."""

    def _taped(self) -> bytes:
        if not Desk.tape:
            path = self.one.home / "tape.jsonl.gz"
            assert program("record", TWO_SIDED, "--out", str(path), "--duration", "1s").code == 0
            Desk.tape = path.read_bytes()
        return Desk.tape

    def named(self, line: str) -> str:
        """The line with what there is, instead of what it names."""
        line = re.sub(r" --env (demo|prod)| --config \./config\.yaml| > \S+", "", line)
        line = line.replace("--price 70c", "--price 55c").replace("--price 0.25", "--price 0.42")
        line = line.replace("@70c", "@55c").replace("@0.30", "@0.40")
        line = line.replace("--to 2 ", "--to 1 ").replace("--from 2 ", "--from 1 ").replace("2=40", "1=40")
        line = re.sub(r" --(duration|jobs) \S+", "", re.sub("--wait (30s|1m)", "--wait 0.1s", line))
        line = line.replace("tapes/*.jsonl.gz", "tapes/tape.jsonl.gz")
        line = re.sub(r"^kalshi (trade|watch|record) ", r"kalshi \1 --duration 0.1s ", line)
        if line.startswith("kalshi optimize"):
            line = re.sub(r" --(since|until|windows|holdout|trials) \S+", "", line)
            line = re.sub(r"\S*\*\.jsonl\.gz", "tape.jsonl.gz", line) + " --windows 1 --holdout 0 --trials 1"
            line += f" --scheduler {self._scheduler}"
        line = re.sub(r"KXETH\w*-\S+", FINE, line)
        line = re.sub(rf"{NOT_OURS}-\w+-[\w.]+|\bTICKER\b", TWO_SIDED, line)
        line = re.sub(rf"{NOT_OURS}-\w+(?= |$)", "KXRAIN-40JAN01", line)
        line = re.sub(rf"{NOT_OURS}(?= |$)", "KXRAIN", line)
        line = line.replace("KXMVECROSSCATEGORY-R", COLLECTION).replace(f"{TWO_SIDED}:no", f"{FINE}:no")
        line = line.replace("KXNBAGAME-26NOV21BOSMIA", "KXNBAGAME-24JUN01BOSMIA")
        line = line.replace("--key-id ID", f"--key-id {KEY_ID}")
        if line.startswith("kalshi serve") and "--port" not in line:
            line += " --port 0"  # two tests may serve at a time
        if "cross-venue" in line:
            line += " " + " ".join(self.theirs.options)
        line = re.sub(r" (cancel|amend) ID\b", rf" \1 {ID}", line)
        if PREFIX in line:  # the ids of `served` differ in their last characters only
            line = line.replace(ID, PREFIX).replace(PREFIX, self._an_id(line))
        return self._talked(line)

    @cached_property
    def _scheduler(self) -> str:
        return self._stack.enter_context(scheduler_here()).address

    def order(self, count: str, price: str) -> str:
        words = f"order place {TWO_SIDED} --side yes --action buy --count {count} --price {price} --json"
        return str(program(*words.split()).json["order_id"])

    def _an_id(self, line: str) -> str:
        match line.split()[1:3]:
            case ["order", "group"]:
                return str(program("order", "group", "create", "--limit", "100", "--json").json["order_group_id"])
            case ["rfq", _]:
                return ask(self.one, qty=TEN)
            case ["quote", _]:
                return self._quote(FINE)
            case ["live", _]:
                return MILESTONE
            case ["transfer", _]:
                made = program("transfer", "--from", "0", "--to", "1", "--amount", "1.00", "--json")
                return str(made.json["transfer_id"])
        return self.order("10", "0.41")

    def _talked(self, line: str) -> str:
        if line.startswith("kalshi rfq accept"):
            rfq = ask(self.one, qty=TEN)
            return line.replace("RFQ_ID QUOTE_ID", f"{rfq} {answer(self.one, rfq)}")
        if line.startswith("kalshi quote confirm"):
            quote = self._quote(TWO_SIDED)
            accept(self.one, quote, "no")
            return line.replace("QUOTE_ID", quote)
        if line.startswith("kalshi quote create"):
            return line.replace("RFQ_ID", ask(self.one, "maker", qty=TEN))
        return line

    def _close_requests(self) -> None:
        for rfq in self.one.exchange._state.talks.open_rfqs():
            with suppress(RejectionError):  # a maker confirmed one of its quotes
                self.one.exchange._quotes.withdraw(rfq.account, rfq.rfq_id, self.one.clock.now())

    def _quote(self, ticker: str) -> str:
        """A quote of the account on a request of the other member."""
        rfq = ask(self.one, "maker", ticker, TEN)
        made = self.one.call(lambda: self.one.exchange.quote(ME, rfq, YES, NO, self.one.clock.now()))
        assert isinstance(made, QuoteRecord), made
        return made.quote_id


def with_fade(one: Served) -> None:
    """Write the strategy that the documentation shows, and a recording on which it buys once and wins."""
    code = re.search(r"```python\n(.*?)```", STRATEGIES.read_text(), re.DOTALL)
    assert code is not None
    (one.home / "fade.py").write_text(code[1])
    write_tape(one.home / "tape.jsonl")


def write_tape(path: Path) -> None:
    """Half a minute of one market: the ask stands at 18 cents, then everything moves up to 60."""
    start, ticker, lines = 1_780_000_000_000, "KXTAPE-26MAY28-T1", []

    def say(after_s: int, **body: object) -> None:
        lines.append(msgspec.json.encode({"recv_ns": (start + after_s * 1000) * 10**6, "conn": 0, **body}))

    def book(after_s: int, seq: int, yes: str, no: str) -> None:
        levels = {"yes_dollars_fp": [[yes, "50.00"]], "no_dollars_fp": [[no, "50.00"]]}
        say(
            after_s,
            frame={
                "type": "orderbook_snapshot",
                "sid": 1,
                "seq": seq,
                "msg": {"market_ticker": ticker, "market_id": "m", **levels},
            },
        )

    say(0, note={"event": "connected", "use_yes_price": False})
    say(
        0,
        note={
            "event": "watch_market",
            "market_ticker": ticker,
            "close_time": "2026-05-28T21:30:00Z",
            "status": "active",
        },
    )
    book(1, 1, "0.1500", "0.8200")
    for second in range(2, 10):
        delta = {
            "market_ticker": ticker,
            "price_dollars": "0.1000",
            "delta_fp": "1.00",
            "side": "yes",
            "ts_ms": start + second * 1000,
        }
        say(second, frame={"type": "orderbook_delta", "sid": 1, "seq": second, "msg": delta})
    book(30, 10, "0.6000", "0.3800")
    path.write_bytes(b"".join(line + b"\n" for line in lines))


COMMAND = re.compile(r"(?:^\s*|[`(|]|\$ |\| )kalshi ((?:--?[\w-]+ )*)([a-z][a-z-]*)((?: [^\s`|#>&;)]+)*)", re.MULTILINE)


def problems(line: str) -> list[str]:
    """What is wrong with the commands of a line of text: unknown ones, and options they do not have."""
    found = []
    for _, name, rest in COMMAND.findall(line):
        if name not in ENTRIES:
            found.append(f"no command {name}")
            continue
        tree: Root = root()
        command = tree.get_command(None, name)
        for word in rest.split():
            if hasattr(command, "commands") and word in command.commands:
                command = command.commands[word]
        if getattr(command, "default", "") and not set(rest.split()) & set(command.commands):
            command = command.commands[command.default]
        known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
            "-h",
            "--help",
        }
        found += [f"{name} has no {word}" for word in rest.split() if word.startswith("--") and word not in known]
    return found
