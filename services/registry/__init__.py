"""Model versions on disk: what they are, where they come from, and whether their files are whole."""
