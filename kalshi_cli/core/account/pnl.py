"""Profit and loss, whole and in parts, folded from fills and settlements. One definition for every command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from kalshi_cli.base.units import Money, Price, Ts
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

LedgerEntry = Fill | Settlement


class ProfitAndLoss(msgspec.Struct):
    """Micro-dollars. `realized` and `unrealized` are before fees; `net` is what the account gained."""

    realized: Money = Money(0)
    unrealized: Money = Money(0)
    fees: Money = Money(0)

    @property
    def net(self) -> Money:
        return Money(self.realized + self.unrealized - self.fees)

    def add(self, realized: int = 0, unrealized: int = 0, fees: int = 0) -> None:
        self.realized = Money(self.realized + realized)
        self.unrealized = Money(self.unrealized + unrealized)
        self.fees = Money(self.fees + fees)


def build_ledger(entries: Iterable[LedgerEntry]) -> Ledger:
    """The ledger after all fills and settlements, in the order of their time."""
    ledger = Ledger()
    for entry in sort_by_time(entries):
        _book(ledger, entry)
    return ledger


def sort_by_time(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """By time; at equal times fills come before the settlement, and otherwise the given order holds."""
    return sorted(entries, key=lambda entry: (entry.ts, isinstance(entry, Settlement)))


def group_by(
    entries: Iterable[LedgerEntry],
    marks: Mapping[str, Price | None],
    key: Callable[[str, LedgerEntry | None], str],
    *,
    since: Ts | None = None,
) -> dict[str, ProfitAndLoss]:
    """P&L by any key; the parts add up to the whole.

    `key(ticker, entry)` names the part; it is asked with None for what is still open at the end. Entries before `since`
    build the positions and are counted in no part: what they had gained by then, at cost, is where counting starts.
    """
    ledger = Ledger()
    found: dict[str, ProfitAndLoss] = {}
    for entry in sort_by_time(entries):
        before = _so_far(ledger, entry.ticker)
        if not _book(ledger, entry):
            continue
        after = _so_far(ledger, entry.ticker)
        if since is None or entry.ts >= since:
            part = found.setdefault(key(entry.ticker, entry), ProfitAndLoss())
            part.add(realized=after.realized - before.realized, fees=after.fees - before.fees)
    for position in ledger.positions.values():
        open_profit = position.unrealized(marks.get(position.ticker))
        if position.qty and open_profit is not None:
            found.setdefault(key(position.ticker, None), ProfitAndLoss()).add(unrealized=open_profit)
    return found


def curve(
    entries: Iterable[LedgerEntry], marks: Mapping[str, Price | None], now: Ts, *, since: Ts | None = None
) -> list[tuple[Ts, Money]]:
    """What the account had gained after each moment at which something was booked; at `now` with what is open.

    What is open counts at cost until then: what it was worth in between is not known. Empty where nothing was booked.
    """
    ledger = Ledger()
    points: list[tuple[Ts, Money]] = []
    before = Money(0)
    for entry in sort_by_time(entries):
        _book(ledger, entry)
        gained = Money(ledger.realized - ledger.fees)
        if since is not None and entry.ts < since:
            before = gained
        elif points and points[-1][0] == entry.ts:
            points[-1] = (entry.ts, Money(gained - before))
        else:
            points = points or [(since if since is not None else entry.ts, Money(0))]
            points.append((entry.ts, Money(gained - before)))
    if points:
        held = sum(position.unrealized(marks.get(position.ticker)) or 0 for position in ledger.positions.values())
        points.append((now, Money(points[-1][1] + held)))
    return points


def total(found: Iterable[ProfitAndLoss]) -> ProfitAndLoss:
    """The sum of the parts."""
    whole = ProfitAndLoss()
    for part in found:
        whole.add(part.realized, part.unrealized, part.fees)
    return whole


def _so_far(ledger: Ledger, ticker: str) -> ProfitAndLoss:
    """What a market brought, over all subaccounts, without what is open."""
    whole = ProfitAndLoss()
    for position in ledger.holdings(ticker):
        whole.add(realized=position.realized, fees=position.fees)
    return whole


def _book(ledger: Ledger, entry: LedgerEntry) -> bool:
    return ledger.settle(entry) is not None if isinstance(entry, Settlement) else ledger.book(entry)
