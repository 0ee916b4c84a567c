"""Strategies: one small file each."""
