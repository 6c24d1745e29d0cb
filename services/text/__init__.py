"""Plain-text tools shared by the apps: which language, which sentences, what must be masked."""
