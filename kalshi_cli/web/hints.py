"""The hints of errors for a program: a command or an option that has a request or a field here is named by that."""

from __future__ import annotations

import re

from kalshi_cli.web.writes import WRITES

_REQUESTS = (
    (r"order reconcile", 'POST /api/v1/plans {"do": "reconcile"}'),
    (
        r"resume --reason TEXT --reset-groups",
        'POST /api/v1/plans {"do": "resume", "reason": "TEXT", "reset_groups": true}',
    ),
    (r"resume --reason TEXT", 'POST /api/v1/plans {"do": "resume", "reason": "TEXT"}'),
    (r"cancel-all", 'POST /api/v1/plans {"do": "kill"}'),
    (r"(?:order )?cancel (\S+)", r'POST /api/v1/plans {"do": "cancel", "order_id": "\1"}'),
    (r"order amend", 'POST /api/v1/plans {"do": "amend"}'),
    (r"close (\S+)", r'POST /api/v1/plans {"do": "close", "ticker": "\1"}'),
    (r"unlock (\S+)", r'POST /api/v1/plans {"do": "unlock", "ticker": "\1"}'),
    (r"order place -h", "GET /api/v1/openapi.json"),
    (r"order list", "GET /api/v1/orders"),
    (r"order list --status (\w+)", r"GET /api/v1/orders?status=\1"),
    (r"order show (\S+)", r"GET /api/v1/orders/\1"),
    (r"orderbook (\S+)", r"GET /api/v1/markets/\1/orderbook"),
    (r"market (\S+)", r"GET /api/v1/markets/\1"),
    (r"markets --(search|series|event) (\S+)", r"GET /api/v1/markets?\1=\2"),
    (r"event (\S+)", r"GET /api/v1/markets?event=\1"),
    (r"series|events", "GET /api/v1/markets?search=TEXT"),
    (r"(status|positions|markets|exchange)", r"GET /api/v1/\1"),
    (r"runbook", "GET /api/v1/runbooks"),
    (r"watchlist add NAME TICKER", 'POST /api/v1/plans {"do": "watch", "list": "NAME", "tickers": "TICKER"}'),
    (r"watchlist list (\S+)", r"GET /api/v1/watchlists/\1"),
    (r"runbook (\S+)", r"GET /api/v1/runbooks/\1"),
)
"""A whole command -> its request. A command with other options stays as it is: it has no request."""

_FIELDS = {field for write in WRITES.values() for field in (*write.fields, *write.optional)}

_NAMED = re.compile(r"(?P<run>run )?`kalshi (?P<quoted>[^`]+)`|^kalshi (?P<whole>.+)$|--(?P<option>[a-z][a-z-]*)")

CHANGE_HINT = '; to change or cancel something: POST /api/v1/plans, such as {"do": "cancel", "order_id": "ID"}'
"""The end of a hint about a method that would change something."""


_AMEND = "change --price, --count, --expires-in or --no-expiry", "change `price` or `count`"
"""The hint of an amend that changes nothing, and its words here, where an amend has only these fields."""


def for_program(hint: str) -> str:
    """Return a hint in the words of the JSON API."""
    return _NAMED.sub(_translate, hint.replace(*_AMEND))


def _translate(found: re.Match[str]) -> str:
    if found["option"]:
        field = found["option"].replace("-", "_")
        return f"`{field}`" if field in _FIELDS else found[0]
    command = found["quoted"] or found["whole"]
    for pattern, request in _REQUESTS:
        if matched := re.fullmatch(pattern, command):
            return ("send " if found["run"] else "") + matched.expand(request)
    return found[0]
