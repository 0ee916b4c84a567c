"""Views of sweeps and parameter searches. Rules as in `row`."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Ts
from kalshi_cli.views.formats import SignedMoney
from kalshi_cli.views.row import OutputRow


class VariantRow(OutputRow, frozen=True, kw_only=True):
    """The result of one set of parameters in a sweep. `score` is the net less half of the maximum drawdown.

    `intents` counts the order requests, `denied_by` their refusals by code, `denied` all refusals. `doubt` says in
    short why the result shows little: few fills, or the code that refused most requests. `params` are those that the
    variants differ in, `fixed` all others, `settings` everything else that made each variant.
    With `--fills both` there is a row for each bound of a set, in the order of the pessimistic scores.
    """

    params: str
    score: SignedMoney
    net: SignedMoney
    max_drawdown: Money
    fees: Money
    orders: int
    fills: int
    fill_model: str
    latency: str
    denied: int = 0
    intents: int = 0
    denied_by: dict[str, int]
    doubt: str | None = None
    fixed: str = ""
    settings: dict[str, str] = msgspec.field(default_factory=dict)

    shown = (
        "params", "score", "net", "max_drawdown", "fills", "denied", "doubt", "fees", "orders", "fill_model",
        "latency",
    )  # fmt: skip
    vital = ("params", "score", "fills", "denied", "fill_model", "doubt")


class WindowChoiceRow(OutputRow, frozen=True, kw_only=True):
    """The parameters chosen on some time windows, and their result on the next one."""

    chosen_on: str
    params: str
    score: SignedMoney
    next_score: SignedMoney | None
    next_net: SignedMoney | None
    next_max_drawdown: Money | None
    next_fills: int | None

    vital = ("params", "next_score")


class OptimizeView(OutputRow, frozen=True, kw_only=True):
    """A parameter search: its choice, the number of variants tried, and each choice judged on the next window.

    `best` are the ten variants with the highest score over all windows: scores near each other for parameters near each
    other are a plateau, a single high one is luck. Their `score` is the median over windows, the rest are totals.
    `tied` of the variants have the score of the best; the result of all windows together decided between them.
    `earned` of the variants made money over all windows. `repeated` trials had the parameters of an earlier trial of
    their window, and show nothing new.
    `unknown` are the lines of a backtest of the chosen parameters: what the recordings do not say.
    `fixed` are the parameters that were not searched, `settings` everything else that made each trial.
    `shared_markets` are in more than one window, or in a window and the holdout: one result can choose and judge.
    """

    strategy: str
    params: str
    score: SignedMoney
    variants: int
    tied: int
    trials: int
    pruned: int
    failed: int
    reasons: tuple[str, ...]
    recordings: int
    windows: int
    sampler: str
    fill_model: str
    latency: str
    holdout_recordings: int
    holdout_opened: Ts | None
    holdout_params: str | None
    holdout_variants: int | None
    holdout_score: SignedMoney | None
    holdout_net: SignedMoney | None
    study: str
    rows: tuple[WindowChoiceRow, ...]
    best: tuple[VariantRow, ...]
    unknown: tuple[str, ...] = ()
    earned: int = 0
    repeated: int = 0
    shared_markets: tuple[str, ...] = ()
    fixed: str = ""
    settings: dict[str, str] = msgspec.field(default_factory=dict)

    screen = (
        "strategy", "params", "fixed", "score", "variants", "earned", "trials", "repeated", "pruned", "failed",
        "recordings", "windows", "sampler", "fill_model", "latency", "holdout_recordings", "holdout_opened",
        "holdout_params", "holdout_variants", "holdout_score", "holdout_net", "study",
    )  # fmt: skip
    sentences = ("unknown",)
