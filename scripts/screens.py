"""Draw docs/top.svg, docs/page.png and docs/orders.png from a running loop: `.venv/bin/python scripts/screens.py`.

It needs Chromium.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).resolve().parents[1]
KALSHI = str(HERE / ".venv/bin/kalshi")
SECONDS = 70


def main() -> None:
    """Run a loop on the simulated exchange, and save the screen and the page that follow it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(KALSHI_STATE=folder, KALSHI_ENV="sim", TZ="UTC")
        loop = subprocess.Popen([KALSHI, "-q", "trade", "--strategy", "market-maker,spike"])  # noqa: S603
        server = None
        try:
            time.sleep(SECONDS)
            asyncio.run(draw_screen())
            output = Path(folder) / "serve.out"
            with output.open("w") as stdout:
                server = subprocess.Popen([KALSHI, "-q", "serve", "--port", "0", "--allow-writes"], stdout=stdout)  # noqa: S603
            while "Open" not in output.read_text():
                time.sleep(0.1)
            draw_page(re.findall(r"http\S+", output.read_text())[0])
        finally:
            for process in filter(None, (server, loop)):
                process.send_signal(signal.SIGINT)
                process.wait()
            subprocess.run([KALSHI, "-q", "sim", "stop"], check=False)  # noqa: S603


async def draw_screen() -> None:
    """Save the terminal screen at 120x36."""
    from kalshi_cli import Kalshi
    from kalshi_cli.base.clock import SystemClock
    from kalshi_cli.tui.app import TopApp

    app = TopApp(Kalshi.open, SystemClock())
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause(12)
        (HERE / "docs/top.svg").write_text(app.export_screenshot(title="kalshi top"))


def draw_page(link: str) -> None:
    """Save the page and its orders, 1100 wide."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 760})
        tab.goto(link)
        tab.wait_for_selector("td")
        tab.wait_for_timeout(30_000)
        tab.screenshot(path=HERE / "docs/page.png")
        tab.set_viewport_size({"width": 1100, "height": 480})
        tab.goto(f"{tab.url.split('#')[0]}#orders")
        tab.get_by_role("button", name="Change quantity").first.wait_for()
        tab.screenshot(path=HERE / "docs/orders.png")
        browser.close()


if __name__ == "__main__":
    main()
