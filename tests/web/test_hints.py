"""The hints of errors over HTTP: programs read requests and fields, the page has words of its own."""

from __future__ import annotations

import httpx
from support.served import NO_TLS, TWO_SIDED, Served
from support.web_page import Page

from kalshi_cli.web.hints import for_program

TOKEN = "x" * 40


def test_a_command_or_an_option_with_a_request_is_named_by_that() -> None:
    for hint, said in (
        ("run `kalshi order reconcile` (order id 7)", 'send POST /api/v1/plans {"do": "reconcile"} (order id 7)'),
        (
            "see `kalshi status`, then run `kalshi resume --reason TEXT`",
            'see GET /api/v1/status, then send POST /api/v1/plans {"do": "resume", "reason": "TEXT"}',
        ),
        ("`kalshi order list --status all` shows them", "GET /api/v1/orders?status=all shows them"),
        ("`kalshi runbook` lists the runbooks", "GET /api/v1/runbooks lists the runbooks"),
        (
            "run `kalshi watchlist add NAME TICKER`",
            'send POST /api/v1/plans {"do": "watch", "list": "NAME", "tickers": "TICKER"}',
        ),
        (
            "`kalshi event KXRAIN-40JAN01` lists the markets of its event",
            "GET /api/v1/markets?event=KXRAIN-40JAN01 lists the markets of its event",
        ),
        ("`kalshi markets --event KXRAIN-40JAN01`", "GET /api/v1/markets?event=KXRAIN-40JAN01"),
        ("kalshi series", "GET /api/v1/markets?search=TEXT"),
        ("kalshi events", "GET /api/v1/markets?search=TEXT"),
        ("kalshi watchlist list nfl", "GET /api/v1/watchlists/nfl"),
        ("kalshi order show 4ad9a125-a418", "GET /api/v1/orders/4ad9a125-a418"),
        ("add --reason TEXT; it is saved with the state", "add `reason` TEXT; it is saved with the state"),
        (
            "change --price, --count, --expires-in or --no-expiry",
            "change `price` or `count`",
        ),
    ):
        assert for_program(hint) == said


def test_a_command_without_a_request_stays() -> None:
    for hint in (
        "`kalshi config path` names the file",
        "`kalshi close TICKER --cancel-orders`",
        "kalshi serve --allow-stop",
    ):
        assert for_program(hint) == hint


def test_a_program_reads_requests_and_fields_and_the_page_commands(exchange: Served) -> None:
    tokens = exchange.home / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(TOKEN + "\n")
    page = Page(exchange, "--token-file", tokens, "--allow-writes")
    try:
        token = {"authorization": f"Bearer {TOKEN}"}
        reply = httpx.get(f"{page.address}/api/v1/markets/NOPE", headers=token, verify=NO_TLS)
        assert "GET /api/v1/markets?search=TEXT" in reply.json()["error"]["hint"]
        assert "kalshi markets --search TEXT" in page.get("markets/NOPE").json()["error"]["hint"]
        order = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.41", "reduce_only": True}
        reply = httpx.post(f"{page.address}/api/v1/plans", json={"do": "place", **order}, headers=token, verify=NO_TLS)
        assert reply.json()["error"]["message"] == "Refused: reduce-only requires immediate or cancel (IOC) (BAD_FLAGS)"
        assert reply.json()["error"]["hint"].startswith("`reduce_only` goes with `tif` ioc")
    finally:
        page.close()
