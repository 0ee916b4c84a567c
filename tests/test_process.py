"""Secrets stay in the memory of the process: no core dump, no log of TLS keys."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
from support.served import eventually, finish, start

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.net.address_guard import parse_web_address, resolve_here
from kalshi_cli.net.deadline_transport import DeadlineTransport
from kalshi_cli.net.guarded_client import PinnedHttpClient

CODE = """
import ctypes, os, resource, ssl, sys
from kalshi_cli.__main__ import protect_memory
protect_memory()
print(resource.getrlimit(resource.RLIMIT_CORE), ssl.create_default_context().keylog_filename)
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else 0)
"""


def test_a_process_leaves_no_core_dump_and_logs_no_keys(tmp_path: Path) -> None:
    keys = tmp_path / "keys.log"
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "SSLKEYLOGFILE": str(keys)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["(0, 0) None", "0"]
    assert not keys.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_command_is_protected(tmp_path: Path) -> None:
    process = start(["sim", "serve"], {"KALSHI_STATE": str(tmp_path / "state")}, tmp_path)
    try:
        assert process.stdout is not None
        assert eventually(process.stdout.readline)
        limits = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
        (line,) = [each for each in limits if each.startswith("Max core file size")]
        assert line.split()[4:6] == ["0", "0"]
    finally:
        process.terminate()
        finish(process)


def test_no_context_of_ours_logs_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    assert ssl.create_default_context().keylog_filename == str(keys), "what the library does by itself"
    keys.unlink(missing_ok=True)
    transport = DeadlineTransport(SystemClock(), is_tls=True)
    sink = PinnedHttpClient(parse_web_address("https://alerts.example/x"), SystemClock(), resolve_here)
    for context in (transport.context, sink._tls):
        assert context is not None
        assert context.keylog_filename is None
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.get_ca_certs() or os.path.isdir(ssl.get_default_verify_paths().capath or "")
    transport.close()
    assert not keys.exists()
