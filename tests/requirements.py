"""Finds what the tests need besides Python packages: a Redis server and a Chromium.

`python -m tests.requirements` installs what is missing where it may (root on a Debian system), and
otherwise says in one line how to.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def redis_server() -> str | None:
    """The path of a Redis server, or None."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def missing() -> list[str]:
    """The Debian packages of what is not there."""
    return [
        name for name, found in (("redis-server", redis_server()), ("chromium", chromium())) if found is None
    ]


def main() -> int:
    """Install or explain; 0 when everything is there."""
    packages = missing()
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' and '.join(packages)} for the tests ...")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages, "fonts-noto-cjk"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        packages = missing()
    if packages:
        print(
            f"The tests need {' and '.join(packages)}; on Debian: sudo apt-get install {' '.join(packages)}"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
