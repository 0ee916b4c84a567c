"""Commands on the stream: decoding, and the numbered errors."""

from __future__ import annotations

import msgspec

from kalshi_cli.sim.replies import Json

ERRORS = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    24: "Index IDs required",
    26: "Subscription market limit exceeded",
}


class CommandError(Exception):
    """A command that is answered with an error frame, and changes nothing."""

    def __init__(self, code: int, tickers: list[str] | None = None, command_id: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.tickers = tickers
        self.command_id = command_id

    def msg(self) -> Json:
        shown: Json = {"code": self.code, "msg": ERRORS[self.code]}
        return shown | ({"market_tickers": self.tickers} if self.tickers else {})


def read_command(text: str) -> tuple[int, str, Json]:
    """The id, the name and the parameters of a command; CommandError where it is none."""
    try:
        command = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
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
