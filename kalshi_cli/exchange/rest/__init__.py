"""One call over HTTP: signing, rate limits, retries, and what a reply proves."""
