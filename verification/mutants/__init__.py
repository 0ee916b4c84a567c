"""Mutants (T21): safety lines broken one by one, each of which a test must notice. `python -m verification.mutants`."""
