"""Tests of services.registry."""
