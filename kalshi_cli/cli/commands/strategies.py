"""`kalshi strategies`: the list of strategies, their parameters, and a template for a new one."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import show_list, show_view
from kalshi_cli.cli.parameters import CommandGroup, argument, option
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "List strategies, or create a new one.\n\n"
    "List the strategies and their parameters, or create a new strategy from a template.",
    default="show",
    takes_words=True,
)


@app.command("show")
def show(
    ctx: typer.Context,
    name: Annotated[str, argument("[NAME]", "Strategy name, or FILE.py:Class")] = "",
) -> None:
    """List strategies, or show one.

    List the built-in strategies and those of installed packages. With a name, show what the strategy does, its data
    inputs and its parameters.

    \b
    kalshi strategies
    kalshi strategies spike
    kalshi strategies ./fade.py
    """
    from kalshi_cli.services.research.strategies import describe_strategy, list_strategies
    from kalshi_cli.views.strategies import StrategyRow

    if name in ("list", "ls"):
        raise UsageError(f"Unknown command: kalshi strategies {name}", hint="to list them: `kalshi strategies`")
    if name:
        show_view(ctx, describe_strategy(name))
    else:
        show_list(ctx, StrategyRow, list_strategies())


@app.command("new")
def new(
    ctx: typer.Context,
    name: Annotated[str, argument("NAME", "Lowercase letters, digits and dashes")],
    folder: Annotated[Path, option("--dir", "DIR", "Output directory; created if it does not exist")] = Path(),
) -> None:
    """Create a strategy from a template.

    Create a small working strategy and its test. Existing files are never overwritten.

    \b
    kalshi strategies new my-idea
    kalshi strategies new my-idea --dir ideas
    """
    from kalshi_cli.services.research.strategies import write_strategy
    from kalshi_cli.views.strategies import NewStrategyView

    code, test = (str(path) for path in write_strategy(name, folder))
    show_view(ctx, NewStrategyView(name=name, code=code, test=test))
    info(
        "Next steps:",
        f"  {quote(sys.executable)} {quote(test)}",
        f"  kalshi strategies {quote(code)}",
        "  kalshi record --series KXHIGHNY --file tape.jsonl.gz --duration 10m",
        f"  kalshi backtest tape.jsonl.gz --strategy {quote(code)}",
        f"  kalshi trade --strategy {quote(code)} --series KXHIGHNY --duration 10m",
    )
