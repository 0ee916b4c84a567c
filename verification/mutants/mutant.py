"""One safety line, and how it is broken."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One line less safe: in `file`, `old` becomes `new`; one of the `tests` must fail. `why` is what it would cost."""

    name: str
    why: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
