"""The exchange's wire format; no other package uses it."""
