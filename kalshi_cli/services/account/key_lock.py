"""The one subaccount that an API key may be locked to: all it does is done there, whether a request says so or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from kalshi_cli.base.errors import ExchangeError, StateFileError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.values import ResponseFormatError
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.records import KeyRestriction
from kalshi_cli.store.sqlite_store import Store

KEYS_NOT_READABLE_STATUSES = (403, 404, 410)
"""Answers to whom the exchange does not show its keys; nothing is wrong with what else they do."""


def key_restriction_of(
    client: KalshiClient, key_id: str, store: Store | None, tell: Callable[[str], None]
) -> int | None:
    """The subaccount that this key is locked to; None where to none, or where nobody says.

    What `store` remembers is not asked again. Raises what any read of the account would: the key is refused, nobody
    answers.
    """
    known = store.key_lock(key_id) if store is not None else None
    if known is not None:
        return known.subaccount
    try:
        keys = client.api_keys().keys
    except ResponseFormatError as error:
        tell(f"whether this key is locked to a subaccount is not known: {error.message}; exchange.subaccount says it")
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
    """Return the client, once it knows which subaccount the key is locked to.

    The exchange is asked once in the life of a state file, which is `store` or the one that is there.
    """
    client = resources.client
    if client.lock is not None or resources.signer is None:
        return client
    if store is None:
        with suppress(StateFileError):  # it is told by whoever needs the file
            store = resources.remembered()
    client.lock = key_restriction_of(client, resources.signer.key_id, store, resources.tell)
    return client
