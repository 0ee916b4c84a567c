"""What a trade costs in fees: the exchange's formula, and how it rounds to the balance (API.md section 9).

    trade fee = k * multiplier * contracts * price * (1 - price), rounded up to $0.0001, for each fill

These are estimates for use before a trade and rules for the simulated exchange. Once a fill reports its fee, that is
the fee. A fee is the same for both sides, so YES and NO cost the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, notional
from kalshi_cli.core.model.markets import FeeSchedule, FeeType

DIRECT: Final = Money(100)
"""Balance precision of a direct member (an ordinary API account): $0.0001."""
INTERMEDIARY: Final = Money(10_000)
"""Balance precision of a member behind an intermediary: $0.01."""

_REBATE = Money(10_000)
_FEE_STEP = Money(100)

# k of takers and of makers, in ten-thousandths. `flat` has no published formula (2026-10), and a type added later is
# not known here: both are taken for the dearest there is, so that an edge is never found where a fee would eat it.
_DEAREST = (700, 700)
_RATES: dict[FeeType, tuple[int, int]] = {
    FeeType.QUADRATIC: (700, 0),
    FeeType.WITH_MAKER: (700, 175),
    FeeType.WITH_COMBO_MAKER: (700, 350),
    FeeType.FLAT: _DEAREST,
    FeeType.UNKNOWN: _DEAREST,
}

# k, multiplier, contracts and the two prices carry 4 + 3 + 2 + 4 + 4 decimals; a fee has 4 of its own.
_SCALE = 10 ** (4 + 3 + 2 + 4 + 4 - 4)


def trade_fee(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    """The fee of one fill of `qty` at `price`, before rounding to the balance."""
    taker, maker = _RATES[schedule.type]
    raw = (taker if is_taker else maker) * schedule.multiplier * qty * price * (ONE_DOLLAR - price)
    return Money(-(-raw // _SCALE) * _FEE_STEP)


def estimate(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    """What one fill will be charged at most, a direct member's rounding included.

    An order that fills in n parts may cost up to $0.01 + (n - 1) * $0.0001 more.
    """
    amount = notional(price, qty)
    return Money(trade_fee(schedule, price, qty, is_taker=is_taker) + max(amount % DIRECT, -amount % DIRECT))


class FeeCharge(NamedTuple):
    """The fee of one fill in its parts. `net` can be below zero for a small later fill of an order (a rebate)."""

    trade_fee: Money
    rounding_fee: Money
    rebate: Money

    @property
    def net(self) -> Money:
        return Money(self.trade_fee + self.rounding_fee - self.rebate)


class RoundingAccumulator:
    """The rounding fees of one order: each fill leaves the balance a multiple of `precision`, and what that took from
    the member is given back a cent at a time, once more than a cent has gathered.
    """

    def __init__(self, precision: Money = DIRECT) -> None:
        self.precision = precision
        self.gathered = Money(0)

    def charge(self, revenue: Money, fee: Money) -> FeeCharge:
        """Book a fill: `revenue` is what it does to cash before fees (below zero for a buy), `fee` its trade fee."""
        rounding = Money((revenue - fee) % self.precision)
        gathered = self.gathered + rounding
        rebate = _REBATE if gathered > _REBATE else Money(0)
        self.gathered = Money(gathered - rebate)
        return FeeCharge(fee, rounding, rebate)
