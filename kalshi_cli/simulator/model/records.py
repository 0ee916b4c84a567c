"""What the simulated exchange keeps: every struct here is written to the journal as it is."""

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
    """An order, live or over. `qty` is all it may fill, as last amended; `rank` counts all orders ever.

    `queued` is its place in the time priority of its price, where an amendment moved it to the back: on the same scale
    as `rank`, which holds until then. `rounding` is what the balance roundings of its fills took so far and no rebate
    has given back.
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
        """Orders of one price are met in this order."""
        return self.rank if self.queued is None else self.queued


class OwnedRecord(msgspec.Struct, kw_only=True):
    """Something of one subaccount on one shard."""

    account: str
    subaccount: int = 0
    exchange_index: int = 0


class FillRecord(msgspec.Struct, kw_only=True, frozen=True):
    """One side of a trade, for one account. `number` counts the account's fills from 0."""

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
    """A public print. `number` counts the trades of the exchange from 0."""

    number: int
    trade_id: str
    ticker: str
    price: Price
    qty: Qty
    taker_side: Side
    is_block: bool = False
    ts: Ts


class PositionRecord(OwnedRecord, kw_only=True):
    """What a subaccount has in one market. `cost` is what the open position cost; `qty` is signed, plus is YES."""

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
    """A member: the id the wire shows, and how many numbered subaccounts it has made.

    `cash` is set in journals of before there were purses; it lies in the first one now.
    """

    name: str
    user_id: str
    subaccounts: int = 0
    cash: Money | None = None


class BalanceRecord(OwnedRecord, kw_only=True):
    """The cash of one subaccount on one shard."""

    cash: Money = Money(0)
    updated: Ts = Ts(0)


class KeyRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A public key (PEM) that signs for an account.

    `subaccount` locks it to one of them; `scopes` are in the wire's words, and a child scope is `write::trade`.
    """

    key_id: str
    account: str
    public_key: bytes
    name: str = ""
    scopes: tuple[str, ...] = ("read", "write")
    subaccount: int | None = None


class GroupRecord(OwnedRecord, kw_only=True):
    """An order group. `matched` is (when, contracts) of its fills of the last 15 seconds; `number` its age."""

    group_id: str
    number: int
    limit: Qty
    is_triggered: bool = False
    is_deleted: bool = False
    matched: list[tuple[Ts, Qty]] = []
    created: Ts
    updated: Ts


class SettlementRecord(msgspec.Struct, kw_only=True, frozen=True):
    """A market paid out to one subaccount. `number` counts the account's settlements from 0."""

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
    """A market and what became of it. `number` is its place in listings; `minutes` is volume by minute, one day."""

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
        """Follows from the clock: opening and closing by time sends no message, here as on the real exchange."""
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
        """When the market was created, which is always some minutes before it opens.

        A world that begins lists what opened long ago, so `created` alone, when it was listed here, may be later.
        """
        lead = 180_000 + crc32(self.spec.ticker.encode()) % 1_620_000
        return Ts(min(self.created, self.spec.open_time - lead))

    @property
    def result(self) -> str:
        if self.value is None:
            return ""
        return {10_000: "yes", 0: "no"}.get(self.value, "scalar")

    def volume_24h(self, now: Ts) -> Qty:
        """Contracts matched in the last day, to the minute."""
        since = now // 60_000 - 1440
        return Qty(sum(qty for minute, qty in self.minutes if minute > since))


class FeeChangeRecord(msgspec.Struct, kw_only=True):
    """Fees that hold from `scheduled` on: of a series, or with `event_ticker` of one event, where None is an end."""

    id: str
    number: int
    series_ticker: str
    event_ticker: str = ""
    fees: FeeSchedule | None
    scheduled: Ts
    is_done: bool = False


class StateRecord(msgspec.Struct, kw_only=True):
    """The exchange's own switches and counters.

    Three pauses stand beside each other, and the strictest holds: of the whole (`is_active`, `is_trading`), which ends
    at `resumes`; of the shards in `paused_shards` (`trading` or `exchange`), which end at `shard_resumes`; and the
    maintenance, which ends at `maintenance_until`. No end is until somebody resumes. `maintained` is when the last
    maintenance began; `shuffle` is the seed of the order of messages, None where they come in theirs.
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
        """`exchange` (nothing goes), `trading` (cancels go) or "" (everything does): the exchange's, or the shard's."""
        trades = self.is_trading and self.maintenance_until is None
        kinds = {self.paused_shards.get(shard, ""), "" if trades else "trading"}
        return "exchange" if not self.is_active or "exchange" in kinds else max(kinds)

    def reopens(self, shards: Iterable[int]) -> Ts | None:
        """When all of these shards trade again; None where they do, and where a pause is without end."""
        ends = [] if self.is_trading else [self.resumes]
        ends += [] if self.maintenance_until is None else [self.maintenance_until]
        ends += [self.shard_resumes.get(shard) for shard in shards if shard in self.paused_shards]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None

    def upgrade(self) -> None:
        """From a journal of when all pauses shared one end."""
        if self.is_trading and self.resumes is not None:
            self.shard_resumes, self.resumes = dict.fromkeys(self.paused_shards, self.resumes), None


# -- what just happened, for the channels --------------------------------------------------------------------------


class BookChange(msgspec.Struct, frozen=True):
    """One level changed by `delta`, because of an order of `account`."""

    ticker: str
    side: Side
    price: Price
    delta: Qty
    ts: Ts
    account: str
    client_order_id: str
    subaccount: int = 0


class BookCleared(msgspec.Struct, frozen=True):
    """Everything left the book at once: the market closed."""

    ticker: str


class MarketChanged(msgspec.Struct, frozen=True):
    """`change` is a lifecycle event_type, in the wire's words."""

    change: str
    ticker: str
    ts: Ts


class EventListed(msgspec.Struct, frozen=True):
    event_ticker: str


class EventFeesChanged(msgspec.Struct, frozen=True):
    """From now on an event charges otherwise than before."""

    event_ticker: str


class StreamNotification(msgspec.Struct, frozen=True):
    """Something for the communications channel: `kind` and `msg` as on the wire, of the RFQ `rfq_id` of `creator`.

    Only the accounts of `audience` hear of it; None is everybody (but for those who asked for their own RFQs only).
    """

    kind: str
    msg: dict[str, Any]
    rfq_id: str
    creator: str
    audience: frozenset[str] | None = None


class GroupChanged(msgspec.Struct, frozen=True):
    """An order group was changed. `event_type` is created, triggered, reset, deleted or limit_updated, as on the wire.

    `contracts_limit` is what holds from now on; the channel shows it where the wire does.
    """

    event_type: str
    order_group_id: str
    contracts_limit: Qty
    account: str
    ts: Ts


class IndexTick(msgspec.Struct, frozen=True):
    """An outside index ticked; `value` is in ten-thousandths of a dollar. A fast tick is one between the seconds."""

    index_id: str
    value: int
    ts: Ts
    is_fast: bool = False


class PythTick(msgspec.Struct, frozen=True):
    """A Pyth price (`Metal.XAU/USD`) ticked; `value` is in ten-thousandths of a dollar."""

    underlying: str
    value: int
    ts: Ts


Happening = (
    BookChange
    | BookCleared
    | MarketChanged
    | EventListed
    | EventFeesChanged
    | GroupChanged
    | StreamNotification
    | IndexTick
    | PythTick
    | TradeRecord
    | FillRecord
    | OrderRecord
    | PositionRecord
)
