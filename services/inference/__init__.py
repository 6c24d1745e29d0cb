"""Answers from models: one `Engine` Protocol, asked by every app."""
