"""Monitoring use cases: alerts, checks, health, runbooks."""
