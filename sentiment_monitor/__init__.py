"""Watches finance news and warns when negative news about a company surges."""
