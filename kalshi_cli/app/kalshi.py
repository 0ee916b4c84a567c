"""The public Python API: one account, and every use case of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kalshi_cli.base.errors import KalshiError

if TYPE_CHECKING:
    from kalshi_cli.app.environment import Environment
    from kalshi_cli.base.units import Ts
    from kalshi_cli.services.account.paper_reads import PaperAccountService
    from kalshi_cli.services.account.service import AccountService
    from kalshi_cli.services.markets.service import MarketService
    from kalshi_cli.services.monitoring.service import MonitoringService
    from kalshi_cli.services.orders.group_service import OrderGroupService
    from kalshi_cli.services.orders.quote_service import QuoteService
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.research.service import ResearchService
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.services.trading.service import TradingService

T = TypeVar("T")


class Kalshi:
    """An account of one environment: `with Kalshi.open(env="sim") as kalshi:`.

    One for each thread: only the thread that opened it can write and close it.
    Connections and files are opened when first used, and closed at the end.
    """

    def __init__(self, environment: Environment, *, is_python: bool = False) -> None:
        self._environment = environment
        self._is_python = is_python
        self._resources = environment.open()

    @classmethod
    def open(
        cls,
        env: str | None = None,
        config: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> Kalshi:
        """Open the account that these, the variables and the configuration file choose, as `kalshi --env ...` does.

        `env` is sim, demo or prod, `config` a file, `state` a folder. `warn` takes warnings; without it they are
        logged as `kalshi_cli`. ConfigError lists every problem of the configuration.
        """
        import logging

        from kalshi_cli.app.environment import Environment
        from kalshi_cli.app.python_calls import with_arguments
        from kalshi_cli.config import sources

        log = logging.getLogger("kalshi_cli")
        flags = {"env": env, "state": None if state is None else Path(state)}
        try:
            loaded = sources.load(None if config is None else Path(config), os.environ, flags)
            sources.judge_state(loaded)
        except KalshiError as error:
            error.reword(lambda text: with_arguments(text, ("env", "config", "state")))
            raise
        for notice in (*loaded.mistyped, *loaded.notices):
            (warn or log.warning)(notice)
        return cls(Environment(loaded, warn or log.warning, warn or log.info), is_python=True)

    def __enter__(self) -> Kalshi:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not self._resources.ended.is_set():
            self._resources.require_open()
            self._environment.__exit__(kind, error, trace)
            self._resources.ended.set()

    def __repr__(self) -> str:
        return f"<Kalshi: {self.env}{', closed' if self._resources.ended.is_set() else ''}>"

    def close(self) -> None:
        """Close connections and files; after that, every call is a UsageError. Only the thread that opened it can."""
        self.__exit__(None, None, None)

    @property
    def resources(self) -> Resources:
        """Return the client, state file and clock that the services use."""
        return self._resources

    @property
    def env(self) -> str:
        """Return the environment: sim, demo or prod."""
        return self._resources.config.env

    @property
    def now(self) -> Ts:
        """Return the exchange's time."""
        return self._resources.clock.now()

    def _serve(self, service: Callable[[Resources], T]) -> T:
        """Open a service; for a program in Python, one whose errors name arguments, not options."""
        if self._is_python:
            from kalshi_cli.app.python_calls import in_python

            service = in_python(service)
        return service(self._resources)

    @cached_property
    def markets(self) -> MarketService:
        """Find markets, their prices and their history."""
        from kalshi_cli.services.markets.service import MarketService

        return self._serve(MarketService)

    @cached_property
    def orders(self) -> OrderService:
        """List orders; plan and execute writes."""
        from kalshi_cli.services.orders.service import OrderService

        return self._serve(OrderService)

    @cached_property
    def quotes(self) -> QuoteService:
        """List requests for quotes and quotes; plan and execute writes."""
        from kalshi_cli.services.orders.quote_service import QuoteService

        return self._serve(QuoteService)

    @cached_property
    def order_groups(self) -> OrderGroupService:
        """List order groups; plan and execute writes."""
        from kalshi_cli.services.orders.group_service import OrderGroupService

        return self._serve(OrderGroupService)

    @cached_property
    def account(self) -> AccountService:
        """Read balance, positions, fills and profit and loss; move cash."""
        from kalshi_cli.services.account.service import AccountService

        return self._serve(AccountService)

    @cached_property
    def paper(self) -> PaperAccountService:
        """Read positions, fills and profit and loss of paper trading."""
        from kalshi_cli.services.account.paper_reads import PaperAccountService

        return self._serve(PaperAccountService)

    @cached_property
    def trading(self) -> TradingService:
        """Show the running loop; pause, resume, halt, and lock markets."""
        from kalshi_cli.services.trading.service import TradingService

        return self._serve(TradingService)

    @cached_property
    def monitoring(self) -> MonitoringService:
        """Run checks; read alerts."""
        from kalshi_cli.services.monitoring.service import MonitoringService

        return self._serve(MonitoringService)

    @cached_property
    def research(self) -> ResearchService:
        """Run backtests, search for parameters, and keep recordings in the lake."""
        from kalshi_cli.services.research.service import ResearchService

        return self._serve(ResearchService)
