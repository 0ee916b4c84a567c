"""Memory of the event stream: many updates, a reader that keeps up, one that hangs.

    python -m verification.screens --updates 10000000

Prints the memory of the process after a tenth of the updates and after all of them; ends with 1 if it grew by more than
a tenth.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

from kalshi_cli.net.local_events import EventPublisher, NoPublisherError, read_events

MAY_GROW = 1.1


def memory_mb() -> float:
    """Return the resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def run(updates: int) -> tuple[float, float, int]:
    """Publish so many updates; return the memory after a tenth and after all, and the events that were read."""
    read = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.sock"
        publisher = EventPublisher(path)
        hung = socket.socket(socket.AF_UNIX)
        hung.connect(os.fspath(path))
        hung.sendall(b'{"topics":["A"]}\n')

        def follow() -> None:
            nonlocal read
            try:
                for _ in read_events(path, ("B",), lambda: 10.0):
                    read += 1
            except NoPublisherError:
                return

        reader = threading.Thread(target=follow)
        reader.start()
        while len(publisher.topics) < 2:
            time.sleep(0.01)
        after_a_tenth = 0.0
        for n in range(updates):
            publisher.publish({"run": b"%d" % n, "markets": b"[%s%d]" % (b'"x",' * 500, n)})
            if n == updates // 10:
                after_a_tenth = memory_mb()
        after_all = memory_mb()
        publisher.close()
        reader.join()
        hung.close()
    return after_a_tenth, after_all, read


def main() -> None:
    """Run, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=10_000_000)
    updates = parser.parse_args().updates
    before, after, read = run(updates)
    print(f"{updates} updates: {before:.1f} MB after a tenth, {after:.1f} MB after all; {read} events were read")
    sys.exit(after > before * MAY_GROW)


if __name__ == "__main__":
    main()
