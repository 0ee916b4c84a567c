"""The environments: the clock, key, endpoint, account and homes of each. No other file names a mode.

prod, demo        system clock    stream               the exchange
sim               its own clock   stream, loopback     the simulated exchange, a process of its own
--paper           system clock    stream               simulated fills against the real books
backtest          manual clock    recordings           simulated fills against the recorded books
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Self

from kalshi_cli.app.outputs import log_line
from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.base.errors import CredentialsError, Distrust, OutcomeUnknownError, UnreachableError, refuse
from kalshi_cli.config.config import Config, event_socket, log_folder, refuse_other_hosts, refuse_read_only, state_dir
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.account.order_index import OWN_ID
from kalshi_cli.exchange.rest.signing import Signer, load_key, parse_key
from kalshi_cli.services.resources import Home, RefuseOrder, Resources
from kalshi_cli.services.trading.reports.run_reporter import EventLog, LogOutputs

if TYPE_CHECKING:
    from pathlib import Path

    from kalshi_cli.core.model.exchange import TradingState
    from kalshi_cli.services.simulated_exchange import SimulatorLauncher
    from kalshi_cli.simulator.serving.announcement import Announcement
    from kalshi_cli.simulator.serving.controls import ControlReport
    from kalshi_cli.store.sqlite_store import Store
    from kalshi_cli.strategies.base import Strategy


def new_secret() -> str:
    """Return a text that cannot be guessed, for links and sessions."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """Return an id for anything but an order: a UUID, as text."""
    return str(uuid.uuid4())


def new_order_id() -> str:
    """Return a new client order id: 36 characters, with the prefix of this program."""
    return f"{OWN_ID}{uuid.uuid4().hex}"


def _refuse_if_halted(store: Store, reviewed: TradingState) -> None:
    from kalshi_cli.services.trading.halts import refuse_if_halted

    refuse_if_halted(store, reviewed)


SIM_KEY = "the simulated exchange has its own; choose another with --env or KALSHI_ENV"


class Environment:
    """The environment of a configuration. As a context manager it closes everything that it opened.

    `tell` prints a warning and `note` a notice, both on stderr. `distrust` decides about a private key that other users
    can read.
    """

    def __init__(
        self,
        config: Config,
        tell: Callable[[str], None],
        note: Callable[[str], None] | None = None,
        distrust: Distrust = refuse,
        machine: Clock | None = None,
    ) -> None:
        self.config = config
        self.tell = tell
        self.note = note or tell
        self.machine = machine or SystemClock()
        self.stack = ExitStack()
        self._distrust = distrust
        self._is_simulated = config.env == "sim" and not config.rest_url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            self.close()
        except KeyboardInterrupt:  # it must not replace an unknown outcome, nor the interrupt of a write
            if not isinstance(error, OutcomeUnknownError | KeyboardInterrupt):
                raise

    def close(self) -> None:
        """Close everything that was opened, in reverse order."""
        self.stack.close()

    @property
    def needs_confirmation(self) -> bool:
        """Return whether writes are real money."""
        return self.config.env == "prod"

    @cached_property
    def clock(self) -> Clock:
        """Return the clock of the exchange: the machine's, unless the clock of the simulated exchange was advanced."""
        return self.simulator.clock if self._is_simulated else self.machine

    @cached_property
    def homes(self) -> tuple[Home, Home]:
        """Return the home of the account, and the home of paper trading, which all keys share."""
        config = self.config
        account = self.simulator.account if self._is_simulated else config.credential.key_id
        return (
            _home(state_dir(config), account=account, name="sim" if config.env == "sim" else "live"),
            _home(state_dir(config, "paper"), account="paper", name="paper", is_at_exchange=False),
        )

    def open(self, journal: EventLog | None = None, refuse_order: RefuseOrder | None = None) -> Resources:
        """Create the resources of a command, which logs its requests, or of a loop with its own `journal`."""
        reports = journal or EventLog(self.clock, limits_of(self.config))
        resources = Resources(
            config=self.config,
            homes=self.homes,
            stack=self.stack,
            clock=self.clock,
            machine=self.machine,
            rng=random.Random(),
            run_id=new_id(),
            new_id=new_id,
            new_order_id=new_order_id,
            sign=self._signer,
            find_rest_url=self._rest_url,
            find_ws_url=self._ws_url,
            needs_confirmation=self.needs_confirmation,
            refuse_order=refuse_order or _refuse_if_halted,
            tell=self.tell,
            note=self.note,
            on_effect=reports.note,
            on_answer=reports.requested,
            traffic=reports.traffic,
            host=socket.gethostname(),
        )
        if journal is None:
            reports.open(LogOutputs(line=log_line(resources, self.stack, self.homes[0].folder, "command")))
        return resources

    def strategies(self, names: Sequence[str], params: Mapping[str, str]) -> list[Strategy]:
        """Create strategies with the parameters of the configuration and those given; warn of likely typing errors."""
        from kalshi_cli.strategies import registry

        configured, allotted = self.config.strategies, self.config.allotments
        made = registry.make_all(names, configured, params, allotted)
        for text in (each for name in names for each in registry.warnings(name)):
            self.tell(f"Warning: {text}")
        for name, meant in registry.likely_misspelled((*configured, *allotted), made):
            self.tell(f"strategies.{name} in the configuration matches no strategy; did you mean {meant}?")
        return made

    def _signer(self) -> Signer | None:
        credential = self.config.credential
        if self._is_simulated:
            if given := [name for name in ("key_id", "private_key_path", "private_key") if getattr(credential, name)]:
                origin = self.config.origins[f"credentials.sim.{given[0]}"]
                self.note(f"Your key ({origin}) is not used: {SIM_KEY}")
            return Signer(*self.simulator.credentials(), self.machine)
        key_path, section = credential.private_key_path, f"credentials.{self.config.env}"
        has_key = bool(credential.private_key) or key_path is not None
        if not credential.key_id and not has_key:
            return None
        if not credential.key_id or not has_key:
            missing = "key_id" if not credential.key_id else "private_key_path"
            raise CredentialsError(
                f"{section}.{missing} is missing",
                hint="set it in the configuration, or KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH",
            )
        if key_path is not None:
            key = load_key(key_path.expanduser(), self._distrust)
        else:
            key = parse_key(credential.private_key.encode(), f"of {self.config.origins[f'{section}.private_key']}")
        return Signer(credential.key_id, key, self.clock)

    def _rest_url(self) -> str:
        if self._is_simulated:
            return self.served.rest_url
        refuse_other_hosts(self.config, "exchange.rest_url")
        return self.config.rest_url

    def _ws_url(self) -> str:
        if self._is_simulated:
            return self.served.ws_url
        refuse_other_hosts(self.config, "exchange.ws_url")
        return self.config.ws_url

    # -- the simulated exchange -----------------------------------------------------------------------------------

    @cached_property
    def simulator(self) -> SimulatorLauncher:
        """Return the launcher of the simulated exchange."""
        from kalshi_cli.services.simulated_exchange import SimulatorLauncher

        is_chosen = self.config.origins.get("sim.seed", "default") != "default"
        folder = state_dir(self.config) / "exchange"
        return SimulatorLauncher(
            folder, self.config.sim, self.machine, new_id, is_seed_chosen=is_chosen, distrust=self._distrust
        )

    @cached_property
    def served(self) -> Announcement:
        """Find the server of the simulated exchange, or start one in the background."""
        from kalshi_cli.app.background import Background

        return Background(self.simulator, self.machine, self.note).find()

    def control(self, command: str, fields: dict[str, object]) -> ControlReport:
        """Send a control command, which no member can, to the simulated exchange. In read-only mode only `status`."""
        if command != "status":
            refuse_read_only(self.config)
        return self.simulator.control(command, fields, lambda: self.served)

    def serving(self) -> tuple[Announcement | None, ControlReport | None]:
        """Return the process that serves the simulated exchange and its status, without starting one."""
        found = self.simulator.serving()
        if found is None:
            return None, None
        try:
            return found, self.simulator.control("status", {}, lambda: found)
        except UnreachableError:
            if not self.simulator.has_ended(found.pid):
                raise
            return None, None

    def reset(self) -> None:
        """Delete the simulated exchange, and the local state of trading there."""
        refuse_read_only(self.config)
        from kalshi_cli.store.lock import lock, no_kill

        own = self.homes[0].folder
        with ExitStack() as stack:
            if own.exists():
                stack.enter_context(lock(own / "trade.lock", self.clock))
                stack.enter_context(no_kill(own, self.machine))
            self.simulator.reset()
            for home in self.homes:
                tables = log_folder(self.config, home.folder).glob("*.csv")
                for path in (*home.folder.glob("state.db*"), *home.folder.glob("catalogue.db*"), *tables):
                    path.unlink()


@contextmanager
def opened(
    config: Config, tell: Callable[[str], None], note: Callable[[str], None] | None = None, distrust: Distrust = refuse
) -> Iterator[Resources]:
    """Open the resources of a configuration for the duration of the context, with separate connections."""
    with Environment(config, tell, note, distrust) as environment:
        yield environment.open()


def _home(folder: Path, *, account: str, name: str, is_at_exchange: bool = True) -> Home:
    return Home(
        folder=folder,
        account=account,
        name=name,
        is_at_exchange=is_at_exchange,
        events=event_socket(folder, os.environ.get("XDG_RUNTIME_DIR", "")),
    )
