"""Loads the configuration from its sources, with every problem at once and the source of every value.

    option  >  variable  >  file  >  default

Users write dollars and contracts, which become exact integers here. Loading reads one file and creates nothing. yaml,
platformdirs and zoneinfo are imported where they are used: `kalshi --help` needs none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_origin

import msgspec

from kalshi_cli.base.errors import ConfigError, Distrust, UntrustedError, refuse
from kalshi_cli.base.file_trust import doubt_folder
from kalshi_cli.base.text import MASK, conceal_address, conceal_key, holds_private_key, mask, redact
from kalshi_cli.config import yaml_file
from kalshi_cli.config.config import Config, Problem, state_dir
from kalshi_cli.config.file_place import (
    HIDDEN_FILE,
    file_here,
    file_or_none,
    is_hidden,
    is_of_another_user,
    named_file,
    refuse_without_file,
    without_file_of_another,
)
from kalshi_cli.config.hosts import ALLOW_HOSTS, allowed_hosts
from kalshi_cli.config.schema import EVENTS, SPOT_VENUES, TIERS, AlertChannel, hidden_address, masked_secret
from kalshi_cli.config.values import convert, list_of_choices, show, time_zone, url, variable_names, web_address
from kalshi_cli.core.account.sizing import RESERVED, StrategyAllocation

S = TypeVar("S", bound=msgspec.Struct)

Key = tuple[str, ...]
"""The path of a value: section, then name."""
CHANNELS: Key = ("alerts", "channels")
RENAMED: dict[Key, Key] = {("alerts", "sinks"): CHANNELS}
"""Old path -> new path. The old name keeps working, and a notice says so."""
ConfigSources = dict[Key, tuple[object, str]]
"""Raw values with their sources."""

MAX_KEY_LENGTH = 16_000
"""Characters of a private key in a variable; one of RSA-4096 has 3,300."""


class Setting(msgspec.Struct, frozen=True):
    """A value in displayable form, with its source."""

    path: str
    value: str | None
    origin: str


def load(
    file: Path | None,
    env: Mapping[str, str],
    flags: Mapping[str, object],
    needed: Collection[str] | None = None,
    distrust: Distrust = refuse,
) -> Config:
    """Return the configuration; ConfigError lists every problem.

    `file` is the value of --config; `flags` has options by dotted path, None if not given. With `needed`, only problems
    at or below those paths raise: others are in `problems`, and defaults apply. So an error in a section that
    `cancel-all` does not need cannot stop it, and neither can a missing or unreadable file if an option or a variable
    names the environment. `distrust` decides about a file that other users may write.
    """
    problems: list[Problem] = []
    is_env_named = bool(flags.get("env") or env.get("KALSHI_ENV"))
    path = file_or_none(file, env, needed, problems, is_env_named=is_env_named)
    if path is not None and distrust is not refuse and path == file_here() and is_of_another_user(path):
        path = without_file_of_another(path, distrust, is_env_named=is_env_named)
    found: ConfigSources = {}
    if path is not None:
        origin = f"file {path}"
        try:
            document = yaml_file.read(path, distrust)
            problems += [Problem(key, text, origin) for key, text in document.oddities]
        except ConfigError as error:
            refuse_without_file(error, needed, is_env_named)
            document = yaml_file.Document()
            problems.append(Problem(("file",), error.message, origin))
        for key, raw in _flatten(document.tree, (), origin, problems):
            found[key] = (raw, origin)
            if document.is_open_to_others and raw and key[0] in ("alerts", "heartbeat") and key[-1] == "url":
                text = f"contains a secret, and other users can read the file: chmod 600 {path}"
                problems.append(Problem(key, text, origin))
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
    found, notices = _with_new_names(found)
    if path is None and named_file(file, env) is None and is_hidden(file_here()):
        notices += (HIDDEN_FILE,)
    origins = dict.fromkeys(_default_keys(), "default")
    tree: dict[str, Any] = {"references": dict(Config().references)}
    for key, (raw, origin) in found.items():
        try:
            value = _value(key, raw, origin, path.parent if path and origin.startswith("file ") else Path())
        except ValueError as error:
            problems.append(Problem(key, str(error), origin))
        else:
            origins[".".join(key)] = origin
            _put(tree, key, value)
    problems += [*_two_keys(tree, origins), *_empty_variables(env, from_flags, needed)]
    allowed, wrong = allowed_hosts(flags.get("allow_hosts"), env)
    problems += [Problem(("allow_hosts",), wrong, f"--allow-host, {ALLOW_HOSTS}")] if wrong else []
    fatal = [problem for problem in problems if needed is None or _is_below(problem.path, needed)]
    if fatal:
        raise _error(fatal)
    config = _with(Config(), _by_type(tree))
    return msgspec.structs.replace(
        config, allow_hosts=allowed, file=path, origins=origins, problems=tuple(problems), notices=notices,
        **_mistyped(env, is_kept=needed is None),
    )  # fmt: skip


def _conceal(key: Key, raw: object) -> None:
    """Conceal secrets before any message can quote them; an address in the wrong place is a secret too."""
    if key[-1] == "key_id":
        mask(str(raw))
    for text in (*key, raw):
        if isinstance(text, str) and holds_private_key(text):
            conceal_key(text)
            mask(text)
        if isinstance(text, str) and "://" in text and key[0] not in ("exchange", "spot"):
            conceal_address(text)


def _is_below(path: Key, needed: Collection[str]) -> bool:
    """Return whether a path is at or below one of these dotted paths; the file as a whole is always needed."""
    return not path or any(path[: name.count(".") + 1] == tuple(name.split(".")) for name in needed)


def judge_state(config: Config, distrust: Distrust = refuse) -> None:
    """Let `distrust` decide about a state directory of this environment that other users may write or replace.

    A missing directory is judged by where it will be created.
    """
    for home in (state_dir(config), state_dir(config, "paper")):
        doubt = doubt_folder(home)
        if doubt is not None:
            distrust(UntrustedError(f"Untrusted state directory {home}: {doubt.why}", hint=doubt.remedy))
            return


def mask_secrets(config: Config) -> tuple[Setting, ...]:
    """Return every value as users write it, with secrets hidden, for `config show`."""
    settings = []
    for key, value in _leaves(config):
        path, text = ".".join(key), show(_kind(key), value)
        shown = None if value in (None, "") else redact(_masked(key, text))
        settings.append(Setting(redact(path), shown, config.origins.get(path, "default")))
    if config.allow_hosts:
        settings.append(Setting("allow_hosts", ", ".join(config.allow_hosts), f"--allow-host, {ALLOW_HOSTS}"))
    return tuple(settings)


def _masked(key: Key, text: str) -> str:
    if key[-1] == "url":
        return hidden_address(text)
    if key[-1] == "private_key":
        return text and MASK
    return masked_secret(text) if any(word in key[-1] for word in ("key_id", "secret", "token", "password")) else text


# -- the schema, derived from the structs -------------------------------------------------------------------------
_fields = cache(msgspec.structs.fields)


def _kinds(kind: type[msgspec.Struct], at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield the path and type of every value of a struct; maps, whose names users choose, are listed in `_KINDS`."""
    for field in _fields(kind):
        key = (*at, field.name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _kinds(field.type, key)
        elif get_origin(field.type) is not dict and key[0] not in _NOT_SETTINGS:
            yield key, field.type


_NOT_SETTINGS = ("allow_hosts", "file", "origins", "problems", "notices", "mistyped", "unread_limits")
_KINDS: dict[Key, Any] = {
    **dict(_kinds(Config)),
    **dict(_kinds(AlertChannel, (*CHANNELS, "*"))),
    ("references", "*"): str | None,
    **dict(_kinds(StrategyAllocation, ("strategies", "*"))),
    ("strategies", "*", "*"): Any,
}
"""Path of each value -> its type; `*` stands for a name that the user chooses."""
_SECTIONS = {key[:depth] for key in _KINDS for depth in range(len(key))}
_KNOWN = _SECTIONS | _KINDS.keys()
_SECRET_KEY = re.compile(r"credentials\.\w+\.private_key")


def _pattern(key: Key) -> Key:
    """Return the path with `*` for names that the user chose."""
    found: Key = ()
    for name in key:
        is_free = (*found, name) not in _KNOWN and (*found, "*") in _KNOWN
        found = (*found, "*" if is_free else name)
    return found


def _kind(key: Key) -> Any:
    """Return the type of a value; ValueError with the nearest name if there is no such value."""
    pattern = _pattern(key)
    if pattern[:3] == (*CHANNELS, "*") and not re.fullmatch(r"[\w-]{1,40}", key[2]):
        raise ValueError("an alert channel name is one word of at most 40 letters, digits, - and _")
    if pattern in _KINDS:
        return _KINDS[pattern]
    if pattern in _SECTIONS:
        raise ValueError("is a section, not a value")
    if key[-1] in ("allow_host", "allow_hosts"):
        raise ValueError(f"cannot be set here: use --allow-host HOST or {ALLOW_HOSTS}")
    for depth, name in enumerate(pattern):
        siblings = {known[depth] for known in _KINDS if known[:depth] == pattern[:depth] and known[depth:]}
        if name not in siblings:
            import difflib

            close = difflib.get_close_matches(name, sorted(siblings), 1)
            raise ValueError(f"unknown key {name}" + (f"; did you mean {close[0]}?" if close else ""))
    raise ValueError("unknown key")


def _leaves(section: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield the path and value of every setting below a section."""
    names = section if isinstance(section, dict) else section.__struct_fields__
    for name in names:
        at = (*key, "strategies" if (*key, name) == ("allotments",) else name)
        value = section[name] if isinstance(section, dict) else getattr(section, name)
        if _pattern(at) in _SECTIONS:
            yield from _leaves(value, at)
        elif at[0] not in _NOT_SETTINGS:
            yield at, value


@cache
def _default_keys() -> tuple[str, ...]:
    """Return the dotted path of every setting that has a default."""
    return tuple(".".join(key) for key, _ in _leaves(Config()))


def _put(tree: dict[str, Any], key: Key, value: object) -> None:
    for name in key[:-1]:
        tree = tree.setdefault(name, {})
    tree[key[-1]] = value


def _by_type(tree: dict[str, Any]) -> dict[str, Any]:
    """Return the tree with its maps as `Config` holds them: references, channels, and parameters beside allotments."""
    strategies: dict[str, dict[str, Any]] = tree.get("strategies", {})
    own = {name: {key: raw for key, raw in each.items() if key not in RESERVED} for name, each in strategies.items()}
    reserved = {name: {key: raw for key, raw in each.items() if key in RESERVED} for name, each in strategies.items()}
    if "channels" in tree.get("alerts", {}):
        channels = {name: AlertChannel(**found) for name, found in tree["alerts"]["channels"].items()}
        tree = {**tree, "alerts": {**tree["alerts"], "channels": channels}}
    return {
        **tree,
        "references": {prefix: index for prefix, index in tree["references"].items() if index is not None},
        "strategies": {name: params for name, params in own.items() if params},
        "allotments": {name: _with(StrategyAllocation(), each) for name, each in reserved.items() if each},
    }


def _with(section: S, tree: Mapping[str, Any]) -> S:
    """Return the section with the values of a tree."""
    changes = {}
    for name, value in tree.items():
        before = getattr(section, name)
        changes[name] = _with(before, value) if isinstance(before, msgspec.Struct) else value
    return msgspec.structs.replace(section, **changes)


# -- sources of values --------------------------------------------------------------------------------------------
def _flatten(tree: object, key: Key, origin: str, problems: list[Problem]) -> Iterator[tuple[Key, object]]:
    """Yield the values of a parsed file by path. An empty section is valid; one that is not a mapping is a problem."""
    if _pattern(_new_name(key)) not in _SECTIONS:
        yield key, tree
    elif isinstance(tree, dict):
        for name, below in tree.items():
            yield from _flatten(below, (*key, str(name)), origin, problems)
    elif tree is not None:
        problems.append(Problem(key, "must be a section, with `name: value` lines below it", origin))


def _new_name(key: Key) -> Key:
    for old, new in RENAMED.items():
        if key[: len(old)] == old:
            return new + key[len(old) :]
    return key


def _with_new_names(found: ConfigSources) -> tuple[ConfigSources, tuple[str, ...]]:
    """Return the values by their new paths, and a notice for each old path in use. A new path wins over its old one."""
    notices = {
        f"{'.'.join(old)} is now called {'.'.join(new)}; the old name still works"
        for old, new in RENAMED.items()
        if any(key[: len(old)] == old for key in found)
    }
    current = {key: value for key, value in found.items() if _new_name(key) == key}
    return {_new_name(key): value for key, value in found.items()} | current, tuple(sorted(notices))


def _from_variables(env: Mapping[str, str]) -> ConfigSources:
    """Return the values of KALSHI_<SECTION>__<KEY>, of KALSHI_<KEY> outside of sections, and of the short names."""
    found: ConfigSources = {}
    for name, text in env.items():
        if not text or not name.startswith("KALSHI_"):
            continue
        section, *rest = name.removeprefix("KALSHI_").split("__")
        section = section.lower()
        if rest or (section,) in _KINDS:
            key = (section, *(part if section == "references" else part.lower() for part in rest))
            found.setdefault(key, (text, f"variable {name}"))
        elif name in _VARIABLES:
            found[_VARIABLES[name]] = (text, f"variable {name}")
    return found


def _empty_variables(
    env: Mapping[str, str], from_flags: ConfigSources, needed: Collection[str] | None
) -> Iterator[Problem]:
    """Yield a problem for each empty variable whose default may protect less than the value that was meant.

    Those are the environment, the limits, the read-only mode and the state directory. With `needed`, only the
    environment counts: the kill switch goes on.
    """
    for name, text in env.items():
        key = tuple(name.removeprefix("KALSHI_").lower().split("__"))
        if text or key in from_flags:
            continue
        if name == "KALSHI_ENV":
            how = "Name the environment, also with --env, or unset KALSHI_ENV"
        elif needed is None and _PROTECTS.match(name):
            how = f"Set it, or unset {name}"
        else:
            continue
        yield Problem(key, f"is empty: is a variable of the shell unset? {how}", f"variable {name}")


_PROTECTS = re.compile("KALSHI_(RISK_|READ_*ONLY$|STATE$)", re.IGNORECASE)


def _credentials_from_variables(env: Mapping[str, str], chosen: str) -> ConfigSources:
    """Return the key of the environment in use."""
    found: ConfigSources = {}
    for field, names in _CREDENTIAL_VARIABLES.items():
        name = next((name for name in names if env.get(name)), None)
        if name is not None and ("credentials", chosen, field) in _KINDS:
            found["credentials", chosen, field] = (env[name], f"variable {name}")
    return found


_VARIABLES: dict[str, Key] = {"KALSHI_REST_URL": ("exchange", "rest_url"), "KALSHI_WS_URL": ("exchange", "ws_url")}
_CREDENTIAL_VARIABLES: dict[str, tuple[str, ...]] = {
    "key_id": ("KALSHI_API_KEY_ID", "KALSHI_API_KEY", "KALSHI_KEY_ID", "KALSHI_ACCESS_KEY"),
    "private_key_path": ("KALSHI_PRIVATE_KEY_PATH", "KALSHI_PRIVATE_KEY_FILE"),
    "private_key": ("KALSHI_PRIVATE_KEY",),
}
"""If several are set, the first one here wins."""

_OTHERS = ("KALSHI_CONFIG", "KALSHI_BIN", "KALSHI_DEMO_STATE", "KALSHI_DEMO_SECONDS", ALLOW_HOSTS)
"""Variables that are no values of the configuration, those of the scripts included."""


class UnreadVariable(NamedTuple):
    """A variable KALSHI_... that nothing reads, and the nearest name that something does ("" if none is close)."""

    name: str
    near: str

    def __str__(self) -> str:
        hint = f"did you mean {self.near}?" if self.near else "see `kalshi config show`"
        return f"Nothing reads the variable {self.name[:60]}: {hint}"

    @property
    def is_limit(self) -> bool:
        """Return whether it resembles a setting of `risk`, or `read_only`."""
        return any(_LIMIT_VARIABLE.match(name) for name in self)


_LIMIT_VARIABLE = re.compile("KALSHI_+(RISK|READ_*ONLY)", re.IGNORECASE)


def unread_variables(env: Mapping[str, str]) -> list[UnreadVariable]:
    """Return each variable KALSHI_... that nothing reads, those that resemble a known name first.

    A name with `__` that is no value of the configuration is an error of `load`.
    """
    names = {name for name, text in env.items() if text and name.upper().startswith("KALSHI_")}
    names -= {name for name in names if name.startswith("KALSHI_") and ("__" in name or _is_key(name))}
    found = [UnreadVariable(name, _nearest(name.upper())) for name in sorted(names - _variables())]
    return sorted(found, key=lambda each: not each.near)


def _mistyped(env: Mapping[str, str], *, is_kept: bool) -> dict[str, tuple[str, ...]]:
    """Return `mistyped` and `unread_limits` of a configuration; without `is_kept` no limit is missed."""
    unread = unread_variables(env)
    return {
        "mistyped": tuple(str(each) for each in unread if each.near or each.is_limit),
        "unread_limits": tuple(str(each) for each in unread if each.is_limit and is_kept),
    }


def _is_key(name: str) -> bool:
    """Return whether the variable is a value outside of sections, in capitals or not."""
    return (name.removeprefix("KALSHI_").lower(),) in _KINDS


@cache
def _variables() -> frozenset[str]:
    """Return every name that something reads, as it is documented."""
    credentials = (name for group in _CREDENTIAL_VARIABLES.values() for name in group)
    return frozenset((*_OTHERS, *_VARIABLES, *credentials, *("KALSHI_" + "__".join(key).upper() for key in _KINDS)))


def _nearest(name: str) -> str:
    import difflib

    return next(iter(difflib.get_close_matches(name, sorted(_variables()), 1, cutoff=0.8)), "")


# -- one value ----------------------------------------------------------------------------------------------------
def _value(key: Key, raw: object, origin: str, base: Path) -> object:
    """Return a raw value, validated. Relative paths in the file are relative to the file."""
    if _SECRET_KEY.fullmatch(".".join(key)) and raw:
        return _private_key(str(raw), origin)
    if any(isinstance(text, str) and holds_private_key(text) for text in (*key, raw)):
        raise ValueError("contains a private key; use the path of the key file instead")
    value = convert(_kind(key), raw)
    check = _CHECKS.get(key) or _CHECKS.get((key[0], "*", key[-1]))
    if check is not None:
        return check(value)
    return base / value if isinstance(value, Path) else value


def _private_key(text: str, origin: str) -> str:
    r"""Return a private key from a variable, where `\n` may stand for a line break; reject files and options."""
    if not origin.startswith("variable "):
        raise ValueError("a private key can only be set by a variable; use private_key_path here")
    if len(text) > MAX_KEY_LENGTH:
        raise ValueError(f"is longer than {MAX_KEY_LENGTH:,} characters")
    pem = text.replace("\\r", "").replace("\\n", "\n").strip() + "\n"
    mask(pem)
    return pem


def _two_keys(tree: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each environment with both a private key and the path of one."""
    for env, found in tree.get("credentials", {}).items():
        if found.get("private_key") and found.get("private_key_path"):
            names = [f"credentials.{env}.{name}" for name in ("private_key", "private_key_path")]
            both = " and ".join(f"{name} ({origins[name]})" for name in names)
            yield Problem(("credentials", env), f"only one private key is allowed, not {both}", "two sources")


_CHECKS: dict[Key, Callable[[Any], object]] = {
    ("exchange", "rest_url"): url("https", "http"),
    ("exchange", "ws_url"): url("wss", "ws"),
    ("spot", "venues"): list_of_choices(SPOT_VENUES),
    **{("spot", venue, "rest_url"): url("https", "http") for venue in SPOT_VENUES},
    **{("spot", venue, "ws_url"): url("wss", "ws") for venue in SPOT_VENUES},
    ("heartbeat", "url"): web_address,
    ("web", "public_url"): web_address,
    ("day_zone",): time_zone,
    ("display", "time_zone"): lambda name: name if name == "local" else time_zone(name),
    ("trade", "command_variables"): variable_names,
    ("alerts", "*", "tiers"): list_of_choices(TIERS),
    ("alerts", "*", "events"): list_of_choices(EVENTS),
}
"""Values by path; `*` is any number of names between the first and the last."""


def _error(problems: list[Problem]) -> ConfigError:
    """Return one error with all problems, a line each."""
    shown = [str(problem) for problem in problems[:50]]
    is_saved = any(problem.origin != "flag" for problem in problems)
    hint = "correct it, then run `kalshi config check`" if is_saved else ""
    if len(shown) == 1:
        return ConfigError(shown[0], hint=hint)
    return ConfigError(f"{len(problems)} problems in the configuration:", more=shown, hint=hint)
