"""config.yaml, variables and flags as one typed Config; every problem at once, every value with where it came from.

    flag  >  variable  >  file  >  default

A person writes dollars and contracts; here they become integers, exactly. Loading reads one file and creates nothing.
yaml, platformdirs and zoneinfo are imported where they are used: `kalshi --help` needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from kalshi_cli import config_file
from kalshi_cli.config_values import convert, show, time_zone, url
from kalshi_cli.errors import ConfigError
from kalshi_cli.units import DOLLAR, ONE_DOLLAR, Money, Price, Qty, cents, contracts

Env = Literal["sim", "demo", "prod"]

HOSTS: dict[str, tuple[str, str]] = {
    "demo": (
        "https://external-api.demo.kalshi.co/trade-api/v2",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
    ),
    "prod": (
        "https://external-api.kalshi.com/trade-api/v2",
        "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
    ),
}
"""REST and WebSocket of each environment, as the exchange recommends them since 2026. `sim` has none of its own."""

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
CallSeconds = Annotated[
    float, Meta(gt=0, le=10, description="the proof that an order never arrived counts on no request leaving later")
]
"""One call, with all its attempts: ten seconds of `NEVER_ARRIVED_MARGIN_MS`, in `core/reconcile.py`, are for it."""
LONGEST_INTERVAL_S = 10
IntervalSeconds = Annotated[
    float, Meta(gt=0, le=LONGEST_INTERVAL_S, description="reads of the account, halts and cancels wait for it")
]
Dollars = Annotated[Money, Meta(ge=0)]
PriceStep = Annotated[Price, Meta(ge=0, lt=ONE_DOLLAR)]
Contracts = Annotated[Qty, Meta(ge=0)]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """An API key of one environment. Its representation hides the key id."""

    key_id: str = ""
    private_key_path: Path | None = None

    def __repr__(self) -> str:
        return f"Credentials(key_id={_hidden(self.key_id)!r})"


class CredentialsByEnv(msgspec.Struct, frozen=True, kw_only=True):
    """A key is good for one environment only."""

    sim: Credentials = Credentials()
    demo: Credentials = Credentials()
    prod: Credentials = Credentials()


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """How the exchange is reached. An empty URL is that of the environment."""

    rest_url: str = ""
    ws_url: str = ""
    connect_timeout_s: Seconds = 3.0
    read_timeout_s: Seconds = 5.0
    total_timeout_s: CallSeconds = 10.0


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """What every order is held against before it is sent. None switches a limit off; zero allows nothing."""

    max_position: Contracts | None = contracts(100)
    max_exposure: Dollars | None = Money(500 * DOLLAR)
    max_order_count: Contracts | None = contracts(100)
    max_order_cost: Dollars | None = Money(100 * DOLLAR)
    price_collar: PriceStep | None = cents(10)
    max_daily_loss: Dollars | None = Money(100 * DOLLAR)
    max_orders_per_minute: Annotated[int, Meta(ge=0, le=100_000)] | None = 60
    max_market_orders_per_minute: Annotated[int, Meta(ge=0, le=100_000)] | None = 60
    min_edge: PriceStep | None = cents(1)
    max_book_age_s: Seconds | None = 10.0
    close_margin_s: Annotated[float, Meta(ge=0, le=86_400)] = 5.0


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """The pace of the trade loop."""

    interval_s: IntervalSeconds = 2.0
    order_expiry_s: Seconds = 90.0
    status_every_s: Seconds = 60.0
    stop_budget_s: Seconds = 10.0
    decision_limit_s: Seconds = 5.0
    strategy_limit_s: Seconds = 5.0
    suspended_after_s: Seconds = 30.0
    group_limit: Annotated[Qty, Meta(ge=contracts(1), le=contracts(1_000_000))] | None = contracts(500)


Milliseconds = Annotated[int, Meta(ge=0, le=366 * 86_400_000)]
RefusalStatus = Annotated[int, Meta(ge=400, le=499)]


class Sim(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated exchange: its world, and a switch for each thing that is not certain of the real one.

    Below the first five every name, and every default, is that of `SimOptions` in `sim/listing.py`, which says what it
    does; `docs/simulated-exchange.md` says why.
    """

    seed: Annotated[int, Meta(ge=0)] = 1
    speed: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    starting_cash: Dollars = Money(1_000 * DOLLAR)
    shards: Annotated[int, Meta(ge=1, le=16)] = 1
    maintenance: bool = False
    client_ids: Literal["forever", "open_only"] = "forever"
    read_lag_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    clock_past_ms: Milliseconds = 5_000
    clock_future_ms: Milliseconds = 5_000
    usage_tier: Literal["basic", "advanced", "expert", "premier", "paragon", "prime", "prestige"] = "basic"
    read_rate: Annotated[int, Meta(ge=0, le=1_000_000)] = 200
    write_rate: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    read_capacity: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    write_capacity: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    subaccounts_need_advanced: bool = True
    inactive_status: RefusalStatus = 400
    mismatch_status: RefusalStatus = 400
    triggered_group_code: str = "order_group_triggered"
    group_trips: Literal["reached", "exceeded"] = "reached"
    is_balance_net: bool = False
    holds_fees: bool = True
    flat_fee: Dollars | None = None
    balance_precision: Annotated[int, Meta(ge=1, le=10_000)] = 100
    ioc_shows_remainder: bool = False
    asks_read_as: Literal["sell_yes", "buy_no"] = "sell_yes"
    reduce_only_refused: bool = False
    amend_shows_counts: bool = False
    post_only_amend: Literal["cancel", "refuse"] = "cancel"
    cancel_all_lasts_ms: Milliseconds = 0
    transfer_ms: Milliseconds = 250
    repeated_transfer: Literal["same_id", "conflict"] = "same_id"
    history_after_ms: Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)] = 90 * 86_400_000
    orders_after_ms: Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)] = 14 * 86_400_000
    sparse_candles: bool = False
    confirm_ms: Milliseconds = 30_000
    execute_ms: Milliseconds = 15_000
    fast_confirm_ms: Milliseconds = 3_000
    fast_execute_ms: Milliseconds = 1_000
    ok_has_seq: bool = False
    hang_up: Literal["reset", "close"] = "reset"
    outbox_limit: Annotated[int, Meta(ge=10, le=10_000_000)] = 10_000
    market_limit: Annotated[int, Meta(ge=1, le=10_000_000)] = 500_000
    commands_a_second: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    ticker_every_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1_000
    max_open_orders: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000
    max_order_groups: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with the configuration."""

    path: tuple[str, ...]
    text: str
    origin: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path) or 'the file'}: {self.text} ({self.origin})"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set, checked. `origins` says by dotted path where each value came from."""

    env: Env = "sim"
    state: Path | None = None
    read_only: bool = False
    day_zone: str = "America/New_York"
    credentials: CredentialsByEnv = CredentialsByEnv()
    exchange: Exchange = Exchange()
    risk: Risk = Risk()
    trade: Trade = Trade()
    sim: Sim = Sim()
    references: dict[str, str] = msgspec.field(default_factory=lambda: {"KXBTC": "BRTI", "KXETH": "ETHUSD_RTI"})
    strategies: dict[str, dict[str, Any]] = {}
    file: Path | None = None
    origins: dict[str, str] = {}
    problems: tuple[Problem, ...] = ()

    @property
    def credential(self) -> Credentials:
        """The key of the environment in use; empty where none is configured."""
        found: Credentials = getattr(self.credentials, self.env)
        return found

    @property
    def rest_url(self) -> str:
        """Where REST goes, without a trailing slash; empty for a `sim` that nobody pointed anywhere."""
        return self.exchange.rest_url or HOSTS.get(self.env, ("", ""))[0]

    @property
    def ws_url(self) -> str:
        """Where the WebSocket goes; empty for a `sim` that nobody pointed anywhere."""
        return self.exchange.ws_url or HOSTS.get(self.env, ("", ""))[1]


