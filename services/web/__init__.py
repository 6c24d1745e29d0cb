"""The web as the suite meets it: the one way out, keys for the ways in."""
