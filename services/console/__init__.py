"""The operators' console: what all three apps show through, and the commands that start the suite."""
