"""Trade hourly crypto contracts by technical indicators."""
