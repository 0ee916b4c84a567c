"""Spot prices of coins from external venues: wire formats, price consensus, reader."""
