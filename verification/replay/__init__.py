"""Each backtest twice, with the reference engine and with the compiled kernel: every fill and every cent must agree."""
