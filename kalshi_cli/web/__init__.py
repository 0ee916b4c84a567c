"""`kalshi serve`: the web page and the JSON API. They show what services return and act through plans."""
