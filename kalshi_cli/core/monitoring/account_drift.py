"""A comparison of our records with the exchange's: every fill, settlement and position, to the contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts, show_money, show_price, show_qty
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import build_ledger, sort_by_time
from kalshi_cli.core.model.order_terms import own_terms
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.check_report import Breach, critical

LATE_SETTLEMENT_MS = 86_400_000
"""A settlement may become readable this long after its own time."""

Place = tuple[int, str]
"""A subaccount and a market."""


class AccountHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The fills and settlements of one side."""

    fills: Sequence[Fill] = ()
    settlements: Sequence[Settlement] = ()


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a comparison.

    `unread` are the exchange's entries that are too new to be in our records; `ledger` is ours with them.
    """

    breaches: tuple[Breach, ...]
    unread: tuple[Fill | Settlement, ...]
    ledger: Ledger


def compare(
    ours: AccountHistory,
    theirs: AccountHistory,
    stated: Mapping[Place, Qty],
    *,
    read_until: Ts,
    now: Ts,
    since: Ts = Ts(0),  # noqa: B008 - an integer
    ledger: Ledger | None = None,
) -> Compared:
    """Return the fills and settlements that one side lacks or that differ, and the positions that differ.

    Both sides have the entries from `since` on, ours also some before; `ledger` has all of ours.
    Entries after `read_until` need not be in our records yet, and may be missing on the exchange, whose lists lag.
    """
    breaches, unread = compare_entries(ours, theirs, read_until=read_until, now=now, since=since)
    ledger = build_ledger((*ours.fills, *ours.settlements)) if ledger is None else ledger
    for entry in sort_by_time(unread):
        ledger.add(entry)
    return Compared(breaches=(*breaches, *_positions(ledger, stated)), unread=tuple(unread), ledger=ledger)


def compare_entries(
    ours: AccountHistory,
    theirs: AccountHistory,
    *,
    read_until: Ts,
    now: Ts,
    since: Ts = Ts(0),  # noqa: B008 - an integer
    until: Ts | None = None,
) -> tuple[list[Breach], list[Fill | Settlement]]:
    """Return the fills and settlements from `since` to before `until` that differ, and those that are too new.

    Either side may have entries outside that time: the times of one entry can differ a little.
    """
    mine, their = {fill.key: fill for fill in ours.fills}, {fill.key: fill for fill in theirs.fills}
    end = until if until is not None else Ts(2**62)
    breaches: list[Breach] = []
    unread: list[Fill | Settlement] = []
    for key, fill in their.items():
        known = mine.get(key)
        if known is None and not since <= fill.ts < end:
            continue
        if known is None and fill.ts > read_until:
            unread.append(fill)
        elif known is None:
            breaches.append(
                critical("FILLS_MISSING", fill.ticker, f"missing in the state file: {_words(fill)}", "stored")
            )
        elif _terms(known) != _terms(fill):
            breaches.append(critical("FILL_DIFFERS", fill.ticker, _words(known), _words(fill)))
    breaches += [
        critical("FILLS_NOT_THERE", fill.ticker, f"only in the state file: {_words(fill)}", "on the exchange")
        for key, fill in mine.items()
        if key not in their and since <= fill.ts <= min(read_until, end - 1)
    ]
    paid = {settlement.ticker: (settlement.result, settlement.value) for settlement in ours.settlements}
    for settlement in theirs.settlements:
        if not since <= settlement.ts < end:
            continue
        if paid.get(settlement.ticker) == (settlement.result, settlement.value):
            continue
        if settlement.ts > min(read_until, now - LATE_SETTLEMENT_MS):
            unread.append(settlement)
        else:
            what = f"settlement missing in the state file: {settlement.result} at {show_price(settlement.value)}"
            breaches.append(critical("SETTLEMENT_MISSING", settlement.ticker, what, "stored"))
    return breaches, unread


class Verified(msgspec.Struct, frozen=True):
    """The time within which all entries of both sides were compared and found equal: from `start` to `end`."""

    start: Ts
    end: Ts

    def extend(self, since: Ts, now: Ts) -> Verified:
        """Return this with the time from `since` to now; that alone where a gap is between them."""
        return Verified(min(self.start, since) if since <= self.end else since, now)


def _positions(ledger: Ledger, stated: Mapping[Place, Qty]) -> Iterable[Breach]:
    held = {place: position.qty for place, position in ledger.positions.items()}
    for place in sorted(held.keys() | stated.keys()):
        mine, their = held.get(place, Qty(0)), stated.get(place, Qty(0))
        if mine != their:
            subaccount, ticker = place
            subject = f"{ticker} (subaccount {subaccount})" if subaccount else ticker
            yield critical("DRIFT", subject, f"state file {show_qty(mine)}", f"exchange {show_qty(their)}")


def cash_drift(ledger: Ledger, cash: Money, moved: Money, base: Money) -> Money:
    """Return the cash that the earlier balance, deposits, withdrawals and trading do not explain."""
    return Money(cash - base - moved - ledger.cash)


def _terms(fill: Fill) -> tuple[object, ...]:
    return fill.ticker, fill.subaccount, fill.side, fill.price, fill.qty, fill.fee


def _words(fill: Fill) -> str:
    what = own_terms(fill.side, fill.price, None).text(fill.qty)
    return f"{what}, fee {show_money(fill.fee)} (trade {fill.trade_id})"
