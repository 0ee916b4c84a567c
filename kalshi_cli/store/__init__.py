"""Durable state that survives a crash."""
