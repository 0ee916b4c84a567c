"""The simulated exchange of a state directory: found where somebody serves it, else opened in this process.

One process at a time has it open, by an OS lock. A one-shot command opens it without sockets and closes it again; `sim
serve` and `trade` serve it over real ones, and say where in a file beside it.

Its time is the machine's, moved by what the file `clock` says; signatures are made and held against the machine's.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.clock import Clock, ShiftedClock
from kalshi_cli.config_sections import Sim
from kalshi_cli.errors import (
    ExchangeError,
    ExitCode,
    InstanceError,
    NotFoundError,
    StateError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.files import open_regular, read_regular
from kalshi_cli.sim.api import Exchange
from kalshi_cli.sim.keys import KINDS, ReadKey, ServedAccount, ServedKey, key_id_of, new_private_key, read_key
from kalshi_cli.sim.listing import SimOptions
from kalshi_cli.sim.world.world import World
from kalshi_cli.store.journal import SqliteJournal
from kalshi_cli.store.lock import holder, lock

if TYPE_CHECKING:
    from kalshi_cli.exchange.signing import PrivateKey
    from kalshi_cli.sim.controls import Controls, Report
    from kalshi_cli.sim.server import SimServer
    from kalshi_cli.sim.spot import SpotVenues

ACCOUNT = "trader"
KEY_ID = "00000000-0000-4000-8000-00000000cafe"
"""The key of the account that this program trades with. It opens nothing but this simulated exchange."""

WAIT_S = 10.0
"""How long a command waits for another one-shot command to let go of the exchange."""

ASK_WITHIN_S = 20.0
LONGEST_REPLY = 1 << 20
LOOK_EVERY_S = 0.25
"""How often a process looks whether another one moved the clock."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a served exchange answers, a key of its first account, and all accounts that it was asked for."""

    rest_url: str
    ws_url: str
    key_id: str
    private_key_path: str
    pid: int
    accounts: tuple[ServedAccount, ...] = ()


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
        self.clock: Clock = ShiftedClock(clock, self.offset_ms)
        """The world's time, also while another process moves it; durations are the machine's."""
        self._clock = clock
        self._new_id = new_id
        self._lock_path = folder / "lock"
        self._address_path = folder / "address.json"
        self._clock_path = folder / "clock"
        self._token_path = folder / "control.token"
        self._offset_ms, self._look_again_at = 0, 0.0

    def serving(self) -> Address | None:
        """Where it is served now, if it is."""
        who = holder(self._lock_path)
        if who is None:
            return None
        try:
            address = msgspec.json.decode(_read(self._address_path), type=Address)
        except (FileNotFoundError, msgspec.DecodeError, RecursionError):
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
                except InstanceError as error:
                    if self.serving() is not None:
                        raise
                    if self._clock.monotonic() > until:
                        raise InstanceError(
                            f"the simulated exchange is still being started, or used, by another program "
                            f"({holder(self._lock_path) or 'gone now'})",
                            hint="try again in a moment; kalshi status shows whether it is a loop",
                        ) from error
                    self._clock.sleep(0.05)
            journal = SqliteJournal(self.folder / "exchange.db")
            stack.callback(journal.close)
            seed = self._seed()
            exchange = Exchange(
                new_id=self._new_id, options=_options(self._options), journal=journal, offset_ms=self.offset_ms
            )
            is_restored = exchange.restore()
            now = self.clock.now()
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
            made_with = int(_read(path))
        except (FileNotFoundError, ValueError):
            _write(path, str(wanted).encode())
            return wanted
        if self._is_seed_chosen and made_with != wanted:
            raise UsageError(
                f"this simulated exchange was made with seed {made_with}, not {wanted}",
                hint="start anew with kalshi sim reset, or use another --state DIR",
                code="other_seed",
            )
        return made_with

    @contextmanager
    def announce(self, rest_url: str, ws_url: str, accounts: tuple[ServedAccount, ...] = ()) -> Iterator[Address]:
        """Say where it is served, and for whom, for as long as it is."""
        keys = accounts[0].keys if accounts else ()
        found = next(((key.key_id, key.private_key_path) for key in keys if key.private_key_path), None)
        key_id, key_path = found or (KEY_ID, str(self.key_path))
        address = Address(
            rest_url=rest_url,
            ws_url=ws_url,
            key_id=key_id,
            private_key_path=key_path,
            pid=os.getpid(),
            accounts=accounts,
        )
        draft = self._address_path.with_suffix(".new")
        _write(draft, msgspec.json.encode(address))
        draft.replace(self._address_path)
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
    ) -> None:
        """Serve it from this thread until a signal. SIGTERM ends it in as good order as SIGINT does.

        `keys` are `rsa`, `ed25519` or names of PEM files. Each account gets one of each type that is named, the first
        account those of the files too. Without any they have the type of the key that is there.

        The server hands a signal on once its sockets are closed; by default that would end the process at once.
        """

        def end(_number: int, _frame: object) -> None:
            raise SystemExit(ExitCode.TERMINATED)

        files = {name: read_key(Path(name).expanduser()) for name in keys if name not in KINDS}
        own = next((kind for name in keys for kind in KINDS if kind == name), "ed25519")
        self._make_private(self.key_path, lambda: new_private_key(own))
        before = signal.signal(signal.SIGTERM, end)
        try:
            with self.open() as (exchange, world):
                served = self._admit(exchange, keys, files, accounts)
                server = self.server(exchange, world, port)
                with self.announce(server.rest_url, server.ws_url, served) as address:
                    server.serve_forever(lambda: ready(address))
        finally:
            signal.signal(signal.SIGTERM, before)

    def server(self, exchange: Exchange, world: World, port: int = 0) -> SimServer:
        """What serves it, with its controls."""
        from kalshi_cli.sim.control_route import ControlRoute
        from kalshi_cli.sim.server import SimServer
        from kalshi_cli.sim.spot import SpotVenues

        spots = SpotVenues(world.seed, world.spot)
        route = ControlRoute(self._controls(exchange, world, spots), self._token())
        return SimServer(exchange, self.clock, port=port, on_advance=world.advance, controls=route, spots=spots)

    def _controls(self, exchange: Exchange, world: World, spots: SpotVenues | None = None) -> Controls:
        from kalshi_cli.sim.controls import Controls

        return Controls(exchange, world, self.offset_ms, self._shift, spots)

    def control(self, name: str, fields: dict[str, object]) -> Report:
        """Do this to it, wherever it is open. UsageError, NotFoundError or ExchangeError where it cannot be done."""
        from kalshi_cli.sim.controls import ControlError, read_command

        body = msgspec.json.encode(fields)
        try:
            command = read_command(name, body)
            address = self.serving()
            if address is not None:
                return self._ask(address, name, body)
            with self.open() as (exchange, world):
                return self._controls(exchange, world).perform(command, self.clock.now())
        except ControlError as error:
            if error.code == "not_found":
                raise NotFoundError(error.message, hint="kalshi markets --all lists them") from error
            if error.code == "conflict":
                raise ExchangeError(error.message, hint="kalshi sim status", code="conflict", status=409) from error
            raise UsageError(error.message, hint=f"see `kalshi sim {name} -h`", code=error.code) from error

    def _ask(self, address: Address, name: str, fields: bytes) -> Report:
        """The process that serves it."""
        import http.client
        from urllib.parse import urlsplit

        from kalshi_cli.sim.controls import ControlError, Report

        connection = http.client.HTTPConnection(urlsplit(address.rest_url).netloc, timeout=ASK_WITHIN_S)
        try:
            headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
            connection.request("POST", f"/sim/{name}", fields, headers)
            reply = connection.getresponse()
            body = reply.read(LONGEST_REPLY)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(
                f"the simulated exchange of pid {address.pid} does not answer: {error}",
                hint="kalshi sim status says whether it did it",
            ) from error
        finally:
            connection.close()
        try:
            if reply.status == 200:
                return msgspec.json.decode(body, type=Report)
            refusal = msgspec.json.decode(body, type=dict[str, dict[str, str]])["error"]
        except (msgspec.DecodeError, KeyError, RecursionError) as error:
            raise UnreachableError(
                f"the simulated exchange of pid {address.pid} answered {reply.status} to a control",
                hint="it may be of another version: stop it and start it again",
            ) from error
        raise ControlError(refusal.get("code", ""), refusal.get("message", ""))

    # -- its accounts --

    def _admit(
        self, exchange: Exchange, keys: Sequence[str], files: dict[str, ReadKey], count: int
    ) -> tuple[ServedAccount, ...]:
        """Open the accounts that are not there yet, and let the keys sign for them."""
        found, keys = [], keys or (read_key(self.key_path).key_type,)
        for number in range(1, count + 1):
            account = ACCOUNT if number == 1 else f"{ACCOUNT}-{number}"
            if account not in exchange.accounts():
                exchange.add_account(account, self._options.starting_cash)
            kinds = [name for name in dict.fromkeys(keys) if name in KINDS or number == 1] or ["rsa"]
            served = [self._admit_key(exchange, account, number, name, files.get(name)) for name in kinds]
            found.append(
                ServedAccount(
                    account=account,
                    user_id=exchange.user_id(account),
                    key_id=served[0].key_id,
                    private_key_path=served[0].private_key_path,
                    keys=tuple(served),
                )
            )
        return tuple(found)

    def _admit_key(self, exchange: Exchange, account: str, number: int, name: str, file: ReadKey | None) -> ServedKey:
        """Let one key sign: that of a file, or one of this type, made where there is none yet."""
        path, key_id = Path(name).expanduser().absolute(), ""
        if file is None:
            kind = next(kind for kind in KINDS if kind == name)
            path = self.key_path
            if number == 1 and read_key(path).key_type == kind:
                key_id = KEY_ID
            else:
                path = self.folder / f"key-{number}-{kind}.pem"
                self._make_private(path, lambda: new_private_key(kind))
            file = read_key(path)
        key_id = key_id or key_id_of(file.public_key)
        exchange.register_key(account, key_id, file.public_key)
        return ServedKey(key_id=key_id, key_type=file.key_type, private_key_path=str(path) if file.is_private else None)

    # -- its clock --

    def offset_ms(self) -> int:
        """How far the world's time is ahead of the machine's; looked up a few times a second."""
        now = self._clock.monotonic()
        if now >= self._look_again_at:
            self._look_again_at = now + LOOK_EVERY_S
            try:
                self._offset_ms = int(_read(self._clock_path))
            except FileNotFoundError:
                self._offset_ms = 0
            except ValueError:
                raise StateError(
                    f"{self._clock_path} does not hold a number", hint="remove it: the clock is then the machine's"
                ) from None
        return self._offset_ms

    def _shift(self, offset_ms: int) -> None:
        """From now on the world's time is so far ahead."""
        draft = self._clock_path.with_suffix(".new")
        _write(draft, str(offset_ms).encode())
        draft.replace(self._clock_path)
        self._offset_ms = offset_ms

    def _token(self) -> str:
        """What proves to a served exchange that somebody may control it: made once, readable by its owner only."""
        self._make_private(self._token_path, lambda: f"{self._new_id()}{self._new_id()}".encode())
        return _read(self._token_path).decode()

    def reset(self) -> None:
        """Forget everything: accounts, orders, markets. InstanceError while somebody has it open."""
        if not self.folder.exists():
            return
        with lock(self._lock_path, self._clock):
            for path in self.folder.iterdir():
                if path != self._lock_path:
                    path.unlink()

    def credentials(self) -> tuple[str, PrivateKey]:
        """The key of the account: id and private key. Made on first use, readable by its owner only.

        An Ed25519 one, which signs in a tenth of the time; where `serve` is the first to need it, of the type it names.
        """
        from kalshi_cli.exchange.signing import load_key

        self._make_private(self.key_path, lambda: new_private_key("ed25519"))
        return KEY_ID, load_key(self.key_path)

    def _make_private(self, path: Path, make: Callable[[], bytes]) -> None:
        """A file that only its owner reads, where there is none yet."""
        if path.exists():
            return
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(draft, make())
            os.link(draft, path)  # two processes at once: the first one's stands
        except FileExistsError:
            pass
        except OSError as error:
            raise StateError(f"cannot write {path}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                draft.unlink()

    def _public_key(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        _, key = self.credentials()
        return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> bytes:
    """What is in a small file of ours. FileNotFoundError where there is none, StateError where it cannot be read."""
    try:
        return read_regular(path, LONGEST_REPLY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"cannot read {path}: {error.strerror}", hint="see what is in its place") from error


def _write(path: Path, body: bytes) -> None:
    """A small file of ours, for its owner only."""
    try:
        with open(open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(body)
    except OSError as error:
        raise StateError(f"cannot write {path}: {error.strerror}", hint="see what is in its place") from error


def _options(chosen: Sim) -> SimOptions:
    """Every switch of the configuration that the exchange has under the same name."""
    shared = {name: getattr(chosen, name) for name in SimOptions.__struct_fields__ if name in Sim.__struct_fields__}
    return SimOptions(**shared)
