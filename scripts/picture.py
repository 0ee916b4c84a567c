"""Draw docs/demo.svg from a real terminal session on the simulated exchange: `.venv/bin/python scripts/picture.py`.

It needs tmux.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT = 112, 100
SECONDS = 20
BUSIEST = "kalshi markets -q --sort volume --limit 1 --format csv | tail -1 | cut -d'\"' -f2"
HERE = Path(__file__).resolve().parents[1]


def tmux(*words: str) -> str:
    """Run a tmux command on a separate server."""
    done = subprocess.run(["tmux", "-L", "picture", *words], check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout


def main() -> None:
    """Run the session, and save its screen."""
    with tempfile.TemporaryDirectory() as state:
        commands = [
            "kalshi markets --sort volume --limit 6",
            f"kalshi orderbook $({BUSIEST}) --depth 4",
            f"kalshi trade --strategy spike --duration {SECONDS}s",
            "kalshi portfolio",
        ]
        script = Path(state) / "session.sh"
        lines = [f"export PATH={HERE}/.venv/bin:$PATH KALSHI_ENV=sim KALSHI_STATE={state}/state", "clear"]
        for command in commands:
            shown = command.split(" $(")[0] + (" TICKER --depth 4" if "$(" in command else "")
            lines += [f"printf '\\033[1m$ {shown}\\033[0m\\n'", command, "echo"]
        script.write_text("\n".join([*lines, "touch " + state + "/done", "sleep 60"]))
        tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), f"sh {script}")
        try:
            until = time.monotonic() + SECONDS + 60
            while not (Path(state) / "done").exists() and time.monotonic() < until:
                time.sleep(0.5)
            screen = tmux("capture-pane", "-e", "-p")
        finally:
            tmux("kill-server")
            stop = [f"{HERE}/.venv/bin/kalshi", "-q", "--state", f"{state}/state", "sim", "stop"]
            subprocess.run(stop, check=False)  # noqa: S603
        if "error: " in screen or not (Path(state) / "done").exists():
            raise SystemExit(f"The session failed; docs/demo.svg was not changed:\n{screen.rstrip()}")
    with open("/dev/null", "w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(screen.rstrip()))
        (HERE / "docs").mkdir(exist_ok=True)
        console.save_svg(str(HERE / "docs/demo.svg"), title="kalshi")


if __name__ == "__main__":
    main()
