"""Use cases about the account: portfolio, cash, execution, what the state file and the exchange agree on."""
