"""Refusals: the exchange's four shapes of an error body, and what each means to a person.

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
    """An error body, whatever its shape; empty where it did not say. `code` is in lower case."""

    code: str
    message: str
    details: str


def read_refusal(body: bytes) -> ExchangeRejection:
    """Never fails: a body that is no JSON is its own message."""
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
    """Secrets first: one that is cut in the middle is not known any more."""
    return redact(value)[:_LONGEST] if isinstance(value, str) else ""


PACE = "too_many_requests"
"""The code of the exchange's own 429, whose body has none."""

_REFUSING = frozenset({400, 401, 403, 404, 409, 410, 429})
"""Statuses with which the exchange refuses a write. Any other 4xx (425 of a proxy, 408, 413) is somebody else's."""

_REFUSALS = (
    "authentication_error", "available_balance", "bad_request", "deprecated", "exceed", "exchange_is_paused",
    "fill_or_kill", "forbidden", "gone", "header_timestamp", "insufficient", "invalid", "market_", "missing",
    "not_found", "order_group", "order_id_and_client_order_id_mismatch", "order_side_mismatch", "order_ticker_mismatch",
    "permission", "post_only", "reduce_only", "rfq_closed", "signature_is_missing", "too_many", "trading_is_paused",
    "unauthorized", "user_not_found",
)  # fmt: skip
"""How the codes begin with which the exchange refuses; the same code comes with different statuses."""


def is_definite(code: str, status: int | None = None) -> bool:
    """Return whether a write that was refused with this code, in lower case, certainly did not happen.

    Only the exchange's own error says so, and only with a code that is known to refuse: a gateway, a cache or a captive
    portal may answer for the exchange, also after the request went through. An item of a batch has no status. The body
    `{"msg": ...}` has no code: the exchange answers queries with it, not writes. A 429 is one of the exchange only in
    its own words, because a create goes again after it; and those words prove nothing with another status.
    """
    if status is not None and (status not in _REFUSING or (status == 429) is not (code == PACE)):
        return False
    return code.startswith(_REFUSALS) and not is_taken(code)


def is_of_exchange(status: int, body: bytes) -> bool:
    """Return whether a reply is a success, a known error of the exchange, or its status during maintenance (5xx)."""
    if status < 300:
        return True
    return read_refusal(body).code.startswith(_REFUSALS) or b'"exchange_active"' in body


def is_taken(code: str) -> bool:
    """Return whether a refusal says that something with this id is there already: then an earlier send arrived."""
    return "already" in code or "exists" in code


_HINTS = {
    "invalid_price": "the price is off this market's grid; `kalshi market TICKER` shows the valid steps",
    "insufficient_balance": "not enough free cash on that shard; see `kalshi balance`; `kalshi transfer` moves it",
    "available_balance_too_low": "not enough free cash on that shard; see `kalshi balance`; `kalshi transfer` moves it",
    "invalid_parameters": "the exchange does not take one of the values; `-h` of the command says what they mean",
    "trading_is_paused": "trading is paused; cancels still work. `kalshi exchange` shows when it resumes",
    "exchange_is_paused": "the exchange is paused, and cancels do not work either. `kalshi exchange` shows more",
    "market_inactive": "the market is closed or paused; the exchange cancels what rests there itself",
    "fill_or_kill_insufficient_resting_volume": "nothing was bought or sold; there is not enough at this price",
    "order_group_triggered": "the group takes nothing until it is reset: `kalshi order group reset ID`",
    "order_already_exists": "this client order id was used before, and may never be used again",
    "deprecated_v1_order_endpoint": "this program is too old for the exchange; update it",
    "invalid_order_size": "a count has steps of 0.01 and is above zero",
}

_DETAIL_HINTS = {
    "post only cross": "the order would have traded at once; move the price away or leave out --post-only",
    "expiration timestamp must be in the future": "the expiry has passed already; check the clock of this machine",
    "order group": "there is no such group on this market's shard and in this subaccount: `kalshi order group list`",
    "invalid parameters: subaccount": "there is no such subaccount: `kalshi subaccounts list`",
    "reduce_only can only": "use --tif ioc with --reduce-only",
    "advanced api": "the account needs the Advanced API tier: kalshi limits upgrade",
    "no api-created order": "place one order by API first (kalshi order place), then ask again",
}

_KEY_HINTS = {
    "not_found": "the exchange does not know this key id; keys of demo and prod are separate. Check KALSHI_API_KEY_ID",
    "incorrect_api_key_signature": "the private key does not belong to this key id. Check KALSHI_PRIVATE_KEY_PATH",
}


