#!/usr/bin/env python
"""Trefoil's command line: `manage.py help` lists every command, `manage.py up` starts the suite."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run a management command; a wrong setting ends in its message, not in a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from services.errors import Misconfigured

    try:
        execute_from_command_line(sys.argv)
    except Misconfigured as error:
        print(f"Trefoil cannot start:\n{error.detail}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
