"""`kalshi init`: a few questions, a commented configuration, a health-check."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from kalshi_cli.base.errors import ConfigError, CredentialsError, RefusedError, UsageError
from kalshi_cli.base.text import mask
from kalshi_cli.cli.options import CommandGroup, flags_of
from kalshi_cli.cli.screen.output import info, prompt, warn

app = CommandGroup("Set this program up.")

MAX_TRIES = 5

WHERE_KEYS_ARE_MADE = {
    "demo": "demo.kalshi.co, Account & security, API keys",
    "prod": "kalshi.com, Account & security, API keys; one limited to trading is enough",
}
LIMITS = {
    "risk.max_daily_loss": ("daily_loss", "Stop for the day after losing how many dollars?", "100"),
    "risk.max_exposure": ("exposure", "How many dollars may all markets together still lose?", "500"),
    "risk.max_position": ("position", "How many contracts in one market at most?", "100"),
}
"""Dotted path -> name, question, default."""
ALERT_CHANNEL_PATH = "alerts.channels.main.url"


@app.command("init")
def init(
    ctx: typer.Context,
    key_id: Annotated[str, typer.Option("--key-id", metavar="ID", help="The id of the API key.")] = "",
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The private key.")] = None,
    daily_loss: Annotated[str, typer.Option("--max-daily-loss", metavar="DOLLARS", help="risk.max_daily_loss")] = "",
    exposure: Annotated[str, typer.Option("--max-exposure", metavar="DOLLARS", help="risk.max_exposure")] = "",
    position: Annotated[str, typer.Option("--max-position", metavar="COUNT", help="risk.max_position")] = "",
    sink: Annotated[str, typer.Option("--sink", metavar="URL", help="Who is told: https://..., slack://...")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration; the old one is kept aside.")] = False,
) -> None:
    """Set up: environment, key, limits, whom to tell. Writes a commented configuration and looks whether all is well.

    On a terminal it asks for what is not given; elsewhere defaults hold. The file is yours alone (0600). Ends with the
    exit code of the health-check: 0 when everything is green.

    \b
    kalshi init
    kalshi init --env demo --key-id ID --key ~/kalshi-demo.key --max-daily-loss 50
    """
    from kalshi_cli.config.config import config_dir
    from kalshi_cli.config.sources import named_file
    from kalshi_cli.config.template import Answer, filled, template, write

    flags = flags_of(ctx)
    path = named_file(flags.config, os.environ) or (config_dir() / "config.yaml").absolute()
    _refuse_to_replace(path, is_forced=force)
    if sys.stdin.isatty():
        warn("a few questions: which exchange, its key, three limits, whom to tell; Enter takes what is in [brackets]")
    env = flags.env or _asked("Which exchange: sim (ours, nothing needed), demo or prod?", "sim", _checked("env"))
    answers: dict[str, Answer] = {"env": env}
    if env in WHERE_KEYS_ARE_MADE:
        answers |= _credentials(env, key_id, key)
    given = {"daily_loss": daily_loss, "exposure": exposure, "position": position}
    for dotted, (name, question, default) in LIMITS.items():
        answer = _asked(question, default, _checked(dotted), given[name])
        if given[name] or answer != default:
            answers[dotted] = answer
    if url := _asked("Who is told when something is wrong (an address; empty for nobody)?", "", _usable_sink, sink):
        answers["alerts.channels"] = {"main": {"url": url}}
    kept = write(path, filled(template(), answers))
    info(f"written: {path}" + (f"; the old one is {kept.name}" if kept else ""))
    _look(ctx, path, env, has_sink=bool(url))


def _refuse_to_replace(path: Path, *, is_forced: bool) -> None:
    here = Path("config.yaml").absolute()
    if here.exists() and here != path:
        info(f"{here} is read first in this directory, not {path}")
    if not path.exists() or is_forced:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"there is a configuration already: {path}", hint="kalshi init --force", code="exists")
    if prompt(f"{path} is there already. Write a new one, and keep that as {path.name}.before? [y/N]").lower() != "y":
        raise RefusedError("nothing was written", hint="kalshi config show", code="exists")


def _asked(question: str, default: str, check: Callable[[str], str], given: str = "") -> str:
    """What was given, else what a person answers until it can be used, else the default."""
    if given or not sys.stdin.isatty():
        return check(given or default)
    for _ in range(MAX_TRIES):
        answer = prompt(f"{question} [{default}]" if default else question).strip() or default
        try:
            return check(answer)
        except ConfigError as error:
            warn(error.message)
    raise UsageError("no answer that can be used", hint="kalshi init -h")


def _checked(dotted: str) -> Callable[[str], str]:
    """A check that the configuration takes this value. ConfigError says why not."""

    def check(answer: str) -> str:
        from kalshi_cli.config import sources

        if answer:
            sources.load(None, {}, {dotted: answer}, [dotted])
        return answer

    return check


def _usable_sink(url: str) -> str:
    """An address to which something can be delivered, as far as that is known without asking anybody."""
    from kalshi_cli.base.clock import SystemClock
    from kalshi_cli.config import sources
    from kalshi_cli.services.monitoring.config_check import require_usable_channels

    if url:
        mask(url)
        require_usable_channels(sources.load(None, {}, {ALERT_CHANNEL_PATH: url}, [ALERT_CHANNEL_PATH]), SystemClock())
    return url


def _credentials(env: str, key_id: str, key: Path | None) -> dict[str, str]:
    """The key of an environment, that can be read and is ours alone."""
    if not sys.stdin.isatty() and not (key_id and key):
        raise UsageError(f"{env} needs a key", hint=f"--key-id ID --key FILE; made at {WHERE_KEYS_ARE_MADE[env]}")
    if not (key_id and key):
        warn(f"a key is made at {WHERE_KEYS_ARE_MADE[env]}: save the file, and copy the id")
    found = _asked("The id of the key?", "", _checked(f"credentials.{env}.key_id"), key_id)
    if not found:
        raise UsageError("without the id of a key nothing can be signed", hint=f"made at {WHERE_KEYS_ARE_MADE[env]}")
    path = Path(_asked("The file of the private key?", "", _usable_key, str(key or "")))
    return {
        f"credentials.{env}.key_id": found,
        f"credentials.{env}.private_key_path": str(path.expanduser().absolute()),
    }


def _usable_key(text: str) -> str:
    """A path of a key that can be loaded; one that others may read is closed to them, if a person says so."""
    from kalshi_cli.services.setup import is_readable_by_others, load_key

    path = Path(text).expanduser()
    if is_readable_by_others(path):
        if not sys.stdin.isatty() or prompt(f"others can read {path}. Make it yours alone (chmod 600)? [Y/n]") == "n":
            raise CredentialsError(f"others can read {path}", hint=f"chmod 600 {path}")
        path.chmod(0o600)
    try:
        load_key(path)
    except CredentialsError as error:
        if not sys.stdin.isatty():
            raise
        raise ConfigError(f"{error.message}; {error.hint}") from error
    return text


def _look(ctx: typer.Context, path: Path, env: str, *, has_sink: bool) -> None:
    """The health-check of what was written, and what to do next."""
    from kalshi_cli.cli.commands.health import show_health

    flags = flags_of(ctx)
    flags.config = path
    code = show_health(ctx)
    if code:
        warn("not everything is green: each line has its remedy; then again: kalshi health-check")
    else:
        paper = " --paper" if env in WHERE_KEYS_ARE_MADE else ""
        info(f"next: kalshi markets --limit 10; kalshi trade --strategy spike{paper}; kalshi runbook")
        info("off until you set them: risk.stop_loss_pct, risk.take_profit_pct, risk.max_drawdown")
    if has_sink:
        info("try the sink: kalshi alerts test")
    raise typer.Exit(code)
