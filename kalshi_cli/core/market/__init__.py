"""Order books, fees, and scans across markets."""
