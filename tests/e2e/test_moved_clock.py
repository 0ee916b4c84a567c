"""The exchange's clock jumps two hours while a loop trades on it and somebody from outside looks on."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from support.served import WATCHFUL, bare_variables, eventually, finish, program, said, set_variables, start


def test_a_loop_lives_through_two_hours_in_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchange and loop are processes of their own. The loop may run for an hour, which it takes for an hour of work:
    it goes on after the jump."""
    variables = bare_variables(tmp_path)
    set_variables(monkeypatch, tmp_path, variables)
    server = start(["sim", "serve", "--seed", "7"], variables, tmp_path)
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())
    words = ["trade", "--strategy", "spike", "--interval", "0.3s", "--duration", "1h", "--json"]
    loop = start(words, variables, tmp_path, first=WATCHFUL)

    def run(*words: str) -> Any:
        ended = program(*words, "--json")
        assert ended.code == 0, ended.err
        assert loop.poll() is None, said(loop)
        return ended.json

    def buy() -> str:
        """Something that settles soon. The market may be about to close, and a price gone before the order comes."""
        quoted = [row for row in run("markets", "--series", "KXQUICKSETTLE") if row["yes_ask"]]
        if not quoted:
            return ""
        latest = max(quoted, key=lambda row: str(row["close_time"]))
        order = ("order", "place", latest["ticker"], "--side", "yes", "--action", "buy", "--tif", "ioc")
        ended = program(*order, "--count", "1", "--price", latest["yes_ask"], "--json")
        return str(latest["ticker"]) if ended.code == 0 and float(ended.json["filled"]) else ""

    def goes_on(cycles: int) -> None:
        eventually(lambda: (run("status")["cycles"] or 0) > cycles)

    try:
        goes_on(1)
        ticker = eventually(buy)
        moved = run("sim", "clock", "--forward", "2h")
        assert moved["clock_ahead_s"] == 7_200
        assert moved["streams"] == 1, "the loop listens"
        eventually(lambda: "nothing ran for 720" in said(loop) or loop.poll() is not None)
        goes_on(run("status")["cycles"] + 1)
        eventually(lambda: ticker in {row["ticker"] for row in run("settlements")})
        assert ticker not in {row["ticker"] for row in run("positions")}
        with pytest.MonkeyPatch.context() as outside:
            outside.setenv("KALSHI_REST_URL", address["rest_url"])
            outside.setenv("KALSHI_WS_URL", address["ws_url"])
            outside.setenv("KALSHI_API_KEY_ID", address["key_id"])
            outside.setenv("KALSHI_PRIVATE_KEY_PATH", address["private_key_path"])
            outside.setenv("KALSHI_STATE", str(tmp_path / "elsewhere"))
            assert run("balance")["cash"], "who signs by the machine's clock is let in"
        loop.send_signal(signal.SIGTERM)
        summary = finish(loop)
        assert summary.code == 143, summary.err
        assert summary.json["live_orders"] == 0
        assert "nothing ran for 720" in summary.err, "no book from before the jump was believed"
        assert "Traceback" not in summary.err
        assert program("order", "list", "--json").json == []
    finally:
        for process in (loop, server):
            if process.poll() is None:
                process.kill()
                finish(process)
    assert "Traceback" not in said(server)
