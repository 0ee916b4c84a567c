"""Views of the funnel from order requests to fills. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class RefusedOrdersRow(OutputRow, frozen=True, kw_only=True):
    """A control, or a code of the exchange, that refused orders, and how often.

    `detail`, `ticker` and `last` belong to the latest refusal; `decided_by` names the setting to change.
    """

    by: str
    code: str
    count: int
    ticker: str
    decided_by: TruncatableText
    detail: TruncatableText
    last: Ts | None

    shown = ("by", "code", "count", "ticker", "detail", "decided_by")
    vital = ("code", "detail", "decided_by")
    wraps = True


class StrategyFunnelRow(OutputRow, frozen=True, kw_only=True):
    """The order requests of a strategy and their results; `(none)` are manual orders, of which only refusals count."""

    strategy: str
    intents: int
    denied: int
    sent: int
    amends: int
    filled: int
    denied_by: dict[str, int]


class WhyView(OutputRow, frozen=True, kw_only=True):
    """The funnel: `intents` = `denied` + `sent` + `amends`; `filled` are those of the sent that traded at all.

    `denied` were refused by kalshi, by a risk limit or, after it, by a halt or the state file. `rejected` counts only
    answers of the exchange.
    `sent` counts orders that were placed, and `amends` those changes of orders that were sent; their sum is `orders` in
    the summary of a run and in a backtest. `denied` has refused amends too.
    """

    mode: str
    since: Ts
    ticker: str | None
    intents: int
    denied: int
    sent: int
    amends: int
    rejected: int
    in_doubt: int
    live: int
    ended: int
    filled: int
    remarks: tuple[str, ...]
    strategies: tuple[StrategyFunnelRow, ...]
    rows: tuple[RefusedOrdersRow, ...]

    screen = (
        "mode", "since", "ticker", "intents", "denied", "sent", "amends", "rejected", "in_doubt", "live", "ended",
        "filled",
    )  # fmt: skip
    sentences = ("remarks",)
