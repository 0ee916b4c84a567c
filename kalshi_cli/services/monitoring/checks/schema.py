"""Does the exchange still send what this program reads?"""

from __future__ import annotations

from kalshi_cli.core.monitoring.check_report import CheckReport
from kalshi_cli.services.monitoring.checks.readings import CheckData


def examine(readings: CheckData) -> CheckReport:
    """One sample of each route in use, and the first frames of the stream. It has no number for a range."""
    return readings.routes
