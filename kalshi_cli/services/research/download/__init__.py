"""Downloads of past data of the exchange into a lake."""
