"""One program for each contestant."""
