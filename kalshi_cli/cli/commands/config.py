"""`kalshi config`: what is set, where it is set, and whether it can be used."""

from __future__ import annotations

import typer

from kalshi_cli.cli.options import CommandGroup, load_config, show_list

app = CommandGroup("Show, find and check the configuration.")


@app.command("show")
def show(ctx: typer.Context) -> None:
    """Every setting, and where its value came from; secrets are masked.

    \b
    kalshi config show
    """
    from kalshi_cli.config.sources import mask_secrets
    from kalshi_cli.views.settings import SettingRow

    show_list(ctx, SettingRow, mask_secrets(load_config(ctx)))


@app.command("path")
def path(ctx: typer.Context) -> None:
    """The files in use: configuration, state, private key.

    \b
    kalshi config path --env demo
    """
    from kalshi_cli.config.config import config_dir, state_dir
    from kalshi_cli.views.settings import FilePathRow, path_row

    config = load_config(ctx)
    rows = [
        path_row("configuration", config.file or config_dir() / "config.yaml"),
        path_row("state", state_dir(config)),
    ]
    if config.credential.private_key_path is not None:
        rows.append(path_row("private key", config.credential.private_key_path.expanduser()))
    show_list(ctx, FilePathRow, rows)


@app.command("check")
def check(ctx: typer.Context) -> None:
    """Read the configuration and list everything that is wrong with it; exit 2 if anything is.

    \b
    kalshi config check --config ./config.yaml
    """
    from kalshi_cli.base.clock import SystemClock
    from kalshi_cli.cli.screen.output import info
    from kalshi_cli.services.monitoring.config_check import check_config

    config = load_config(ctx)
    for name in check_config(config, SystemClock()):
        info(
            f"strategies.{name} is for a strategy of your own that is called so: none that is built in or installed is"
        )
    info(f"ok: {config.file or 'no configuration file, defaults everywhere'} ({config.env})")
