"""Larkmoor, a small fictional company: what `make run` shows the products on."""
