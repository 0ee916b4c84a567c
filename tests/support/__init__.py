"""Factories for tests: see tests/README.md."""