Key = tuple[str, ...]
"""Where a value is: section, then name."""

Found = dict[Key, tuple[object, str]]
"""Raw values with their origins."""


class Setting(msgspec.Struct, frozen=True):
    """A value as it may be shown, and where it came from."""

    path: str
    value: str
    origin: str


def load(
    file: Path | None, env: Mapping[str, str], flags: Mapping[str, object], needed: Collection[str] | None = None
) -> Config:
    """The configuration. ConfigError lists every problem.

    `file` is what --config named; flags are named by dotted path, None where not given. Where `needed` names paths,
    only problems at or below those raise: others are in `problems`, and defaults stand in. So nothing that is broken
    in a section that `cancel-all` does not need can stop it; nor a file that cannot be read at all, where a flag or a
    variable names the environment.
    """
    path = find_file(file, env)
    problems: list[Problem] = []
    found: Found = {}
    if path is not None:
        origin = f"file {path}"
        tree: object = {}
        try:
            tree, oddities = config_file.read(path)
            problems += [Problem(key, text, origin) for key, text in oddities]
        except ConfigError as error:
            # Only what was said outside of the file can name the environment then: a guess could cancel elsewhere.
            if needed is None:
                raise
            if not (flags.get("env") or env.get("KALSHI_ENV")):
                raise ConfigError(
                    f"NOTHING WAS DONE: {error.message}, and nothing else says which environment is meant",
                    hint="name it, and the file is done without: --env prod, demo or sim, with the key in variables",
                ) from error
            problems.append(Problem(("file",), error.message, origin))
        for key, raw in _flatten(tree, (), origin, problems):
            found[key] = (raw, origin)
    from_flags: Found = {tuple(name.split(".")): (raw, "flag") for name, raw in flags.items() if raw is not None}
    found |= _from_variables(env)
    chosen, _ = from_flags.get(("env",)) or found.get(("env",)) or ("sim", "")
    found |= _credentials_from_variables(env, str(chosen))
    found |= from_flags

    values = {key: value for key, _, value in _leaves(Config())}
    origins = {".".join(key): "default" for key in values}
    for key, (raw, origin) in found.items():
        try:
            values[key] = _value(key, raw, path.parent if path and origin.startswith("file ") else Path())
        except ValueError as error:
            problems.append(Problem(key, str(error), origin))
        else:
            origins[".".join(key)] = origin
    fatal = [problem for problem in problems if needed is None or _is_below(problem.path, needed)]
    if fatal:
        raise _error(fatal)
    config: Config = _build(Config, (), values)
    return msgspec.structs.replace(config, file=path, origins=origins, problems=tuple(problems))


