"""The background server of the simulated exchange: its discovery, its start, and its process.

    python -m kalshi_cli.app.background SETTINGS

The first command that needs the server starts it. It runs in its own session, so that neither a closed terminal nor
Ctrl-C reaches it. It inherits only the descriptor of its log file, so that a caller who reads the output of a command
to its end does not wait for the server.
"""

from __future__ import annotations

import http.client
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.base.errors import AnotherInstanceError, ExitCode, KalshiError, StateFileError, UnreachableError
from kalshi_cli.base.files import open_regular, read_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.services.simulated_exchange import SimulatorLauncher
from kalshi_cli.simulator.serving.announcement import Announcement, build_of
from kalshi_cli.store.lock import lock

IDLE_S = 60.0
"""The server ends after this long without a request and without an open stream."""

START_WITHIN_S = 60.0
ANSWER_WITHIN_S = 5.0
SILENT_S = 5.0
"""Seconds to ask an announced server that does not respond: it may be frozen."""
LOOK_EVERY_S = 0.02
MAX_LOG_LENGTH = 1_000_000


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Describe the exchange of a background server: its folder, its options, and when it ends."""

    folder: str
    options: SimulatorConfig
    idle_s: float


class Background:
    """Finds the server of a simulated exchange, or starts one in the background.

    A background server of another version, or with other `sim` settings, is replaced. If other programs are connected
    to it, it is used unchanged, with a notice. A server in the foreground is used unchanged.
    """

    def __init__(
        self, simulator: SimulatorLauncher, clock: Clock, note: Callable[[str], None], idle_s: float = IDLE_S
    ) -> None:
        self._simulator = simulator
        self._clock = clock
        self._note = note
        self._idle_s = idle_s
        self._log = simulator.folder / "server.log"

    def find(self) -> Announcement:
        """Return a server that responds. UnreachableError if none does in time, StateError if it cannot start."""
        until = self._clock.monotonic() + START_WITHIN_S
        while True:
            found = self._answering()
            if found is not None and self._is_fit(found):
                return found
            if found is None and self._simulator.serving() is not None:
                until = min(until, self._clock.monotonic() + SILENT_S)
            if found is None and not self._simulator.is_open:
                with suppress(AnotherInstanceError), lock(self._simulator.folder / "start.lock", self._clock):
                    if not self._simulator.is_open:  # another command may have started it meanwhile
                        self._start(until)
            if self._clock.monotonic() > until:
                raise UnreachableError(
                    f'The simulated exchange does not respond; the last line of its log: "{self._last_line()}"',
                    hint=f"stop it with `kalshi sim stop`; see {self._log}",
                )
            self._clock.sleep(LOOK_EVERY_S)

    def _answering(self) -> Announcement | None:
        """Return the server if it responds now. The request counts as a use, so that it does not end right after."""
        found = self._simulator.serving()
        if found is None:
            return None
        address = urlsplit(found.rest_url)
        connection = http.client.HTTPConnection(address.netloc, timeout=ANSWER_WITHIN_S)
        try:
            connection.request("GET", f"{address.path}/exchange/status")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return found

    def _is_fit(self, found: Announcement) -> bool:
        """Return whether to use this server; False after a request to end for a new one."""
        if not found.is_background:
            return True
        self._simulator.check_seed()
        if found.build == build_of(self._simulator.options):
            return True
        if self._simulator.end_unused(found):
            return False
        self._note(
            f"The running simulated exchange (pid {found.pid}) has another version or other sim settings. It is in use "
            "and was kept. To replace it: kalshi sim stop, which interrupts the loops and recordings that use it"
        )
        return True

    def _start(self, until: float) -> None:
        """Start a server and wait for its announcement; return early if another process took the exchange."""
        self._simulator.check_seed()
        self._simulator.credentials()  # creates the folder
        log = self._open_log()
        try:
            begun_at = os.fstat(log).st_size
            process = self._spawn(log)
        finally:
            os.close(log)
        ends = f"it stops after {self._idle_s:g} s without use, and keeps all data"
        while self._clock.monotonic() < until:
            if self._simulator.serving() is not None:
                self._note(f"Started the simulated exchange (pid {process.pid}); {ends}")
                break
            code = process.poll()
            if code == ExitCode.INSTANCE:
                return
            if code is not None:
                text = f"The simulated exchange did not start: {self._last_line(begun_at)}"
                kind = StateFileError if code == ExitCode.STATE else UnreachableError
                raise kind(text, hint=f"see {self._log}")
            self._clock.sleep(LOOK_EVERY_S)
        threading.Thread(target=process.wait, name="sim-reaper", daemon=True).start()  # reaps the child process

    def _open_log(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            if self._log.exists() and self._log.stat().st_size > MAX_LOG_LENGTH:
                flags |= os.O_TRUNC
            return open_regular(self._log, flags)
        except OSError as error:
            raise StateFileError(
                f"Cannot write {self._log}: {error.strerror}", hint="check the path and its permissions"
            ) from error

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        simulator = self._simulator
        settings = Settings(folder=str(simulator.folder.absolute()), options=simulator.options, idle_s=self._idle_s)
        package = Path(__file__).parents[2]  # so that the server runs the same source
        # A long-running process must not get the keys of the real exchange.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KALSHI_")}
        return subprocess.Popen(  # noqa: S603 - this interpreter and a module of this package
            [sys.executable, "-m", __name__, msgspec.json.encode(settings).decode()],
            cwd=package, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

    def _last_line(self, begun_at: int = 0) -> str:
        with suppress(OSError):
            lines = read_regular(self._log, 2 * MAX_LOG_LENGTH)[begun_at:].decode(errors="replace").splitlines()
            return lines[-1].split("Z ", 1)[-1] if lines else "it wrote nothing"
        return "it has no log"


def serve(settings: Settings) -> int:
    """Serve the exchange until it has not been used for long enough, or until a signal; return the exit code."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(format="%(asctime)sZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")
    log = logging.getLogger(__name__)
    log.setLevel(logging.INFO)
    simulator = SimulatorLauncher(Path(settings.folder), settings.options, SystemClock(), lambda: str(uuid4()))
    log.info("pid %d starts", os.getpid())
    try:
        simulator.serve(lambda address: log.info("serves at %s", address.rest_url), idle_s=settings.idle_s)
    except KalshiError as error:
        log.error("%s", error.message)
        return error.exit_code
    except SystemExit:
        log.info("ends: SIGTERM")
        return ExitCode.OK
    log.info("ends: asked to, or not used for %g s", settings.idle_s)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(serve(msgspec.json.decode(sys.argv[1], type=prepared(Settings))))
