"""The parts that all commands share: the global options, the opening of an account, consent, and the output."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import (
    ConfigError,
    Distrust,
    KalshiError,
    RateLimitedError,
    UnreachableError,
    UsageError,
    refuse,
)
from kalshi_cli.base.local_time import set_time_zone, show_times
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.global_options import GlobalOptions
from kalshi_cli.cli.screen.output import Format, chosen_fields, default_format, info, warn, write_sentence

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.event_source import OpenWithNotes
    from kalshi_cli.app.kalshi import Kalshi
    from kalshi_cli.config.config import Config
    from kalshi_cli.services.account.paper_reads import PaperAccountService
    from kalshi_cli.services.account.service import AccountService
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.plans import PlanningService
    from kalshi_cli.services.resources import Home, Resources
    from kalshi_cli.views.orders import OrderChangeView, OrderRow
    from kalshi_cli.views.plans import AmendPlan, Plan
    from kalshi_cli.views.row import OutputRow

    P = TypeVar("P", bound=Plan[Any])
    R = TypeVar("R")


def flags_of(ctx: typer.Context) -> GlobalOptions:
    """Return the global options of this command line."""
    flags = ctx.obj
    assert isinstance(flags, GlobalOptions)
    return flags


def form_of(ctx: typer.Context) -> Format:
    """Return the output format that was chosen, or that of the terminal or pipe."""
    return flags_of(ctx).form or default_format()


def load_config(
    ctx: typer.Context,
    needed: Sequence[str] | None = None,
    more: Mapping[str, object] | None = None,
    distrust: Distrust = refuse,
) -> Config:
    """Load the configuration with the global options applied.

    `needed` names the paths whose problems matter (default: all); `more` are options of this command, by dotted path.
    `distrust` decides about a configuration and a state directory that other users may write. Without a choice of
    the environment, a notice says that this is the simulated exchange.
    """
    from kalshi_cli.config import sources

    gc.freeze()  # modules stay to the end: the collector, which `run` disabled, need not visit them again
    gc.enable()
    flags = flags_of(ctx)
    loaded = sources.load(flags.config, dict(os.environ), {**_given(flags), **(more or {})}, needed, distrust)
    sources.judge_state(loaded, distrust)
    warn(*loaded.mistyped)
    info(*loaded.notices, *(unread_elsewhere() if sys.stderr.isatty() else ()))
    set_time_zone(loaded.display.time_zone, is_asked=bool(flags.tz))
    if loaded.origins["env"] == "default" and not loaded.rest_url and sys.stderr.isatty():
        _show_default_environment(loaded)
    return loaded


def unread_elsewhere() -> list[str]:
    """Return a line for each variable that nothing reads and that resembles no other, at most five."""
    from kalshi_cli.config.sources import unread_variables

    return [str(each) for each in unread_variables(os.environ) if not (each.near or each.is_limit)][:5]


def _given(flags: GlobalOptions) -> dict[str, object]:
    """Return the global options that are settings, by dotted path."""
    return {"env": flags.env, "state": flags.state, "allow_hosts": flags.allow_hosts, "display.time_zone": flags.tz}


def load_readable_config(ctx: typer.Context) -> Config:
    """Return the configuration without the values that have errors; the defaults if no file can be read."""
    from kalshi_cli.config import sources
    from kalshi_cli.config.config import Config

    flags = flags_of(ctx)
    try:
        return sources.load(flags.config, os.environ, _given(flags), ("env", "state"))
    except ConfigError:
        return Config()


def _show_default_environment(config: Config) -> None:
    """Say that this is the simulated exchange: once a day, or every time until there is a state directory."""
    from kalshi_cli.base.files import open_regular
    from kalshi_cli.config.config import state_dir

    shown = state_dir(config) / ".environment-shown"
    with suppress(OSError):
        if SystemClock().now() / 1000 - shown.stat().st_mtime < 86_400:
            return
    info("Simulated exchange: no account, no real money. To change: kalshi init, --env")
    with suppress(OSError, KalshiError):
        if shown.parent.is_dir():
            os.close(open_regular(shown, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            os.utime(shown)


def environment_of(
    ctx: typer.Context, flags: Mapping[str, object] | None = None, *, tell: Callable[[str], None] = warn
) -> Environment:
    """Return the environment of the global options and `flags`. `tell` shows warnings: `info` not with `--quiet`."""
    from kalshi_cli.app.environment import Environment

    return Environment(load_config(ctx, more=flags), tell, info)


@contextmanager
def open_app(ctx: typer.Context) -> Iterator[Resources]:
    """Open the resources that the global options choose, for use in a `with`.

    `--quiet` suppresses the warnings too: a script that reads the error from stderr needs it alone.
    """
    with environment_of(ctx, tell=info) as environment:
        yield environment.open()


def open_services(ctx: typer.Context, tell: Callable[[str], None] = info) -> Kalshi:
    """Open the account that the global options choose, for use in a `with`.

    A command that stops trading, sends alerts or runs on passes `warn`, so that its warnings stay with `--quiet`.
    """
    from kalshi_cli.app.kalshi import Kalshi

    return Kalshi(environment_of(ctx, tell=tell))


def account_of(kalshi: Kalshi, *, paper: bool) -> AccountService | PaperAccountService:
    """Return the account to read; without `paper` that of the exchange, with a notice if the last run was on paper."""
    if paper:
        return kalshi.paper
    from kalshi_cli.services.account.paper_reads import paper_notice

    if notice := paper_notice(kalshi.resources):
        info(notice)
    return kalshi.account


def home_of(resources: Resources, *, paper: bool) -> Home | None:
    """Return the home of paper trading; without `paper` None, and the service chooses."""
    return resources.find_home(is_at_exchange=False) if paper else None


# -- output and confirmation --------------------------------------------------------------------------------------


def show_view(ctx: typer.Context, view: OutputRow, title: str = "", now: Ts | None = None) -> None:
    """Print one object in the format of the global options (see `render_one`)."""
    from kalshi_cli.cli.screen.render import render_one

    render_one(view, flags_of(ctx).form, title=title, now=now)


def show_list(
    ctx: typer.Context,
    of: type[OutputRow],
    found: Iterable[object],
    *,
    limit: int | None = None,
    more: str = "--limit N",
    is_live: bool = False,
    form: Format | None = None,
    **shown: Any,
) -> None:
    """Print rows as views, at most `limit` of them, and say if there are more (see `render_rows`).

    Nothing is written before everything is read, unless `is_live`. The user's own limit is named on a terminal only.
    """
    from kalshi_cli.cli.screen.render import render_rows

    coming = iter(found)
    views = map(of.of, islice(coming, limit))
    render_rows(of, views if is_live else list(views), form or flags_of(ctx).form, **shown)
    if limit is not None and next(coming, None) is not None:
        if getattr(ctx.get_parameter_source("limit"), "name", "") != "COMMANDLINE":
            warn(f"Showing the first {limit}; use {more}")
        elif default_format() is Format.TABLE:
            info(f"Showing the first {limit}; use {more.replace('--limit N', 'a larger --limit')}")


def show_done(ctx: typer.Context, done: str, subject: str | None = None) -> None:
    """Print what a command did, where a format or fields were asked for: its notice says it to people."""
    if flags_of(ctx).wants_data:
        from kalshi_cli.views.done import DoneView
        from kalshi_cli.views.formats import TruncatableText

        show_view(ctx, DoneView(done=done, subject=None if subject is None else TruncatableText(subject)))


def asks(resources: Resources | Environment) -> bool:
    """Return whether commands ask before they change anything: on prod, elsewhere with `display.confirm`."""
    return resources.needs_confirmation or resources.config.display.confirm


def agreed(resources: Resources | Environment, question: str, *facts: str, yes: bool) -> bool:
    """Show the facts and ask for confirmation where that is due; return whether the user was asked.

    Raise RefusedError if the user does not agree.
    """
    from kalshi_cli.cli.screen.prompts import confirm

    if not asks(resources):
        return False
    if not resources.needs_confirmation:
        question = question.replace(" with real money", "")
    confirm(question, facts, hosts=resources.config.other_hosts, yes=yes)
    return not yes


def note_unsent(*facts: str) -> None:
    """Show the facts of a request that a dry run does not send."""
    info(*facts, "Dry run: nothing was sent")


def account_opener(ctx: typer.Context) -> OpenWithNotes:
    """Load the configuration, and return what opens the account that it chooses: once for each thread of a screen.

    What the account would write to the terminal would spoil the screen: it is dropped, or given to `note`.
    """
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.kalshi import Kalshi

    config = load_config(ctx)
    return lambda note=lambda _text: None: Kalshi(Environment(config, note, note))


def require_extra(extra: str, *modules: str) -> None:
    """Raise UsageError, with the line that installs it, where a package of an extra is missing."""
    from importlib.util import find_spec

    from kalshi_cli.base.version import install_hint

    if missing := [name for name in modules if find_spec(name) is None]:
        raise UsageError(f"This command needs {', '.join(missing)}, which is not installed", hint=install_hint(extra))


# -- consent, and what is answered ----------------------------------------------------------------------------------


def executed(resources: Resources, service: PlanningService, plan: Plan[R], question: str, *, yes: bool) -> R:
    """Execute a plan after `consented`, and return the result."""
    return service.execute(consented(resources, service, plan, question, yes=yes))


def consented(resources: Resources, service: PlanningService, plan: P, question: str, *, yes: bool) -> P:
    """Show the plan and ask for confirmation on prod; return the plan to execute.

    The user may take minutes to answer, so the plan is renewed after a question.
    """
    is_asked = agreed(resources, question, *plan.facts, *plan.warnings, yes=yes)
    return service.renew(plan) if is_asked else plan


@contextmanager
def open_orders(ctx: typer.Context, *, is_rehearsal: bool = False) -> Iterator[tuple[Resources, OrderService]]:
    """Open the account that a command needs, and the service of its orders."""
    from kalshi_cli.services.orders.service import OrderService

    with open_app(ctx) as resources:
        yield resources, OrderService(resources, is_rehearsal=is_rehearsal)


@contextmanager
def unsent(words: str) -> Iterator[None]:
    """End the message of a failed connection with `words`, which say that nothing was sent.

    An UnreachableError means that nothing is outstanding; after a request that may have arrived the error is another.
    """
    try:
        yield
    except (RateLimitedError, UnreachableError) as error:
        if error.code == "never_arrived":  # it was sent, and its message says what became of it
            raise
        raise type(error)(f"{error.message}. {words}", hint=error.hint, code=error.code) from error


def is_terse(ctx: typer.Context) -> bool:
    """Return whether a result is one sentence: on a terminal, without `-v` and without a format."""
    flags = flags_of(ctx)
    return not flags.wants_data and not flags.verbose and default_format() is Format.TABLE


def is_for_people(ctx: typer.Context) -> bool:
    """Return whether the output is a table, on a terminal or in a pipe, and not JSON, NDJSON or CSV."""
    return form_of(ctx) in (Format.TABLE, Format.PLAIN)


def shows_side_in_words(ctx: typer.Context) -> bool:
    """Return whether the chosen fields are for a terminal, and the side has no action beside it: `sell YES`."""
    names = chosen_fields()
    return form_of(ctx) is Format.TABLE and "side" in names and "action" not in names


def shows_every_field(ctx: typer.Context) -> bool:
    """Return whether stdout is text with every field, also those that a table leaves to the notices on stderr."""
    return form_of(ctx) is Format.PLAIN and not chosen_fields()


def note_halt(ctx: typer.Context, resources: Resources) -> None:
    """Say on a terminal that trading is halted, paused or reduce-only."""
    from kalshi_cli.services.trading.halts import TradingControl, describe, resume_hint

    if is_terse(ctx) and (halt := TradingControl(resources).now()).state.value != "active":
        info(f"{describe(halt)}; {resume_hint(halt)}")


def note_pause(ctx: typer.Context, resources: Resources) -> None:
    """Say on a terminal that the exchange, or trading there, is paused."""
    from kalshi_cli.services.trading.reports.live_events import exchange_pause

    if is_terse(ctx) and (text := exchange_pause(resources)):
        info(show_times(text))


def show_order(ctx: typer.Context, order: OrderRow, now: Ts) -> None:
    """Show an order: one sentence on a terminal, all fields with `-v`, with a format or in a pipe."""
    flags_of(ctx).order_id = order.order_id or ""
    if is_terse(ctx):
        from kalshi_cli.views.order_text import order_sentence

        write_sentence(order_sentence(order))
    else:
        show_view(ctx, order, title=order.ticker, now=now)


def show_change(
    ctx: typer.Context, orders: OrderService, order: OrderChangeView, now: Ts, plan: AmendPlan | None = None
) -> None:
    """Show a changed order as `show_order` does, and say what changed."""
    flags_of(ctx).order_id = order.order_id or ""
    if is_terse(ctx):
        from kalshi_cli.views.order_text import change_sentence

        write_sentence(change_sentence(orders.in_own_terms([order])[0], plan))
    else:
        show_view(ctx, order, title=order.ticker, now=now)
