"""One script per promise: prints a table, writes JSON."""
