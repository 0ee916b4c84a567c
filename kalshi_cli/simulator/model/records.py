"""The records of the simulated exchange; every struct here is written to the journal as it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zlib import crc32

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import FeeSchedule, MarketStatus
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.model.listing import MarketSpec, OrderTerms

RESTING, CANCELED, EXECUTED = "resting", "canceled", "executed"


class OrderRecord(OrderTerms, kw_only=True):
    """An order, live or ended. `qty` is the most it may fill, as last amended; `rank` counts all orders ever.

    `queued` is its place in the time priority of its price after an amendment moved it to the back, on the scale of
    `rank`. `rounding` is the sum of the balance roundings of its fills that no rebate has returned.
    """

    order_id: str
    account: str
    exchange_index: int = 0
    remaining: Qty
    filled: Qty = Qty(0)
    status: str = RESTING
    created: Ts
    updated: Ts
    rank: int
    queued: int | None = None
    taker_cost: Money = Money(0)
    maker_cost: Money = Money(0)
    taker_fees: Money = Money(0)
    maker_fees: Money = Money(0)
    rounding: Money = Money(0)
    reason: str = ""

    @property
    def place(self) -> int:
        """Return the time priority: orders at one price fill in this order."""
        return self.rank if self.queued is None else self.queued


class OwnedRecord(msgspec.Struct, kw_only=True):
    """Base of the records of one subaccount on one shard."""

    account: str
    subaccount: int = 0
    exchange_index: int = 0


class FillRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A side of a trade, for one account. `number` counts the fills of the account from 0."""

    number: int
    trade_id: str
    order_id: str
    client_order_id: str
    ticker: str
    side: Side
    price: Price
    qty: Qty
    fee: Money
    is_taker: bool
    position: Qty
    ts: Ts
    account: str
    subaccount: int = 0
    exchange_index: int = 0


class TradeRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A public trade. `number` counts the trades of the exchange from 0."""

    number: int
    trade_id: str
    ticker: str
    price: Price
    qty: Qty
    taker_side: Side
    is_block: bool = False
    ts: Ts


class PositionRecord(OwnedRecord, kw_only=True):
    """The position of a subaccount in one market. `cost` is the cost of the open part; `qty` is positive for YES."""

    ticker: str
    qty: Qty = Qty(0)
    cost: Money = Money(0)
    realized: Money = Money(0)
    fees: Money = Money(0)
    traded: Money = Money(0)
    volume: Qty = Qty(0)
    updated: Ts = Ts(0)
    is_settled: bool = False


class AccountRecord(msgspec.Struct, kw_only=True):
    """A member: its id on the wire and the number of its subaccounts."""

    name: str
    user_id: str
    subaccounts: int = 0


class BalanceRecord(OwnedRecord, kw_only=True):
    """The cash of one subaccount on one shard."""

    cash: Money = Money(0)
    updated: Ts = Ts(0)


class KeyRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A public key (PEM) that signs for an account.

    `subaccount` restricts it to one of them; `scopes` are those of the wire, such as the child scope `write::trade`.
    """

    key_id: str
    account: str
    public_key: bytes
    name: str = ""
    scopes: tuple[str, ...] = ("read", "write")
    subaccount: int | None = None


class GroupRecord(OwnedRecord, kw_only=True):
    """An order group. `matched` has (time, contracts) of its fills of the last 15 seconds; `number` is its age."""

    group_id: str
    number: int
    limit: Qty
    is_triggered: bool = False
    is_deleted: bool = False
    matched: list[tuple[Ts, Qty]] = []
    created: Ts
    updated: Ts


class SettlementRecord(msgspec.Struct, kw_only=True, frozen=True):
    """The payout of a market to one subaccount. `number` counts the settlements of the account from 0."""

    number: int
    ticker: str
    event_ticker: str
    result: str
    value: Price
    yes_qty: Qty
    yes_cost: Money
    no_qty: Qty
    no_cost: Money
    revenue: Money
    fee: Money
    ts: Ts
    account: str
    subaccount: int = 0
    exchange_index: int = 0


class MarketRecord(msgspec.Struct, kw_only=True):
    """A market and its state. `number` is its place in lists; `minutes` is its volume by minute for one day."""

    spec: MarketSpec
    market_id: str
    number: int
    close_time: Ts
    created: Ts
    updated: Ts
    is_paused: bool = False
    is_cleared: bool = False
    is_amended: bool = False
    is_disputed: bool = False
    last: Price | None = None
    last_size: Qty = Qty(0)
    volume: Qty = Qty(0)
    open_interest: Qty = Qty(0)
    minutes: list[tuple[int, Qty]] = []
    value: Price | None = None
    expiration_value: str = ""
    determined: Ts | None = None
    settled: Ts | None = None

    def status(self, now: Ts) -> MarketStatus:
        """Return the status at a time. Opening and closing follow from the clock and send no message."""
        if self.settled is not None:
            return MarketStatus.FINALIZED
        if self.determined is not None:
            if self.is_disputed:
                return MarketStatus.DISPUTED
            return MarketStatus.AMENDED if self.is_amended else MarketStatus.DETERMINED
        if now >= self.close_time:
            return MarketStatus.CLOSED
        if now < self.spec.open_time:
            return MarketStatus.INITIALIZED
        return MarketStatus.INACTIVE if self.is_paused else MarketStatus.ACTIVE

    @property
    def announced(self) -> Ts:
        """Return the creation time, which is always some minutes before the market opens.

        A new world lists markets that opened long ago, so `created` may be later than the opening.
        """
        lead = 180_000 + crc32(self.spec.ticker.encode()) % 1_620_000
        return Ts(min(self.created, self.spec.open_time - lead))

    @property
    def result(self) -> str:
        """Return yes, no or scalar, or an empty text before the market is determined."""
        if self.value is None:
            return ""
        return {10_000: "yes", 0: "no"}.get(self.value, "scalar")

    def volume_24h(self, now: Ts) -> Qty:
        """Return the contracts matched in the last day, to the minute."""
        since = now // 60_000 - 1440
        return Qty(sum(qty for minute, qty in self.minutes if minute > since))


