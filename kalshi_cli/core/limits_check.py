"""How much of each configured limit an account uses: what the exchange states of it, with everything that rests filled.

The same sums as before an order (`risk.py`), over positions that were not counted here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from kalshi_cli.core.checks import Breach, Measure
from kalshi_cli.core.model import BID, Order
from kalshi_cli.core.state import Limits
from kalshi_cli.core.worst_case import at_worst
from kalshi_cli.units import Money, Qty, show_money, show_qty

K = TypeVar("K", bound=Hashable)

MOST_PCT = 1_000_000.0
"""So much is used of a limit that allows nothing."""


class Stake(msgspec.Struct, frozen=True, kw_only=True):
    """What one subaccount has in one market: signed contracts, what they cost, and its resting orders."""

    ticker: str
    subaccount: int
    qty: Qty
    cost: Money
    orders: tuple[Order, ...] = ()

    @property
    def most_held(self) -> Qty:
        """The largest position, either way, once every order of one side filled."""
        bids = sum(order.remaining for order in self.orders if order.side is BID)
        asks = sum(order.remaining for order in self.orders if order.side is not BID)
        return Qty(max(self.qty + bids, asks - self.qty))

    @property
    def outcomes(self) -> tuple[Money, Money]:
        """What is lost at most if the market settles NO, and if YES; below zero it is won."""
        return at_worst(self.qty, self.cost, [(order.side, order.price, order.remaining) for order in self.orders])


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of one limit, in the units of that limit and as text."""

    code: str
    subject: str
    used: int
    limit: int
    shown: str
    shown_limit: str

    @property
    def pct(self) -> float:
        """Percent of the limit."""
        if self.limit:
            return round(100 * self.used / self.limit, 1)
        return MOST_PCT if self.used > 0 else 0.0

    def breach(self, measure: Measure) -> tuple[Breach, ...]:
        """It as a breach, where it is one by the thresholds of a measure in percent."""
        own = msgspec.structs.replace(measure, value=self.pct)
        found = own.breach(self.code, self.subject, f"{self.shown} ({self.pct:g} %)")
        unit = "$" if self.shown_limit.startswith("$") else "contracts"
        return tuple(msgspec.structs.replace(breach, limit=self.shown_limit, unit=unit) for breach in found)


def uses(
    stakes: Sequence[Stake],
    limits: Limits,
    max_event: Money | None,
    event_of: Mapping[str, str],
    alone: Collection[str],
) -> list[Use]:
    """Every limit that is set, of each market, each event and the whole; the most used first.

    `event_of` names the event of a market, where that is known; in those that are `alone` at most one market settles
    YES.
    """
    found: list[Use] = []
    if limits.max_position is not None:
        found += [
            _use("POSITION_LIMIT", ticker, Qty(sum(stake.most_held for stake in held)), limits.max_position, show_qty)
            for ticker, held in _grouped(stakes, lambda stake: stake.ticker).items()
        ]
    if max_event is not None:
        by_event = _grouped([s for s in stakes if s.ticker in event_of], lambda stake: event_of[stake.ticker])
        found += [
            _use("EVENT_EXPOSURE", event, event_exposure(held, is_exclusive=event in alone), max_event, show_money)
            for event, held in by_event.items()
        ]
    if limits.max_exposure is not None:
        total = Money(sum(max(0, *stake.outcomes) for stake in stakes))
        found.append(_use("EXPOSURE", "all markets", total, limits.max_exposure, show_money))
    return sorted(found, key=lambda use: -use.pct)


def event_exposure(stakes: Iterable[Stake], *, is_exclusive: bool) -> Money:
    """The most that the markets of one event can lose together; nothing nets between subaccounts.

    In an exclusive event at most one of them settles YES: the worst of all those outcomes counts.
    """
    total = 0
    for held in _grouped(list(stakes), lambda stake: stake.subaccount).values():
        outcomes = [stake.outcomes for stake in held]
        if is_exclusive:
            none_wins = sum(if_no for if_no, _ in outcomes)
            total += max(0, none_wins, *(none_wins - if_no + if_yes for if_no, if_yes in outcomes))
        else:
            total += sum(max(0, *each) for each in outcomes)
    return Money(total)


def _grouped(stakes: Iterable[Stake], key: Callable[[Stake], K]) -> dict[K, list[Stake]]:
    found: dict[K, list[Stake]] = {}
    for stake in stakes:
        found.setdefault(key(stake), []).append(stake)
    return found


def _use(code: str, subject: str, used: int, limit: int, show: Callable[[Any], str]) -> Use:
    return Use(code=code, subject=subject, used=used, limit=limit, shown=show(used), shown_limit=show(limit))
