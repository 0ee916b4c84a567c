"""The exchange's clock jumps two hours while a loop trades on it and somebody from outside looks on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from served import bare_variables, eventually, finish, said, start


def test_a_loop_lives_through_two_hours_in_a_moment(tmp_path: Path) -> None:
    variables = bare_variables(tmp_path)

    def run(*words: str, **more: str) -> Any:
        ended = finish(start([*words, "--json"], {**variables, **more}, tmp_path))
        assert ended.code == 0, ended.err
        return ended.json

    server = start(["sim", "serve", "--seed", "7"], variables, tmp_path)
    assert server.stdout is not None
    address = json.loads(server.stdout.readline())
    loop = None
    try:
        loop = start(["trade", "--strategy", "spike", "--duration", "14s", "--json"], variables, tmp_path)
        eventually(lambda: (run("status")["cycles"] or 0) >= 2)
        quoted = next(row for row in run("markets", "--series", "KXQUICKSETTLE") if row["yes_ask"])
        order = ("order", "place", quoted["ticker"], "--side", "yes", "--action", "buy", "--tif", "ioc")
        bought = run(*order, "--count", "1", "--price", quoted["yes_ask"])
        moved = run("sim", "clock", "--forward", "2h")
        assert moved["clock_ahead_s"] == 7_200
        assert moved["streams"] == 1, "the loop listens"
        if float(bought["filled"]):
            eventually(lambda: quoted["ticker"] in {row["ticker"] for row in run("settlements")})
            assert quoted["ticker"] not in {row["ticker"] for row in run("positions")}
        outside = {
            "KALSHI_REST_URL": address["rest_url"],
            "KALSHI_WS_URL": address["ws_url"],
            "KALSHI_API_KEY_ID": address["key_id"],
            "KALSHI_PRIVATE_KEY_PATH": address["private_key_path"],
            "KALSHI_STATE": str(tmp_path / "elsewhere"),
        }
        assert run("balance", **outside)["cash"], "who signs by the machine's clock is let in"
        summary = finish(loop)
        assert summary.code == 0, summary.err
        assert summary.json["stopped_by"] == "duration"
        assert summary.json["live_orders"] == 0
        assert "nothing ran for 720" in summary.err, "no book from before the jump was believed"
        assert "Traceback" not in summary.err
        assert run("order", "list") == []
    finally:
        for process in filter(None, (loop, server)):
            if process.poll() is None:
                process.kill()
                finish(process)
    assert "Traceback" not in said(server)
