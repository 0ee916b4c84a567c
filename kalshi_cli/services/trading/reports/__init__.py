"""The reports of a run: its facts before it starts, its status, events and tables, and its summary at the end."""
