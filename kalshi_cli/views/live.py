"""Views of the event stream that every screen follows. Rules as in `row`."""

from __future__ import annotations

from typing import Literal

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts, show_money
from kalshi_cli.core.model.effects import shown_subject
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.views.formats import SignedMoney, TradingStateCell, TruncatableText
from kalshi_cli.views.order_book import OrderbookView
from kalshi_cli.views.orders import LiveOrderRow
from kalshi_cli.views.portfolio import HoldingRow
from kalshi_cli.views.positions import FillPart, FillRow, fill_parts, fill_row
from kalshi_cli.views.row import Action, Outcome, OutputRow, names
from kalshi_cli.views.runs import StrategyPartRow


class LiveRunView(OutputRow, frozen=True, kw_only=True):
    """The trading loop in numbers, or the account where no loop runs.

    `time` is when the numbers were true. `equity` is cash plus positions at their closing prices, one without a price
    at its cost. While `settling`, cash and positions were read at different times and do not agree yet. `exposure` is
    the maximum loss of all positions and orders together. `problem` says why the numbers are old or missing,
    `attention` what else needs the user: a killed run, or a run without an enabled strategy.
    """

    env: str
    mode: str
    host: str
    real_money: bool
    running: bool
    pid: int | None
    strategy: str | None
    started: Ts | None
    cycles: int | None
    state: TradingStateCell
    state_code: str | None
    state_reason: TruncatableText | None
    paused: bool
    time: Ts
    cash: Money | None
    equity: Money | None
    day_pnl: SignedMoney | None
    exposure: Money | None
    exposure_limit: Money | None
    daily_loss_limit: Money | None
    feed_age_s: float | None
    feed_lag_ms: int | None
    waiting: TruncatableText | None
    denied: dict[str, int]
    problem: TruncatableText | None
    settling: bool = False
    attention: TruncatableText | None = None
    ends: Ts | None = None

    @property
    def is_disabled(self) -> bool:
        """Return whether the loop runs without an enabled strategy."""
        return self.running and self.attention is not None

    @property
    def has_failed(self) -> bool:
        """Return whether the account could not be read."""
        return self.problem is not None and self.equity is None

    @property
    def place(self) -> str:
        """Return environment, mode and host as a user must see them."""
        mode = "" if self.mode == self.env else self.mode.upper()
        return " ".join(filter(None, (self.env.upper(), mode, "REAL MONEY" if self.real_money else "", self.host)))


class LiveFillRow(FillRow, frozen=True, kw_only=True):
    """A fill with its strategy; "" for a manual order.

    `action` and `side` are what it did to the position before it, as in `kalshi fills`; `side_price` is the price of
    that side. `typed_side` is that of its order, null where it was not typed here. `parts` are its rows on a screen:
    two where it crossed zero. All but `typed_side` are missing in an event of an older loop.
    """

    strategy: str
    action: Action | None = None
    side: Outcome | None = None
    side_price: Price | None = None
    typed_side: Outcome | None = None
    parts: tuple[FillPart, ...] = ()


def live_fill(fill: Fill, strategy: str, held_before: Qty, typed: Literal["", "yes", "no"] = "") -> LiveFillRow:
    """Return a fill with its strategy; `held_before` is the position that it met, negative for NO."""
    row = fill_row(fill, held_before, typed)
    return LiveFillRow.of(
        fill,
        strategy=strategy,
        action=row.action,
        side=row.side,
        side_price=row.side_price,
        typed_side=row.typed_side,
        parts=tuple(fill_parts(row)),
    )


class LiveSettlementRow(OutputRow, frozen=True, kw_only=True):
    """A settled market in which a position was held. `net` is the result of the whole market, as in `kalshi pnl`."""

    ticker: str
    result: str
    value: Price
    yes_count: Qty
    no_count: Qty
    revenue: Money
    net: SignedMoney
    time: Ts

    named = names(yes_count="yes_qty", no_count="no_qty", time="ts")

    @property
    def text(self) -> str:
        """Return the settlement in one line."""
        paid, net = show_money(self.revenue), show_money(self.net, signed=True)
        return f"Settled {self.ticker}: {self.result.upper()}, payout {paid}, P&L {net}"


class TopRow(OutputRow, frozen=True, kw_only=True):
    """The best prices of a market on the YES scale; all are missing where its order book is not reliable."""

    ticker: str
    title: TruncatableText
    bid: Price | None
    bid_count: Qty | None
    ask: Price | None
    ask_count: Qty | None


AlertState = Literal["firing", "over", "event"]


class RecentAlertRow(OutputRow, frozen=True, kw_only=True):
    """An alert when it was raised. `state` as in `kalshi alerts`; missing if the state file cannot be read."""

    time: Ts
    tier: str
    code: str
    subject: str
    text: TruncatableText
    state: AlertState | None = None

    named = names(time="ts")

    @property
    def short_subject(self) -> str:
        """Return the subject as people read it."""
        return shown_subject(self.code, self.subject)


class LiveEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that changed since the last event; the first event has every part.

    `orders` are live orders, `fills` and `settlements` the newest, newest first, `alerts` those of the last day, firing
    ones first.
    `books` are those asked for. `dropped` counts the values that this reader was too slow to see; the latest value
    always comes. `silent_s` is the time without an event: the numbers shown are that much older than they seem.
    """

    run: LiveRunView | None = None
    positions: tuple[HoldingRow, ...] | None = None
    orders: tuple[LiveOrderRow, ...] | None = None
    fills: tuple[LiveFillRow, ...] | None = None
    settlements: tuple[LiveSettlementRow, ...] | None = None
    strategies: tuple[StrategyPartRow, ...] | None = None
    alerts: tuple[RecentAlertRow, ...] | None = None
    markets: tuple[TopRow, ...] | None = None
    books: tuple[OrderbookView, ...] | None = None
    dropped: int = 0
    silent_s: float = 0.0

    def after(self, before: LiveEvent) -> LiveEvent:
        """Return this event with the parts that it lacks taken from the state before.

        After a failed read the numbers of the last successful one stay, and so does their time.
        """
        changed = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        if self.run is not None and self.run.has_failed and before.run is not None:
            changed["run"] = msgspec.structs.replace(self.run, time=before.run.time)
        return msgspec.structs.replace(before, **changed)
