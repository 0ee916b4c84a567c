"""Finds the configuration file, and decides whether the program may go on without one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from kalshi_cli.base.errors import ConfigError, Distrust, UntrustedError
from kalshi_cli.base.file_trust import is_anothers
from kalshi_cli.config.config import Problem, config_dir

HIDDEN_FILE = "The working directory cannot be read: a config.yaml in it is ignored; --config FILE names another"


def named_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the absolute path from --config or KALSHI_CONFIG, or None; the file may not exist."""
    if file is None and env.get("KALSHI_CONFIG"):
        file = Path(env["KALSHI_CONFIG"])
    return None if file is None else file.expanduser().absolute()


def find_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    """Return the file of --config or KALSHI_CONFIG, which must exist, ./config.yaml, the user's own, or None."""
    path = named_file(file, env)
    if path is None:
        places = (file_here(), config_dir() / "config.yaml")
        return next((each for each in places if each is not None and os.path.lexists(each)), None)
    if not os.path.lexists(path):
        hint = "check --config and KALSHI_CONFIG; `kalshi init` creates the file"
        raise ConfigError(f"No configuration file at {path}", hint=hint)
    return path


def file_here() -> Path | None:
    """Return the path of ./config.yaml, which may not exist; None if the working directory was deleted."""
    try:
        return Path("config.yaml").absolute()
    except OSError:
        return None


def is_hidden(path: Path | None) -> bool:
    """Return whether this user may not see if the file exists, as in /root of another user."""
    try:
        os.lstat(path or "/")
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def is_of_another_user(path: Path) -> bool:
    """Return whether the file or link, or the target of the link, belongs to another user."""
    with suppress(OSError):
        return is_anothers(os.lstat(path)) or is_anothers(os.stat(path))
    return False


def without_file_of_another(path: Path, distrust: Distrust, *, is_env_named: bool) -> Path | None:
    """Return the user's own file instead of one that another user left in the current folder.

    The user did not name that file, and it could change the environment in which the kill switch cancels.
    """
    error = UntrustedError(f"the configuration {path} belongs to another user and is ignored", hint=f"ls -l {path}")
    own = config_dir() / "config.yaml"
    if os.path.lexists(own):
        distrust(error)
        return own
    if not is_env_named:
        refuse_without_file(ConfigError(error.message), (), is_env_named)
    distrust(error)
    return None


def file_or_none(
    file: Path | None,
    env: Mapping[str, str],
    needed: Collection[str] | None,
    problems: list[Problem],
    *,
    is_env_named: bool,
) -> Path | None:
    """Return the file; None without one, and with a problem where a named one is missing and not needed."""
    try:
        return find_file(file, env)
    except ConfigError as error:
        refuse_without_file(error, needed, is_env_named)
        problems.append(Problem(("file",), error.message, "--config, KALSHI_CONFIG"))
        return None


def refuse_without_file(error: ConfigError, needed: Collection[str] | None, is_env_named: bool) -> None:
    """Raise unless every needed value can be known without the file."""
    if needed is None or isinstance(error, UntrustedError):
        raise error
    # Without the file only an option or a variable may name the environment: a guess could cancel in the wrong one.
    if not is_env_named:
        raise ConfigError(
            f"NOTHING WAS DONE: {error.message}, and no other source names the environment",
            hint="name it with --env prod, demo or sim, and put the key in variables; the file is then ignored",
        ) from error
