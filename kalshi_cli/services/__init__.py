"""Every use case, typed, without a screen: what commands, screens and programs call."""
