"""Load the configuration from its sources; every problem at once, every value with where it came from.

    flag  >  variable  >  file  >  default

A person writes dollars and contracts; here they become integers, exactly. Loading reads one file and creates nothing.
yaml, platformdirs and zoneinfo are imported where they are used: `kalshi --help` needs none of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from kalshi_cli.base.errors import ConfigError, Distrust, UntrustedError, refuse
from kalshi_cli.base.file_trust import doubt_folder, is_anothers
from kalshi_cli.base.text import conceal_address, conceal_key, holds_private_key, mask, redact
from kalshi_cli.config import yaml_file
from kalshi_cli.config.config import HOSTS, Config, Problem, config_dir, state_dir
from kalshi_cli.config.hosts import ALLOW_HOSTS, allowed_hosts
from kalshi_cli.config.schema import EVENTS, SPOT_VENUES, TIERS, AlertChannel, hidden_address, masked_secret
from kalshi_cli.config.values import convert, list_of_choices, show, time_zone, url, variable_names, web_address
from kalshi_cli.core.account.sizing import RESERVED, StrategyAllocation

Key = tuple[str, ...]
"""Where a value is: section, then name."""
SINKS: Key = ("alerts", "sinks")
"""A section of sections whose names are a person's, as `strategies` is."""
ConfigSources = dict[Key, tuple[object, str]]
"""Raw values with their origins."""


class Setting(msgspec.Struct, frozen=True):
    """A value as it may be shown, and where it came from."""

    path: str
    value: str
    origin: str


def load(
    file: Path | None,
    env: Mapping[str, str],
    flags: Mapping[str, object],
    needed: Collection[str] | None = None,
    distrust: Distrust = refuse,
) -> Config:
    """The configuration. ConfigError lists every problem.

    `file` is what --config named; flags are named by dotted path, None where not given. Where `needed` names paths,
    only problems at or below those raise: others are in `problems`, and defaults stand in. So nothing that is broken
    in a section that `cancel-all` does not need can stop it; nor a file that cannot be read at all, where a flag or a
    variable names the environment. `distrust` decides about a file that others may write.
    """
    path = find_file(file, env)
    is_env_named = bool(flags.get("env") or env.get("KALSHI_ENV"))
    if path is not None and distrust is not refuse and path == _here() and _is_strangers(path):
        path = _without_strangers(path, distrust, is_env_named=is_env_named)
    problems: list[Problem] = []
    found: ConfigSources = {}
    if path is not None:
        origin = f"file {path}"
        try:
            document = yaml_file.read(path, distrust)
            problems += [Problem(key, text, origin) for key, text in document.oddities]
        except ConfigError as error:
            _refuse_without_file(error, needed, is_env_named)
            document = yaml_file.Document()
            problems.append(Problem(("file",), error.message, origin))
        for key, raw in _flatten(document.tree, (), origin, problems):
            found[key] = (raw, origin)
            if document.is_open_to_others and raw and key[0] in ("alerts", "heartbeat") and key[-1] == "url":
                problems.append(Problem(key, f"is a secret, and others may read this file: chmod 600 {path}", origin))
    from_flags: ConfigSources = {
        tuple(name.split(".")): (raw, "flag")
        for name, raw in flags.items()
        if raw is not None and name != "allow_hosts"
    }
    found |= _from_variables(env)
    chosen, _ = from_flags.get(("env",)) or found.get(("env",)) or ("sim", "")
    found |= _credentials_from_variables(env, str(chosen))
    found |= from_flags

    for key, (raw, _) in found.items():
        _conceal(key, raw)
    values = {key: value for key, _, value in _leaves(Config())}
    origins = {".".join(key): "default" for key in values}
    for key, (raw, origin) in found.items():
        try:
            values[key] = _value(key, raw, path.parent if path and origin.startswith("file ") else Path())
        except ValueError as error:
            problems.append(Problem(key, str(error), origin))
        else:
            origins[".".join(key)] = origin
    allowed, wrong = allowed_hosts(flags.get("allow_hosts"), env)
    problems += [Problem(("allow_hosts",), wrong, f"--allow-host, {ALLOW_HOSTS}")] if wrong else []
    fatal = [problem for problem in problems if needed is None or _is_below(problem.path, needed)]
    if fatal:
        raise _error(fatal)
    config: Config = _build(Config, (), values)
    return msgspec.structs.replace(config, allow_hosts=allowed, file=path, origins=origins, problems=tuple(problems))


