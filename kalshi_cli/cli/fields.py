"""`--fields`: the views that each command prints, and the check of the chosen fields before the command runs.

Imported only for `--fields`, `kalshi schema`, their completion, and the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.exit_codes import CHECKS
from kalshi_cli.cli.screen.output import set_fields
from kalshi_cli.views.formats import columns, inner_rows

_PRINTED = {
    "alerts.AlertsView": "alerts list",
    "alerts.DeliveryRow": "alerts test",
    "alerts.PriceAlertRow": "alerts add; alerts prices; alerts remove",
    "alerts.RetriedView": "alerts retry",
    "alerts.SilenceRow": "alerts silence; alerts silences",
    "live.RecentAlertRow": "alerts run",
    "backtests.ComparisonRow": "backtest",
    "research.VariantRow": "backtest",
    "research.OptimizeView": "optimize",
    "runs.BacktestView": "backtest",
    "runs.RecordedView": "record",
    "runs.StatusView": "status",
    "runs.TradeSummary": "trade",
    "why.WhyView": "why",
    "cash.AllocationView": "allocation show; allocation set",
    "cash.BalanceView": "balance",
    "cash.CashMovementRow": "deposits; withdrawals",
    "cash.KeysView": "keys",
    "cash.LimitsView": "limits show; limits upgrade",
    "cash.NettingRow": "subaccounts netting",
    "cash.NewSubaccountView": "subaccounts create",
    "cash.SettlementRow": "settlements",
    "cash.SubaccountMoveView": "subaccounts transfer",
    "cash.SubaccountRow": "subaccounts list",
    "cash.SubaccountTransferRow": "subaccounts transfers",
    "cash.TransferRow": "transfer send; transfer list; transfer show",
    "cash.UpcomingRow": "settlements",
    "execution.ExecutionView": "execution",
    "exports.FillExport": "export fills",
    "exports.LotExport": "export tax-lots",
    "portfolio.PortfolioView": "portfolio",
    "positions.AccountFillRow": "fills",
    "positions.PnlRow": "export pnl",
    "positions.PnlView": "pnl",
    "positions.PositionRow": "positions",
    "positions.SubaccountPositionRow": "positions",
    "rebuild.RebuiltView": "state rebuild",
    "catalog.CatalogView": "catalog status",
    "catalog.RefreshView": "catalog refresh",
    "checks.CheckView": CHECKS,
    "checks.BreachRow": CHECKS,
    "checks.HealthRow": "health-check; init",
    "settings.ConfigCheckView": "config check",
    "settings.FilePathRow": "config path",
    "settings.SettingRow": "config show",
    "done.DoneView": "unlock; alerts unsilence; catalog clear; sim stop; sim reset",
    "done.ServeView": "serve",
    "simulator.SimulatorStatusView": """sim start; sim status; sim pause; sim halt; sim resume; sim close; sim settle;
        sim dispute; sim amend; sim clock; sim shuffle; sim stream; sim spot""",
    "runbooks.RunbookRow": "runbook",
    "runbooks.RunbookView": "runbook",
    "schema.SchemaRow": "schema",
    "combos.CollectionRow": "combos list",
    "combos.CollectionView": "combos show",
    "combos.ComboView": "combos create",
    "events.EventRow": "events",
    "events.EventView": "event",
    "events.WholeEvent": "event",
    "events.SeriesRow": "series",
    "events.SeriesView": "series-info",
    "exchange.ExchangeView": "exchange",
    "market_data.IncentiveRow": "incentives",
    "market_data.LiveView": "live",
    "market_data.MilestoneRow": "milestones",
    "market_data.SportRow": "tags",
    "market_data.TagRow": "tags",
    "market_data.TargetRow": "targets",
    "market_data.WeatherRow": "live",
    "market_history.CandleRow": "candles",
    "market_history.MarketCandleRow": "candles",
    "market_history.PublicTradeRow": "trades",
    "markets.MarketRow": "markets",
    "markets.CachedMarketRow": "markets",
    "markets.MarketView": "market",
    "order_book.OrderbookView": "orderbook",
    "order_book.NoOrderbookView": "orderbook",
    "order_book.MarketLevelRow": "orderbook",
    "scan.ArbitrageRow": "scan arbitrage",
    "scan.CheapRow": "scan cheap",
    "scan.ClosingRow": "scan closing",
    "scan.MoverRow": "scan movers",
    "scan.SpreadRow": "scan spread",
    "scan.VenueRow": "scan cross-venue",
    "watch.StreamRow": "watch",
    "watchlists.WatchlistRow": "watchlist list; watchlist add; watchlist remove",
    "strategies.NewStrategyView": "strategies new",
    "strategies.StrategyRow": "strategies show",
    "strategies.StrategyView": "strategies show",
    "lake.LakeDownloadRow": "data download",
    "lake.LakeExportView": "data export",
    "lake.LakeFileRow": "data prune",
    "lake.LakeImportRow": "data import",
    "lake.LakeProblemRow": "data check",
    "lake.LakeSeriesRow": "data list",
    "halts.HaltView": "pause",
    "halts.ResumeView": "resume",
    "halts.StopView": "stop",
    "locks.LockRow": "lock",
    "close.CloseRow": "close; flatten",
    "close.PlanRow": "close; flatten",
    "close.FlattenView": "cancel-all; order cancel-all",
    "orders.BatchRow": "order batch",
    "orders.CancelAllView": "cancel-all; order cancel-all",
    "orders.CancelRow": "cancel; order cancel",
    "orders.GroupActionResult": "order group limit; order group trigger; order group reset; order group delete",
    "orders.GroupRow": "order group list",
    "orders.GroupView": "order group create; order group show",
    "orders.OrderChangeView": "order amend; order decrease",
    "orders.NewOrderView": "buy; sell; order place",
    "orders.ListedOrderRow": "order list",
    "orders.OrderRow": "order show",
    "orders.QueueRow": "order queue",
    "orders.ReconciledRow": "order reconcile",
    "quotes.DeletedView": "quote delete; rfq delete",
    "quotes.NewQuoteView": "quote create",
    "quotes.QuoteRow": "quote list; quote confirm; rfq accept; rfq quotes",
    "quotes.QuoteTradeRow": "quote create; quote confirm; rfq accept",
    "quotes.RfqRow": "rfq create; rfq list; rfq show",
}
"""A view -> the commands that print it. A command that prints several views is named several times."""

_ANY = "api"
"""The command whose fields are those of the response."""
_OLD_NAMES = {"doctor": "health-check", "catalogue": "catalog"}


def views_of(command: str) -> list[type[msgspec.Struct]]:
    """Return the views that a command prints, by its full name such as `order place`; none of `top` and the like."""
    first, space, rest = command.partition(" ")
    command = _OLD_NAMES.get(first, first) + space + rest
    printed = [view.split(".") for view, names in _PRINTED.items() if command in " ".join(names.split()).split("; ")]
    return [getattr(import_module(f"kalshi_cli.views.{module}"), name) for module, name in printed]


def commands_of(view: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the commands that print a view; none for a part of other views, or of the JSON API only."""
    names = _PRINTED.get(f"{view.__module__.rpartition('.')[2]}.{view.__name__}", "")
    return tuple(" ".join(name.split()) for name in names.split(";") if name)


