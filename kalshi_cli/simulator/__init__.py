"""An exchange of our own that speaks the same wire."""