def error_hint(code: str, text: str) -> str:
    """What a person can do about a refusal with this code and text; empty where that is not known."""
    found = (hint for said, hint in _DETAIL_HINTS.items() if said in text.lower())
    return next(found, _HINTS.get(code, ""))


def short_of_cash(code: str, shard: int) -> str:
    """What to do where an order found too little cash on the shard of its market; empty for any other refusal."""
    if code not in ("insufficient_balance", "available_balance_too_low"):
        return ""
    source = 1 if shard == 0 else 0
    return (
        f"shard {shard} has too little free cash for it: `kalshi balance` shows where it lies, "
        f"`kalshi transfer --from {source} --to {shard} --amount DOLLARS` moves it"
    )


def rejection_error(what: str, status: int, body: bytes, skew_ms: int | None = None) -> errors.KalshiError:
    """The error for a refusal of `what` ("GET /markets"). `skew_ms` is how far our clock is ahead, where known."""
    refusal = read_refusal(body)
    details, said = refusal.details, _words(refusal)
    message = f"{what} was refused ({status}): {said}"
    if status == 401 or refusal.code in {"authentication_error", "header_timestamp_expired"}:
        return _bad_credentials(message, status, refusal, skew_ms)
    if status == 403:
        return errors.CredentialsError(
            message,
            hint=error_hint(refusal.code, f"{refusal.message} {details}")
            or "the key lacks a scope, or is locked to a subaccount or region: kalshi keys",
            code=refusal.code or "forbidden",
            status=status,
            details=details,
        )
    if status == 429:
        return errors.RateLimitedError(
            message, hint="nothing was processed; wait a moment", status=status, details=details
        )
    if not 400 <= status < 500:
        return unproven(what, status, refusal)
    hint = error_hint(refusal.code, details)
    if status == 410:
        return errors.ExchangeError(
            f"{what} was switched off by the exchange (410): {said}",
            hint="this program is too old for the exchange: update it, and trade by other means until then",
            code=refusal.code or "gone",
            status=status,
            details=details,
        )
    if status == 404:
        hint = hint or "check the spelling; what settled long ago is only in the historical tier"
        return errors.NotFoundError(message, hint=hint, code=refusal.code, status=status, details=details)
    hint = hint or "nothing was changed; `-h` of the command says what it takes"
    return errors.ExchangeError(
        message, hint=hint, code=refusal.code or f"http_{status}", status=status, details=details
    )


def _bad_credentials(
    message: str, status: int, refusal: ExchangeRejection, skew_ms: int | None
) -> errors.CredentialsError:
    hint = _KEY_HINTS.get(refusal.details.lower(), "check the API key id and the private key")
    if refusal.code == "header_timestamp_expired":
        hint = "set this machine's clock (for example with ntp)"
        if skew_ms is not None:
            way = "ahead" if skew_ms > 0 else "behind"
            message = f"{message}. Your clock is {round(abs(skew_ms) / 1000)} s {way}"
    return errors.CredentialsError(
        message, hint=hint, code=refusal.code or "unauthorized", status=status, details=refusal.details
    )


def unproven(what: str, status: int, refusal: ExchangeRejection) -> errors.UnreachableError:
    """Return the error for an answer that does not tell whether `what` happened; see `is_definite`."""
    if 300 <= status < 400:
        return errors.UnreachableError(
            f"{what} was answered with a redirect ({status}), which is never followed",
            hint="check the REST address; a proxy or a captive portal may be in the way",
            code="redirect",
        )
    if 200 <= status < 300:
        return errors.NoAnswerError(
            f"{what} was answered with {status}, which is not how the exchange answers it",
            hint="a proxy on the way may have answered in its place",
            code="not_its_answer",
        )
    if 400 <= status < 500:
        return errors.NoAnswerError(
            f"{what} was answered with status {status}, which is no proof of a refusal: {_words(refusal)}",
            hint="a proxy or a captive portal may be in the way; `kalshi exchange` shows whether the exchange answers",
            code=refusal.code or f"http_{status}",
        )
    return errors.NoAnswerError(
        f"the exchange could not answer {what} ({status}): {_words(refusal)}",
        hint="it may be down or in maintenance; `kalshi exchange` shows its status",
        code=f"http_{status}",
    )


def _words(refusal: ExchangeRejection) -> str:
    said = ": ".join(part for part in (refusal.message or refusal.code, refusal.details) if part)
    return said or "it gave no reason"
