"""One module per command of `driftline`: its options, and what it does."""
