"""The simulated exchange of a state directory: its files, its lock and its server.

One process at a time opens it, by an OS lock: a background server that a command started (`app.background`), `sim
serve`, or a program that opens it as a library. A server writes its address into a file beside it. Its time is the
machine's, shifted by the number in the file `clock`; signatures use the machine's time.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock, ShiftedClock
from kalshi_cli.base.files import make_folder, open_regular, read_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.simulator.serving import keys as api_keys
from kalshi_cli.simulator.serving.announcement import Address, Announcement, build_of, options_of
from kalshi_cli.store.lock import holder, lock

if TYPE_CHECKING:
    from kalshi_cli.exchange.rest.signing import PrivateKey
    from kalshi_cli.simulator.exchange import SimulatedExchange
    from kalshi_cli.simulator.serving.controls import ControlReport, Controls
    from kalshi_cli.simulator.serving.server import SimServer
    from kalshi_cli.simulator.serving.spot import SpotVenues
    from kalshi_cli.simulator.world.world import MarketSimulation

ACCOUNT = "trader"
KEY_ID = "00000000-0000-4000-8000-00000000cafe"
"""The key of the account that kalshi trades with. It opens nothing but this simulated exchange."""

WAIT_S = 10.0
"""The longest wait for another program to close the exchange or to end."""

END_WITHIN_S = 10.0
UNUSED_WITHIN_S = 1.0
"""The time in which a server is asked to end: a command that is about to end still has its connection."""

LOCKS = ("lock", "start.lock")
"""Files that stay: with one removed, two processes could lock two files of one name."""

ASK_WITHIN_S = 20.0
MAX_REPLY_LENGTH = 1 << 20
LOOK_EVERY_S = 0.25
"""The pause between two checks whether another process moved the clock."""


class SimulatorLauncher:
    """A simulated exchange on disk: its journal, its key, its lock and, while served, its address."""

    def __init__(
        self,
        folder: Path,
        options: SimulatorConfig,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        is_seed_chosen: bool = False,
        distrust: errors.Distrust = errors.refuse,
    ) -> None:
        self.folder = folder
        self.account = ACCOUNT
        self.key_path = folder / "key.pem"
        self.options = options
        self._is_seed_chosen = is_seed_chosen
        self._distrust = distrust
        self.clock: Clock = ShiftedClock(clock, self.offset_ms)
        """The world's time, also while another process moves it; durations are the machine's."""
        self._clock = clock
        self._new_id = new_id
        self._lock_path = folder / "lock"
        self._address_path = folder / "address.json"
        self._port_path = folder / "port"
        self._clock_path = folder / "clock"
        self._token_path = folder / "control.token"
        self._offset_ms, self._look_again_at = 0, 0.0

    def serving(self) -> Announcement | None:
        """Return the address where it is served; None where no process serves it, whatever an old file contains."""
        who = holder(self._lock_path)
        if who is None:
            return None
        try:
            found = msgspec.json.decode(_read(self._address_path), type=prepared(Announcement))
        except (FileNotFoundError, msgspec.DecodeError, RecursionError):
            return None
        return found if found.pid == who.pid else None

    @property
    def is_open(self) -> bool:
        """Return whether a process has it open, or is starting or ending."""
        return holder(self._lock_path) is not None

    @contextmanager
    def open(self, *, takes_over: bool = False) -> Iterator[tuple[SimulatedExchange, MarketSimulation]]:
        """Open the exchange in this process, restored and advanced to now; AnotherInstanceError where it is served.

        With `takes_over` an unused background server is asked to end first.
        """
        from kalshi_cli.simulator.exchange import SimulatedExchange
        from kalshi_cli.simulator.world.world import MarketSimulation
        from kalshi_cli.store.simulator_journal import SqliteJournal

        with ExitStack() as stack:
            self._hold(stack, takes_over=takes_over)
            journal = SqliteJournal(self.folder / "exchange.db")
            stack.callback(journal.close)
            seed = self._seed()
            exchange = SimulatedExchange(
                new_id=self._new_id, options=options_of(self.options), journal=journal, offset_ms=self.offset_ms
            )
            is_restored = exchange.restore()
            now = self.clock.now()
            world = MarketSimulation(exchange, seed=seed, start=now, speed=self.options.speed)
            world.ensure_open(now)
            if not is_restored or ACCOUNT not in exchange.accounts():
                exchange.add_account(ACCOUNT, self.options.starting_cash)
            exchange.register_key(ACCOUNT, KEY_ID, self._public_key())
            yield exchange, world

    def _hold(self, stack: ExitStack, *, takes_over: bool) -> None:
        """Hold the lock until the stack closes; wait for a program that is starting or ending."""
        until = self._clock.monotonic() + WAIT_S
        while True:
            try:
                stack.enter_context(lock(self._lock_path, self._clock))
                return
            except errors.AnotherInstanceError as error:
                found = self.serving()
                if found is not None and not (takes_over and found.is_background and self.end_unused(found)):
                    raise errors.AnotherInstanceError(
                        f"The simulated exchange is served by pid {found.pid} and in use",
                        hint="`kalshi sim status` shows it; `kalshi sim stop` ends it",
                    ) from error
                if self._clock.monotonic() > until:
                    raise errors.AnotherInstanceError(
                        "The simulated exchange is starting, or in use by another program "
                        f"({holder(self._lock_path) or 'just ended'})",
                        hint="try again in a moment; `kalshi sim status` shows the server",
                    ) from error
                self._clock.sleep(0.05)

    def end_unused(self, found: Announcement) -> bool:
        """Ask this server to end unless other programs are connected; return whether it ended."""
        from kalshi_cli.simulator.serving.controls import ControlError

        until = self._clock.monotonic() + UNUSED_WITHIN_S
        while True:
            try:
                self._ask(found, "stop", b"")
                break
            except errors.UnreachableError:
                break  # it is already ending
            except ControlError:
                if self._clock.monotonic() > until:
                    return False
                self._clock.sleep(0.05)
        return self.has_ended(found.pid)

    def stop(self) -> Announcement | None:
        """End the server, whatever is connected to it; return the one that ended, None where no process serves it."""
        found, until = self.serving(), self._clock.monotonic() + END_WITHIN_S
        while found is None and self.is_open and self._clock.monotonic() < until:  # it is starting
            self._clock.sleep(0.05)
            found = self.serving()
        if found is None:
            return None
        try:
            os.kill(found.pid, signal.SIGTERM)
        except OSError as error:
            raise errors.StateFileError(f"Cannot end pid {found.pid}: {error.strerror}") from error
        if not self.has_ended(found.pid):
            raise errors.UnreachableError(
                f"The server of the simulated exchange (pid {found.pid}) does not end", hint=f"run: kill -9 {found.pid}"
            )
        return found

    def has_ended(self, pid: int) -> bool:
        """Wait until this process has closed the exchange; return whether it did within WAIT_S."""
        until = self._clock.monotonic() + END_WITHIN_S
        while (who := holder(self._lock_path)) is not None and who.pid == pid:
            if self._clock.monotonic() > until:
                return False
            self._clock.sleep(0.02)
        return True

    def check_seed(self) -> None:
        """Raise UsageError where the configured seed is not the one of the exchange."""
        if self.folder.exists():
            self._seed(is_new=False)

    def _seed(self, *, is_new: bool = True) -> int:
        """Return the seed of this exchange: another one would change every price under open positions."""
        path, wanted = self.folder / "seed", self.options.seed
        try:
            made_with = int(_read(path))
        except (FileNotFoundError, ValueError):
            if is_new:
                _write(path, str(wanted).encode())
            return wanted
        if self._is_seed_chosen and made_with != wanted:
            raise errors.UsageError(
                f"This simulated exchange was created with seed {made_with}, not {wanted}",
                hint="start over with `kalshi sim reset`, or use another --state DIR",
                code="other_seed",
            )
        return made_with

    @contextmanager
    def announce(
        self,
        rest_url: str,
        ws_url: str,
        accounts: tuple[api_keys.ServedAccount, ...] = (),
        *,
        is_background: bool = False,
    ) -> Iterator[Announcement]:
        """Write the address and the accounts of the server to a file while it is served."""
        keys = accounts[0].keys if accounts else ()
        named = next(((key.key_id, key.private_key_path) for key in keys if key.private_key_path), None)
        key_id, key_path = named or (KEY_ID, str(self.key_path))
        address = Announcement(
            rest_url=rest_url, ws_url=ws_url, key_id=key_id, private_key_path=key_path, pid=os.getpid(),
            accounts=accounts, since=self._clock.now(), build=build_of(self.options), is_background=is_background,
        )  # fmt: skip
        _replace(self._address_path, msgspec.json.encode(address))
        try:
            yield address
        finally:
            self._address_path.unlink(missing_ok=True)

    def serve(
        self,
        ready: Callable[[Address], None],
        port: int = 0,
        keys: Sequence[str] = (),
        accounts: int = 1,
        *,
        idle_s: float | None = None,
    ) -> None:
        """Serve it from this thread until a signal. SIGTERM ends it as gracefully as SIGINT.

        `keys` are `rsa`, `ed25519` or names of PEM files. Each account gets one key of each named type, the first
        account also those of the files; without `keys`, the type of the existing key.

        With `idle_s` this is the background server, which ends after it was unused for that long. Without it, an unused
        background server makes way. uvicorn raises a signal again once its sockets are closed; by default that would
        end the process at once.
        """

        def end(_number: int, _frame: object) -> None:
            raise SystemExit(errors.ExitCode.TERMINATED)

        is_background = idle_s is not None
        files = {name: api_keys.read_key(Path(name).expanduser()) for name in keys if name not in api_keys.KINDS}
        own: api_keys.KeyType = next((kind for name in keys for kind in api_keys.KINDS if kind == name), "ed25519")
        self._make_private(self.key_path, lambda: api_keys.new_key_pair(own)[0])
        before = signal.signal(signal.SIGTERM, end)
        try:
            with self.open(takes_over=not is_background) as (exchange, world):
                served = self._admit(exchange, keys, files, accounts)
                server = self._server_at_last_port(exchange, world, idle_s) if is_background else None
                server = server or self.server(exchange, world, port, idle_s)
                _write(self._port_path, str(server.port).encode())
                with self.announce(server.rest_url, server.ws_url, served, is_background=is_background) as announced:
                    address = msgspec.convert(announced, prepared(Address), from_attributes=True)
                    server.serve_forever(lambda: ready(address))
        finally:
            signal.signal(signal.SIGTERM, before)

    def _server_at_last_port(
        self, exchange: SimulatedExchange, world: MarketSimulation, idle_s: float | None
    ) -> SimServer | None:
        """Return a server at the last port, where running loops look for it; None if the port is taken."""
        with suppress(FileNotFoundError, ValueError, OSError, OverflowError):
            return self.server(exchange, world, int(_read(self._port_path)), idle_s)
        return None

    def server(
        self, exchange: SimulatedExchange, world: MarketSimulation, port: int = 0, idle_s: float | None = None
    ) -> SimServer:
        """Return the server of the exchange, with its controls."""
        from kalshi_cli.simulator.serving.control_route import ControlRoute
        from kalshi_cli.simulator.serving.server import SimServer
        from kalshi_cli.simulator.serving.spot import SpotVenues

        spots = SpotVenues(world.seed, world.spot)
        route = ControlRoute(self._controls(exchange, world, spots), self._token())
        return SimServer(
            exchange, self.clock, port=port, on_advance=world.advance, controls=route, spots=spots, idle_s=idle_s
        )

    def _controls(
        self, exchange: SimulatedExchange, world: MarketSimulation, spots: SpotVenues | None = None
    ) -> Controls:
        from kalshi_cli.simulator.serving.controls import Controls

        return Controls(exchange, world, self.offset_ms, self._shift, spots)

    def control(self, name: str, fields: dict[str, object], find: Callable[[], Address]) -> ControlReport:
        """Run a control on the server that `find` returns; raise its error where that is refused."""
        from kalshi_cli.simulator.serving.controls import ControlError, read_command

        body = msgspec.json.encode(fields)
        try:
            read_command(name, body)
            return self._ask(find(), name, body)
        except ControlError as error:
            if error.code == "not_found":
                raise errors.NotFoundError(error.message, hint="`kalshi markets --all` lists them") from error
            if error.code == "conflict":
                raise errors.ExchangeError(
                    error.message, hint="kalshi sim status", code="conflict", status=409
                ) from error
            raise errors.UsageError(error.message, hint=f"see `kalshi sim {name} -h`", code=error.code) from error

    def _ask(self, address: Address, name: str, fields: bytes) -> ControlReport:
        """Send a control command to the process that serves the exchange."""
        import http.client
        from urllib.parse import urlsplit

        from kalshi_cli.simulator.serving.controls import ControlError, ControlReport

        connection = http.client.HTTPConnection(urlsplit(address.rest_url).netloc, timeout=ASK_WITHIN_S)
        try:
            headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
            connection.request("POST", f"/sim/{name}", fields, headers)
            reply = connection.getresponse()
            body = reply.read(MAX_REPLY_LENGTH)
        except (OSError, http.client.HTTPException) as error:
            raise errors.UnreachableError(
                f"The simulated exchange (pid {address.pid}) does not respond: {error}",
                hint="`kalshi sim status` shows whether the command took effect",
            ) from error
        finally:
            connection.close()
        try:
            if reply.status == 200:
                return msgspec.json.decode(body, type=prepared(ControlReport))
            refusal = msgspec.json.decode(body, type=dict[str, dict[str, str]])["error"]
        except (msgspec.DecodeError, KeyError, RecursionError) as error:
            raise errors.UnreachableError(
                f"The simulated exchange (pid {address.pid}) rejected the command ({reply.status})",
                hint="it may be another version: stop it and start it again",
            ) from error
        raise ControlError(refusal.get("code", ""), refusal.get("message", ""))

    # -- its accounts --

    def _admit(
        self, exchange: SimulatedExchange, keys: Sequence[str], files: dict[str, api_keys.ReadKey], count: int
    ) -> tuple[api_keys.ServedAccount, ...]:
        """Open the accounts that do not exist yet, and register their keys."""
        found, keys = [], keys or (api_keys.read_key(self.key_path).key_type,)
        for number in range(1, count + 1):
            account = ACCOUNT if number == 1 else f"{ACCOUNT}-{number}"
            if account not in exchange.accounts():
                exchange.add_account(account, self.options.starting_cash)
            kinds = [name for name in dict.fromkeys(keys) if name in api_keys.KINDS or number == 1] or ["rsa"]
            served = [self._admit_key(exchange, account, number, name, files.get(name)) for name in kinds]
            found.append(
                api_keys.ServedAccount(
                    account=account,
                    user_id=exchange.user_id(account),
                    key_id=served[0].key_id,
                    private_key_path=served[0].private_key_path,
                    keys=tuple(served),
                )
            )
        return tuple(found)

    def _admit_key(
        self, exchange: SimulatedExchange, account: str, number: int, name: str, file: api_keys.ReadKey | None
    ) -> api_keys.ServedKey:
        """Register one key: that of a file, or one of this type, created where it is missing."""
        path, key_id = Path(name).expanduser().absolute(), ""
        if file is None:
            kind = next(kind for kind in api_keys.KINDS if kind == name)
            path = self.key_path
            if number == 1 and api_keys.read_key(path).key_type == kind:
                key_id = KEY_ID
            else:
                path = self.folder / f"key-{number}-{kind}.pem"
                self._make_private(path, lambda: api_keys.new_key_pair(kind)[0])
            file = api_keys.read_key(path)
        key_id = key_id or api_keys.key_id_of(file.public_key)
        exchange.register_key(account, key_id, file.public_key)
        return api_keys.ServedKey(
            key_id=key_id, key_type=file.key_type, private_key_path=str(path) if file.is_private else None
        )

    # -- its clock --

    def offset_ms(self) -> int:
        """Return the shift of the simulated time against the machine's; read a few times a second."""
        now = self._clock.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + LOOK_EVERY_S
            try:
                self._offset_ms = int(_read(self._clock_path))
            except FileNotFoundError:
                self._offset_ms = 0
            except ValueError:
                raise errors.StateFileError(
                    f"{self._clock_path} does not contain a number", hint="delete it to return to the machine's time"
                ) from None
        return self._offset_ms

    def _shift(self, offset_ms: int) -> None:
        """Set the shift of the simulated time."""
        _replace(self._clock_path, str(offset_ms).encode())
        self._offset_ms = offset_ms

    def _token(self) -> str:
        """Return the token that allows control of a served exchange: created once, readable by its owner only."""
        self._make_private(self._token_path, lambda: f"{self._new_id()}{self._new_id()}".encode())
        return _read(self._token_path).decode()

    def reset(self) -> None:
        """Delete accounts, orders and markets. AnotherInstanceError while a program uses the exchange."""
        if not self.folder.exists():
            return
        with ExitStack() as stack:
            self._hold(stack, takes_over=True)
            for path in self.folder.iterdir():
                if path.name not in LOCKS:
                    path.unlink()

    def credentials(self) -> tuple[str, PrivateKey]:
        """Return the key id and the private key of the account, created on first use, readable by its owner only.

        It is an Ed25519 key, which signs in a tenth of the time; where `serve` needs it first, it has the named type.
        """
        from kalshi_cli.exchange.rest.signing import load_key

        self._make_private(self.key_path, lambda: api_keys.new_key_pair("ed25519")[0])
        return KEY_ID, load_key(self.key_path, self._distrust)

    def _make_private(self, path: Path, make: Callable[[], bytes]) -> None:
        """Create a file that only its owner can read, unless it exists."""
        if path.exists():
            return
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            make_folder(self.folder)
            _write(draft, make())
            os.link(draft, path)  # of two processes, the first one's file stays
        except FileExistsError:
            pass
        except OSError as error:
            raise errors.StateFileError(f"Cannot write {path}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                draft.unlink()

    def _public_key(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        _, key = self.credentials()
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> bytes:
    """Read a small file. FileNotFoundError where it is missing, StateFileError where it cannot be read."""
    try:
        return read_regular(path, MAX_REPLY_LENGTH)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise errors.StateFileError(
            f"Cannot read {path}: {error.strerror}", hint="check the file at this path"
        ) from error


def _write(path: Path, body: bytes) -> None:
    """Write a small file that only its owner can read."""
    try:
        with open(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(body)
    except OSError as error:
        raise errors.StateFileError(
            f"Cannot write {path}: {error.strerror}", hint="check the file at this path"
        ) from error


def _replace(path: Path, body: bytes) -> None:
    """Replace a small file atomically."""
    draft = path.with_suffix(".new")
    _write(draft, body)
    draft.replace(path)