def _refuse_without_file(error: ConfigError, needed: Collection[str] | None, is_env_named: bool) -> None:
    """Raise unless what is needed can be known without the file."""
    if needed is None or isinstance(error, UntrustedError):
        raise error
    # Only what was said outside of the file can name the environment then: a guess could cancel elsewhere.
    if not is_env_named:
        raise ConfigError(
            f"NOTHING WAS DONE: {error.message}, and nothing else says which environment is meant",
            hint="name it, and the file is done without: --env prod, demo or sim, with the key in variables",
        ) from error


def _conceal(key: Key, raw: object) -> None:
    """Before anything is said of it, right or wrong: an address in the wrong place is a secret there too."""
    if key[-1] == "key_id":
        mask(str(raw))
    for text in (*key, raw):
        if isinstance(text, str) and "://" in text and key[0] not in ("exchange", "spot"):
            conceal_address(text)


def _is_below(path: Key, needed: Collection[str]) -> bool:
    """At or below one of these dotted paths; the file as a whole is needed always."""
    return not path or any(path[: name.count(".") + 1] == tuple(name.split(".")) for name in needed)


def find_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    """--config, KALSHI_CONFIG, ./config.yaml, the user's own; None where there is none. A named one must exist."""
    if file is None and env.get("KALSHI_CONFIG"):
        file = Path(env["KALSHI_CONFIG"])
    if file is not None:
        path = file.expanduser().absolute()
        if not os.path.lexists(path):
            raise ConfigError(f"there is no configuration file {path}", hint="check --config and KALSHI_CONFIG")
        return path
    return next((path for path in (_here(), config_dir() / "config.yaml") if os.path.lexists(path)), None)


def _here() -> Path:
    return Path("config.yaml").absolute()


def _is_strangers(path: Path) -> bool:
    """Return whether the file or link, or what it leads to, belongs to another user."""
    with suppress(OSError):
        return is_anothers(os.lstat(path)) or is_anothers(os.stat(path))
    return False


def _without_strangers(path: Path, distrust: Distrust, *, is_env_named: bool) -> Path | None:
    """Return the user's own file instead of one that another user left in the current folder.

    That file was found, not named by the user, and it could change where the kill switch cancels.
    """
    error = UntrustedError(f"the configuration {path} belongs to another user and is left out", hint=f"ls -l {path}")
    own = config_dir() / "config.yaml"
    if os.path.lexists(own):
        distrust(error)
        return own
    if not is_env_named:
        _refuse_without_file(ConfigError(error.message), (), is_env_named)
    distrust(error)
    return None


def judge_state(config: Config, distrust: Distrust = refuse) -> None:
    """Let `distrust` decide where others may write a state directory of this environment, or put another in its place.

    A directory that is still missing is judged by where it will be made.
    """
    for home in (state_dir(config), state_dir(config, "paper")):
        doubt = doubt_folder(home)
        if doubt is not None:
            error = UntrustedError(f"refused the state directory {home}: {doubt.why}", hint=doubt.remedy)
            distrust(error)
            return


def mask_secrets(config: Config) -> tuple[Setting, ...]:
    """Every value as a person writes it, secrets hidden, for `config show`."""
    settings = []
    for key, kind, value in _leaves(config):
        path, text = ".".join(key), show(kind, value)
        settings.append(Setting(redact(path), redact(_masked(key, text)), config.origins.get(path, "default")))
    if config.allow_hosts:
        settings.append(Setting("allow_hosts", ", ".join(config.allow_hosts), f"--allow-host, {ALLOW_HOSTS}"))
    return tuple(settings)


def _masked(key: Key, text: str) -> str:
    if key[-1] == "url":
        return hidden_address(text)
    return masked_secret(text) if any(word in key[-1] for word in ("key_id", "secret", "token", "password")) else text


# -- the schema, read off the structs -----------------------------------------------------------------------------
@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """What a section declares; working out its types takes longer than reading the file."""
    return msgspec.structs.fields(kind)


