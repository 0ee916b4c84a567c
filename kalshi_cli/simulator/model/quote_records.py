"""Records of RFQs, quotes and block trades, as they are written to the journal."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts

OPEN, ACCEPTED, CONFIRMED, EXECUTED, CANCELLED = "open", "accepted", "confirmed", "executed", "cancelled"
"""The statuses of a quote on the wire (two l, unlike orders)."""
DECLINED = Price(0)
"""The bid of a side that a quote does not include."""


class RfqTerms(msgspec.Struct, kw_only=True):
    """The terms of a request for quotes: a number of contracts or a target cost.

    Unless `excludes_fees` the target cost includes the taker fees. `is_obscured` hides the requester from others until
    the RFQ executes.
    """

    ticker: str
    qty: Qty | None = None
    target: Money | None = None
    excludes_fees: bool = False
    rest_remainder: bool = False
    is_obscured: bool = False
    subaccount: int = 0


class RfqRecord(RfqTerms, kw_only=True):
    """A request for quotes. `number` counts the requests of the exchange from 0. An open one has no `closed`."""

    rfq_id: str
    number: int
    account: str
    event_ticker: str
    created: Ts
    updated: Ts
    closed: Ts | None = None
    reason: str = ""


class QuoteTerms(msgspec.Struct, kw_only=True):
    """The bids of a maker for YES and for NO, each for the whole size of the request.

    `confirms_ms` is the time after which the maker confirms by itself an accepted quote; None waits for a call.
    """

    rfq_id: str
    yes_bid: Price
    no_bid: Price
    rest_remainder: bool = False
    post_only: bool = False
    subaccount: int = 0
    confirms_ms: int | None = None


class QuoteRecord(QuoteTerms, kw_only=True):
    """An answer to a request. The requester who accepts the YES bid sells YES to the maker.

    `yes_qty` and `no_qty` are the contracts behind each bid.
    """

    quote_id: str
    number: int
    account: str
    yes_qty: Qty
    no_qty: Qty
    status: str = OPEN
    accepted_side: str = ""
    created: Ts
    updated: Ts
    accepted: Ts | None = None
    confirmed: Ts | None = None
    executed: Ts | None = None
    cancelled: Ts | None = None
    reason: str = ""
    order_id: str = ""
    rfq_order_id: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether the quote was executed or canceled."""
        return self.status in (EXECUTED, CANCELLED)


class BlockTerms(msgspec.Struct, kw_only=True):
    """The terms of a trade that two members negotiated. `maker_side` names the maker: `yes` is the buyer."""

    buyer: str
    seller: str
    buyer_subaccount: int = 0
    seller_subaccount: int = 0
    ticker: str
    price: Price
    qty: Qty
    maker_side: str
    expires: Ts


class BlockRecord(BlockTerms, kw_only=True):
    """A block trade that one of its parties proposed."""

    block_id: str
    number: int
    proposer: str
    status: str = OPEN
    created: Ts
    updated: Ts
    buyer_accepted: Ts | None = None
    seller_accepted: Ts | None = None
    executed: Ts | None = None
    buyer_order_id: str = ""
    seller_order_id: str = ""


CommunicationRecord = RfqRecord | QuoteRecord | BlockRecord
C = TypeVar("C", RfqRecord, QuoteRecord, BlockRecord)


class RfqRecords:
    """All RFQs, quotes and block trades of a running exchange."""

    def __init__(self) -> None:
        self.rfqs: dict[str, RfqRecord] = {}
        self.quotes: dict[str, QuoteRecord] = {}
        self.blocks: dict[str, BlockRecord] = {}
        self.count = 0

    def add(self, kind: type[C], terms: msgspec.Struct, now: Ts, **known: Any) -> C:
        """Add a new record with these terms, which gets the next number, and return it."""
        record = kind(number=self.count, created=now, updated=now, **msgspec.structs.asdict(terms), **known)
        self.take(record)
        return record

    def take(self, record: CommunicationRecord) -> None:
        """Add or replace a record."""
        self.count = max(self.count, record.number + 1)
        match record:
            case RfqRecord():
                self.rfqs[record.rfq_id] = record
            case QuoteRecord():
                self.quotes[record.quote_id] = record
            case BlockRecord():
                self.blocks[record.block_id] = record

    def open_rfqs(self) -> list[RfqRecord]:
        """Return the open requests."""
        return [rfq for rfq in self.rfqs.values() if rfq.closed is None]

    def unanswered(self, account: str) -> list[RfqRecord]:
        """Return the open requests of others that this account never quoted."""
        answered = {quote.rfq_id for quote in self.quotes.values() if quote.account == account}
        return [rfq for rfq in self.open_rfqs() if rfq.account != account and rfq.rfq_id not in answered]

    def of(self, rfq_id: str) -> list[QuoteRecord]:
        """Return the quotes of a request."""
        return [quote for quote in self.quotes.values() if quote.rfq_id == rfq_id]
