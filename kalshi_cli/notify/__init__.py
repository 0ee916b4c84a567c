"""Delivery of alerts to channels. A failure here stops no order."""