def _is_below(path: Key, needed: Collection[str]) -> bool:
    """At or below one of these dotted paths; the file as a whole is needed always."""
    return not path or any(path[: name.count(".") + 1] == tuple(name.split(".")) for name in needed)


def find_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    """--config, KALSHI_CONFIG, ./config.yaml, the user's own; None where there is none. A named one must exist."""
    if file is None and env.get("KALSHI_CONFIG"):
        file = Path(env["KALSHI_CONFIG"])
    if file is not None:
        path = file.expanduser().absolute()
        if not path.is_file():
            raise ConfigError(f"there is no configuration file {path}", hint="check --config and KALSHI_CONFIG")
        return path
    here = Path("config.yaml").absolute()
    return next((path for path in (here, config_dir() / "config.yaml") if path.is_file()), None)


def config_dir() -> Path:
    """The user's configuration directory; it may not exist."""
    import platformdirs

    return Path(platformdirs.user_config_dir("kalshi"))


def state_dir(config: Config, mode: str = "") -> Path:
    """Where state is kept: a directory for each environment, and another for each `mode` that must not mix with it."""
    import platformdirs

    base = config.state or Path(platformdirs.user_state_dir("kalshi"))
    return base.absolute() / (f"{config.env}-{mode}" if mode else config.env)


