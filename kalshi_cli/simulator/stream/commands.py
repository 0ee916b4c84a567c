"""Commands on the stream: decoding, parameters, and the numbered errors (API.md section 7.2)."""

from __future__ import annotations

import msgspec

from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.stream.subscription import BOOK, CHANNELS, COMMUNICATIONS, TICKER

ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    18: "Command timeout",
    19: "shard_factor must be > 0",
    20: "shard_factor is required when shard_key is set",
    21: "shard_key must be >= 0 and < shard_factor",
    22: "shard_factor must be <= 100",
    24: "Index IDs required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
    27: "Too many requests",
    28: "Underlying tickers required",
}
"""6, 16 and 17 are retired. 9 (authentication required) and 23 (match ids) cannot occur: the connection itself needs a
key, and no channel here takes match ids."""

MAX_SHARDS = 100


class CommandError(Exception):
    """A command that gets an error message and changes nothing."""

    def __init__(self, code: int, tickers: list[str] | None = None, command_id: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.tickers = tickers
        self.command_id = command_id

    def msg(self) -> Json:
        """Return the `msg` of the error message."""
        shown: Json = {"code": self.code, "msg": ERRORS[self.code]}
        return shown | ({"market_tickers": self.tickers} if self.tickers else {})


def read_command(text: str) -> tuple[int, str, Json]:
    """Return the id, the name and the parameters of a command, or raise CommandError. The id 0 means none."""
    try:
        command = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise CommandError(1) from error
    if not isinstance(command, dict):
        raise CommandError(1)
    command_id = command.get("id", 0)
    if not isinstance(command_id, int) or isinstance(command_id, bool) or command_id < 0:
        raise CommandError(1)
    name, params = command.get("cmd"), command.get("params")
    if name not in ("subscribe", "unsubscribe", "update_subscription", "list_subscriptions"):
        raise CommandError(5, command_id=command_id)
    if name != "list_subscriptions" and not isinstance(params, dict):
        raise CommandError(2, command_id=command_id)
    return command_id, name, params or {}


def channels_of(params: Json) -> list[str]:
    """Return the channels of a command."""
    channels = params.get("channels")
    if not channels or not isinstance(channels, list):
        raise CommandError(3)
    if any(channel not in CHANNELS for channel in channels if isinstance(channel, str)):
        raise CommandError(8)
    if not all(isinstance(channel, str) for channel in channels):
        raise CommandError(11)
    return channels


def names_of(params: Json, *keys: str) -> list[str] | None:
    """Return the names in one of these parameters, single or in a list, each once; None if all are absent.

    The parameters exclude each other (error 11).
    """
    given = [key for key in keys if params.get(key) is not None]
    if not given:
        return None
    found = params[given[0]]
    found = [found] if isinstance(found, str) and not given[0].endswith("s") else found
    if len(given) > 1 or not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise CommandError(11)
    return list(dict.fromkeys(found))


def markets_of(params: Json, channels: list[str], tickers_by_id: dict[str, str]) -> list[str] | None:
    """Return the markets of a command, by ticker or (ticker channel only) by id; an unknown id is kept."""
    found = names_of(params, "market_ticker", "market_tickers", "market_id", "market_ids")
    if found is not None and ("market_id" in params or "market_ids" in params):
        if channels != [TICKER]:
            raise CommandError(11)
        return [tickers_by_id.get(name, name) for name in found]
    if BOOK in channels and not found:
        raise CommandError(14)
    return found


def sids_of(params: Json) -> list[int]:
    """Return the subscription ids of a command."""
    sids = params.get("sids")
    if sids is None and "sid" in params:
        sids = [params["sid"]]
    if sids is not None and (not isinstance(sids, list) or not all(type(sid) is int for sid in sids)):
        raise CommandError(11)
    return sids or []


def flag_of(params: Json, name: str) -> bool:
    """Return a boolean parameter, False if absent."""
    value = params.get(name, False)
    if not isinstance(value, bool):
        raise CommandError(11)
    return value


def share_of(params: Json, channels: list[str]) -> tuple[int, int] | None:
    """Return the wanted share of the communications as (key, factor), or None for all."""
    key, factor = params.get("shard_key"), params.get("shard_factor")
    if COMMUNICATIONS not in channels or (key is None and factor is None):
        return None
    if factor is None:
        raise CommandError(20)
    if type(factor) is not int or (key is not None and type(key) is not int):
        raise CommandError(11)
    if factor <= 0:
        raise CommandError(19)
    if factor > MAX_SHARDS:
        raise CommandError(22)
    if not 0 <= (key or 0) < factor:
        raise CommandError(21)
    return key or 0, factor


def is_own_only(params: Json) -> bool:
    """Return whether only the member's own RFQs are wanted."""
    wanted = params.get("user_filter", "")
    if wanted not in ("", "self"):
        raise CommandError(11)
    return bool(wanted == "self")
