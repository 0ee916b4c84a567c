"""The exit codes of each command. The reference shows them, and the tests check every run against them.

Any command may also end with 130 or 143 (interrupted, terminated) and with 70 (a bug). `ExitCode` explains them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kalshi_cli.base.errors import ExitCode

PLUGIN = frozenset(range(4))
"""Exit codes of monitoring plug-ins: OK, WARNING, CRITICAL, UNKNOWN."""

CHECKS = """check positions; check pnl; check orders; check balance; check exchange; check disk; check api;
check execution; check errors; check feed; check heartbeat; check drift; check schema; check all"""
_FILES = frozenset({ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.REFUSED})
_STATE = _FILES | {ExitCode.STATE}
_ALONE = _STATE | {ExitCode.INSTANCE}
_READ = (_ALONE - {ExitCode.REFUSED}) | {ExitCode.REJECTED, ExitCode.CREDENTIALS, ExitCode.UNREACHABLE}
_CONTROL = _READ - {ExitCode.CREDENTIALS}
_WRITE = _READ | {ExitCode.REFUSED, ExitCode.UNKNOWN_OUTCOME}
_TRADE = _WRITE | {ExitCode.HALTED}

_COMMANDS: tuple[tuple[frozenset[int], str], ...] = (
    (PLUGIN, f"health-check; {CHECKS}"),
    (frozenset({ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE}), "schema"),
    (_FILES, "runbook; strategies show; strategies new; config show; config path; config check"),
    (
        _STATE,
        """catalog status; execution; status; why; pause; alerts list; alerts silences;
        alerts test; alerts prices; backtest; data import; data list;
        data check; data export; data prune""",
    ),
    (_STATE | {ExitCode.CREDENTIALS}, "init; unlock; alerts silence; alerts unsilence; alerts retry"),
    (_STATE | {ExitCode.REJECTED, ExitCode.CREDENTIALS}, "lock"),
    (_STATE | {ExitCode.REJECTED}, "alerts remove; watchlist list; watchlist remove"),
    (_ALONE, "catalog clear"),
    (_ALONE | {ExitCode.UNREACHABLE}, "optimize"),
    (_STATE | {ExitCode.UNKNOWN_OUTCOME}, "stop"),
    (_WRITE, "resume"),
    (_CONTROL, "sim serve; sim start; sim stop; sim status"),
    (
        _CONTROL | {ExitCode.REFUSED},
        """sim reset; sim pause; sim halt; sim resume; sim close; sim settle; sim dispute; sim amend; sim clock;
        sim shuffle; sim stream; sim spot""",
    ),
    (
        _READ,
        """markets; market; events; event; series; series-info; orderbook; trades; candles; exchange; watch;
        catalog refresh; scan arbitrage; scan spread; scan movers; scan cheap; scan closing; scan cross-venue;
        milestones; live; incentives; targets; tags; order list; order group list;
        order group show; rfq list; rfq show; rfq quotes; quote list; combos list; combos show; balance; positions;
        fills; settlements; pnl; export fills; export pnl; export tax-lots; transfer list; transfer show;
        allocation show; subaccounts list; subaccounts transfers; portfolio; deposits; withdrawals; record; limits show;
        keys; top; serve; alerts add; watchlist add; data download""",
    ),
    (
        _WRITE,
        """buy; sell; cancel; order place; order cancel; order reconcile; order cancel-all;
        order amend; order decrease; order batch;
        order group create; order group limit; order group trigger; order group reset; order group delete; cancel-all;
        close; flatten; rfq create; rfq delete; rfq accept; quote create; quote confirm; quote delete; combos create;
        transfer send; allocation set; subaccounts create; subaccounts netting; subaccounts transfer; limits upgrade;
        api; state rebuild""",
    ),
    (_READ | {ExitCode.UNKNOWN_OUTCOME}, "order show; order queue"),
    (_READ | {ExitCode.INSTANCE, ExitCode.REFUSED}, "alerts run"),
    (_TRADE, "trade"),
)

ENDS = {" ".join(name.split()): ends for ends, names in _COMMANDS for name in names.split(";")}


_CHANGES = frozenset({ExitCode.REFUSED, ExitCode.UNKNOWN_OUTCOME})


def may_write(command: str, values: Mapping[str, Any]) -> bool:
    """Return whether a command with these values may send a write whose result is only in its output."""
    if command == "api":
        return str(values.get("method")).upper() in ("POST", "PUT", "DELETE") and not values.get("dry_run")
    return ENDS.get(command, frozenset()) >= _CHANGES and command != "trade" and not values.get("dry_run")


_CHANGES_HERE = frozenset({
    "init", "unlock", "lock", "pause", "record", "alerts add", "alerts remove", "alerts silence", "alerts unsilence",
    "alerts retry", "alerts test", "alerts run", "watchlist add", "watchlist remove", "strategies new",
    "catalog refresh", "catalog clear", "data download", "data import", "data export", "data prune",
})  # fmt: skip
"""Commands that send no write to the exchange, but change something when they run again; so does the group `sim`."""


def only_reads(command: str, values: Mapping[str, Any]) -> bool:
    """Return whether this command can safely run again. A dry run cannot: its option might be left out."""
    if command == "api":
        return str(values.get("method")).upper() == "GET"
    is_write = ENDS.get(command, _CHANGES) >= _CHANGES or command in _CHANGES_HERE
    return not is_write and not command.startswith("sim ")


def exit_codes_of(command: str) -> frozenset[int]:
    """Return the exit codes of a command by its full name, such as `order place`; KeyError if none are declared."""
    return ENDS[command]
