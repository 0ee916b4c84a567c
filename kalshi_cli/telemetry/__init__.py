"""Logs, tables, metrics, heartbeats: what a run shows of itself to machines."""