def _leaves(section: msgspec.Struct, key: Key = ()) -> Iterator[tuple[Key, Any, object]]:
    """Every value below a section: key, type, value."""
    for field in _fields(type(section)):
        at, value = (*key, field.name), getattr(section, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _leaves(value, at)
        elif at == ("references",):
            yield from (((*at, prefix), str | None, index) for prefix, index in value.items())
        elif at == SINKS:
            for name, sink in value.items():
                yield from _leaves(sink, (*at, name))
        elif at == ("strategies",):
            yield from (
                ((*at, name, param), Any, raw) for name, params in value.items() for param, raw in params.items()
            )
        elif at == ("allotments",):
            for name, allotment in value.items():
                yield from _leaves(allotment, ("strategies", name))
        elif field.name not in ("allow_hosts", "file", "origins", "problems"):
            yield at, field.type, value


_KINDS = {key: kind for key, kind, _ in _leaves(Config())}
_SECTIONS = {key[:depth] for key in _KINDS for depth in range(len(key))} | {("strategies",), SINKS}
_KINDS |= {key: kind for key, kind, _ in _leaves(AlertChannel(), ("sink",))}
_KINDS |= {key: kind for key, kind, _ in _leaves(StrategyAllocation(), ("strategy",))}


def _is_section(key: Key) -> bool:
    if key[:1] == ("strategies",) and (len(key) == 2 or key[2:] == ("sizing",)):
        return True
    return key in _SECTIONS or (len(key) == 3 and key[:2] == SINKS)


def _kind(key: Key) -> Any:
    """The type of a value; ValueError, with the nearest name, where there is no such value."""
    if len(key) == 2 and key[0] == "references":
        return str | None
    if len(key) == 3 and key[0] == "strategies" and key[2] not in RESERVED:
        return Any
    if len(key) > 2 and key[0] == "strategies" and not _is_section(key):
        key = ("strategy", *key[2:])
    if len(key) == 4 and key[:2] == SINKS:
        if not re.fullmatch(r"[\w-]{1,40}", key[2]):
            raise ValueError("the name of a sink is one word of at most 40 letters, digits, - and _")
        key = ("sink", key[3])
    if key in _KINDS:
        return _KINDS[key]
    if _is_section(key):
        raise ValueError("is a section, not a value")
    if key[-1] in ("allow_host", "allow_hosts"):
        raise ValueError(f"may not be named here: use --allow-host HOST or {ALLOW_HOSTS}")
    for depth, name in enumerate(key):
        siblings = {
            known[depth] for known in (*_KINDS, ("strategies",)) if known[:depth] == key[:depth] and known[depth:]
        }
        if name not in siblings:
            import difflib

            close = difflib.get_close_matches(name, sorted(siblings), 1)
            raise ValueError(f"unknown key {name}" + (f"; did you mean {close[0]}?" if close else ""))
    raise ValueError("unknown key")


def _build(kind: type[msgspec.Struct], key: Key, values: Mapping[Key, object]) -> Any:
    """A section, from the values below it."""
    made: dict[str, object] = {}
    for field in _fields(kind):
        at = (*key, field.name)
        if at == ("references",):
            made[field.name] = {
                name[1]: index for name, index in values.items() if name[:1] == at and index is not None
            }
        elif at == ("strategies",):
            params: dict[Key, object] = {
                key: raw for key, raw in values.items() if len(key) == 3 and key[2] not in RESERVED
            }
            made[field.name] = _named(at, params)
        elif at == ("allotments",):
            own = {key: raw for key, raw in values.items() if key[0] == "strategies" and key[2] in RESERVED}
            made[field.name] = {key[1]: _build(StrategyAllocation, key[:2], own) for key in own}
        elif at == SINKS:
            made[field.name] = {name: AlertChannel(**found) for name, found in _named(at, values).items()}
        elif _is_section(at):
            made[field.name] = _build(field.type, at, values)
        elif at in values:
            made[field.name] = values[at]
    return kind(**made)


def _named(section: Key, values: Mapping[Key, object]) -> dict[str, dict[str, Any]]:
    """The sections in a section whose names are a person's."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key[: len(section)] == section:
            found.setdefault(key[-2], {})[key[-1]] = value
    return found


# -- where values come from ---------------------------------------------------------------------------------------
def _flatten(tree: object, key: Key, origin: str, problems: list[Problem]) -> Iterator[tuple[Key, object]]:
    """The values of a parsed file by key. A section that holds nothing is fine; one that is not a mapping is not."""
    if not _is_section(key):
        yield key, tree
    elif isinstance(tree, dict):
        for name, below in tree.items():
            yield from _flatten(below, (*key, str(name)), origin, problems)
    elif tree is not None:
        problems.append(Problem(key, "must be a section, with `name: value` lines below it", origin))


def _from_variables(env: Mapping[str, str]) -> ConfigSources:
    """KALSHI_<SECTION>__<KEY>, and the short names of what is set most."""
    found: ConfigSources = {}
    for name, text in env.items():
        if not text or not name.startswith("KALSHI_"):
            continue
        section, *rest = name.removeprefix("KALSHI_").split("__")
        if rest:
            section = section.lower()
            key = (section, *(part if section == "references" else part.lower() for part in rest))
            found.setdefault(key, (text, f"variable {name}"))
        elif name in _VARIABLES:
            found[_VARIABLES[name]] = (text, f"variable {name}")
    return found


def _credentials_from_variables(env: Mapping[str, str], chosen: str) -> ConfigSources:
    """The key of the environment in use."""
    found: ConfigSources = {}
    for field, names in _CREDENTIAL_VARIABLES.items():
        name = next((name for name in names if env.get(name)), None)
        if name is not None and chosen in HOSTS | {"sim": ("", "")}:
            found["credentials", chosen, field] = (env[name], f"variable {name}")
    return found


_VARIABLES: dict[str, Key] = {
    "KALSHI_ENV": ("env",),
    "KALSHI_STATE": ("state",),
    "KALSHI_READ_ONLY": ("read_only",),
    "KALSHI_REST_URL": ("exchange", "rest_url"),
    "KALSHI_WS_URL": ("exchange", "ws_url"),
}
_CREDENTIAL_VARIABLES: dict[str, tuple[str, ...]] = {
    "key_id": ("KALSHI_API_KEY_ID", "KALSHI_API_KEY", "KALSHI_KEY_ID", "KALSHI_ACCESS_KEY"),
    "private_key_path": ("KALSHI_PRIVATE_KEY_PATH", "KALSHI_PRIVATE_KEY_FILE"),
}
"""Where several are set, the first here wins."""


# -- one value ----------------------------------------------------------------------------------------------------
def _value(key: Key, raw: object, base: Path) -> object:
    """A raw value, checked. Relative paths in the file are relative to the file."""
    if any(isinstance(text, str) and holds_private_key(text) for text in (*key, raw)):
        conceal_key("\n".join(map(str, (*key, raw))))
        raise ValueError("holds a private key; name the file of the key instead")
    value = convert(_kind(key), raw)
    check = _CHECKS.get(key) or _CHECKS.get((key[0], "*", key[-1]))
    if check is not None:
        return check(value)
    return base / value if isinstance(value, Path) else value


_CHECKS: dict[Key, Callable[[Any], object]] = {
    ("exchange", "rest_url"): url("https", "http"),
    ("exchange", "ws_url"): url("wss", "ws"),
    ("spot", "venues"): list_of_choices(SPOT_VENUES),
    **{("spot", venue, "rest_url"): url("https", "http") for venue in SPOT_VENUES},
    **{("spot", venue, "ws_url"): url("wss", "ws") for venue in SPOT_VENUES},
    ("heartbeat", "url"): web_address,
    ("day_zone",): time_zone,
    ("display", "time_zone"): lambda name: name if name == "local" else time_zone(name),
    ("trade", "command_variables"): variable_names,
    ("alerts", "*", "tiers"): list_of_choices(TIERS),
    ("alerts", "*", "events"): list_of_choices(EVENTS),
}
"""By key; `*` is any number of names between the first and the last."""


def _error(problems: list[Problem]) -> ConfigError:
    """All problems in one error, a line each."""
    shown = [str(problem) for problem in problems[:50]]
    if len(shown) == 1:
        return ConfigError(shown[0], hint="kalshi config check")
    return ConfigError(f"{len(problems)} problems in the configuration:", more=shown, hint="kalshi config check")
