"""Here so that every test can import what lies in this directory (`conformance`); and what every run begins with."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kalshi_cli import text

# A busy machine is no finding.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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


@pytest.fixture(autouse=True)
def concealed() -> Iterator[None]:
    """What a test has concealed is hidden in this process for ever: another's words and ids would be as well."""
    before = set(text._concealed)
    yield
    text._concealed.intersection_update(before)
