"""The table of a run, and the conditions under which it fails."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from kalshi_cli.base.units import Money, Qty, show_money, show_qty
from verification.strategies.session import BASELINES, Result

HEADERS = (
    "strategy", "seeds", "fills", "contracts", "net, mean", "sd", "worst", "best", "drawdown, mean", "won", "denied",
)  # fmt: skip


def line(result: Result) -> str:
    """One session, as it ends."""
    wrong = f"; {result.wrong[0]}" if result.wrong else ""
    return f"{_title(result.strategies)}, seed {result.seed}: {result.fills} fills, net {show_money(result.net)}{wrong}"


def table(results: Sequence[Result]) -> str:
    """One line for each strategy, in dollars of one session."""
    names = dict.fromkeys(result.strategies for result in results)
    rows = [_row(chosen, [one for one in results if one.strategies == chosen]) for chosen in names]
    return tabulate(rows, headers=HEADERS, disable_numparse=True, stralign="right", colalign=("left",))


def _row(names: tuple[str, ...], results: Sequence[Result]) -> tuple[str, ...]:
    nets = [result.net for result in results]
    denied = sum(sum(result.denied.values()) for result in results)
    return (
        _title(names),
        str(len(results)),
        str(sum(result.fills for result in results)),
        show_qty(Qty(sum(result.contracts for result in results))),
        _dollars(statistics.fmean(nets)),
        _dollars(statistics.stdev(nets)) if len(nets) > 1 else "",
        _dollars(min(nets)),
        _dollars(max(nets)),
        _dollars(statistics.fmean(result.drawdown for result in results)),
        f"{sum(1 for net in nets if net > 0) / len(nets):.0%}",
        str(denied),
    )


def by_strategy(results: Iterable[Result]) -> str:
    """What each strategy gained in the sessions in which all of them ran at once."""
    shared = [result for result in results if len(result.strategies) > 1]
    owners = dict.fromkeys(owner for result in shared for owner in (*result.strategies, ""))
    rows = []
    for owner in owners:
        nets = [result.by_strategy.get(owner, 0) for result in shared]
        fills = sum(result.fills_of.get(owner, 0) for result in shared)
        rows.append((owner or "manual", str(fills), _dollars(statistics.fmean(nets)), _dollars(min(nets))))
    return tabulate(rows, headers=("all at once", "fills", "net, mean", "worst"), disable_numparse=True)


def denials(results: Iterable[Result]) -> list[str]:
    """Which controls refused how many orders of whom."""
    found: dict[str, dict[str, int]] = {}
    for result in results:
        codes = found.setdefault(_title(result.strategies), {})
        for code, count in result.denied.items():
            codes[code] = codes.get(code, 0) + count
    return [
        f"{title}: " + ", ".join(f"{code} {count}" for code, count in sorted(codes.items(), key=lambda one: -one[1]))
        for title, codes in found.items()
        if codes
    ]


def failures(results: Sequence[Result]) -> list[str]:
    """What must not be: accounts that differ, limits that were passed, a strategy that never trades."""
    found = [
        f"{_title(result.strategies)}, seed {result.seed}: {text}" for result in results for text in result.wrong[:3]
    ]
    for names in dict.fromkeys(result.strategies for result in results):
        fills = sum(result.fills for result in results if result.strategies == names)
        if names == ("nothing",):
            found += [f"nothing traded {fills} times"] if fills else []
        elif not fills:
            found.append(f"{_title(names)} never traded: these figures say nothing of it")
    return found


def _title(names: tuple[str, ...]) -> str:
    if len(names) > 1:
        return "all at once"
    return f"({names[0]})" if names[0] in BASELINES else names[0]


def _dollars(amount: float) -> str:
    return show_money(Money(round(amount / 10_000) * 10_000))  # whole cents
