"""The stream side of the simulated exchange: connections, channels, frames."""
