"""The simulated exchange of a state directory: found where somebody serves it, else opened in this process.

One process at a time has it open, by an OS lock. A one-shot command opens it without sockets and closes it again; `sim
serve` and `trade` serve it over real ones, and say where in a file beside it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.clock import Clock
from kalshi_cli.config import Sim
from kalshi_cli.errors import ExitCode, InstanceError, StateError, UsageError
from kalshi_cli.sim.api import Exchange
from kalshi_cli.sim.listing import SimOptions
from kalshi_cli.sim.world import World
from kalshi_cli.store.lock import holder, lock
from kalshi_cli.store.sqlite import SqliteJournal

if TYPE_CHECKING:
    from kalshi_cli.exchange.signing import PrivateKey

ACCOUNT = "trader"
KEY_ID = "00000000-0000-4000-8000-00000000cafe"
"""The key of the one account that people trade with. It opens nothing but this simulated exchange."""

WAIT_S = 10.0
"""How long a command waits for another one-shot command to let go of the exchange."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a served exchange answers, and the key that it knows."""

    rest_url: str
    ws_url: str
    key_id: str
    private_key_path: str
    pid: int


class Simulator:
    """One simulated exchange on disk: its journal, its key, its lock and, while served, its address."""

    def __init__(
        self, folder: Path, options: Sim, clock: Clock, new_id: Callable[[], str], *, is_seed_chosen: bool = False
    ) -> None:
        self.folder = folder
        self.account = ACCOUNT
        self.key_path = folder / "key.pem"
        self._options = options
        self._is_seed_chosen = is_seed_chosen
        self._clock = clock
        self._new_id = new_id
        self._lock_path = folder / "lock"
        self._address_path = folder / "address.json"

    def serving(self) -> Address | None:
        """Where it is served now, if it is."""
        who = holder(self._lock_path)
        if who is None:
            return None
        try:
            address = msgspec.json.decode(self._address_path.read_bytes(), type=Address)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        return address if address.pid == who.pid else None

    @contextmanager
    def open(self) -> Iterator[tuple[Exchange, World]]:
        """Take the exchange into this process, restored and moved on to now; InstanceError where another has it.

        Another one-shot command is waited for; a serving process is not: call `serving` first.
        """
        with ExitStack() as stack:
            until = self._clock.monotonic() + WAIT_S
            while True:
                try:
                    stack.enter_context(lock(self._lock_path, self._clock))
                    break
                except InstanceError:
                    if self.serving() is not None or self._clock.monotonic() > until:
                        raise
                    self._clock.sleep(0.05)
            journal = SqliteJournal(self.folder / "exchange.db")
            stack.callback(journal.close)
            options = SimOptions(client_ids=self._options.client_ids, read_lag_ms=self._options.read_lag_ms)
            seed = self._seed()
            exchange = Exchange(new_id=self._new_id, options=options, journal=journal)
            is_restored = exchange.restore()
            now = self._clock.now()
            world = World(exchange, seed=seed, start=now, speed=self._options.speed)
            world.ensure_open(now)
            if not is_restored or ACCOUNT not in exchange.accounts():
                exchange.add_account(ACCOUNT, self._options.starting_cash)
            exchange.register_key(ACCOUNT, KEY_ID, self._public_key())
            yield exchange, world

    def _seed(self) -> int:
        """The seed this exchange was made with: another would move every price under positions that are held."""
        path, wanted = self.folder / "seed", self._options.seed
        try:
            made_with = int(path.read_text())
        except (FileNotFoundError, ValueError):
            path.write_text(str(wanted))
            return wanted
        if self._is_seed_chosen and made_with != wanted:
            raise UsageError(
                f"this simulated exchange was made with seed {made_with}, not {wanted}",
                hint="start anew with kalshi sim reset, or use another --state DIR",
                code="other_seed",
            )
        return made_with

    @contextmanager
    def announce(self, rest_url: str, ws_url: str) -> Iterator[Address]:
        """Say where it is served, for as long as it is."""
        address = Address(
            rest_url=rest_url, ws_url=ws_url, key_id=KEY_ID, private_key_path=str(self.key_path), pid=os.getpid()
        )
        draft = self._address_path.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(address))
        draft.replace(self._address_path)
        try:
            yield address
        finally:
            self._address_path.unlink(missing_ok=True)

    def serve(self, ready: Callable[[Address], None], port: int = 0) -> None:
        """Serve it from this thread until a signal. SIGTERM ends it in as good order as SIGINT does.

        The server hands a signal on once its sockets are closed; by default that would end the process at once.
        """
        from kalshi_cli.sim.server import SimServer

        def end(_number: int, _frame: object) -> None:
            raise SystemExit(ExitCode.TERMINATED)

        before = signal.signal(signal.SIGTERM, end)
        try:
            with self.open() as (exchange, world):
                server = SimServer(exchange, self._clock, port=port, on_advance=world.advance)
                with self.announce(server.rest_url, server.ws_url) as address:
                    server.serve_forever(lambda: ready(address))
        finally:
            signal.signal(signal.SIGTERM, before)

    def reset(self) -> None:
        """Forget everything: accounts, orders, markets. InstanceError while somebody has it open."""
        if not self.folder.exists():
            return
        with lock(self._lock_path, self._clock):
            for path in self.folder.iterdir():
                if path != self._lock_path:
                    path.unlink()

    def credentials(self) -> tuple[str, PrivateKey]:
        """The key of the account: id and private key. Made on first use, readable by its owner only."""
        from kalshi_cli.exchange.signing import load_key

        if not self.key_path.exists():
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            draft = self.key_path.with_suffix(f".{os.getpid()}")
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                    out.write(pem)
                os.link(draft, self.key_path)  # two processes at once: the first one's key stands
            except FileExistsError:
                pass
            except OSError as error:
                raise StateError(f"cannot write {self.key_path}: {error.strerror}") from error
            finally:
                with suppress(OSError):
                    draft.unlink()
        return KEY_ID, load_key(self.key_path)

    def _public_key(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        _, key = self.credentials()
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
