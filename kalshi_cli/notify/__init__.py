"""Delivery of alerts. Whatever goes wrong here stops no order."""
