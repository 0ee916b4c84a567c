"""The hint for an option that a command does not have: the nearest one, or the way to write what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

_FORMATS = {f"--{form}": f"use --format {form}" for form in ("ndjson", "csv", "table", "plain")}
_OTHER_OPTIONS = {
    **_FORMATS,
    "--today": "use --since with today's date, such as --since 2026-11-01, or --since 24h",
    "-V": "for the version: `kalshi --version`; for more detail: -v",
    "--limit": "this list has no limit; choose with --ticker, --event or --status where the command has them",
}
"""The hints of options that only other commands have, or none."""

_ORDER_OPTIONS = {
    **_FORMATS,
    "--ioc": "did you mean --tif ioc?",
    "--fok": "did you mean --tif fok?",
    "--gtc": "an order rests until it fills or is canceled, without an option",
    "--market": "there are no market orders; give your worst price, and --tif ioc to fill at once or never",
    "--limit": "every order has a limit price: write it as @0.24",
    "--yes-price": "write the price as @0.24; it is the price of YES",
    "--no-price": "write the price as @0.24, and add --no; it is then the price of NO",
}
"""The hints of options that users of other programs try for the terms of an order."""

_SHORT_ORDERS = frozenset({"kalshi buy", "kalshi sell"})
_SHORT_TERMS = frozenset({"--ticker", "--market-ticker", "--count", "--quantity", "--qty", "--price", "--amount"})
"""The terms that `buy` and `sell` take as words."""

_FIELD_OPTIONS = frozenset({"--columns", "--jq", "--query"})
"""Options of other programs that choose fields."""


_FORMAT_OPTIONS = frozenset({"-o", "--output"})
"""Options of other programs that choose a format; some commands of this one write a file with --out."""

_METHOD_OPTIONS = frozenset({"-X", "--method", "--request"})
"""Options of other programs that choose the method of a request."""


def option_hint(path: str, typed: str, near: Sequence[str] | None) -> str:
    """Return what to write instead of an unknown option of the command `path`; nothing if no option is close."""
    if typed in _FIELD_OPTIONS:
        return "choose fields with --fields, such as `--json --fields ticker,yes_bid`"
    if typed in _FORMAT_OPTIONS and "--out" not in (near or ()):
        return "write --json, or --format with csv, ndjson, table or plain"
    if typed in _METHOD_OPTIONS and path == "kalshi api":
        return "write the method as a word: `kalshi api POST PATH`"
    names = {name.lstrip("-"): name for name in near or ()}  # the dashes alone would make short names similar
    if typed.lstrip("-") not in names and (hint := _known_hint(path, typed)):
        return hint
    similar = get_close_matches(typed.lstrip("-"), names, 1)
    return f"did you mean {names[similar[0]]}?" if similar else ""


def _known_hint(path: str, typed: str) -> str:
    if path in _SHORT_ORDERS:
        is_term = typed in _SHORT_TERMS
        return f"write `{path} TICKER COUNT @PRICE`" if is_term else _ORDER_OPTIONS.get(typed, "")
    if path == "kalshi order place":
        return "" if typed == "--limit" else _ORDER_OPTIONS.get(typed, "")
    return _OTHER_OPTIONS.get(typed, "")
