"""`kalshi config`: the settings, their sources, and their errors."""

from __future__ import annotations

import os
import sys

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.cli.options import flags_of, load_config, show_list, show_view, unread_elsewhere
from kalshi_cli.cli.parameters import CommandGroup
from kalshi_cli.cli.screen.output import info, warn

app = CommandGroup(
    "Show, find and check the configuration.\n\n"
    "Show the settings, find the files in use, and check the configuration for errors."
)


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Show every setting and where it comes from.

    Show every setting with its value and source (flag, variable, file or default). Secrets are masked.

    \b
    kalshi config show
    """
    from kalshi_cli.config.sources import mask_secrets
    from kalshi_cli.views.settings import SettingRow

    show_list(ctx, SettingRow, mask_secrets(load_config(ctx)))


@app.command("path")
def path(ctx: typer.Context) -> None:
    """Show the paths of the files in use.

    Show the paths of the configuration, the state directory, the lake, the logs and the private key. A file of
    `--config` or `KALSHI_CONFIG` that does not exist is shown too, and the other paths are then those without it.

    \b
    kalshi config path --env demo
    """
    from kalshi_cli.config.config import config_dir, log_folder, state_dir
    from kalshi_cli.config.file_place import named_file
    from kalshi_cli.services.research.lake_service import lake_folder
    from kalshi_cli.views.settings import FilePathRow, path_row

    flags = flags_of(ctx)
    named = named_file(flags.config, os.environ)
    is_missing = named is not None and not os.path.lexists(named)
    if is_missing:
        warn(f"No configuration file at {named}; every command that needs it stops. `kalshi init` creates it")
        flags.env = flags.env or os.environ.get("KALSHI_ENV") or "sim"
    config = load_config(ctx, () if is_missing else None)
    rows = [
        path_row("configuration", config.file or named or config_dir() / "config.yaml"),
        path_row("state", state_dir(config)),
        path_row("lake", lake_folder(config, None)),
        path_row("logs", log_folder(config, state_dir(config))),
    ]
    if config.credential.private_key_path is not None:
        rows.append(path_row("private key", config.credential.private_key_path.expanduser()))
    show_list(ctx, FilePathRow, rows)


@app.command("check")
def check(ctx: typer.Context) -> None:
    """Check the configuration for errors.

    Read the configuration and list every problem. Exit code 2 if there is any. A variable KALSHI_... that nothing reads
    is named; on a terminal every command names it, and in a pipe too if it resembles a setting. If it resembles
    `read_only` or a setting of `risk`, this check and every command that trades end with 2, because the limit would be
    missing. `cancel-all`, `cancel`, `pause` and checks go on.

    \b
    kalshi config check --config ./config.yaml
    """
    from kalshi_cli.config.config import refuse_unread_limits
    from kalshi_cli.services.monitoring.config_check import check_config
    from kalshi_cli.views.formats import Verdict
    from kalshi_cli.views.settings import ConfigCheckView

    config = load_config(ctx)
    if not sys.stderr.isatty():  # there every command says so
        warn(*unread_elsewhere())
    refuse_unread_limits(config)
    unknown = check_config(config, SystemClock())
    for name in unknown:
        info(f"strategies.{name} is kept for a strategy of your own; no built-in or installed strategy has that name")
    info(f"OK: {config.file or 'no configuration file, all defaults'} ({config.env})")
    if flags_of(ctx).wants_data:
        file = str(config.file) if config.file else None
        view = ConfigCheckView(status=Verdict("OK"), env=config.env, file=file, unknown_strategies=tuple(unknown))
        show_view(ctx, view)
