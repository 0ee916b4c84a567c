"""`python -m kalshi_cli`, and the `kalshi` script."""

from __future__ import annotations

import os
import sys


def run() -> None:
    """Run the command line of this process and end it with the exit code."""
    # A service or a shell (`>&-`) may start us without these; then Python has None in their place.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process lives
    from kalshi_cli.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    run()