def masked(config: Config) -> tuple[Setting, ...]:
    """Every value as a person writes it, secrets hidden, for `config show`."""
    settings = []
    for key, kind, value in _leaves(config):
        path, text = ".".join(key), show(kind, value)
        is_secret = any(word in key[-1].lower() for word in ("key_id", "secret", "token", "password"))
        settings.append(Setting(path, _hidden(text) if is_secret else text, config.origins.get(path, "default")))
    return tuple(settings)


def _hidden(secret: str) -> str:
    """The last four characters of a long secret, nothing of a short one."""
    return f"…{secret[-4:]}" if len(secret) >= 12 else "…" if secret else ""


# -- the schema, read off the structs -----------------------------------------------------------------------------


def _leaves(section: msgspec.Struct, key: Key = ()) -> Iterator[tuple[Key, Any, object]]:
    """Every value below a section: key, type, value."""
    for field in msgspec.structs.fields(section):
        at, value = (*key, field.name), getattr(section, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _leaves(value, at)
        elif at == ("references",):
            yield from (((*at, prefix), str | None, index) for prefix, index in value.items())
        elif at == ("strategies",):
            yield from (
                ((*at, name, param), Any, raw) for name, params in value.items() for param, raw in params.items()
            )
        elif field.name not in ("file", "origins", "problems"):
            yield at, field.type, value


_KINDS = {key: kind for key, kind, _ in _leaves(Config())}
_SECTIONS = {key[:depth] for key in _KINDS for depth in range(len(key))} | {("strategies",)}


def _is_section(key: Key) -> bool:
    return key in _SECTIONS or (len(key) == 2 and key[0] == "strategies")


def _kind(key: Key) -> Any:
    """The type of a value; ValueError, with the nearest name, where there is no such value."""
    if len(key) == 2 and key[0] == "references":
        return str | None
    if len(key) == 3 and key[0] == "strategies":
        return Any
    if key in _KINDS:
        return _KINDS[key]
    if _is_section(key):
        raise ValueError("is a section, not a value")
    for depth, name in enumerate(key):
        siblings = {
            known[depth] for known in (*_KINDS, ("strategies",)) if known[:depth] == key[:depth] and known[depth:]
        }
        if name not in siblings:
            import difflib

            close = difflib.get_close_matches(name, sorted(siblings), 1)
            raise ValueError(f"unknown key {name}" + (f"; did you mean {close[0]}?" if close else ""))
    raise ValueError("unknown key")


def _build(kind: type[Any], key: Key, values: Mapping[Key, object]) -> Any:
    """A section, from the values below it."""
    made: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        at = (*key, field.name)
        if at == ("references",):
            made[field.name] = {
                name[1]: index for name, index in values.items() if name[:1] == at and index is not None
            }
        elif at == ("strategies",):
            strategies: dict[str, dict[str, object]] = {}
            for name, raw in values.items():
                if name[:1] == at:
                    strategies.setdefault(name[1], {})[name[2]] = raw
            made[field.name] = strategies
        elif at in _SECTIONS:
            made[field.name] = _build(field.type, at, values)
        elif at in values:
            made[field.name] = values[at]
    return kind(**made)


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


def _from_variables(env: Mapping[str, str]) -> Found:
    """KALSHI_<SECTION>__<KEY>, and the short names of what is set most."""
    found: Found = {}
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


def _credentials_from_variables(env: Mapping[str, str], chosen: str) -> Found:
    """The key of the environment in use."""
    found: Found = {}
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
    value = convert(_kind(key), raw)
    check = _CHECKS.get(key)
    if check is not None:
        return check(value)
    return base / value if isinstance(value, Path) else value


_CHECKS: dict[Key, Callable[[Any], object]] = {
    ("exchange", "rest_url"): url("https", "http"),
    ("exchange", "ws_url"): url("wss", "ws"),
    ("day_zone",): time_zone,
}


def _error(problems: list[Problem]) -> ConfigError:
    """All problems in one error, a line each."""
    shown = [str(problem) for problem in problems[:50]]
    if len(shown) == 1:
        return ConfigError(shown[0], hint="kalshi config check")
    return ConfigError(
        f"{len(problems)} problems in the configuration:\n  " + "\n  ".join(shown), hint="kalshi config check"
    )
