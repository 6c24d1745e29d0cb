"""The shared stem: errors, settings, inference, search, text, web. Imports no app."""
