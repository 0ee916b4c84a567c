"""Rules of checks and alerts."""
