"""The composition: which clock, key, feed, venue and homes each environment and each run gets."""
