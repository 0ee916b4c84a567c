"""Types that several threads decode for the first time at the same moment."""

from __future__ import annotations

import subprocess
import sys

THREADS = """
import sys, threading
from typing import Dict, List, Optional
import msgspec
from kalshi_cli.base.struct_types import prepared

sys.setswitchinterval(1e-6)
for _ in range(300):
    inner = msgspec.defstruct("Inner", [(f"f{i}", Optional[Dict[str, List[int]]], None) for i in range(30)])
    kind = msgspec.defstruct("Outer", [(f"g{i}", Optional[inner], None) for i in range(10)])
    begin = threading.Barrier(4)

    def decode():
        begin.wait()
        found = msgspec.json.decode(b'{"g9": {"f29": {"b": [2]}}}', type=prepared(kind))
        assert found.g9.f29 == {"b": [2]}

    threads = [threading.Thread(target=decode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_decode_a_type_for_the_first_time_at_once_do_not_crash_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
