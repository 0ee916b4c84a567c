"""The crypto strategy: hourly thresholds, traded by technical indicators."""
