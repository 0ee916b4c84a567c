"""The daily loss limit of the last loop, for programs beside it that may have another one."""

from __future__ import annotations

from msgspec.structs import replace

from kalshi_cli.base.units import Money, show_money
from kalshi_cli.config.limits import limits_of_this_program
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.alert_tables import AlertStore
from kalshi_cli.store.lock import holder

MARK = "loop_daily_loss"
UNLIMITED = Money(2**53)


def save_loop_limit(book: AlertStore, limit: Money | None) -> None:
    """Save the risk.max_daily_loss of a loop that starts."""
    book.set_mark(MARK, (UNLIMITED if limit is None else limit) + 1)


def loop_limit(book: AlertStore) -> Money | None:
    """Return the limit of the last loop, UNLIMITED without one; None if it was never saved."""
    saved = book.mark(MARK)
    return Money(saved - 1) if saved else None


def limits_of_command(resources: Resources) -> RiskLimits:
    """Return the limits of a command that places an order: a daily loss limit from a variable says so.

    The command stops all trading by it, and a running loop may have another one.
    """
    limits = resources.limits
    if "risk.max_daily_loss" not in limits_of_this_program(resources.config):
        return limits
    store, of_loop = resources.remembered(), None
    if store is not None and holder(resources.state_dir / "trade.lock") is not None:
        of_loop = loop_limit(store.alert_book)
    beside = ""
    if of_loop is not None and of_loop != limits.max_daily_loss:
        beside = f"; that of the running loop is {'off' if of_loop == UNLIMITED else show_money(of_loop)}"
    advice = f"This limit is of one command{beside}. To trade again without it: `kalshi resume --reason TEXT`"
    return replace(limits, daily_loss_advice=advice)
