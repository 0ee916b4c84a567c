"""Rejections: the four formats of the exchange's error bodies, and what each means to the user.

{"error": {"code", "message", "details"?}}    orders, authentication
{"code", "message", "details"?}               bodies that do not decode
{"msg": "..."}                                queries that do not validate
{"error": "too many requests"}                429
anything else                                 gateways in front of the exchange
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.text import redact

_LONGEST = 300


class ExchangeRejection(NamedTuple):
    """An error body in any of the formats; missing parts are empty. `code` is in lower case."""

    code: str
    message: str
    details: str


def read_refusal(body: bytes) -> ExchangeRejection:
    """Parse an error body. It never fails: a body that is not JSON becomes the message."""
    try:
        wire = msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ExchangeRejection("", redact(body[: 4 * _LONGEST].decode(errors="replace"))[:_LONGEST].strip(), "")
    if not isinstance(wire, dict):
        return ExchangeRejection("", "", "")
    error = wire.get("error", wire)
    if not isinstance(error, dict):
        text = _text(error)
        return ExchangeRejection(PACE if text.lower() == "too many requests" else "", text, "")
    code, message, details = (_text(error.get(key)) for key in ("code", "message", "details"))
    return ExchangeRejection(code.lower(), message or _text(error.get("msg")), details)


def _text(value: object) -> str:
    """Return short text. Secrets are hidden first, because one that is cut is no longer recognized."""
    return redact(value)[:_LONGEST] if isinstance(value, str) else ""


PACE = "too_many_requests"
"""Code of the exchange's own 429, whose body has none."""

_REFUSING = frozenset({400, 401, 403, 404, 409, 410, 429})
"""Statuses with which the exchange rejects a write. Any other 4xx (425 of a proxy, 408, 413) comes from elsewhere."""

_REFUSALS = (
    "authentication_error", "available_balance", "bad_request", "deprecated", "exceed", "exchange_is_paused",
    "fill_or_kill", "forbidden", "gone", "header_timestamp", "insufficient", "invalid", "market_", "missing",
    "not_found", "order_group", "order_id_and_client_order_id_mismatch", "order_side_mismatch", "order_ticker_mismatch",
    "permission", "post_only", "reduce_only", "rfq_closed", "signature_is_missing", "too_many", "trading_is_paused",
    "unauthorized", "user_not_found",
)  # fmt: skip
"""Beginnings of the codes with which the exchange rejects; the same code comes with different statuses."""


def is_definite(code: str, status: int | None = None) -> bool:
    """Return whether a write that was rejected with this lower-case code certainly did not happen.

    Only the exchange's own error with a known code proves that: a gateway, a cache or a captive portal may answer
    instead, even after the request went through. An item of a batch has no status. The body `{"msg": ...}` has no code:
    the exchange uses it for queries, not for writes. A 429 must have the exchange's own text, because a create is sent
    again after it; that text proves nothing with another status.
    """
    if status is not None and (status not in _REFUSING or (status == 429) is not (code == PACE)):
        return False
    return code.startswith(_REFUSALS) and not is_taken(code)


def is_of_exchange(status: int, body: bytes) -> bool:
    """Return whether a response is a success, a known error, or the status during maintenance (5xx) of the exchange."""
    if status < 300:
        return True
    return read_refusal(body).code.startswith(_REFUSALS) or b'"exchange_active"' in body


def is_taken(code: str) -> bool:
    """Return whether a rejection says that an object with this id exists: then an earlier attempt arrived."""
    return "already" in code or "exists" in code


_NO_CASH = "not enough free cash on that shard; see `kalshi balance`, move cash with `kalshi transfer`"
_HINTS = {
    "invalid_price": "the price is off this market's price grid; `kalshi market TICKER` shows the valid steps",
    "insufficient_balance": _NO_CASH,
    "available_balance_too_low": _NO_CASH,
    "invalid_parameters": "the exchange rejects one of the values; see the command's -h",
    "trading_is_paused": "trading is paused; cancels still work. `kalshi exchange` shows when it resumes",
    "exchange_is_paused": "the exchange is paused, and cancels are rejected too; see `kalshi exchange`",
    "market_inactive": "the market is closed or paused; the exchange cancels its resting orders itself",
    "fill_or_kill_insufficient_resting_volume": "nothing traded; there is not enough size at this price",
    "order_group_triggered": "the order group accepts no orders until `kalshi resume --reason TEXT --reset-groups`",
    "order_already_exists": "this client order id was used before and cannot be used again",
    "deprecated_v1_order_endpoint": "kalshi is too old for the exchange; update it",
    "invalid_order_size": "a count must be greater than zero, in steps of 0.01",
}

_DETAIL_HINTS = {
    "post only cross": "it would have taken liquidity; change the price, or remove --post-only",
    "expiration timestamp must be in the future": "the expiration has already passed; check the clock of this machine",
    "order group": "no such group on the market's shard and in this subaccount; see `kalshi order group list`",
    "invalid parameters: subaccount": "no such subaccount; see `kalshi subaccounts list`",
    "reduce_only can only": "use --tif ioc with --reduce-only",
    "advanced api": "the account needs the Advanced API tier: kalshi limits upgrade",
    "no api-created order": "place one order through the API first (`kalshi order place`), then request it again",
}

CHECK_NETWORK = "check the network and the status page of the exchange; `kalshi health-check` shows what responds"
"""The hint for an exchange that cannot be reached."""

WAIT_FOR_LIMIT = "wait a few seconds, then repeat it; all programs of the account share its rate limit"
"""The hint for a request that was not processed because of the rate limit."""

SET_CLOCK = "set the clock: sudo timedatectl set-ntp true"
"""The hint for a clock that differs from the exchange's."""

