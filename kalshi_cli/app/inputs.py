"""Where what a strategy hears from outside the exchange comes from: each input is a thread that brings messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING

from kalshi_cli.app import App
from kalshi_cli.core.inputs import Input
from kalshi_cli.core.messages import Message

if TYPE_CHECKING:
    from kalshi_cli.strategies.base import Strategy

Bring = Callable[[Message], None]
"""Takes a message, from any thread."""

LISTENERS: Mapping[type[Input], Callable[[App, Input, Bring], AbstractContextManager[object]]] = {}
"""How each kind of input is listened to, until the context ends."""


@contextmanager
def listening(app: App, strategies: Sequence[Strategy], bring: Bring) -> Iterator[None]:
    """Bring what these strategies ask for; equal inputs once."""
    with ExitStack() as stack:
        for wanted in dict.fromkeys(wanted for strategy in strategies for wanted in strategy.inputs()):
            stack.enter_context(LISTENERS[type(wanted)](app, wanted, bring))
        yield
