"""Write docs/before-and-after.md, ten screens in version 0.1 and now: `.venv/bin/python scripts/before_and_after.py`.

The commands run on a terminal of 80 columns, on a fresh simulated exchange. The screens of the earlier program are kept
in scripts/screens_before.json. To record them again, run an earlier commit: `PYTHONPATH=ITS_FOLDER .venv/bin/python
scripts/before_and_after.py --before`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
KEPT = HERE / "scripts/screens_before.json"
COLUMNS, MAX_LINES = 80, 24
SEED = "7"
SERIES = ("KXHIGHNY", "KXBTCD", "KXETHD")  # the first that has a market in doubt at this hour
BUY = "order place {ticker} --side yes --action buy --count"

SETUP = (f"{BUY} 5 --price {{ask}}", f"{BUY} 5 --price 0.02", "cancel-all --no-halt", f"{BUY} 3 --price 0.03")
SCREENS = (
    ("The first look", "", ""),
    ("A sale without a price", "order place {ticker} --side yes --action sell --count 3", "sell {ticker} 3"),
    ("An order that exceeds a limit", f"{BUY} 5000 --price {{ask}}", "buy {ticker} 5000 @{ask}"),
    ("All orders", "order list --status all", "order list --status all"),
    ("The whole account", "positions", "portfolio"),
    ("Cash", "balance", "balance"),
    ("Profit and loss", "pnl --by strategy", "pnl --by strategy"),
    ("A pause", "pause; status", "pause; status"),
    ("All checks", "check all --no-notify", "check all --no-notify"),
    ("Is everything ready?", "health-check", "health-check"),
)


def run(line: str, state: str, *, on_terminal: bool = True) -> str:
    """Return what a command line prints, on a terminal or in a pipe."""
    words = [sys.executable, "-m", "kalshi_cli", *line.split()]
    env = {**os.environ, "KALSHI_ENV": "sim", "KALSHI_STATE": state, "KALSHI_SIM__SEED": SEED, "NO_COLOR": "1"}
    env |= {"TERM": "xterm", "COLUMNS": str(COLUMNS)}
    if not on_terminal:
        return subprocess.run(  # noqa: S603
            words, env=env, cwd=state, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        ).stdout
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    with subprocess.Popen(words, env=env, cwd=state, stdin=theirs, stdout=theirs, stderr=theirs) as process:  # noqa: S603
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65_536):
                text += part
        except OSError:  # Linux: the program has closed the terminal
            os.close(ours)
        process.wait(60)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode(errors="replace")).replace("\r", "").replace(state, "~")


def wrapped(text: str) -> list[str]:
    """Return the lines as a terminal shows them, the longest screens cut."""
    whole = [line.rstrip() for line in text.rstrip().split("\n")]
    lines = [line[at : at + COLUMNS] for line in whole for at in range(0, max(1, len(line)), COLUMNS)]
    return [*lines[:MAX_LINES], "..."] if len(lines) > MAX_LINES else lines


def captured(which: int) -> list[str]:
    """Return the ten screens; `which` is the column of SCREENS with the commands."""
    with tempfile.TemporaryDirectory() as state:
        try:
            markets = json.loads(run("markets --sort volume --limit 200 --json", state, on_terminal=False))
            lasting = [each for series in SERIES for each in markets if each["ticker"].startswith(series)]
            market = next(each for each in lasting if each["yes_bid"] and 0.2 < float(each["yes_ask"] or 1) < 0.8)
            facts = {"ticker": market["ticker"], "ask": f"{float(market['yes_ask']) + 0.02:.2f}"}
            for line in SETUP:
                run(line.format(**facts), state, on_terminal=False)
            return [screen(each[which].format(**facts), state) for each in SCREENS]
        finally:
            run("-q sim stop", state)


def screen(lines: str, state: str) -> str:
    """Return command lines with their output, as a terminal of 80 columns shows them."""
    shown = []
    for line in lines.split("; "):
        shown += [f"$ kalshi {line}".rstrip(), *wrapped(run(line, state))]
    return "\n".join(shown)


def main() -> None:
    """Record the screens of this program; with `--before`, those of an earlier one."""
    if "--before" in sys.argv:
        KEPT.write_text(json.dumps(captured(1), indent=1, ensure_ascii=False) + "\n", "utf-8")
        return
    page = [
        "# Ten screens, before and after", "",
        "What a person meets on a terminal of 80 columns, in version 0.1 and now. `scripts/before_and_after.py`",
        "records the screens on a fresh simulated exchange, so prices and times differ from run to run.", "",
    ]  # fmt: skip
    for (title, *_), before, after in zip(SCREENS, json.loads(KEPT.read_text("utf-8")), captured(2), strict=True):
        page += [
            f"## {title}",
            "",
            "Before:",
            "",
            "```console",
            before,
            "```",
            "",
            "After:",
            "",
            "```text",
            after,
            "```",
            "",
        ]
    (HERE / "docs/before-and-after.md").write_text("\n".join(page), "utf-8")


if __name__ == "__main__":
    main()
