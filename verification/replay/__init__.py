"""Each backtest twice, with the reference engine and with the compiled loop: every fill and every cent must agree."""
