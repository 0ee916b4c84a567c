"""Tax lots: contracts bought at one time, and their sale or payout, first in, first out.

Each subaccount is separate. The fees of a lot are its shares of the fees of the opening and the closing fill; shares
are rounded down and the last part takes the remainder, so that nothing is lost. The sum of all gains equals what the
first-in-first-out ledger realized, less the fees of what is closed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty, Ts
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement

Outcome = Literal["yes", "no"]


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Contracts bought at one time. `closed`, `proceeds` and `gain` are None while it is open.

    Amounts are micro-dollars. `cost` and `proceeds` exclude fees; `gain` = `proceeds` - `cost` - `fees`.
    """

    ticker: str
    subaccount: int
    outcome: Outcome
    qty: Qty
    opened: Ts
    cost: Money
    fees: Money
    closed: Ts | None = None
    closed_by: Literal["trade", "settlement"] | None = None
    proceeds: Money | None = None

    @property
    def gain(self) -> Money | None:
        """Return the profit after fees, None while the lot is open."""
        return None if self.proceeds is None else Money(self.proceeds - self.cost - self.fees)


def tax_lots(entries: Iterable[Fill | Settlement]) -> list[Lot]:
    """Return all lots: closed ones by closing time, then open ones by opening time."""
    ledger = Ledger("fifo")
    for entry in entries:
        ledger.add(entry)
    closed: list[Lot] = []
    holdings: dict[tuple[str, int], deque[Lot]] = defaultdict(deque)
    for event in ledger.entries:  # each market in the order in which the ledger counts it
        if isinstance(event, Fill):
            _trade(holdings[event.ticker, event.subaccount], event, closed)
        else:
            for (ticker, _), held in holdings.items():
                while ticker == event.ticker and held:
                    lot = held.popleft()
                    value = event.value if lot.outcome == "yes" else ONE_DOLLAR - event.value
                    closed.append(_close(lot, event.ts, "settlement", value, Money(0)))
    still_open = [lot for held in holdings.values() for lot in held]
    return [*sorted(closed, key=_age), *sorted(still_open, key=_age)]


def _age(lot: Lot) -> tuple[int, int, str, int]:
    return (lot.closed or 0, lot.opened, lot.ticker, lot.subaccount)


def _trade(held: deque[Lot], fill: Fill, closed: list[Lot]) -> None:
    """Close the oldest lots of the other outcome, and open a lot with the rest."""
    outcome: Outcome = "yes" if fill.side.sign > 0 else "no"
    left, fee = fill.qty, fill.fee
    while left and held and held[0].outcome != outcome:
        lot = held.popleft()
        taken = Qty(min(left, lot.qty))
        part = Money(fee * taken // left)
        if taken < lot.qty:
            gone, rest = _split(lot, taken)
            held.appendleft(rest)
            lot = gone
        price = fill.price if lot.outcome == "yes" else ONE_DOLLAR - fill.price
        closed.append(_close(lot, fill.ts, "trade", price, part))
        left, fee = Qty(left - taken), Money(fee - part)
    if left:
        price = fill.price if outcome == "yes" else ONE_DOLLAR - fill.price
        held.append(
            Lot(
                ticker=fill.ticker, subaccount=fill.subaccount, outcome=outcome, qty=left, opened=fill.ts,
                cost=Money(price * left), fees=fee,
            )
        )  # fmt: skip


def _split(lot: Lot, taken: Qty) -> tuple[Lot, Lot]:
    """Split a lot into the closed part and the rest."""
    cost, fees = Money(lot.cost * taken // lot.qty), Money(lot.fees * taken // lot.qty)
    gone = msgspec.structs.replace(lot, qty=taken, cost=cost, fees=fees)
    rest = msgspec.structs.replace(
        lot, qty=Qty(lot.qty - taken), cost=Money(lot.cost - cost), fees=Money(lot.fees - fees)
    )
    return gone, rest


def _close(lot: Lot, ts: Ts, by: Literal["trade", "settlement"], price: int, fee: Money) -> Lot:
    return msgspec.structs.replace(
        lot, closed=ts, closed_by=by, proceeds=Money(price * lot.qty), fees=Money(lot.fees + fee)
    )
