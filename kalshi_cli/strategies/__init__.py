"""The built-in strategies and the module that strategy authors import (`api`)."""
