"""The processes that run trials: a local Dask cluster, or the workers of a scheduler elsewhere.

A Dask scheduler executes what it is sent. A remote one is therefore used over TLS with certificates only, and the local
one has certificates of its own that live as long as it does, because other users can reach a loopback port too.
"""

from __future__ import annotations

import ipaddress
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.errors import KalshiError, UnreachableError, UsageError
from kalshi_cli.base.version import __version__
from kalshi_cli.services.research import tape_runs
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.search.main_guard import HINT, require_main_guard
from kalshi_cli.services.research.search.windows import TapeScore

LOST_RETRIES = 1
"""Times that a recording is run again after its worker died."""

START_S = 60
"""Seconds until the first worker must be there, and until a cluster without any worker counts as lost."""

POLL_S = 5


class SchedulerAddress(msgspec.Struct, frozen=True, kw_only=True):
    """The address of a Dask scheduler, and the certificates for it."""

    address: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """Raise UsageError unless it is TLS with certificates, or plain TCP on this machine."""
        try:
            parts = urlsplit(self.address)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        files = (self.ca, self.cert, self.key)
        if not host or port is None or parts.scheme not in ("tls", "tcp"):
            raise UsageError(
                f"Invalid scheduler address: {self.address}", hint="for example --scheduler tls://10.0.0.5:8786"
            )
        if parts.scheme == "tls":
            if None in files:
                raise UsageError(
                    "A tls:// scheduler needs certificates", hint="add --tls-ca FILE --tls-cert FILE --tls-key FILE"
                )
            for path in files:
                if path is not None and not path.is_file():
                    raise UsageError(f"Certificate file not found: {path}")
        elif not _is_loopback(host):
            raise UsageError(
                f"Refused: {self.address} is not encrypted, and a scheduler executes what it is sent",
                hint="use tls://HOST:PORT with --tls-ca, --tls-cert and --tls-key",
                code="insecure_scheduler",
            )

    def security(self) -> Any:
        """Return the certificates for the connection; None for plain TCP on this machine."""
        if not self.address.startswith("tls:"):
            return None
        return _distributed().Security(
            tls_ca_file=str(self.ca), tls_client_cert=str(self.cert), tls_client_key=str(self.key),
            require_encryption=True,
        )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def score_tape(setup: tape_runs.BacktestSetup, request: BacktestRequest) -> TapeScore:
    """Run one recording in a worker, without the variables of this program."""
    with tape_runs.without_secrets(os.environ):
        return TapeScore.of(tape_runs.run_in_worker(setup, request))


def worker_facts(paths: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Return the version of a worker, the files that it cannot read, and the names of its KALSHI_ variables."""
    missing = [path for path in paths if not os.access(path, os.R_OK)]
    return __version__, missing, [name for name in os.environ if name.startswith(tape_runs.OWN_PREFIX)]


def ignore_interrupt() -> None:
    """Ignore Ctrl-C in a local worker: a terminal sends it to every process, and the parent ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class TrialCluster:
    """The workers of a search: it runs recordings in them, and gives back the scores as they come."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def check(self, paths: Sequence[Path]) -> None:
        """Raise UsageError unless every worker has this version, sees the files, and has no KALSHI_ variables."""
        for address, (version, missing, secrets) in self._client.run(
            worker_facts, [str(path) for path in paths]
        ).items():
            if version != __version__:
                raise UsageError(f"Worker {address} has kalshi {version}, not {__version__}", hint="install the same")
            if missing:
                raise UsageError(
                    f"Worker {address} cannot read {missing[0]}",
                    hint="put the recordings in a shared folder with the same path on every machine",
                )
            if secrets:
                raise UsageError(
                    f"Worker {address} has {', '.join(sorted(secrets))} in its environment",
                    hint="start workers without KALSHI_ variables: env -u NAME dask worker ...",
                    code="worker_secrets",
                )

    @property
    def workers(self) -> int:
        """Return how many workers there are now."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def evaluate(
        self,
        setup: tape_runs.BacktestSetup,
        requests: Sequence[BacktestRequest],
        keep: Callable[[int, TapeScore | None], None],
    ) -> None:
        """Run the requests and pass on each score as it comes; None where the worker died.

        KalshiError where a strategy or a recording is refused, and if all workers are gone.
        """
        wait, killed = _distributed().wait, import_module("distributed.scheduler").KilledWorker
        futures = {
            self._client.submit(score_tape, setup, request, pure=False): number
            for number, request in enumerate(requests)
        }
        pending, idle = set(futures), 0
        try:
            while pending:
                try:
                    done, pending = wait(pending, timeout=POLL_S, return_when="FIRST_COMPLETED")
                except TimeoutError:
                    idle = 0 if self.workers else idle + 1
                    if idle * POLL_S >= START_S:
                        raise UnreachableError("All workers are gone", hint="start workers, then repeat") from None
                    continue
                for future in done:
                    try:
                        score = future.result()
                    except killed:
                        score = None
                    keep(futures[future], score)
        finally:
            self._client.cancel(list(pending), force=True)


@contextmanager
def trial_cluster(jobs: int, scheduler: SchedulerAddress | None = None) -> Iterator[TrialCluster]:
    """Open a local cluster of `jobs` processes, or connect to a scheduler. UnreachableError where that fails."""
    import dask

    distributed = _distributed()
    if scheduler is not None:
        scheduler.check()
    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": LOST_RETRIES,
        "distributed.scheduler.worker-saturation": 1.0,  # a worker that dies takes no waiting recording with it
        "distributed.comm.timeouts.connect": 15,
    }
    with ExitStack() as stack:
        stack.enter_context(tape_runs.without_secrets(os.environ))
        stack.enter_context(dask.config.set(settings))
        if scheduler is None:
            cluster = stack.enter_context(_local_cluster(jobs))
            client = stack.enter_context(distributed.Client(cluster))
        else:
            client = stack.enter_context(_connect(scheduler))
        try:
            client.wait_for_workers(1, timeout=START_S)
        except TimeoutError:
            raise UnreachableError(
                "The scheduler has no workers", hint="start one: dask worker ADDRESS --nworkers 2 --nthreads 1"
            ) from None
        client.run(tape_runs.empty_memory)  # of an earlier study, on workers that outlive it
        if scheduler is None:
            client.run(ignore_interrupt)
        yield TrialCluster(client)


def _distributed() -> Any:
    """Return the library, whose functions have no types."""
    return import_module("distributed")


def _local_cluster(jobs: int) -> Any:
    """Return a cluster of processes. UsageError in a program without its guard, KalshiError if they do not start."""
    require_main_guard()
    distributed = _distributed()
    try:
        return distributed.LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
            protocol="tls", security=distributed.Security.temporary(), silence_logs=60,
        )  # fmt: skip
    except RuntimeError as error:
        raise KalshiError(f"The worker processes did not start: {error}", hint=f"in a program, {HINT}") from error


def _connect(scheduler: SchedulerAddress) -> Any:
    try:
        return _distributed().Client(scheduler.address, security=scheduler.security())
    except (OSError, TimeoutError) as error:
        raise UnreachableError(
            f"No connection to {scheduler.address}: {error}", hint="check the address and the certificates"
        ) from error
    except ValueError as error:
        raise KalshiError(f"{scheduler.address}: {error}") from error
