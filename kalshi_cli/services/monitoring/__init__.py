"""Use cases of keeping watch: alerts, checks, health, runbooks."""
