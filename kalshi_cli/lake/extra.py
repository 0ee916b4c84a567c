"""The packages of the extra `research`, and the error where they are missing."""

from __future__ import annotations

from importlib.util import find_spec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.version import install_hint


def require_research(package: str = "pyarrow") -> None:
    """Raise UsageError with the line that installs the extra, if a package of it is missing."""
    if find_spec(package) is None:
        raise UsageError(
            f"{package} is not installed; the lake needs it", hint=install_hint("research"), code="not_installed"
        )
