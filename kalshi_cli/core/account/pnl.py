"""Profit and loss in total and by group, from fills and settlements. Every command uses this definition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from kalshi_cli.base.units import Money, Price, Ts
from kalshi_cli.core.account.ledger import Ledger, booking_order
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

LedgerEntry = Fill | Settlement


class ProfitAndLoss(msgspec.Struct):
    """Profit and loss in micro-dollars. `realized` and `unrealized` are before fees; `net` is after fees.

    `wins` and `losses` count the trades and settlements that closed something, by their result after the closing fee;
    a result of zero is a loss.
    """

    realized: Money = Money(0)
    unrealized: Money = Money(0)
    fees: Money = Money(0)
    wins: int = 0
    losses: int = 0

    @property
    def net(self) -> Money:
        """Return the profit after fees."""
        return Money(self.realized + self.unrealized - self.fees)

    def count_close(self, gain: int) -> None:
        """Count a closing trade or settlement by its result."""
        self.wins += gain > 0
        self.losses += gain <= 0

    def add(self, realized: int = 0, unrealized: int = 0, fees: int = 0) -> None:
        """Add amounts."""
        self.realized = Money(self.realized + realized)
        self.unrealized = Money(self.unrealized + unrealized)
        self.fees = Money(self.fees + fees)


def build_ledger(entries: Iterable[LedgerEntry]) -> Ledger:
    """Return the ledger of all fills and settlements."""
    ledger = Ledger()
    for entry in sort_by_time(entries):
        ledger.add(entry)
    return ledger


def sort_by_time(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Sort entries by time, those of one moment by market, and those of one market as the ledger counts them."""
    return sorted(entries, key=lambda entry: (entry.ts, entry.ticker, booking_order(entry)))


def group_by(
    entries: Iterable[LedgerEntry],
    marks: Mapping[str, Price | None],
    key: Callable[[str, LedgerEntry | None], str],
    *,
    since: Ts | None = None,
    opening: Mapping[str, Price] | None = None,
) -> dict[str, ProfitAndLoss]:
    """Return P&L by any key. The groups add up to the total.

    `key(ticker, entry)` names the group; open positions at the end have the entry None. Entries before `since` build
    the positions but count in no group. `opening` has the marks at `since`: a position that was open then counts with
    its change since, and without such a mark with all of its unrealized P&L.
    """
    ledger = Ledger()
    found: dict[str, ProfitAndLoss] = {}
    for entry, gained, fees, is_closing in _booked(ledger, entries):
        if since is None or entry.ts >= since:
            part = found.setdefault(key(entry.ticker, entry), ProfitAndLoss())
            part.add(realized=gained, fees=fees)
            if is_closing:
                part.count_close(gained - fees)
    for position in ledger.positions.values():
        open_profit = position.unrealized(marks.get(position.ticker))
        if position.qty and open_profit is not None:
            found.setdefault(key(position.ticker, None), ProfitAndLoss()).add(unrealized=open_profit)
    if since is not None and opening:
        for ticker in opening:
            if carried := ledger.before(ticker, since).unrealized(opening):
                found.setdefault(key(ticker, None), ProfitAndLoss()).add(unrealized=-carried)
    return found


def _booked(ledger: Ledger, entries: Iterable[LedgerEntry]) -> Iterator[tuple[LedgerEntry, int, int, bool]]:
    """Book entries; yield each new one with its realized profit, its fees, and whether it closed something."""
    for entry in sort_by_time(entries):
        before, is_closing = _so_far(ledger, entry.ticker), closes(ledger, entry)
        if ledger.add(entry):
            after = _so_far(ledger, entry.ticker)
            yield entry, after.realized - before.realized, after.fees - before.fees, is_closing


def count_closings(entries: Iterable[LedgerEntry], since: Ts) -> tuple[int, int]:
    """Return how many closing orders and settlements won since a time, and how many did not.

    The fills of an order count together, by their result after fees. The entries before `since` build the positions.
    """
    results: dict[tuple[str, str], int] = {}
    for entry, gained, fees, is_closing in _booked(Ledger(), entries):
        if is_closing and entry.ts >= since:
            key = closing_key(entry)
            results[key] = results.get(key, 0) + gained - fees
    won = sum(result > 0 for result in results.values())
    return won, len(results) - won


def closing_key(entry: LedgerEntry) -> tuple[str, str]:
    """Return what an entry counts with as one close: the fills of one order, or the settlements of one market."""
    return entry.ticker, (entry.order_id or entry.trade_id) if isinstance(entry, Fill) else ""


def curve(
    entries: Iterable[LedgerEntry], marks: Mapping[str, Price | None], now: Ts, *, since: Ts | None = None
) -> list[tuple[Ts, Money]]:
    """Return the profit after each booking, and at `now` with open positions at their marks.

    Before `now`, open positions count at cost, because past marks are unknown. Empty if nothing was booked since
    `since`.
    """
    ledger = Ledger()
    points: list[tuple[Ts, Money]] = []
    before = Money(0)
    for entry in sort_by_time(entries):
        ledger.add(entry)
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
    """Return the sum of the groups."""
    whole = ProfitAndLoss()
    for part in found:
        whole.add(part.realized, part.unrealized, part.fees)
        whole.wins += part.wins
        whole.losses += part.losses
    return whole


def closes(ledger: Ledger, entry: LedgerEntry) -> bool:
    """Return whether a fill or settlement that is not booked yet closes contracts of the ledger."""
    if isinstance(entry, Settlement):
        return any(position.qty for position in ledger.holdings(entry.ticker))
    return ledger.position(entry.ticker, entry.subaccount).qty * entry.side.sign < 0


def _so_far(ledger: Ledger, ticker: str) -> ProfitAndLoss:
    """Return the realized profit and fees of a market over all subaccounts."""
    whole = ProfitAndLoss()
    for position in ledger.holdings(ticker):
        whole.add(realized=position.realized, fees=position.fees)
    return whole
