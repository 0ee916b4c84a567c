"""Check that the exchange still sends the fields that this program reads."""

from __future__ import annotations

from kalshi_cli.core.monitoring.check_report import CheckReport
from kalshi_cli.services.monitoring.checks.readings import CheckData
from kalshi_cli.services.monitoring.schema_check import check_schema


def examine(readings: CheckData) -> CheckReport:
    """Return the report on a sample of each route and the first frames of the stream; it has no range."""
    return check_schema(readings.resources, is_public_only=readings.wanted.is_public_only, within_s=readings.left_s)