_KEY_HINTS = {
    "not_found": "the exchange does not know this key id; demo and prod use separate keys. Check KALSHI_API_KEY_ID",
    "incorrect_api_key_signature": "the private key does not match this key id. Check KALSHI_PRIVATE_KEY_PATH",
}


def error_hint(code: str, text: str) -> str:
    """Return what the user can do about a rejection with this code and text; empty if unknown."""
    found = (hint for said, hint in _DETAIL_HINTS.items() if said in text.lower())
    return next(found, _HINTS.get(code, ""))


def short_of_cash(code: str, shard: int) -> str:
    """Return what to do when an order finds too little cash on the shard of its market; empty for other rejections."""
    if code not in ("insufficient_balance", "available_balance_too_low"):
        return ""
    source = 1 if shard == 0 else 0
    return (
        f"not enough free cash on shard {shard}: `kalshi balance` shows each shard; "
        f"`kalshi transfer --from {source} --to {shard} --amount DOLLARS` moves cash"
    )


def _missing_hint(what: str) -> str:
    """Return what to do when the exchange knows nothing at the path of a request."""
    if "/portfolio/orders/" in what:
        return "no live or recent order has this id; `kalshi order list` shows your orders"
    if what.startswith("POST ") and what.endswith("/orders"):
        return "check the spelling of the ticker: `kalshi markets --search TEXT` finds it"
    if "/orders" in what:
        return "check the id: `kalshi order list --status all` lists your orders"
    if "/markets" in what or "/events" in what or "/series" in what:
        return "check the spelling; older settled markets are available in the historical data only"
    return "check the spelling of the path and the id"


_POSTED = {"orders": "The order", "batched": "The batch", "amend": "The amend", "decrease": "The decrease"}


def _request_words(what: str) -> str:
    """Return what a user calls a request: "The order"; a request that no command is named after keeps its path."""
    if "/orders" in what and what.startswith("DELETE "):
        return "The cancel"
    if "/orders" in what and what.startswith("POST "):
        return _POSTED.get(what.rpartition("/")[2], what)
    return what


def rejection_error(what: str, status: int, body: bytes, skew_ms: int | None = None) -> errors.KalshiError:
    """Return the error for a rejection of `what` ("GET /markets"). `skew_ms` is the local clock's lead, if known."""
    refusal = read_refusal(body)
    details, said = refusal.details, _words(refusal)
    message = f"{_request_words(what)} was rejected ({status}): {said}"
    if status == 401 or refusal.code in {"authentication_error", "header_timestamp_expired"}:
        return _bad_credentials(message, status, refusal, skew_ms)
    if status == 429:
        message = f"{_request_words(what)} was not processed (429): {said}"
        return errors.RateLimitedError(message, hint=WAIT_FOR_LIMIT, status=status, details=details)
    if not 400 <= status < 500:
        return unproven(what, status, refusal)
    if status == 403:
        hint = error_hint(refusal.code, f"{refusal.message} {details}")
        hint = hint or "the key lacks a scope, or is restricted to a subaccount or region; see `kalshi keys`"
        return errors.CredentialsError(
            message, hint=hint, code=refusal.code or "forbidden", status=status, details=details
        )
    if status == 410:
        return errors.ExchangeError(
            f"The exchange has removed {what} (410): {said}",
            hint="kalshi is too old for the exchange: update it, and trade on the web site until then",
            code=refusal.code or "gone",
            status=status,
            details=details,
        )
    kind, code, hint = errors.ExchangeError, refusal.code or f"http_{status}", error_hint(refusal.code, details)
    if status == 404:
        kind, code, hint = errors.NotFoundError, refusal.code, hint or _missing_hint(what)
    hint = hint or "nothing was changed; see the command's -h"
    return kind(message, hint=hint, code=code, status=status, details=details)


def _bad_credentials(
    message: str, status: int, refusal: ExchangeRejection, skew_ms: int | None
) -> errors.CredentialsError:
    hint = _KEY_HINTS.get(refusal.details.lower(), "check the API key id and the private key")
    if refusal.code == "header_timestamp_expired":
        hint = SET_CLOCK
        if skew_ms is not None:
            way = "ahead" if skew_ms > 0 else "behind"
            message = f"{message}. Your clock is {round(abs(skew_ms) / 1000)} s {way}"
    return errors.CredentialsError(
        message, hint=hint, code=refusal.code or "unauthorized", status=status, details=refusal.details
    )


def unproven(what: str, status: int, refusal: ExchangeRejection) -> errors.UnreachableError:
    """Return the error for a response that does not prove whether `what` happened; see `is_definite`."""
    if 300 <= status < 400:
        return errors.UnreachableError(
            f"{what} was answered with a redirect ({status}), which kalshi never follows",
            hint="check the REST URL; a proxy or captive portal may interfere",
            code="redirect",
        )
    if 200 <= status < 300:
        return errors.NoAnswerError(
            f"{what} was answered with {status}, which is not a response of the exchange",
            hint="a proxy on the way may have answered instead",
            code="not_its_answer",
        )
    if 400 <= status < 500:
        return errors.NoAnswerError(
            f"{what} was answered with status {status}, which does not prove a rejection: {_words(refusal)}",
            hint="a proxy or captive portal may interfere; `kalshi exchange` shows whether the exchange responds",
            code=refusal.code or f"http_{status}",
        )
    return errors.NoAnswerError(
        f"The exchange could not answer {what} ({status}): {_words(refusal)}",
        hint="it may be down or in maintenance; see `kalshi exchange`",
        code=f"http_{status}",
    )


def _words(refusal: ExchangeRejection) -> str:
    said = ": ".join(part for part in (refusal.message or refusal.code, refusal.details) if part)
    return said or "no reason given"
