"""The end of a copy of the trading process that a strategy made with `os.fork()`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.messages import Message
from kalshi_cli.services.runner import EngineProtocol

COPY_ENDED = (
    b"A strategy copied the trading process with os.fork(). The copy ended and sent nothing; "
    b"use the module subprocess instead\n"
)


class OneProcess:
    """An engine that only the process of its run may use.

    A fork inside a hook returns here twice. The copy ends at once, without any clean-up: it shares the connections, the
    state file and the orders of the run.
    """

    def __init__(self, engine: EngineProtocol) -> None:
        self._engine = engine
        self._pid = os.getpid()

    def step(self, message: Message) -> Iterable[Effect]:
        """Return the effects of a message; in a copy of the process, do not return."""
        try:
            return self._engine.step(message)
        finally:
            if os.getpid() != self._pid:
                os.write(2, COPY_ENDED)
                os._exit(1)
