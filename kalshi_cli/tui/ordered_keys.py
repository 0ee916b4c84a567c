"""An app whose keys act one after the other, however fast they come."""

from __future__ import annotations

import asyncio
from collections import deque

from textual.app import App
from textual.events import Event, Key, Paste
from textual.message import Message

MAX_KEYS = 1_000
"""Keys that wait for the one before them; further ones are dropped."""

CALM_ROUNDS = 3
"""Rounds without a change after which a key has acted: Enter goes to its input, then to the dialog, then to the app."""

MAX_ROUNDS = 20
ROUND_S = 1.0


class KeyMark(Message):
    """Follows a key through the same widgets up to the app: when it arrives, the key has arrived."""

    def __init__(self, arrived: asyncio.Event) -> None:
        super().__init__()
        self.arrived = arrived


class OrderedKeysApp(App[None]):
    """An app in which each key goes to the screen and the widget that the key before it leaves.

    Textual 8.2.8 sends a key to the widget that has the focus when the key is read, and acts on it later. Without this
    class, the keys of one burst (a slow connection sends them so) all go where the first one went: text for an input
    that the first one opens would act as commands.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Event] = deque()
        self._sender: asyncio.Task[None] | None = None

    async def on_event(self, event: Event) -> None:
        """Let a key wait until those before it have acted."""
        if not isinstance(event, Key | Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        if len(self._waiting) < MAX_KEYS:
            self._waiting.append(event)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send())

    def on_key_mark(self, mark: KeyMark) -> None:
        """Note that a key has arrived."""
        mark.arrived.set()

    async def _send(self) -> None:
        while self._waiting and self.is_running:
            await super().on_event(self._waiting.popleft())
            await self._settle()

    async def _settle(self) -> None:
        """Wait until the key has acted: its screen is open and the focus is where it belongs."""
        calm = 0
        for _ in range(MAX_ROUNDS):
            if not self.is_running or not self.screen_stack:
                return
            before = self.screen, self.focused
            arrived = asyncio.Event()
            (self.focused or self.screen).post_message(KeyMark(arrived))
            try:
                await asyncio.wait_for(arrived.wait(), ROUND_S)
            except TimeoutError:  # the screen was closed with the mark in it
                continue
            calm = calm + 1 if before == (self.screen, self.focused) else 0
            if calm == CALM_ROUNDS:
                return
