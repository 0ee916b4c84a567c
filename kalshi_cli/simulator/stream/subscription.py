"""The channels of the stream, and one subscription to one of them (API.md section 7.3)."""

from __future__ import annotations

import zlib

import msgspec

BOOK, TICKER, TRADE, FILL = "orderbook_delta", "ticker", "trade", "fill"
ORDERS, POSITIONS, GROUPS, COMMUNICATIONS = "user_orders", "market_positions", "order_group_updates", "communications"
LIFECYCLE, COMBO_LIFECYCLE = "market_lifecycle_v2", "multivariate_market_lifecycle"
INDEX, FAST_INDEX, PYTH = "cfbenchmarks_value", "cfbenchmarks_value_5hz", "pyth_value"
ALL = "all"


class Channel(msgspec.Struct, frozen=True):
    """A channel. `has_markets`: it can be limited to markets. `ids` is the parameter that limits it otherwise."""

    is_numbered: bool = True
    has_markets: bool = False
    ids: str = ""
    add: str = ""
    drop: str = ""
    listing: str = ""
    listing_type: str = ""
    missing: int = 0
    """The error code for missing `ids`."""


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
    COMMUNICATIONS: Channel(),
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
    """A channel of a connection. `tickers` None means every market; `ids` are indices or underlyings.

    `shard` is (key, factor): only this share of the communications.
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
        """Return the channel."""
        return CHANNELS[self.channel]

    def wants(self, ticker: str) -> bool:
        """Return whether messages of this market are wanted."""
        return self.tickers is None or ticker in self.tickers

    def wants_id(self, name: str) -> bool:
        """Return whether messages of this index or underlying are wanted."""
        return name in self.ids or ALL in self.ids

    def has_share(self, name: str) -> bool:
        """Return whether the messages of this RFQ are in the wanted share.

        The real distribution is not published; each RFQ belongs to one share.
        """
        if self.shard is None:
            return True
        key, factor = self.shard
        return zlib.crc32(name.encode()) % factor == key
