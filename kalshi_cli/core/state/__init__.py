"""The state of the engine and the view of it that strategies see."""
