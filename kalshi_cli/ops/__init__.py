"""What runs beside trading: alerts are delivered from here, and whatever goes wrong here stops no order."""
