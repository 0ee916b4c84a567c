"""`kalshi init`: a few questions, a commented configuration, and a health check."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ConfigError, CredentialsError, RefusedError, UntrustedError, UsageError
from kalshi_cli.base.text import mask
from kalshi_cli.cli.options import flags_of
from kalshi_cli.cli.parameters import CommandGroup, flag, option
from kalshi_cli.cli.screen.output import info, prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.config.template import Answer, KeyPath

app = CommandGroup("Set up environment, key, limits and alerts.")

MAX_TRIES = 5

WHERE_KEYS_ARE_MADE = {
    "demo": "demo.kalshi.co, Account & security, API keys",
    "prod": "kalshi.com, Account & security, API keys; a key limited to trading is enough",
}
LIMITS = {
    "risk.max_daily_loss": (
        "daily_loss",
        "Maximum loss per day, in dollars (then no new positions until you resume)",
        "100",
    ),
    "risk.max_exposure": ("exposure", "Maximum total loss over all markets, in dollars", "500"),
    "risk.max_position": ("position", "Maximum contracts in one market", "100"),
}
"""Dotted path -> name, question, default."""
OPTIONAL = ("risk.stop_loss_pct", "risk.take_profit_pct", "risk.max_drawdown")
THOUSANDS = re.compile(r"\$?\d{1,3}(,\d{3})+(\.\d+)?")
ALERT_CHANNEL_PATH = "alerts.channels.main.url"


@app.command("init")
def init(
    ctx: typer.Context,
    key_id: Annotated[str, option("--key-id", "ID", "API key id")] = "",
    key: Annotated[Path | None, option("--key", "FILE", "Private key file")] = None,
    daily_loss: Annotated[
        str, option("--max-daily-loss", "DOLLARS", "Stop for the day after losing this much (risk.max_daily_loss)")
    ] = "",
    exposure: Annotated[
        str, option("--max-exposure", "DOLLARS", "Maximum loss over all markets (risk.max_exposure)")
    ] = "",
    position: Annotated[
        str, option("--max-position", "COUNT", "Maximum contracts per market (risk.max_position)")
    ] = "",
    sink: Annotated[
        str,
        typer.Option(
            "--alert-channel", "--sink", metavar="URL", help="Alert channel to add: https://... or slack://..."
        ),
    ] = "",
    force: Annotated[bool, flag("--force", "Change an existing configuration; the old file is kept as a copy")] = False,
) -> None:
    """Set up environment, key, limits and alerts.

    Set up environment, API key, risk limits and alerts, write a commented configuration, and run a health check. On a
    terminal it asks for values that are not given as options; otherwise defaults are used. The exit code is that of
    the health check: 0 when every line is OK.

    With an existing configuration its values are the defaults, and everything else in it stays as it is, except your
    comments. The old file is kept as a copy. Without a terminal, `--force` is required.

    The file is readable only by you (mode 0600).

    \b
    kalshi init
    kalshi init --env demo --key-id ID --key ~/kalshi-demo.key --max-daily-loss 50
    """
    from kalshi_cli.config.config import config_dir
    from kalshi_cli.config.file_place import named_file
    from kalshi_cli.config.template import filled, template, write

    flags = flags_of(ctx)
    path = named_file(flags.config, os.environ) or (config_dir() / "config.yaml").absolute()
    _refuse_to_replace(path, is_forced=force)
    named = flags.env or os.environ.get("KALSHI_ENV", "")
    given = {"daily_loss": daily_loss, "exposure": exposure, "position": position}
    topics = _topics(named, has_key=bool(key_id and key), limits=given.values(), has_channel=bool(sink))
    if sys.stdin.isatty() and topics:
        warn(f"A few questions: {', '.join(topics)}.", "Press Enter to accept the value in [brackets].")
    answers, others = _current(path)
    current = str(answers.get("env") or "sim")
    env = _asked("Exchange: sim (simulated, no account needed), demo or prod", current, _checked("env"), named)
    answers["env"] = env
    if env in WHERE_KEYS_ARE_MADE:
        answers |= _credentials(env, key_id, key, answers, path)
    _ask_limits(answers, given)
    channels = _ask_channel(answers, sink)
    kept = write(path, filled(template(), answers, others))
    info(f"Wrote {path}" + (f"; its other values are kept, and the previous file is {kept.name}" if kept else ""))
    _look(ctx, path, answers, has_sink=bool(channels))


def _topics(env: str, *, has_key: bool, limits: Iterable[str], has_channel: bool) -> list[str]:
    """Return what `init` will ask for: all but the values that options and variables give. `env` may be empty."""
    open_limits = sum(not each for each in limits)
    key = ["API key"] if env in WHERE_KEYS_ARE_MADE else [] if env else ["API key (not for sim)"]
    return [
        *([] if env else ["exchange"]),
        *([] if has_key else key),
        *([f"{open_limits} risk limit{'s' if open_limits > 1 else ''}"] if open_limits else []),
        *([] if has_channel else ["alert channel"]),
    ]


def _current(path: Path) -> tuple[dict[str, Answer], dict[KeyPath, Answer]]:
    """Return the values of the existing file: those that the template has a line for, and all others.

    ConfigError if it cannot be read: a new file would lose its limits.
    """
    from kalshi_cli.config import yaml_file
    from kalshi_cli.config.template import template, values_of

    if not path.is_file():
        return {}, {}
    hint = f"correct the file, or move it away to begin with defaults: mv {path} {path.name}.broken"
    try:
        tree, oddities, _ = yaml_file.read(path)
    except UntrustedError:
        raise
    except ConfigError as error:
        raise ConfigError(error.message, hint=hint) from error
    if oddities or not isinstance(tree, dict | None):
        wrong = ": ".join((".".join(oddities[0][0]), oddities[0][1])) if oddities else "it has no `name: value` lines"
        raise ConfigError(f"The values of {path} cannot be kept: {wrong}", hint=hint)
    answers, others = values_of(tree, template())
    if sinks := _section(others.get(("alerts", "sinks"))):  # the former name
        del others["alerts", "sinks"]
        answers["alerts.channels"] = sinks | _section(answers.get("alerts.channels"))
    return answers, others


def _ask_limits(answers: dict[str, Answer], given: Mapping[str, str]) -> None:
    """Set the limits that are given, or that the user changes; the others stay as in the file, or defaults."""
    for dotted, (name, question, default) in LIMITS.items():
        current = _shown(answers[dotted]) if dotted in answers else default
        answer = _asked(question, current, _limit(dotted), given[name])
        if given[name] or answer != current:
            answers[dotted] = answer


def _ask_channel(answers: dict[str, Answer], given: str) -> dict[str, object]:
    """Add an alert channel if one is given or typed, and return all."""
    channels = _section(answers.get("alerts.channels"))
    question = f"Alert channel URL to add (empty keeps {', '.join(channels)})"
    if url := _asked(question if channels else "Alert channel URL (empty for none)", "", _usable_sink, given):
        channels[_free_channel(channels)] = {"url": url}
        answers["alerts.channels"] = channels
    return channels


def _section(value: Answer) -> dict[str, object]:
    return {str(name): below for name, below in value.items()} if isinstance(value, dict) else {}


def _shown(value: Answer) -> str:
    return "null" if value is None else str(value)


def _free_channel(channels: Mapping[str, object]) -> str:
    """Return a name for a new alert channel that does not replace another one."""
    names = ("main", *(f"main-{number}" for number in range(2, len(channels) + 3)))
    return next(name for name in names if name not in channels)


def _refuse_to_replace(path: Path, *, is_forced: bool) -> None:
    from kalshi_cli.config.file_place import file_here

    here = file_here()
    if here is not None and os.path.exists(here) and here != path:
        info(f"{here} in this directory takes precedence over {path}")
    if not path.exists() or is_forced:
        return
    if not sys.stdin.isatty():
        raise RefusedError(f"The configuration {path} already exists", hint="kalshi init --force", code="exists")
    question = f"{path} already exists. Change it? Its values stay, and {path.name}.before is a copy of it [y/N]"
    if prompt(question).lower() not in ("y", "yes"):
        raise RefusedError("Nothing was written", hint="kalshi config show", code="exists")


def _asked(question: str, default: str, check: Callable[[str], str], given: str = "", shown: str = "") -> str:
    """Return the given value, else a valid answer of the user, else the default, for which `shown` may stand."""
    if given or not sys.stdin.isatty():
        return check(given or default)
    for _ in range(MAX_TRIES):
        answer = prompt(f"{question} [{shown or default}]:" if default else f"{question}:").strip() or default
        try:
            return check(answer)
        except ConfigError as error:
            warn(error.message.removesuffix(" (flag)"))
    raise UsageError("No valid answer after several tries", hint="kalshi init -h")


def _checked(dotted: str) -> Callable[[str], str]:
    """Return a check that the configuration accepts a value; it raises ConfigError if not."""

    def check(answer: str) -> str:
        from kalshi_cli.config import sources

        if answer:
            sources.load(None, {}, {dotted: answer}, [dotted])
        return answer

    return check


def _limit(dotted: str) -> Callable[[str], str]:
    """Return a check of a limit, which may be typed as `1,000`; the result has no commas."""
    check = _checked(dotted)

    def check_limit(answer: str) -> str:
        return check(answer.replace(",", "") if THOUSANDS.fullmatch(answer.strip()) else answer)

    return check_limit


def _usable_sink(url: str) -> str:
    """Check an alert channel URL as far as that is possible without a connection, and return it."""
    from kalshi_cli.config import sources
    from kalshi_cli.services.monitoring.config_check import require_usable_channels

    if url:
        mask(url)
        require_usable_channels(sources.load(None, {}, {ALERT_CHANNEL_PATH: url}, [ALERT_CHANNEL_PATH]), SystemClock())
    return url


def _credentials(env: str, key_id: str, key: Path | None, current: Mapping[str, Answer], path: Path) -> dict[str, str]:
    """Return the credentials of an environment, after a check that the key file can be loaded and is private.

    Those in the current file, at `path`, are used where no others are given.
    """
    from kalshi_cli.config.schema import masked_secret

    old_id = str(current.get(f"credentials.{env}.key_id") or "")
    old_key = str(current.get(f"credentials.{env}.private_key_path") or "")
    if not sys.stdin.isatty() and old_id and old_key:
        key_id, key = key_id or old_id, key or path.parent / Path(old_key).expanduser()
    if not sys.stdin.isatty() and not (key_id and key):
        raise UsageError(
            f"{env} requires an API key", hint=f"--key-id ID --key FILE; create a key at {WHERE_KEYS_ARE_MADE[env]}"
        )
    if not (key_id and key) and not (old_id and old_key):
        warn(
            f"Create an API key at {WHERE_KEYS_ARE_MADE[env]}. Choose Ed25519, which signs faster than RSA.",
            "Save the key file and copy the key id.",
        )
    found = _asked("API key id", old_id, _usable_key_id(env), key_id, masked_secret(old_id))
    old_file = str(path.parent / Path(old_key).expanduser()) if old_key else ""
    file = Path(_asked("Private key file", old_file, _usable_key, str(key or "")))
    return {
        f"credentials.{env}.key_id": found,
        f"credentials.{env}.private_key_path": str(file.expanduser().absolute()),
    }


def _usable_key_id(env: str) -> Callable[[str], str]:
    def check(answer: str) -> str:
        if not answer:
            raise ConfigError("An API key id is required to sign requests. Ctrl-C leaves without a change")
        return _checked(f"credentials.{env}.key_id")(answer)

    return check


def _usable_key(text: str) -> str:
    """Check that the key can be loaded, and return its path. Offer to restrict a file that other users can read."""
    from kalshi_cli.services.setup import is_readable_by_others, load_key

    path = Path(text).expanduser()
    if is_readable_by_others(path):
        if (
            not sys.stdin.isatty()
            or prompt(f"Other users can read {path}. Restrict it to you (chmod 600)? [Y/n]") == "n"
        ):
            raise CredentialsError(f"Other users can read {path}", hint=f"chmod 600 {path}")
        path.chmod(0o600)
    try:
        load_key(path)
    except CredentialsError as error:
        if not sys.stdin.isatty():
            raise
        raise ConfigError(f"{error.message}; {error.hint}") from error
    return text


def _look(ctx: typer.Context, path: Path, answers: Mapping[str, Answer], *, has_sink: bool) -> None:
    """Run the health check with the new configuration, and print the next steps."""
    from kalshi_cli.cli.commands.health import show_health

    flags = flags_of(ctx)
    flags.config = path
    info("Checking that everything is ready to trade ...")
    code = show_health(ctx)
    if code:
        warn("Each line that is not OK shows its fix; then run `kalshi health-check` again")
    else:
        paper = " --paper" if answers["env"] in WHERE_KEYS_ARE_MADE else ""
        info(f"Next: kalshi markets --limit 10; kalshi trade --strategy spike{paper}; kalshi runbook")
        if unset := [name for name in OPTIONAL if answers.get(name) is None]:
            info(f"Not set (optional): {', '.join(unset)}")
    if has_sink:
        info("Test the alert channel: kalshi alerts test")
    raise typer.Exit(code)
