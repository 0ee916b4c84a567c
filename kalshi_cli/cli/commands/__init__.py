"""The commands: a file for each command or group, with its name."""
