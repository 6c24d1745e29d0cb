"""One script per promise: prints a table, writes JSON."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")  # the apps' words are translated lazily
