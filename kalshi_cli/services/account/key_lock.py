"""The subaccount that an API key may be restricted to: every request of the key then acts there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from kalshi_cli.base.errors import ExchangeError, StateFileError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.values import ResponseFormatError
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.records import KeyRestriction

if TYPE_CHECKING:
    from kalshi_cli.store.sqlite_store import Store

KEYS_NOT_READABLE_STATUSES = (403, 404, 410)
"""Statuses of the exchange for a key that may not list API keys; its other requests are not affected."""


def key_restriction_of(
    client: KalshiClient, key_id: str, store: Store | None, tell: Callable[[str], None]
) -> int | None:
    """Return the subaccount that this key is restricted to; None without a restriction, or where it is unknown.

    An answer that `store` remembers is not asked for again. Raises the errors of any read of the account: the key is
    refused, or there is no answer.
    """
    known = store.key_lock(key_id) if store is not None else None
    if known is not None:
        return known.subaccount
    try:
        keys = client.api_keys().keys
    except ResponseFormatError as error:
        tell(f"Unknown whether this key is restricted to a subaccount: {error.message}; set exchange.subaccount")
        return None
    except ExchangeError as error:
        if error.status not in KEYS_NOT_READABLE_STATUSES:
            raise
        return None
    found = next((KeyRestriction(key.api_key_id, key.subaccount) for key in keys if key.api_key_id == key_id), None)
    if found is None:
        return None
    if store is not None:
        store.keep_key_lock(found)
    return found.subaccount


def learn_key(resources: Resources, store: Store | None = None) -> KalshiClient:
    """Return the client, which then knows the subaccount that the key is restricted to.

    The exchange is asked once per state file, which is `store` or the existing one.
    """
    client = resources.client
    if client.lock is not None or resources.signer is None:
        return client
    if store is None:
        with suppress(StateFileError):  # a command that needs the file reports it
            store = resources.remembered()
    client.lock = key_restriction_of(client, resources.signer.key_id, store, resources.tell)
    return client
