"""One line of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """What was promised, and the worst that was measured: of `repeats`, the greatest. Seconds unless `unit` says so."""

    name: str
    worst: float
    limit: float
    repeats: int
    unit: str = "s"

    @property
    def passes(self) -> bool:
        return self.repeats > 0 and self.worst <= self.limit

    def __str__(self) -> str:
        verdict = "PASS" if self.passes else "FAIL"
        return f"{verdict}  {self.name:82}{self.worst:10.3f} <= {self.limit:7.3f} {self.unit:6}{self.repeats:4} times"
