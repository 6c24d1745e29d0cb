"""Tests: sentences for names, real parts, three seams (engine, fetch, clock)."""
