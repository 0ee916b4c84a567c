"""`kalshi top`: the terminal screen. It shows the event stream and acts through plans."""
