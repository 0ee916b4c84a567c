"""How rows reach a terminal, a pipe or a file, and how a person is asked."""