def views_named(name: str) -> list[type[msgspec.Struct]]:
    """Return the view of this name, or the views of a command. UsageError with the closest name if there are none."""
    from kalshi_cli.views.schema import all_views

    views = all_views()
    commands = {command for view in views.values() for command in commands_of(view)}
    exact = next((view for view in views if view.lower() == name.lower()), "")
    found: list[type[msgspec.Struct]] = [views[exact]] if exact else views_of(name)
    if not found:
        begun = sorted(command for command in commands if command.startswith(f"{name} "))
        near = begun or get_close_matches(name, [*views, *commands], 1)
        meant = f"did you mean {' or '.join(near[:3])}? " if near else ""
        raise UsageError(f"No view or command with fields: {name}", hint=f"{meant}`kalshi schema` lists all")
    return found


def fields_of(command_path: str) -> list[str]:
    """Return the fields that `--fields` takes, for a command path such as `kalshi order list`."""
    return list(dict.fromkeys(name for names in _known(command_path) for name in names))


def _known(command_path: str) -> list[tuple[str, ...]]:
    """Return the fields of each object that a command prints: of its views, and of the rows that a view lists."""
    known = [view.__struct_fields__ for view in _lines_of(command_path)]
    kept = [names for names in known if not any(set(names) < set(other) for other in known)]
    return list(dict.fromkeys(kept))  # views of one command may have the same fields


def takes_fields(command_path: str, names: Sequence[str]) -> bool:
    """Return whether `choose_fields` takes these fields."""
    return command_path == f"kalshi {_ANY}" or any(set(names) <= set(known) for known in _known(command_path))


def _lines_of(command_path: str) -> list[type[msgspec.Struct]]:
    """Return the views that a command prints, and the rows that a view lists."""
    views = views_of(command_path.partition(" ")[2])
    rows = [kind for view in views for name, kind in inner_rows(view) if name == getattr(view, "listed", "")]
    return [*views, *rows]


def _named_by(heading: str, command_path: str) -> list[str]:
    """Return the fields that a table shows under this heading; its words may be joined by `_`."""
    wanted = heading.lower().replace("_", " ").strip()
    shown = [column for view in _lines_of(command_path) for column in columns(view)]
    return [column.name for column in shown if column.label.lower() == wanted]


def choose_fields(command_path: str, chosen: Sequence[str]) -> None:
    """Set the fields that this command prints.

    Raises UsageError for a field that it does not print. Call this before the command reads or sends anything.
    """
    known = _known(command_path)
    if not known and command_path != f"kalshi {_ANY}":
        raise UsageError(f"--fields: `{command_path}` prints no fields", hint=f"see `{command_path} -h`")
    every = fields_of(command_path)
    unknown = [name for name in chosen if name not in every]
    if known and unknown:
        near = _named_by(unknown[0], command_path) or get_close_matches(unknown[0], every, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"Unknown field: {unknown[0] or '(empty)'}", hint=f"{meant}Fields: {_listed(known)}")
    if known and not any(set(chosen) <= set(names) for names in known):
        raise UsageError(
            f"No object has all of these fields: {', '.join(chosen)}", hint=f"choose from {_listed(known)}"
        )
    set_fields(tuple(chosen))


def _listed(known: Sequence[Sequence[str]]) -> str:
    return "; or from: ".join(", ".join(names) for names in known)
