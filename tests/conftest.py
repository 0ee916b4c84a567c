"""What every run of tests begins with, and fixtures that all folders share."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings

from kalshi_cli.base import text

if TYPE_CHECKING:
    from support.processes import ForkServer
    from support.served import Served
    from support.simulation import Simulation

# A busy machine is no finding. The examples are the same at every run, so that a change fails its own tests and not
# those of the next one; `make search` draws new ones.
settings.register_profile(
    "untimed",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="KALSHI_SEARCH" not in os.environ,
)
settings.register_profile(  # for `make mutants`: that an example fails is enough; the least one takes minutes
    "unshrunk", settings.get_profile("untimed"), phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("untimed")

# Whoever started the run may ignore hang-ups (`nohup`, some CI) or interrupts (a shell's `&`): a program inherits that
# and keeps to it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# Files in memory: a disk takes up to 40 ms for each commit, half of the time of a run. No test cuts the power, and a
# program that is killed loses nothing that it wrote, on disk or in memory. TMPDIR chooses another place.
MEMORY = Path("/dev/shm")
ENOUGH = 256 << 20
if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from walking over thousands of tests, which live as long as the run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()  # without a collection before, half a second in each process: little of it is garbage
        gc.enable()
        gc.set_threshold(20_000, 20, 20)  # a twentieth of the time of a run, with the 700, 10, 10 of the interpreter


_forks: list[ForkServer] = []


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give the processes of a run one fork server, which imports the program while they collect the tests."""
    from support.processes import ForkServer

    if not _forks:
        _forks.append(ForkServer())
    node.workerinput["forks"] = _forks[0].process.pid


@pytest.fixture(autouse=True)
def concealed() -> Iterator[None]:
    """What a test has concealed is hidden in this process for ever: another's words and ids would be as well."""
    before = set(text._concealed)
    yield
    text._concealed.intersection_update(before)


@pytest.fixture(autouse=True)
def started_alike() -> Iterator[None]:
    """Dask leaves MALLOC_TRIM_THRESHOLD_ behind: programs of later tests would start afresh, half a second each."""
    from support import processes

    yield
    for name in os.environ.keys() - processes.OURS.keys():
        if name.startswith(processes.AT_START):
            del os.environ[name]


def end_servers(home: Path) -> list[str]:
    """End every background server of a state directory below this one; return what else has an exchange open."""
    left = []
    for path in home.rglob("exchange/lock"):
        from kalshi_cli.base.clock import SystemClock  # most tests need none of it
        from kalshi_cli.config.schema import SimulatorConfig
        from kalshi_cli.services.simulated_exchange import SimulatorLauncher
        from kalshi_cli.store.lock import holder

        simulator = SimulatorLauncher(path.parent, SimulatorConfig(), SystemClock(), lambda: "")
        found = simulator.serving()
        if found is None or found.is_background:
            simulator.stop()
        if (who := holder(path)) is not None:
            left.append(f"{path}: {who}")
    return left


@pytest.fixture(autouse=True)
def no_server_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """End the background servers that a test's commands started; fail where a process still has an exchange open."""
    home: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if home is not None:
        assert end_servers(home) == []


@pytest.fixture(scope="session", autouse=True)
def no_server_left_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The same of what fixtures made that live longer than a test."""
    yield
    assert end_servers(tmp_path_factory.getbasetemp()) == []


@pytest.fixture(scope="session", autouse=True)
def forked_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    """The background servers of exchanges are forks, as the programs of `start` are."""
    from support import processes

    processes.route(*filter(None, [getattr(request.config, "workerinput", {}).get("forks")]))
    yield
    subprocess.Popen = processes.FRESH  # type: ignore[misc]


@pytest.fixture(scope="session")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Puts a simulated exchange into a state directory, as a first command leaves it: a copy costs a tenth of one."""
    from kalshi_cli.base.clock import SystemClock  # most runs of a few tests need none of it
    from kalshi_cli.config.schema import SimulatorConfig
    from kalshi_cli.services.simulated_exchange import SimulatorLauncher

    made = tmp_path_factory.mktemp("begun") / "exchange"
    with SimulatorLauncher(made, SimulatorConfig(), SystemClock(), lambda: str(uuid4())).open():
        pass

    def begin(state: Path) -> None:
        shutil.copytree(made, state / "sim" / "exchange", ignore=shutil.ignore_patterns("lock"))

    return begin


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulation]:
    """A simulated exchange in this process under a manual clock, with a client and a store."""
    from support.simulation import Simulation

    made = Simulation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A simulated exchange on a socket; `program(...)` and `start(...)` reach it as the account `alice`."""
    from support.served import served, set_variables

    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one
