"""The configuration: its schema, its sources, its file."""
