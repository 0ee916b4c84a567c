"""The limits that every order must pass, and the guards that stop trading."""
