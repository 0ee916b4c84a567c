"""`kalshi strategies`: which there are, what each does and takes, and a new one of one's own."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from kalshi_cli.cli.options import CommandGroup, show_list, show_view
from kalshi_cli.cli.screen.output import info

app = CommandGroup(
    "The strategies and their parameters; `new` writes one to begin with.", default="show", takes_words=True
)


@app.command("show")
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One strategy, or FILE.py:Class.")] = "",
) -> None:
    """The strategies: built in, and of installed packages. Or one: what it does, what it hears, and its parameters.

    \b
    kalshi strategies
    kalshi strategies spike
    kalshi strategies ./fade.py
    """
    from kalshi_cli.services.research.strategies import describe_strategy, list_strategies
    from kalshi_cli.views.strategies import StrategyRow

    if name:
        show_view(ctx, describe_strategy(name))
    else:
        show_list(ctx, StrategyRow, list_strategies())


@app.command("new")
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits, dashes.")],
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where to; made if it is missing.")] = Path(),
) -> None:
    """Write a small strategy that trades, and its test, to begin with. Nothing is ever overwritten.

    \b
    kalshi strategies new my-idea
    kalshi strategies new my-idea --dir ideas
    """
    from kalshi_cli.services.research.strategies import write_strategy
    from kalshi_cli.views.strategies import NewStrategyView

    code, test = (str(path) for path in write_strategy(name, folder))
    show_view(ctx, NewStrategyView(name=name, code=code, test=test))
    info(
        "next:",
        f"  pytest {quote(test)}",
        f"  kalshi strategies {quote(code)}",
        "  kalshi record TICKER --out tape.jsonl.gz --duration 10m",
        f"  kalshi backtest --strategy {quote(code)} --data tape.jsonl.gz",
        f"  kalshi trade --strategy {quote(code)} --paper",
    )
