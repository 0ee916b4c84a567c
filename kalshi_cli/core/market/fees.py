"""Trading fees: the exchange's formula, and its rounding of the balance (API.md section 9).

trade fee = k * multiplier * contracts * price * (1 - price), rounded up to $0.0001, for each fill

These are estimates before a trade, and the rules of the simulated exchange. Once a fill reports its fee, use that. The
fee is the same for both sides, so YES and NO cost the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kalshi_cli.base.units import ONE_CONTRACT, ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, Market

NO_FEES: Final = FeeSchedule(multiplier=0)

DIRECT: Final = Money(100)
"""Balance precision of a direct member (an ordinary API account): $0.0001."""
INTERMEDIARY: Final = Money(10_000)
"""Balance precision of a member behind an intermediary: $0.01."""

_REBATE = Money(10_000)
_FEE_STEP = Money(100)

# k of takers and of makers, in ten-thousandths. `flat` has no published formula (2026-10), and future types are
# unknown: both use the highest known rates, so that fees never turn a found edge into a loss.
_DEAREST = (700, 700)
_RATES: dict[FeeType, tuple[int, int]] = {
    FeeType.QUADRATIC: (700, 0),
    FeeType.WITH_MAKER: (700, 175),
    FeeType.WITH_COMBO_MAKER: (700, 350),
    FeeType.FLAT: _DEAREST,
    FeeType.UNKNOWN: _DEAREST,
}

# k, multiplier, contracts and the two prices have 4 + 3 + 2 + 4 + 4 decimals; a fee has 4.
_SCALE = 10 ** (4 + 3 + 2 + 4 + 4 - 4)


def fees_now(market: Market | None, fees: FeeSchedule, now: Ts) -> FeeSchedule:
    """Return the fee schedule, or no fees while they are waived for this market."""
    until = market.fee_waiver_until if market is not None else None
    return NO_FEES if until is not None and now < until else fees


def trade_fee(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    """Return the fee of one fill of `qty` at `price`, before the rounding of the balance."""
    taker, maker = _RATES[schedule.type]
    raw = (taker if is_taker else maker) * schedule.multiplier * qty * price * (ONE_DOLLAR - price)
    return Money(-(-raw // _SCALE) * _FEE_STEP)


def estimate(schedule: FeeSchedule, price: Price, qty: Qty, *, is_taker: bool) -> Money:
    """Return the highest fee of a single fill, including the rounding of a direct member's balance.

    An order that fills in n parts may cost up to $0.01 + (n - 1) * $0.0001 more.
    """
    amount = notional(price, qty)
    return Money(trade_fee(schedule, price, qty, is_taker=is_taker) + max(amount % DIRECT, -amount % DIRECT))


def highest_fee(schedule: FeeSchedule, best: Price, limit: Price, qty: Qty, *, is_taker: bool) -> Money:
    """Return the highest fee of an order that fills at any prices from `best` to `limit`, in any parts.

    A fee is largest at half a dollar, so a better price than the limit can cost more. The fee of each part is rounded
    up: this assumes parts of whole contracts, because others are rare, and would cost at most $0.0001 each more.
    """
    low, high = min(best, limit), max(best, limit)
    dearest = Price(min(max(low, ONE_DOLLAR // 2), high))
    whole, part = divmod(qty, ONE_CONTRACT)
    fee = whole * trade_fee(schedule, dearest, ONE_CONTRACT, is_taker=is_taker)
    if part:
        fee += trade_fee(schedule, dearest, Qty(part), is_taker=is_taker) + DIRECT * (whole + 1)
    return Money(fee)


class FeeCharge(NamedTuple):
    """The parts of one fill's fee. `net` can be negative for a small later fill of an order (a rebate)."""

    trade_fee: Money
    rounding_fee: Money
    rebate: Money

    @property
    def net(self) -> Money:
        """Return the amount charged."""
        return Money(self.trade_fee + self.rounding_fee - self.rebate)


class RoundingAccumulator:
    """The rounding fees of one order.

    Each fill leaves the balance a multiple of `precision`. Once more than a cent of rounding fees has accumulated, the
    exchange pays it back a cent at a time.
    """

    def __init__(self, precision: Money = DIRECT) -> None:
        self.precision = precision
        self.gathered = Money(0)

    def charge(self, revenue: Money, fee: Money) -> FeeCharge:
        """Book a fill: `revenue` is its effect on cash before fees (negative for a buy), `fee` its trade fee."""
        rounding = Money((revenue - fee) % self.precision)
        gathered = self.gathered + rounding
        rebate = _REBATE if gathered > _REBATE else Money(0)
        self.gathered = Money(gathered - rebate)
        return FeeCharge(fee, rounding, rebate)
