"""The version of the package, which pyproject.toml reads from here."""

__version__ = "0.3.0.dev0"


def install_hint(extra: str) -> str:
    """Return how to install the packages of an extra: the program is installed from a clone, not from an index."""
    return f"in the folder of the clone: pip install '.[{extra}]' (with pipx: pipx install --force '.[{extra}]')"
