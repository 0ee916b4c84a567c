"""The rules of checks and alerts."""