class FeeChangeRecord(msgspec.Struct, kw_only=True):
    """A fee change of a series from `scheduled` on, or with `event_ticker` of one event.

    For an event, fees of None end its override.
    """

    id: str
    number: int
    series_ticker: str
    event_ticker: str = ""
    fees: FeeSchedule | None
    scheduled: Ts
    is_done: bool = False


class StateRecord(msgspec.Struct, kw_only=True):
    """The switches and counters of the exchange.

    Three kinds of pauses exist side by side, and the strictest applies: one of the whole exchange (`is_active`,
    `is_trading`), which ends at `resumes`; one of each shard in `paused_shards` (`trading` or `exchange`), which ends
    at `shard_resumes`; and the maintenance, which ends at `maintenance_until`. A pause without an end lasts until a
    resume. `maintained` is the start of the last maintenance; `shuffle` is the seed for the order of messages, None to
    keep their order.
    """

    is_active: bool = True
    is_trading: bool = True
    paused_shards: dict[int, str] = {}
    resumes: Ts | None = None
    shard_resumes: dict[int, Ts] = {}
    maintenance_until: Ts | None = None
    maintained: Ts | None = None
    shuffle: int | None = None
    fees_collected: Money = Money(0)

    def pause_of(self, shard: int) -> str:
        """Return the pause of a shard: `exchange` (nothing works), `trading` (cancels work) or an empty text."""
        trades = self.is_trading and self.maintenance_until is None
        kinds = {self.paused_shards.get(shard, ""), "" if trades else "trading"}
        return "exchange" if not self.is_active or "exchange" in kinds else max(kinds)

    def reopens(self, shards: Iterable[int]) -> Ts | None:
        """Return when all of these shards trade again; None if they trade now, or if a pause has no end."""
        ends = [] if self.is_trading else [self.resumes]
        ends += [] if self.maintenance_until is None else [self.maintenance_until]
        ends += [self.shard_resumes.get(shard) for shard in shards if shard in self.paused_shards]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None


# -- events for the channels ---------------------------------------------------------------------------------------


class BookChange(msgspec.Struct, frozen=True):
    """A change of one level by `delta`, caused by an order of `account`."""

    ticker: str
    side: Side
    price: Price
    delta: Qty
    ts: Ts
    account: str
    client_order_id: str
    subaccount: int = 0


class BookCleared(msgspec.Struct, frozen=True):
    """The removal of a whole book because its market closed."""

    ticker: str


class MarketChanged(msgspec.Struct, frozen=True):
    """A change of a market. `change` is a lifecycle event_type of the wire."""

    change: str
    ticker: str
    ts: Ts


class EventListed(msgspec.Struct, frozen=True):
    """A newly listed event."""

    event_ticker: str


class EventFeesChanged(msgspec.Struct, frozen=True):
    """A change of the fees of an event, effective now."""

    event_ticker: str


class StreamNotification(msgspec.Struct, frozen=True):
    """A message for the communications channel about the RFQ `rfq_id` of `creator`; `kind` and `msg` are the wire's.

    Only the accounts of `audience` receive it; None means everyone except subscribers to their own RFQs only.
    """

    kind: str
    msg: dict[str, Any]
    rfq_id: str
    creator: str
    audience: frozenset[str] | None = None


class GroupChanged(msgspec.Struct, frozen=True):
    """A change of an order group; `event_type` is created, triggered, reset, deleted or limit_updated.

    `limit` is the limit from now on, in contracts; the channel shows it where the wire does.
    """

    event_type: str
    group_id: str
    limit: Qty
    account: str
    ts: Ts


class IndexTick(msgspec.Struct, frozen=True):
    """A tick of an outside index; `value` is in ten-thousandths of a dollar. A fast tick is between the seconds."""

    index_id: str
    value: int
    ts: Ts
    is_fast: bool = False


class PythTick(msgspec.Struct, frozen=True):
    """A tick of a Pyth price (`Metal.XAU/USD`); `value` is in ten-thousandths of a dollar."""

    underlying: str
    value: int
    ts: Ts


LifeChange = MarketChanged | EventListed | EventFeesChanged
AccountChange = GroupChanged | OrderRecord | FillRecord | PositionRecord
OutsideTick = IndexTick | PythTick
Happening = BookChange | BookCleared | TradeRecord | LifeChange | AccountChange | OutsideTick | StreamNotification
