"""Logs, tables, metrics and heartbeats of a run."""
