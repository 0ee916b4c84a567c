"""Mutants (T21): break safety lines one by one; a test must fail for each. `python -m verification.mutants`."""
