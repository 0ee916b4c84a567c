"""The lines of a batch: NDJSON, one order per line, with the keys of the options of `kalshi order place`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from json import JSONDecodeError
from typing import Any, TextIO

from kalshi_cli.base.checked import JsonNumber, as_json, exact_json
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.text import holds_private_key, safe_text
from kalshi_cli.base.units import duration_from_user, price_from_user, qty_from_user
from kalshi_cli.cli.parameters import HIGHEST_SUBACCOUNT
from kalshi_cli.services.orders.batch import MAX_ORDERS, BatchLine
from kalshi_cli.services.orders.place import SELF_TRADE_PREVENTIONS, TIMES_IN_FORCE, OrderTicket

MAX_LINE_LENGTH = 10_000
"""Maximum characters of a line; an order has about two hundred."""

MAX_LINES = 10 * MAX_ORDERS
"""Maximum lines of a batch, empty ones included."""


def read_lines(source: str) -> list[BatchLine]:
    """Return the orders of a file, or of standard input for `-`; empty lines are skipped.

    UsageError names the first line that is not an order, and says that nothing was sent.
    """
    if source == "-":
        return _lines(sys.stdin)
    try:
        with open(source, encoding="utf-8", errors="replace") as file:
            return _lines(file)
    except OSError as error:
        raise UsageError(f"Cannot read {source}: {error.strerror}", hint="- reads standard input") from error


def _lines(file: TextIO) -> list[BatchLine]:
    lines: list[BatchLine] = []
    texts = iter(partial(file.readline, MAX_LINE_LENGTH + 1), "")  # an endless line is not read to its end
    for number, text in enumerate(texts, start=1):
        if number > MAX_LINES:
            raise UsageError(f"A batch has at most {MAX_LINES} lines", hint="nothing was sent; split the file")
        if not text.strip():
            continue
        if len(lines) == MAX_ORDERS:
            raise UsageError(f"A batch holds at most {MAX_ORDERS} orders", hint="nothing was sent; split the file")
        try:
            lines.append(BatchLine(number, _ticket(text.removeprefix("\ufeff") if number == 1 else text)))
        except ValueError as error:
            raise UsageError(
                f"line {number}: {safe_text(str(error), 300)}", hint="nothing was sent; see `kalshi order batch -h`"
            ) from error
    if not lines:
        raise UsageError("The batch has no orders", hint="write one JSON object per line; see `kalshi order batch -h`")
    return lines


def _read_object(text: str) -> dict[str, Any]:
    if len(text) > MAX_LINE_LENGTH:
        raise ValueError(f"longer than {MAX_LINE_LENGTH} characters")
    if holds_private_key(text):
        raise ValueError("it holds a private key")
    try:
        found = exact_json(text)
    except UsageError as error:
        raise ValueError(error.message) from error
    except JSONDecodeError as error:  # its own line number is always 1
        raise ValueError(f"Invalid JSON at character {error.pos + 1}: {error.msg}") from error
    except ValueError as error:
        raise ValueError(f"Invalid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("JSON value that an order cannot have") from error
    if isinstance(found, list):
        raise ValueError("A JSON array; write one object per line: jq -c '.[]' does that")
    if not isinstance(found, dict):
        raise ValueError('Expected a JSON object like {"ticker": ..., "side": ...}')
    return found


def _ticket(text: str) -> OrderTicket:
    found = _read_object(text)
    given: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in _FIELDS:
            near = get_close_matches(name, _FIELDS, 1)
            raise ValueError(f"unknown key {key!r}" + (f"; did you mean {near[0]}?" if near else ""))
        field, convert = _FIELDS[name]
        if field in given:
            raise ValueError(f"Duplicate key: {key}")
        if value is None:
            continue
        try:
            given[field] = convert(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    missing = [name for name in _REQUIRED if _FIELDS[name][0] not in given]
    if missing:
        raise ValueError(f"missing: {', '.join(missing)}")
    try:
        return OrderTicket(**given)
    except UsageError as error:
        raise ValueError(f"{error.message} ({error.hint})" if error.hint else error.message) from error


def _word(*choices: str) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"{value!r} is invalid; use one of {', '.join(choices)}")
        return str(value)

    return convert


def _text(value: Any) -> str:
    if not isinstance(value, str) or isinstance(value, JsonNumber):
        raise ValueError(f"{value!r} must be a string")
    if not value.strip():
        raise ValueError("empty; leave the key out, or give a value")
    return value


def _typed(parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"{as_json(value)} must be a string or a number")
        return parse(value)

    return convert


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} must be true or false")
    return value


def _subaccount(value: Any) -> int:
    if not isinstance(value, str) or not value.isdecimal() or int(value) > HIGHEST_SUBACCOUNT:
        raise ValueError(f"{value!r} must be a number from 0 to {HIGHEST_SUBACCOUNT}")
    return int(value)


_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "ticker": ("ticker", lambda value: _text(value).upper()),
    "side": ("outcome", _word("yes", "no")),
    "action": ("action", _word("buy", "sell")),
    "count": ("qty", _typed(qty_from_user)),
    "price": ("price", _typed(price_from_user)),
    "tif": ("tif", lambda value: TIMES_IN_FORCE[_word(*TIMES_IN_FORCE)(value)]),
    "post_only": ("post_only", _flag),
    "reduce_only": ("reduce_only", _flag),
    "expires_in": ("expires_in_s", _typed(duration_from_user)),
    "client_order_id": ("client_order_id", _text),
    "group": ("order_group_id", _text),
    "stp": ("self_trade_prevention", lambda value: SELF_TRADE_PREVENTIONS[_word(*SELF_TRADE_PREVENTIONS)(value)]),
    "cancel_on_pause": ("cancel_on_pause", _flag),
    "subaccount": ("subaccount", _subaccount),
}
"""Option name -> the field of a ticket, and the parser of its value."""

_REQUIRED = ("ticker", "side", "action", "count", "price")
