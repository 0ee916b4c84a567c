"""The channels of the stream, and one subscription to one of them (API.md section 7.3)."""

from __future__ import annotations

import zlib

import msgspec

BOOK, TICKER, TRADE, FILL = "orderbook_delta", "ticker", "trade", "fill"
ORDERS, POSITIONS, GROUPS, TALKS = "user_orders", "market_positions", "order_group_updates", "communications"
LIFECYCLE, COMBO_LIFECYCLE = "market_lifecycle_v2", "multivariate_market_lifecycle"
INDEX, FAST_INDEX, PYTH = "cfbenchmarks_value", "cfbenchmarks_value_5hz", "pyth_value"
ALL = "all"


class Channel(msgspec.Struct, frozen=True):
    """`has_markets`: can be limited to markets. `ids` is the parameter that limits it instead, if one does."""

    is_numbered: bool = True
    has_markets: bool = False
    ids: str = ""
    add: str = ""
    drop: str = ""
    listing: str = ""
    listing_type: str = ""
    missing: int = 0
    """Error code where `ids` are needed and not there."""


_INDICES = Channel(
    ids="index_ids",
    add="subscribe_indices",
    drop="unsubscribe_indices",
    listing="indexlist",
    listing_type="cfbenchmarks_value_indexlist",
    missing=24,
)
CHANNELS: dict[str, Channel] = {
    BOOK: Channel(has_markets=True),
    TICKER: Channel(is_numbered=False, has_markets=True),
    TRADE: Channel(has_markets=True),
    FILL: Channel(is_numbered=False, has_markets=True),
    ORDERS: Channel(is_numbered=False, has_markets=True),
    POSITIONS: Channel(is_numbered=False, has_markets=True),
    GROUPS: Channel(),
    TALKS: Channel(),
    LIFECYCLE: Channel(),
    COMBO_LIFECYCLE: Channel(),
    INDEX: _INDICES,
    FAST_INDEX: msgspec.structs.replace(_INDICES, listing_type="cfbenchmarks_value_5hz_indexlist"),
    PYTH: Channel(
        ids="underlying_tickers",
        add="subscribe_underlyings",
        drop="unsubscribe_underlyings",
        listing="underlying_list",
        listing_type="pyth_value_underlying_list",
        missing=28,
    ),
}


class ChannelSubscription(msgspec.Struct, kw_only=True, eq=False):
    """One channel of one connection. `tickers` None is every market; `ids` are indices or underlyings.

    `shard` is (key, factor): of the communications, only this share.
    """

    sid: int
    channel: str
    tickers: set[str] | None
    ids: set[str]
    use_yes_price: bool
    skips_tickers: bool
    is_own_only: bool
    shard: tuple[int, int] | None
    seq: int = 0

    @property
    def kind(self) -> Channel:
        return CHANNELS[self.channel]

    def wants(self, ticker: str) -> bool:
        return self.tickers is None or ticker in self.tickers

    def wants_id(self, name: str) -> bool:
        return name in self.ids or ALL in self.ids

    def has_share(self, name: str) -> bool:
        """Whether the communication of this RFQ falls into the share that is wanted. How the real exchange deals them
        out is not published; only that each goes to one.
        """
        if self.shard is None:
            return True
        key, factor = self.shard
        return zlib.crc32(name.encode()) % factor == key
