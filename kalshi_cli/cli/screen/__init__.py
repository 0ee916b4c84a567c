"""Output to a terminal, a pipe or a file, and prompts."""
