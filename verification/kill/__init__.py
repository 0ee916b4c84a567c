"""Verify the kill switch with a thousand resting orders, and the rate limit that programs of one account share."""
