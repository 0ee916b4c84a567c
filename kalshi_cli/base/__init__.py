"""Units, text, the clock, errors and files: what every other package uses. It imports nothing of ours."""
