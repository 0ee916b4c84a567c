"""`python -m kalshi_cli`, and the `kalshi` script."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line of this process and end it with the exit code."""
    from kalshi_cli.cli.main import main

    sys.exit(main())


if __name__ == "__main__":
    run()
